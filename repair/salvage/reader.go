package salvage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// maxSkipped is how many files that hold no message are named.
const maxSkipped = 100

// maxDeep bounds how many directories a [Reader] goes down.
const maxDeep = 64

// NoMailError: what lies at a path is not a form of mail that is known.
type NoMailError struct {
	Path, Why string
}

func (e *NoMailError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Why) }

// Reader reads messages from files of this computer, in whatever form of mail they are: what [Write] has written, .eml,
// Apple Mail's .emlx, mbox, Maildir, and folders with any of these below them. Texts are opened one by one and are never in
// memory; what the files tell of a message beside is believed as far as it has the right form. Symbolic links are not
// followed, and nothing is changed.
type Reader struct {
	Kind string // what it is, in words: "a folder of salvaged messages"

	root  *os.Root
	start string // "." or the one file
	known map[place]*Entry
	yield func(*Message, error) bool
	ctx   context.Context
	err   error

	skipped int
	named   []string
}

// place is where index.json says that a message is.
type place struct {
	file   string
	offset int64 // -1 where the file is the message
}

// OpenReader recognises what lies at a path and opens it. Its error is a [NoMailError] where that is no form of mail.
func OpenReader(name string) (*Reader, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, err
		}
		r := &Reader{root: root, start: "."}
		if err := r.recognise(); err != nil {
			return nil, errors.Join(err, root.Close())
		}
		return r, nil
	}
	if !info.Mode().IsRegular() {
		return nil, &NoMailError{name, "this is neither a file nor a folder"}
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	r := &Reader{root: root, start: filepath.Base(name)}
	switch form := r.form(r.start, true); form {
	case formEML:
		r.Kind = "a message"
	case formEMLX:
		r.Kind = "a message of Apple Mail"
	case formMbox:
		r.Kind = "an mbox file"
	default:
		return nil, errors.Join(&NoMailError{name, "this is neither .eml nor .emlx, and begins neither as an mbox nor as a message does"}, root.Close())
	}
	return r, nil
}

// recognise says what a folder is.
func (r *Reader) recognise() error {
	if err := r.readEntries("index.json", ""); err != nil {
		return err
	}
	switch {
	case r.known != nil:
		r.Kind = "a folder of salvaged messages"
	case r.isMaildir("."):
		r.Kind = "a Maildir"
	default:
		r.Kind = "a folder of messages"
	}
	return nil
}

// Close lets go of the files.
func (r *Reader) Close() error { return r.root.Close() }

// Skipped says how many files were passed over because they hold no message, and names some of them.
func (r *Reader) Skipped() (int, []string) { return r.skipped, r.named }

func (r *Reader) skip(name, why string) {
	if r.skipped++; len(r.named) < maxSkipped {
		r.named = append(r.named, name+": "+why)
	}
}

// Messages hands out the messages in the order of their paths. A message that cannot be read is handed out too: opening it
// gives the error. An error is ctx's, and the last.
func (r *Reader) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		r.ctx, r.yield, r.err = ctx, yield, nil
		r.skipped, r.named = 0, nil
		if r.start != "." {
			r.file(r.start, true)
		} else {
			r.dir(".", 0)
		}
		if err := ctx.Err(); err != nil && r.err == nil {
			yield(nil, err)
		}
	}
}

// errStopped: the caller wants no more.
var errStopped = errors.New("stopped")

// give hands out one message; false ends the reading.
func (r *Reader) give(m *Message) bool {
	if r.err != nil {
		return false
	}
	if r.ctx.Err() != nil {
		return false
	}
	if !r.yield(m, nil) {
		r.err = errStopped
	}
	return r.err == nil
}

func (r *Reader) over() bool { return r.err != nil || r.ctx.Err() != nil }

