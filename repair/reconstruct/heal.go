package reconstruct

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// Healed is a file with mail that is damaged or gone, and that an earlier copy holds whole. Dovecot writes such files once, those of an
// mdbox storage only at their end, so that what the copy has is what the file had.
type Healed struct {
	File  store.RelPath
	ID    string // of the run that made the copy
	Taken time.Time
	Gone  bool // it is not there now
	Mode  fs.FileMode
	MTime time.Time
	Size  int64 // of the whole file

	name  string // in the earlier copy
	fs    fs.FS
	bytes int64 // so many are the copy's; what follows is of the file of now
}

// healer finds whole files in earlier copies, and remembers them.
type healer struct {
	fsys    fs.FS
	earlier Earlier
	mu      sync.Mutex
	files   map[string]*Healed // by the names they have now
}

func (h *healer) note(f *Healed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[string(f.File)] = f
}

// Healed are the files that an earlier copy holds whole, by name.
func (acct *Account) Healed() []*Healed {
	var list []*Healed
	for _, f := range acct.healer.files {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *Healed) int { return cmp.Compare(a.File, b.File) })
	return list
}

// HealedFile is what an earlier copy told of a file; nil for one that needed no copy.
func (acct *Account) HealedFile(name store.RelPath) *Healed { return acct.healer.files[string(name)] }

// Texts is the copy with what an earlier one told in its place: Body.File and Body.Offset are places in it.
func (acct *Account) Texts(fsys fs.FS) fs.FS {
	if len(acct.healer.files) == 0 {
		return fsys
	}
	return whole{fsys, acct.healer.files}
}

// whole is a file system in which healed files are whole. It only opens.
type whole struct {
	fs.FS
	files map[string]*Healed
}

func (w whole) Open(name string) (fs.File, error) {
	if f := w.files[name]; f != nil {
		return f.open(w.FS)
	}
	return w.FS.Open(name)
}

// open opens the healed file: what the copy has, and behind it the rest of the file of now.
func (f *Healed) open(now fs.FS) (fs.File, error) {
	had, err := f.fs.Open(f.name)
	if err != nil {
		return nil, err
	}
	j := &joined{files: []fs.File{had}, info: f}
	at, err := ReaderAt(had, f.bytes)
	if err == nil {
		j.had = at
	}
	if err == nil && f.Size > f.bytes {
		var rest fs.File
		if rest, err = now.Open(string(f.File)); err == nil {
			j.files = append(j.files, rest)
			j.now, err = ReaderAt(rest, f.Size)
		}
	}
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	j.SectionReader = io.NewSectionReader(j.both(), 0, f.Size)
	return j, nil
}

// joined is the beginning of one file and the end of another.
type joined struct {
	*io.SectionReader
	files    []fs.File
	info     *Healed
	had, now io.ReaderAt
}

func (j *joined) both() io.ReaderAt { return readerAt(j.readAt) }

type readerAt func(b []byte, off int64) (int, error)

func (r readerAt) ReadAt(b []byte, off int64) (int, error) { return r(b, off) }

func (j *joined) readAt(b []byte, off int64) (n int, err error) {
	if off < j.info.bytes {
		n, err = j.had.ReadAt(b[:min(int64(len(b)), j.info.bytes-off)], off)
		if n == len(b) || off+int64(n) < j.info.bytes {
			return n, err
		}
	}
	if j.now == nil {
		return n, io.EOF
	}
	more, err := j.now.ReadAt(b[n:], off+int64(n))
	return n + more, err
}

