package repair

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// gaps says in words what is known to be missing of a message's text, before it is read.
func gaps(m *reconstruct.Message) []string {
	d := m.Body.Damage
	const lostHead = dovecot.DboxHeaderLost | dovecot.DboxSizeWrong
	var list []string
	if d&dovecot.DboxBodyCut != 0 || m.Body.Cut {
		list = append(list, "its end is missing")
	}
	switch {
	case d&dovecot.DboxMetadataLost != 0 && d&lostHead != 0:
		list = append(list, "where it begins or ends cannot be made out")
	case m.Dbox != nil && m.Body.Altered && d&dovecot.DboxHeaderLost != 0:
		list = append(list, "where it begins cannot be made out for certain")
	case m.Dbox != nil && m.Body.Altered:
		list = append(list, "some of its bytes are others than were stored: it has not the size that its metadata tell")
	case m.Body.NoHead:
		list = append(list, "it does not begin as a message does")
	}
	return list
}

// missing is why there is nothing of a message to read.
func (x *salvager) missing(s *reconstruct.State, m *reconstruct.Message) error {
	switch {
	case s != nil && s.Away(m):
		if at := reconstruct.Alternative(x.fsys); at != "" {
			return fmt.Errorf("it is in the account's alternative storage, on the host at %q, which the copy lacks", at)
		}
		return errors.New("it is in the account's alternative storage, which the copy lacks")
	case m.Body.Why != nil:
		return m.Body.Why
	case m.Lost:
		return errors.New("no bytes of it are left")
	case m.File == "":
		return errors.New("the copy does not hold the storage file it is in")
	}
	return errors.New("nothing of it can be made out in its file")
}

// open opens a message's plain text: what was compressed is decoded, parts in files of their own are put back.
func (x *salvager) open(s *reconstruct.State, m *reconstruct.Message) (io.ReadCloser, error) {
	b := m.Body
	if b.File == "" || b.Why != nil {
		return nil, x.missing(s, m)
	}
	f, err := fs.File(nil), error(nil)
	if x.acct.Storage != nil {
		f, err = x.storage.open(b.File)
	} else {
		f, err = x.fsys.Open(string(b.File))
	}
	if err != nil {
		return nil, err
	}
	size := b.Size
	if size < 0 {
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		size = info.Size()
	}
	at, err := reconstruct.ReaderAt(f, b.Offset+size)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	plain := dovecot.NewPlainReader(io.NewSectionReader(at, b.Offset, size))
	plain.SetLimit(textLimit(size))
	t := &text{Reader: plain, file: f, lacks: gaps(m), plain: -1, virtual: -1}
	switch {
	case b.Attachments != "":
		parts, err := dovecot.ParseAttachments(b.Attachments)
		if err != nil {
			t.lacks = append(t.lacks, err.Error())
		}
		var suffix string
		if s != nil && s.Layout == store.SDBox {
			suffix = dovecot.SDBoxSuffix(s.GUID, m.UID)
		}
		t.parts = dovecot.Reassemble(plain, parts, b.Plain, dovecot.AttachmentDir{FS: x.parts.dir(parts, suffix), Suffix: suffix})
		t.Reader = t.parts
	case plain.Encoding != dovecot.Plain && len(t.lacks) == 0:
		t.plain, t.virtual = b.Plain, b.Virtual
	}
	return t, nil
}

// textLimit is how long a text may become that is stored in so many bytes: no mail is compressed to a thousandth.
func textLimit(stored int64) int64 {
	const least = 64 << 20
	if stored > (math.MaxInt64-least)/1000 {
		return math.MaxInt64
	}
	return least + 1000*stored
}

// text is a message's text while it is read; a [salvage.Noted].
type text struct {
	io.Reader
	file           fs.File
	parts          *dovecot.Reassembly // nil where all of it is in one place
	lacks          []string
	plain, virtual int64 // sizes that it should have; -1 unknown
	size           dovecot.SizeCounter
	whole          bool // it was read to its end
}

func (t *text) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	_, _ = t.size.Write(b[:n])
	t.whole = t.whole || err == io.EOF
	return n, err
}

func (t *text) Close() error {
	var err error
	if t.parts != nil {
		err = t.parts.Close()
	}
	return errors.Join(err, t.file.Close())
}

// Missing says what is missing of what was read.
func (t *text) Missing() []string {
	list := slices.Clone(t.lacks)
	if t.parts != nil {
		for _, n := range t.parts.Notes {
			list = append(list, n.String())
		}
	}
	if t.whole && (t.plain >= 0 && t.size.Bytes != t.plain || t.plain < 0 && t.virtual >= 0 && t.size.Virtual != t.virtual) {
		list = append(list, fmt.Sprintf("decoded it has %d bytes, which is not what was stored", t.size.Bytes))
	}
	return list
}

// attachments finds the directory of the parts that have files of their own. Where it is, only the host's configuration tells;
// in the copy it is the one in which such a file lies.
type attachments struct {
	fsys   fs.FS
	listed bool
	dirs   []fs.FS
}

// dir is a directory that holds one of the parts; nil where none does.
func (a *attachments) dir(parts []dovecot.Attachment, suffix string) fs.FS {
	if !a.listed {
		a.list()
	}
	for i, d := range a.dirs {
		for _, p := range parts {
			if _, err := fs.Stat(d, p.Path+suffix); err == nil {
				a.dirs[0], a.dirs[i] = a.dirs[i], a.dirs[0] // the next one will be there too
				return d
			}
		}
	}
	return nil
}

// list takes the folders at the top of the mail root, and itself.
func (a *attachments) list() {
	a.listed = true
	a.dirs = []fs.FS{a.fsys}
	entries, err := fs.ReadDir(a.fsys, ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "mailboxes" && e.Name() != "storage" {
			a.dirs = append(a.dirs, under{a.fsys, e.Name()})
		}
	}
}

// under shows what lies beneath a directory. Unlike [fs.Sub] it lists nothing.
type under struct {
	fsys fs.FS
	name string
}

func (u under) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return u.fsys.Open(path.Join(u.name, name))
}
