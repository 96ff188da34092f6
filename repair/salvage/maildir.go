package salvage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"dovemend/repair/dovecot"
)

// maildirFormat writes Maildir++ trees, one for each class, which Dovecot and mutt read as they are. The names of its files
// tell what an index would: which message it is, and the hash of the text that was written, by which our files are told
// from others'.
//
// A message whose file somebody has renamed since, to set a flag or so, is there and stays as it is.
type maildirFormat struct {
	w      *writer
	listed []*maildirFolder // those whose names are in memory, the last one last
}

// maxListedFolders bounds how many folders' names are kept. Messages come mailbox by mailbox, with the damaged ones in between.
const maxListedFolders = 4

type maildirFolder struct {
	names    map[string]string // names in cur by identity; nil: not listed
	keywords dovecot.MaildirKeywords
	closed   bool // dovecot-keywords is not to be written
}

// ErrNoMaildirHere: the local file system cannot hold the names of a Maildir's files, which have a colon in them.
var ErrNoMaildirHere = errors.New("this file system cannot hold a Maildir")

func (x *maildirFormat) start() error {
	if runtime.GOOS == "windows" { // which takes what follows a colon for the name of a second stream
		return ErrNoMaildirHere
	}
	name := path.Join(stagingDir, "0:2,S")
	f, err := x.w.root.Create(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoMaildirHere, err)
	}
	return errors.Join(f.Close(), x.w.root.Remove(name))
}

func (x *maildirFormat) path(top, mailbox string, try int) string {
	return maildirPath(top, mailbox, try)
}
func (x *maildirFormat) finish() error { return nil }