// Close closes both.
func (j *joined) Close() error {
	var errs []error
	for _, f := range j.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Stat tells of the whole file.
func (j *joined) Stat() (fs.FileInfo, error) { return healedInfo{j.info}, nil }

type healedInfo struct{ f *Healed }

func (i healedInfo) Name() string       { return path.Base(string(i.f.File)) }
func (i healedInfo) Size() int64        { return i.f.Size }
func (i healedInfo) Mode() fs.FileMode  { return i.f.Mode }
func (i healedInfo) ModTime() time.Time { return i.f.MTime }
func (i healedInfo) IsDir() bool        { return false }
func (i healedInfo) Sys() any           { return nil }

// same is the file of a name in an earlier copy; nil where it has none, an empty one, or one that is no longer what was copied.
func (h *healer) same(c Copy, now, then string) *Healed {
	info, err := fs.Stat(c.FS, then)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	if sum, ok := info.(interface{ SHA256() string }); ok && !unchanged(c.FS, then, sum.SHA256()) {
		return nil
	}
	_, err = fs.Lstat(h.fsys, now)
	return &Healed{File: store.RelPath(now), ID: c.ID, Taken: c.Taken, Gone: errors.Is(err, fs.ErrNotExist), Mode: info.Mode().Perm(), MTime: info.ModTime().UTC(),
		Size: info.Size(), name: then, fs: c.FS, bytes: info.Size()}
}

// unchanged reports whether a file of a copy still has the sum that it had when it was copied, in hex.
func unchanged(fsys fs.FS, name, sum string) bool {
	f, err := fsys.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == sum
}

// sdbox finds a message's file in an earlier copy in which the mailbox had the same UIDVALIDITY, and listed it. f is what there is of it
// now: it may be nothing.
func (h *healer) sdbox(s *State, f *dboxFile) bool {
	name := join(s.Mailbox, f.name)
	for c := range h.earlier.all {
		was := h.same(c, name, name)
		if was == nil || !h.listed(c, s, f.uid) {
			continue
		}
		then := dboxFile{name: f.name, uid: f.uid, size: was.Size, mtime: was.MTime}
		if err := then.parse(c.FS, name); err != nil || !then.found || then.msg.Damage != 0 || then.why != nil {
			continue
		}
		if f.found && !f.msg.GUID.IsZero() && f.msg.GUID != then.msg.GUID {
			continue
		}
		*f = then
		f.healed = true
		h.note(was)
		return true
	}
	return false
}

// listed reports whether a mailbox had a message when an earlier copy was made.
func (h *healer) listed(c Copy, s *State, uid dovecot.UID) bool {
	if s.then == nil || s.thenID != c.ID {
		f, err := readFiles(c.FS, join(s.Mailbox, "dovecot.index"), func(string, error) {})
		if err != nil {
			return false
		}
		s.then, _ = dovecot.Replay(f)
		s.thenID = c.ID
	}
	return s.then.Exact && s.then.UIDValidity == s.UIDValidity && s.then.Find(uid) != nil
}

// storage finds the file of an mdbox storage in an earlier copy, and joins it with what has been written behind it since. list is what
// can be read of it now, wanted where messages that mailboxes refer to should begin.
func (h *healer) storage(f *File, n int, list []Stored, extents, wanted []dovecot.DboxExtent) ([]Stored, bool) {
	before := bad(list, wanted)
	if before == 0 {
		return nil, false
	}
	for c := range h.earlier.all {
		was := h.same(c, string(f.Name), string(f.Name))
		if was == nil || !h.continues(was) {
			continue
		}
		if !was.Gone && f.Size > was.bytes {
			was.Size = f.Size
		}
		whole := File{ID: f.ID, Name: f.Name, Size: was.Size, MTime: f.MTime}
		if f.MTime.IsZero() {
			whole.MTime = was.MTime
		}
		was.MTime = whole.MTime
		found, err := whole.parse(wholeOf(h.fsys, was), n, extents)
		if err != nil {
			continue
		}
		if bad(found, wanted) < before && keeps(list, found) {
			*f = whole
			h.note(was)
			return found, true
		}
	}
	return nil, false
}

// keeps marks what is whole in found, which is the file as a copy makes it, and is not in list, which is the file as it is. It is false where a
// whole message would be lost: the copy is of another file, or of a moment when something was being written.
func keeps(list, found []Stored) bool {
	now := make(map[int64]*Stored, len(list))
	for i := range list {
		now[list[i].Offset] = &list[i]
	}
	then := make(map[int64]*Stored, len(found))
	for i := range found {
		m := &found[i]
		then[m.Offset] = m
		m.Healed = m.Damage == 0 && (now[m.Offset] == nil || now[m.Offset].Damage != 0)
	}
	for i := range list {
		if m := then[list[i].Offset]; list[i].Damage == 0 && (m == nil || m.Damage != 0 || m.GUID != list[i].GUID) {
			return false
		}
	}
	return true
}

func wholeOf(now fs.FS, f *Healed) fs.FS { return whole{now, map[string]*Healed{string(f.File): f}} }

// bad counts what is damaged in a file of the storage, and what should be in it and is not.
func bad(list []Stored, wanted []dovecot.DboxExtent) int {
	n := 0
	at := make(map[int64]bool, len(list))
	for i := range list {
		at[list[i].Offset] = true
		if list[i].Damage != 0 {
			n++
		}
	}
	for _, x := range wanted {
		if !at[x.Offset] {
			n++
		}
	}
	return n
}

// continues reports whether a file of now is the one of which the copy has the beginning: at least half of what is left of that is the
// same. NUL bytes, which a crash leaves, say nothing.
func (h *healer) continues(was *Healed) bool {
	if was.Gone {
		return true
	}
	now, err := h.fsys.Open(string(was.File))
	if err != nil {
		return false
	}
	defer now.Close()
	had, err := was.fs.Open(was.name)
	if err != nil {
		return false
	}
	defer had.Close()
	var a, b [32 << 10]byte
	const piece = 64
	same, all := 0, 0
	for {
		n, errA := io.ReadFull(now, a[:])
		m, errB := io.ReadFull(had, b[:])
		for i := 0; i+piece <= min(n, m); i += piece {
			switch x, y := a[i:i+piece], b[i:i+piece]; {
			case bytes.Equal(x, y):
				same++
				all++
			case len(bytes.Trim(x, "\x00")) > 0:
				all++
			}
		}
		if errA != nil || errB != nil {
			return same*2 >= all
		}
	}
}

// heal finds damaged messages in earlier copies, by their base names, which are given once.
func (r *maildirReader) heal(ctx context.Context, h *healer) error {
	var hurt []*Message
	for i := range r.Messages {
		m := &r.Messages[i]
		// One that has become longer, or shorter and is whole, somebody has edited.
		overwritten := m.Body.Altered && m.Body.Plain == m.Size
		if m.Body.Why == nil && (m.Body.Cut || m.Body.NoHead || m.Size == 0 || overwritten) {
			hurt = append(hurt, m)
		}
	}
	for c := range h.earlier.all {
		if len(hurt) == 0 {
			return nil
		}
		names := map[string]string{}
		for _, sub := range []string{"cur", "new"} {
			entries, err := fs.ReadDir(c.FS, join(r.Mailbox, sub))
			if err != nil {
				continue
			}
			for _, e := range entries {
				names[dovecot.ParseMaildirName(e.Name()).Base] = path.Join(join(r.Mailbox, sub), e.Name())
			}
		}
		var left []*Message
		for _, m := range hurt {
			ok, err := r.healOne(ctx, h, c, m, names[m.Name.Base])
			if err != nil {
				return err
			}
			if !ok {
				left = append(left, m)
			}
		}
		hurt = left
	}
	return nil
}

func (r *maildirReader) healOne(ctx context.Context, h *healer, c Copy, m *Message, then string) (bool, error) {
	if then == "" {
		return false, nil
	}
	was := h.same(c, string(m.File), then)
	if was == nil {
		return false, nil
	}
	whole := Message{File: store.RelPath(then), Size: was.Size, Name: m.Name, Body: Body{File: m.File, Size: was.Size, Plain: m.Name.Size, Virtual: m.Name.Virtual, Counted: -1}}
	if err := whole.measure(ctx, c.FS); err != nil {
		return false, fmt.Errorf("read the copy of run %s: %w", c.ID, err)
	}
	if b := &whole.Body; b.Why != nil || b.Altered || b.NoHead {
		return false, nil
	}
	whole.Body.Healed = true
	m.Body, m.Size, m.Received = whole.Body, was.Size, was.MTime.Truncate(time.Second)
	h.note(was)
	return true, nil
}
