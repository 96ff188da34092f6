package inspect

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"

	"dovemend/repair/dovecot"
)

// Maildir is what the names of message files tell: of one, or of all in a folder cur, new or tmp.
type Maildir struct {
	Messages     iter.Seq[MaildirMessage] `json:"messages,omitempty"`
	MessageCount int                      `json:"message_count"`
}

// MaildirMessage is one message file.
type MaildirMessage struct {
	Name        string        `json:"name"`
	Bytes       int64         `json:"bytes"`              // of the file
	Encoding    Word          `json:"encoding,omitempty"` // where it is stored otherwise than plain
	Time        Moment        `json:"time"`               // of delivery
	Micro       Maybe         `json:"microseconds"`       // of that time
	Size        Maybe         `json:"size"`               // S=: of the plain message
	VirtualSize Maybe         `json:"virtual_size"`       // W=: with CRLF line ends
	HasFlags    bool          `json:"has_flags"`          // there is a ":2,"
	Flags       dovecot.Flags `json:"flags"`
	FlagNames   []string      `json:"flag_names,omitempty" text:"-"`
	Letters     string        `json:"keyword_letters,omitempty"`
	Keywords    []string      `json:"keywords,omitempty"` // by the dovecot-keywords beside, where that is there
	Other       string        `json:"other,omitempty"`    // letters that Dovecot keeps but does not know
}

// maildir dumps message files of one folder. Their names are what is told; their content is only looked at to see whether
// it is plain, because then its length must be the one that the name tells.
func (w *walker) maildir(d *Dump, dir string, files []fs.FileInfo) {
	x := &Maildir{MessageCount: len(files)}
	d.Maildir = x
	unfinished := path.Base(w.shown(dir)) == "tmp"
	walk := func(yield func(MaildirMessage) bool) {
		keywords := w.keywordsOf(dir)
		wrong := 0
		for _, fi := range files {
			m, fault := w.maildirMessage(d, dir, fi, keywords)
			if fault.Rule != "" && !unfinished {
				if wrong++; wrong <= maxMaildirFaults {
					d.wrong([]dovecot.Fault{fault})
				}
			}
			if w.ctx.Err() != nil || !yield(m) {
				return
			}
		}
		if wrong > maxMaildirFaults {
			d.wrong([]dovecot.Fault{{Rule: "more-faults", Detail: fmt.Sprintf("%d more messages have faults", wrong-maxMaildirFaults)}})
		}
	}
	if w.o.Summary {
		walk(func(MaildirMessage) bool { return true })
		return
	}
	x.Messages = walk
}

// maxMaildirFaults bounds how many messages of one folder are told to be wrong one by one.
const maxMaildirFaults = 1000

func (w *walker) maildirMessage(d *Dump, dir string, fi fs.FileInfo, keywords *dovecot.MaildirKeywords) (MaildirMessage, dovecot.Fault) {
	n := dovecot.ParseMaildirName(fi.Name())
	out := MaildirMessage{Name: fi.Name(), Bytes: fi.Size(), Time: Moment(n.Time), Micro: Maybe(n.Micro), Size: Maybe(n.Size), VirtualSize: Maybe(n.Virtual),
		HasFlags: n.HasFlags, Flags: n.Flags, FlagNames: flagNames(n.Flags), Other: n.Other}
	for i := range 26 {
		if n.Keywords&(1<<i) != 0 {
			out.Letters += string(rune('a' + i))
		}
	}
	if keywords != nil {
		out.Keywords = keywords.Names(n.Keywords)
	}
	encoding, err := w.encodingOf(path.Join(dir, fi.Name()))
	if err != nil {
		w.unreadable(d, err)
		return out, dovecot.Fault{}
	}
	out.Encoding = Word(encoding)
	switch {
	case fi.Size() == 0:
		return out, dovecot.Fault{Rule: "maildir-empty", Detail: fmt.Sprintf("the message file %q is empty", fi.Name())}
	case encoding == dovecot.Plain && n.Size >= 0 && n.Size != fi.Size():
		return out, dovecot.Fault{Rule: "maildir-size", Detail: fmt.Sprintf("the name %q tells %d bytes, the file has %d", fi.Name(), n.Size, fi.Size())}
	}
	return out, dovecot.Fault{}
}

func (w *walker) encodingOf(name string) (dovecot.Encoding, error) {
	f, err := w.fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, dovecot.EncodingSize)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", fmt.Errorf("read %q: %w", w.shown(name), err)
	}
	return dovecot.DetectEncoding(b[:n]), nil
}

// keywordsOf reads the names of the keyword letters of a Maildir, of which dir is a folder; nil where they are not there.
func (w *walker) keywordsOf(dir string) *dovecot.MaildirKeywords {
	if dir == "." {
		return nil
	}
	b, err := w.whole(path.Join(path.Dir(dir), "dovecot-keywords"))
	if b == nil || err != nil {
		return nil
	}
	k, _ := dovecot.ParseMaildirKeywords(b)
	return k
}