// make makes a folder where there is none yet. One that has mail in it already is somebody else's.
func (x *maildirFormat) make(f *Folder) error {
	w := x.w
	if w.exists(path.Join(f.Path, "dovecot-keywords")) {
		return errForeign
	}
	entries, err := fs.ReadDir(w.root.FS(), path.Join(f.Path, "cur"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(entries) > 0 {
		return errForeign
	}
	return x.makeDirs(f)
}

func (x *maildirFormat) makeDirs(f *Folder) error {
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := x.w.mkdirAll(path.Join(f.Path, sub)); err != nil {
			return err
		}
	}
	if !strings.Contains(f.Path, "/") { // the tree's INBOX
		return nil
	}
	marker, err := x.w.root.OpenFile(path.Join(f.Path, "maildirfolder"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return marker.Close()
}

func (x *maildirFormat) open(f *Folder) error {
	if err := x.makeDirs(f); err != nil {
		return err
	}
	st := &maildirFolder{}
	f.state = st
	name := path.Join(f.Path, "dovecot-keywords")
	if !x.w.exists(name) {
		return nil
	}
	file, err := openRegular(x.w.root, name)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		st.closed = true
		return err
	}
	b, err := io.ReadAll(io.LimitReader(file, 1<<20))
	if err != nil {
		return err
	}
	k, faults := dovecot.ParseMaildirKeywords(b)
	st.keywords, st.closed = *k, len(faults) > 0
	return nil
}

// identity is what a file name says about which message it is.
func identity(m *Message) string {
	id := fmt.Sprintf("M%06dV%d", m.UID, m.UIDValidity) // Dovecot sorts by what follows the M where the seconds are equal
	if m.GUID.IsZero() {
		name := sourceName(m)
		return id + "X" + name[len(name)-8:] + fmt.Sprint(max(m.Source.Offset, 0))
	}
	return id + "G" + m.GUID.String()[:8]
}

// splitName gives the identity and the hash in the name of a file of ours.
func splitName(name string) (id, sum string, ok bool) {
	_, rest, _ := strings.Cut(name, ".")
	rest, _, ok = strings.Cut(rest, ".dovemend,")
	n := len(rest) - 17
	if !ok || n < 1 || rest[n] != 'H' {
		return "", "", false
	}
	return rest[:n], rest[n+1:], true
}

func (x *maildirFormat) fileName(m *Message, e *Entry, id, letters string) string {
	when := m.Received
	if when.IsZero() {
		when = m.Saved
	}
	seconds := int64(0)
	if !when.IsZero() {
		seconds = max(0, when.Unix())
	}
	return fmt.Sprintf("%d.%sH%s.dovemend,S=%d,W=%d:2,%s", seconds, id, e.SHA256[:16], e.Size, e.VirtualSize, letters)
}

// list reads a folder's names.
func (x *maildirFormat) list(f *Folder) (map[string]string, error) {
	st := f.state.(*maildirFolder)
	if st.names != nil {
		return st.names, nil
	}
	if len(x.listed) == maxListedFolders {
		x.listed[0].names = nil
		x.listed = x.listed[1:]
	}
	x.listed = append(x.listed, st)
	st.names = map[string]string{}
	dir, err := x.w.root.Open(path.Join(f.Path, "cur"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(1000)
		for _, name := range names {
			if id, _, ok := splitName(name); ok {
				st.names[id] = name
			}
		}
		if err == io.EOF {
			return st.names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (x *maildirFormat) put(m *Message) (*Entry, error) {
	w := x.w
	e := entryOf(m)
	there, err := x.mayExist(m)
	if err != nil {
		return nil, err
	}
	temp := ""
	if there {
		t, err := copyText(w.ctx, m, io.Discard, w.buf)
		if err != nil {
			return nil, err
		}
		e.read(t)
	} else if temp, err = w.stage(m, e); err != nil {
		return nil, err
	}
	if e.unreadable() {
		return e, nil
	}
	f, err := w.folders.get(e.Class, m.Mailbox)
	if err != nil {
		return nil, err
	}
	id, old, keep, err := x.find(f, m, e)
	if err != nil {
		return nil, err
	}
	letters, err := x.letters(f, m, e)
	if err != nil {
		return nil, err
	}
	if keep {
		w.sum.Kept++
		e.File = path.Join(f.Path, "cur", old)
		if temp != "" {
			err = w.staging.drop(temp)
		}
		return e, err
	}
	if temp == "" {
		fresh := entryOf(m)
		if temp, err = w.stage(m, fresh); err != nil {
			return nil, err
		}
		if temp == "" || fresh.Class != e.Class { // the disk it is on is failing
			return nil, fmt.Errorf("read %q: its text changes while it is read", m.Source.File)
		}
		fresh.Notes = e.Notes
		e = fresh
	}
	w.sum.Written++
	e.File = path.Join(f.Path, "cur", x.fileName(m, e, id, letters))
	mv := move{temp: temp, final: e.File}
	if old != "" {
		mv.remove = path.Join(f.Path, "cur", old)
	}
	return e, w.staging.add(mv, e.Size)
}

// mayExist reports whether an earlier run may have written this message.
func (x *maildirFormat) mayExist(m *Message) (bool, error) {
	for _, class := range []Class{m.Class, Damaged} {
		f := x.w.folders.known(class, m.Mailbox)
		if f == nil {
			continue
		}
		if err := x.w.folders.open(f); err != nil {
			return false, err
		}
		names, err := x.list(f)
		if err != nil || names[identity(m)] != "" {
			return true, err
		}
	}
	return false, nil
}

// find gives the identity for a message, and the file of an earlier run that has it: to be kept, or else to be replaced.
func (x *maildirFormat) find(f *Folder, m *Message, e *Entry) (id, old string, keep bool, err error) {
	names, err := x.list(f)
	if err != nil {
		return "", "", false, err
	}
	for try := 1; ; try++ {
		if id = identity(m); try > 1 {
			id += fmt.Sprintf("T%d", try)
		}
		if x.w.given(path.Join(f.Path, id)) {
			continue
		}
		if old = names[id]; old == "" {
			return id, "", false, nil
		}
		_, want, _ := splitName(old)
		sum, other, err := x.w.hashOf(path.Join(f.Path, "cur", old))
		if err != nil {
			return "", "", false, err
		}
		if other || sum == "" || sum[:16] != want {
			x.w.foreign(path.Join(f.Path, "cur", old))
			continue
		}
		return id, old, want == e.SHA256[:16], nil
	}
}

// letters are the flags and keywords for a file name, sorted as Dovecot sorts them. A keyword that has no letter yet gets one.
func (x *maildirFormat) letters(f *Folder, m *Message, e *Entry) (string, error) {
	st := f.state.(*maildirFolder)
	var out []byte
	for _, flag := range []struct {
		flag   dovecot.Flags
		letter byte
	}{{dovecot.FlagDraft, 'D'}, {dovecot.FlagFlagged, 'F'}, {dovecot.FlagAnswered, 'R'}, {dovecot.FlagSeen, 'S'}, {dovecot.FlagDeleted, 'T'}} {
		if m.Flags&flag.flag != 0 {
			out = append(out, flag.letter)
		}
	}
	changed := false
	for _, keyword := range m.Keywords {
		i, isNew := st.letter(keyword)
		if i < 0 {
			e.Notes = append(slices.Clone(e.Notes), fmt.Sprintf("keyword %q is only told here: a Maildir has letters for 26, in plain text", keyword))
			continue
		}
		changed = changed || isNew
		out = append(out, 'a'+byte(i))
	}
	slices.Sort(out)
	if !changed {
		return string(slices.Compact(out)), nil
	}
	var b bytes.Buffer
	for i, name := range st.keywords {
		if name != "" {
			fmt.Fprintf(&b, "%d %s\n", i, name)
		}
	}
	return string(slices.Compact(out)), x.w.staging.write(b.Bytes(), move{final: path.Join(f.Path, "dovecot-keywords"), replace: true})
}

// letter finds a keyword's number, or gives it one; -1 where it can have none.
func (st *maildirFolder) letter(keyword string) (i int, isNew bool) {
	free := -1
	for i, name := range st.keywords {
		if strings.EqualFold(name, keyword) && name != "" {
			return i, false
		}
		if name == "" && free < 0 {
			free = i
		}
	}
	if st.closed || free < 0 || keyword == "" || strings.ContainsFunc(keyword, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return -1, false
	}
	st.keywords[free] = keyword
	return free, true
}
