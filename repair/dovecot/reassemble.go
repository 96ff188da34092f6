package dovecot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// AttachmentDir is where the parts of messages lie that have files of their own.
type AttachmentDir struct {
	FS     fs.FS  // mail_attachment_dir; nil: it is not at hand, and all parts are missing
	Suffix string // of the files' names: [SDBoxSuffix], "" for mdbox
}

// PartProblem is what is wrong with a part of a reassembled message.
type PartProblem string

// The problems.
const (
	PartMissing  PartProblem = "missing"    // its file is not there, or cannot be read: the text has a line that says so
	PartShort    PartProblem = "short"      // its file ends early: the text has what is there, and a line that says so
	PartLong     PartProblem = "long"       // its file is longer than the part: the text has as much as belongs there
	BodyShort    PartProblem = "body-short" // the stored message ends before a part begins: the text has a line that says so
	SizeWrong    PartProblem = "size-wrong" // all parts are there, and the text does not have the size that metadata tells
	PartBadPlace PartProblem = "bad-place"  // it begins before the part before it ends: it is left out
)

// PartNote is one thing wrong with a reassembled message.
type PartNote struct {
	Part    int // which of the attachments, from 0; -1: the message itself
	Problem PartProblem
	Got     int64 // bytes that are there: of the part; of the message where Part is -1
	Err     error // why it could not be read; may be nil
}

// String is the note in words, for people.
func (n PartNote) String() string {
	what := fmt.Sprintf("attachment %d", n.Part+1)
	s := ""
	switch n.Problem {
	case PartMissing:
		s = what + " is missing"
	case PartShort:
		s = fmt.Sprintf("%s ends after %d bytes", what, n.Got)
	case PartLong:
		s = fmt.Sprintf("the file of %s is longer than the %d bytes that belong here", what, n.Got)
	case PartBadPlace:
		s = what + " is left out: it would begin inside the one before it"
	case BodyShort:
		s = fmt.Sprintf("the message itself ends after %d bytes, before an attachment begins", n.Got)
	case SizeWrong:
		s = fmt.Sprintf("the text has %d bytes, which is not what its metadata tells", n.Got)
	}
	if n.Err != nil {
		s += ": " + n.Err.Error()
	}
	return s
}

// Reassembly reads the plain text of a message whose attachments lie in files of their own. It never fails for a part:
// where one is missing, a line in its place says so, everything else stays in place, and Notes tells. Close it.
type Reassembly struct {
	Notes []PartNote // complete once Read gave its error

	body  io.Reader
	parts []Attachment
	dir   AttachmentDir
	size  int64

	next    int   // part
	at      int64 // where we are in the message as it should be
	given   int64
	last    byte
	say     string // to be given next
	file    fs.File
	part    io.Reader
	left    int64 // of the part
	bodyErr error
	done    bool
}

// Reassemble puts the parts of a message back into its stored body, given as plain text. size is that of the whole text,
// [DboxMetadata].PhysicalSize, or -1.
func Reassemble(body io.Reader, parts []Attachment, size int64, dir AttachmentDir) *Reassembly {
	return &Reassembly{body: body, parts: parts, dir: dir, size: size}
}

// Size is how many bytes of text were read.
func (r *Reassembly) Size() int64 { return r.given }

// Close closes the file of a part that is being read.
func (r *Reassembly) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file, r.part = nil, nil
	return err
}

// Read gives text. Behind it comes the body's error, io.EOF or another.
func (r *Reassembly) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n := 0
		switch {
		case r.say != "":
			n = copy(b, r.say)
			r.say = r.say[n:]
		case r.part != nil:
			n = r.readPart(b)
			r.at += int64(n)
		case r.next < len(r.parts) && r.at >= r.parts[r.next].Start:
			r.openPart()
		case r.bodyErr == nil:
			if r.next < len(r.parts) {
				b = b[:min(int64(len(b)), r.parts[r.next].Start-r.at)]
			}
			n, r.bodyErr = r.body.Read(b)
			r.at += int64(n)
		case r.next < len(r.parts):
			missing := r.parts[r.next].Start - r.at
			r.note(PartNote{Part: -1, Problem: BodyShort, Got: r.at, Err: notEOF(r.bodyErr)})
			r.placeholder("%d bytes of the message are missing here", missing)
			r.at += missing
		default:
			r.finish()
			return 0, r.bodyErr
		}
		if n > 0 {
			r.given += int64(n)
			r.last = b[n-1]
			return n, nil
		}
	}
}

