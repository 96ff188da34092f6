package salvage

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/pathtext"
)

// writerName marks the JSON files that dovemend wrote and may therefore replace.
const writerName = "dovemend salvage"

// Entry is what is written about one message: an element of index.json, and the sidecar of an .eml. Fields are only ever added.
type Entry struct {
	Writer      string          `json:"writer,omitempty"` // in sidecars
	File        string          `json:"file,omitempty"`   // slash path in the output; missing where nothing could be read
	Offset      *int64          `json:"offset,omitempty"` // mbox: of its From_ line
	Mailbox     pathtext.Path   `json:"mailbox"`
	Class       Class           `json:"class"`
	Was         Class           `json:"was,omitempty"` // the class it had until its text turned out to be damaged
	UID         dovecot.UID     `json:"uid,omitempty"`
	UIDValidity uint32          `json:"uidvalidity,omitempty"`
	GUID        string          `json:"guid,omitempty"`
	Flags       []string        `json:"flags"` // IMAP system flags
	Keywords    []pathtext.Path `json:"keywords"`
	Received    string          `json:"received,omitempty"` // RFC 3339, UTC
	Saved       string          `json:"saved,omitempty"`
	Size        int64           `json:"size"`               // bytes of its text
	VirtualSize int64           `json:"virtual_size"`       // with CRLF line ends
	SHA256      string          `json:"sha256"`             // of its text
	OpenEnd     bool            `json:"open_end,omitempty"` // its last line has no line end
	Source      sourceEntry     `json:"source"`
	Notes       []string        `json:"notes,omitempty"`
	Problem     string          `json:"problem,omitempty"` // why its text could not be read to the end

	before []string // the notes it came with
}

type sourceEntry struct {
	File   pathtext.Path `json:"file"`
	Offset *int64        `json:"offset,omitempty"`
}

// entryOf is what is known of a message before its text is read.
func entryOf(m *Message) *Entry {
	e := &Entry{Mailbox: pathtext.Path(m.Mailbox), Class: m.Class, UID: m.UID, UIDValidity: m.UIDValidity, Flags: strings.Fields(m.Flags.String()),
		Keywords: pathtext.Of(m.Keywords), Received: timeText(m.Received), Saved: timeText(m.Saved), Source: sourceEntry{File: pathtext.Path(m.Source.File)}, Notes: m.Notes, before: m.Notes}
	if e.Keywords == nil {
		e.Keywords = []pathtext.Path{} // as with flags, an empty list says that there are none
	}
	if !m.GUID.IsZero() {
		e.GUID = m.GUID.String()
	}
	if m.Source.Offset >= 0 {
		at := m.Source.Offset
		e.Source.Offset = &at
	}
	return e
}

// read adds what reading the text has shown.
func (e *Entry) read(t text) {
	e.Size, e.VirtualSize, e.SHA256, e.OpenEnd = t.size.Bytes, t.size.Virtual, hex.EncodeToString(t.sum[:]), t.openEnd
	if t.problem != nil {
		e.Problem = strings.ToValidUTF8(t.problem.Error(), "\uFFFD")
	}
	e.Notes = slices.Concat(e.before, t.missing)
	if (t.problem != nil || len(t.missing) > 0) && e.Class != Damaged {
		e.Was, e.Class = e.Class, Damaged
	}
}

// unreadable reports whether there is nothing to write.
func (e *Entry) unreadable() bool { return e.Problem != "" && e.Size == 0 }

// same reports whether two entries are about the same message, be it of different runs: a run may know more than the last.
func (e *Entry) same(o *Entry) bool {
	if e.Mailbox != o.Mailbox || e.UID != o.UID || e.UIDValidity != o.UIDValidity || e.GUID != o.GUID {
		return false
	}
	return e.GUID != "" || e.Source.File == o.Source.File && (e.Source.Offset == nil) == (o.Source.Offset == nil) &&
		(e.Source.Offset == nil || *e.Source.Offset == *o.Source.Offset)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// jsonText is a value as JSON with a line end: in one line, or indented for people.
func jsonText(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// jsonLines writes values as [jsonLine] does, one behind the other.
func jsonLines(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

func jsonLine(v any) ([]byte, error) { return jsonText(v, "") }

// head is what stands before the messages in index.json and in the sidecar of an mbox file.
type head struct {
	Writer string `json:"writer"`
	SHA256 string `json:"sha256"`
}

// readHead reads a JSON document up to its messages, which may be many.
func readHead(r io.Reader) (h head, err error) {
	dec := json.NewDecoder(io.LimitReader(r, 1<<20))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return h, errors.New("not a JSON object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil || key == "messages" || key == "folders" {
			return h, err
		}
		switch key {
		case "writer":
			err = dec.Decode(&h.Writer)
		case "sha256":
			err = dec.Decode(&h.SHA256)
		default:
			var skipped json.RawMessage
			err = dec.Decode(&skipped)
		}
		if err != nil {
			return h, err
		}
	}
	return h, nil
}
