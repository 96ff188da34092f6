package salvage

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/mail"
	"path"
	"strings"
	"time"

	"dovemend/repair/dovecot"
)

// readEntries reads the messages that an index.json or the sidecar of an mbox tells of, where it is one that dovemend wrote.
// file is the file they are all in; "" where each tells its own.
func (r *Reader) readEntries(name, file string) error {
	f, err := openRegular(r.root, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) { // the latter is told of as passed over
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	ours := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil
		}
		switch {
		case key == "writer":
			var w string
			if dec.Decode(&w) != nil || w != writerName {
				return nil
			}
			ours = true
		case key == "messages" && ours:
			if r.known == nil {
				r.known = map[place]*Entry{}
			}
			if t, err := dec.Token(); err != nil || t != json.Delim('[') {
				return nil
			}
			for dec.More() {
				e := &Entry{}
				if dec.Decode(e) != nil {
					return nil // what was read so far still holds
				}
				at := place{cmp.Or(file, e.File), -1}
				if e.Offset != nil {
					at.offset = *e.Offset
				}
				if at.file != "" {
					r.known[at] = e
				}
			}
			return nil
		default:
			var skipped json.RawMessage
			if dec.Decode(&skipped) != nil {
				return nil
			}
		}
	}
	return nil
}

// sidecar reads the JSON beside an .eml, where dovemend wrote it.
func (r *Reader) sidecar(name string) *Entry {
	if e := r.known[place{name, -1}]; e != nil {
		return e
	}
	f, err := openRegular(r.root, sidecarOf(name))
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSidecar+1))
	e := &Entry{}
	if err != nil || len(b) > maxSidecar || json.Unmarshal(b, e) != nil || e.Writer != writerName {
		return nil
	}
	return e
}

func (r *Reader) eml(name string) {
	m := r.message(name, folderName(path.Dir(name)), -1)
	m.Open = func() (io.ReadCloser, error) { return r.section(name, 0, -1) }
	if e := r.sidecar(name); e != nil {
		e.tell(m)
	} else {
		m.Received = r.headerTime(m)
	}
	if m.Received.IsZero() {
		m.Received = r.modified(name)
	}
	r.give(m)
}

// folderName is what a directory's name tells of the mailbox.
func folderName(dir string) string {
	var parts []string
	for part := range strings.SplitSeq(dir, "/") {
		if part != "." && part != "" {
			parts = append(parts, strings.TrimSuffix(part, ".mbox"))
		}
	}
	return strings.Join(parts, "/")
}

// modified is a file's time.
func (r *Reader) modified(name string) time.Time {
	info, err := r.root.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime().UTC().Truncate(time.Second)
}

// headerTime is when a message came, as its header tells: by the topmost Received field, else by Date. Zero where neither does.
func (r *Reader) headerTime(m *Message) time.Time {
	text, err := m.Open()
	if err != nil {
		return time.Time{}
	}
	defer text.Close()
	head, err := io.ReadAll(io.LimitReader(text, maxHeader))
	if err != nil {
		return time.Time{}
	}
	return timeOfHeader(head)
}

func timeOfHeader(head []byte) time.Time {
	var date time.Time
	for name, value := range headerFields(head) {
		switch strings.ToLower(name) {
		case "received":
			if i := strings.LastIndexByte(value, ';'); i >= 0 {
				if t, err := mail.ParseDate(strings.TrimSpace(value[i+1:])); err == nil {
					return plausible(t)
				}
			}
		case "date":
			if t, err := mail.ParseDate(strings.TrimSpace(value)); err == nil && date.IsZero() {
				date = plausible(t)
			}
		}
	}
	return date
}

// plausible gives zero for times that no mail can have.
func plausible(t time.Time) time.Time {
	if t.Year() < 1970 || t.Year() > 2200 {
		return time.Time{}
	}
	return t.UTC()
}

// headerFields gives the fields of a header, unfolded.
func headerFields(head []byte) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		name, value := "", ""
		for line := range bytes.Lines(head) {
			line = bytes.TrimRight(line, "\r\n")
			if len(line) == 0 {
				break
			}
			if line[0] == ' ' || line[0] == '\t' {
				value += string(line)
				continue
			}
			if name != "" && !yield(name, value) {
				return
			}
			n, v, _ := bytes.Cut(line, []byte(":"))
			name, value = string(bytes.TrimSpace(n)), string(v)
		}
		if name != "" {
			yield(name, value)
		}
	}
}

func guidOf(s string) (g dovecot.GUID) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == len(g) {
		copy(g[:], b)
	}
	return g
}

func timeOf(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return plausible(t)
}