func (r *Reassembly) note(n PartNote) { r.Notes = append(r.Notes, n) }

// placeholder says something in a line of its own.
func (r *Reassembly) placeholder(format string, args ...any) {
	r.say = "[dovemend: " + fmt.Sprintf(format, args...) + "]\n"
	if r.last != 0 && r.last != '\n' {
		r.say = "\n" + r.say
	}
}

func (r *Reassembly) openPart() {
	a := r.parts[r.next]
	if r.at > a.Start {
		r.note(PartNote{Part: r.next, Problem: PartBadPlace})
		r.next++
		return
	}
	err := r.open(a)
	if err != nil {
		r.note(PartNote{Part: r.next, Problem: PartMissing, Err: err})
		r.placeholder("an attachment of %d bytes is missing here", a.Size)
		r.at += a.Size
		r.next++
		return
	}
	if r.left = a.Size; a.Line > 0 {
		end := "\n"
		if a.CRLF {
			end = "\r\n"
		}
		r.part = &base64Lines{r: r.part, line: a.Line, end: end}
	}
}

// readPart reads on in a part, and ends it.
func (r *Reassembly) readPart(b []byte) int {
	a := r.parts[r.next]
	end := r.left == 0
	if !end {
		b = b[:min(int64(len(b)), r.left)]
	}
	n, err := r.part.Read(b)
	switch {
	case end && n > 0:
		r.note(PartNote{Part: r.next, Problem: PartLong, Got: a.Size})
		n, err = 0, io.EOF
	case !end && err != nil && int64(n) < r.left:
		missing := r.left - int64(n)
		r.note(PartNote{Part: r.next, Problem: PartShort, Got: a.Size - missing, Err: notEOF(err)})
		r.endPart()
		if n > 0 {
			r.last = b[n-1]
		}
		r.placeholder("%d bytes of an attachment are missing here", missing)
		r.at += missing
		return n
	}
	r.left -= int64(n)
	if err != nil && r.left == 0 {
		r.endPart()
	}
	return n
}

func (r *Reassembly) endPart() {
	r.Close()
	r.next++
}

// finish compares the text's size with what it should be.
func (r *Reassembly) finish() {
	if !r.done && len(r.Notes) == 0 && r.size >= 0 && r.given != r.size {
		r.note(PartNote{Part: -1, Problem: SizeWrong, Got: r.given, Err: notEOF(r.bodyErr)})
	}
	r.done = true
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// open opens the file of a part, or another link to the same bytes, and finds out whether it was compressed (fs-compress).
func (r *Reassembly) open(a Attachment) error {
	if r.dir.FS == nil {
		return errors.New("the directory of attachments is not at hand")
	}
	name := a.Path + r.dir.Suffix
	f, err := r.dir.FS.Open(name)
	if err != nil {
		other, err2 := r.dir.FS.Open(a.hashPath())
		if err2 != nil {
			return err
		}
		if info, err2 := other.Stat(); err2 != nil || !a.fits(info.Size()) {
			other.Close()
			return err
		}
		f = other
	}
	r.file, r.part = f, f
	info, err := f.Stat()
	if err != nil || a.fits(info.Size()) {
		return nil
	}
	if info.IsDir() {
		r.Close()
		return &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory")}
	}
	// Not the right size. It is taken for compressed only if that makes it right: a part may itself be a compressed file.
	var raw SizeCounter
	p := NewPlainReader(f)
	if p.Encoding != Plain {
		p.SetLimit(a.Size)
		_, err = io.Copy(&raw, p)
	}
	r.Close()
	if e, ok := errors.AsType[*EncryptedError](err); ok {
		return e
	}
	if f, err2 := r.dir.FS.Open(name); err2 == nil {
		r.file, r.part = f, f
	} else {
		return err2
	}
	if p.Encoding != Plain && err == nil && a.fits(raw.Bytes) {
		r.part = NewPlainReader(r.file)
	}
	return nil
}