// dir reads a directory: a Maildir as one, of any other the files by their names and what is below.
func (r *Reader) dir(name string, deep int) {
	if r.over() {
		return
	}
	if deep > maxDeep {
		r.skip(name, "too many directories deep")
		return
	}
	entries, err := fs.ReadDir(r.root.FS(), name)
	if err != nil {
		r.skip(name, plainError(err))
		return
	}
	maildir := r.isMaildir(name)
	if maildir {
		r.maildir(name)
	}
	for _, e := range entries {
		full := path.Join(name, e.Name())
		switch {
		case r.over():
			return
		case e.IsDir() && maildir && slices.Contains([]string{"cur", "new", "tmp"}, e.Name()), e.Name() == stagingDir:
		case e.IsDir():
			r.dir(full, deep+1)
		case !e.Type().IsRegular():
			r.skip(full, "no regular file")
		case maildir:
		default:
			r.file(full, false)
		}
	}
}

type form int

const (
	formNone form = iota
	formOurs      // a file that dovemend wrote beside messages
	formEML
	formEMLX
	formMbox
)

// form says what a file is, by its name or else its beginning. One that was named by hand is taken for a message if it begins
// like one.
func (r *Reader) form(name string, asked bool) form {
	base := strings.ToLower(path.Base(name))
	switch path.Ext(base) {
	case ".eml":
		return formEML
	case ".emlx":
		return formEMLX
	case ".mbox", ".mbx":
		return formMbox
	case ".json", ".jsonl":
		return formOurs
	}
	f, err := openRegular(r.root, name)
	if err != nil {
		return formNone
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && n == 0 {
		return formNone
	}
	head = head[:n]
	line, _, whole := strings.Cut(string(head), "\n")
	switch {
	case whole && isFromLine(line):
		return formMbox
	case asked && looksLikeHeader(line):
		return formEML
	}
	return formNone
}

// looksLikeHeader says whether a line begins as a header field does.
func looksLikeHeader(line string) bool {
	name, _, ok := strings.Cut(line, ":")
	return ok && name != "" && len(name) < 80 && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' })
}

func (r *Reader) file(name string, asked bool) {
	switch r.form(name, asked) {
	case formEML:
		r.eml(name)
	case formEMLX:
		r.emlx(name)
	case formMbox:
		r.mbox(name)
	case formOurs:
	default:
		r.skip(name, "no form of mail that is known")
	}
}

// message is the beginning of what is told of a message in a file; offset -1 where the file is the message.
func (r *Reader) message(name, mailbox string, offset int64) *Message {
	return &Message{Mailbox: mailbox, Class: Current, Source: Source{File: store.RelPath(name), Offset: offset}}
}

// tell adds what dovemend wrote beside a message.
func (e *Entry) tell(m *Message) {
	m.Mailbox, m.UID, m.UIDValidity = string(e.Mailbox), e.UID, e.UIDValidity
	switch e.Class {
	case Current, Expunged, Orphan, Damaged:
		m.Class = e.Class
	}
	m.Flags, m.Keywords = 0, nil
	for _, f := range e.Flags {
		m.Flags |= flagOf(f)
	}
	for _, k := range e.Keywords {
		m.Keywords = append(m.Keywords, string(k))
	}
	m.GUID, m.Notes = guidOf(e.GUID), e.Notes
	m.Received, m.Saved = timeOf(e.Received), timeOf(e.Saved)
}

// flagOf gives the bit of a system flag; 0 for what is none.
func flagOf(name string) dovecot.Flags {
	for f := dovecot.Flags(1); f != 0 && f&dovecot.FlagsIMAP != 0; f <<= 1 {
		if strings.EqualFold(f.String(), name) {
			return f
		}
	}
	return 0
}

// lacks makes a message one that is not whole.
func (m *Message) lacks(note string) {
	m.Class, m.Notes = Damaged, append(slices.Clone(m.Notes), note)
}

func plainError(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// section opens part of a file, from offset on; size -1 is all of the rest.
func (r *Reader) section(name string, offset, size int64) (io.ReadCloser, error) {
	f, err := openRegular(r.root, name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if size < 0 {
		size = max(info.Size()-offset, 0)
	}
	return &section{Reader: io.NewSectionReader(f, offset, size), Closer: f, want: size}, nil
}

// section is part of a file; one that has become shorter is an error.
type section struct {
	io.Reader
	io.Closer
	want, got int64
}

func (s *section) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.got += int64(n); err == io.EOF && s.got < s.want {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
