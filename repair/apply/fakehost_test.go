package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"dovemend/repair/plan"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// node is one thing on the fake host.
type node struct {
	kind  fs.FileMode
	mode  fs.FileMode
	mtime time.Time
	data  string
}

// fakeHost is a mail root in memory that behaves as a host does: nothing is overwritten, directories must be there and
// get a new time when something in them changes. Its guard knows the laws, in short form.
type fakeHost struct {
	at    map[store.RelPath]node
	tree  bool // there is a mailboxes tree
	clock time.Time
	call  func(op string, p store.RelPath) error // before each request; nil for none
	acted func()                                 // after each change
}

func newFakeHost(tree bool) *fakeHost {
	f := &fakeHost{at: map[store.RelPath]node{}, tree: tree, clock: time.Unix(1_700_000_000, 0)}
	f.at["."] = node{kind: fs.ModeDir, mode: 0o700, mtime: f.clock}
	return f
}

func (f *fakeHost) file(p store.RelPath, data string) {
	f.dir(store.RelPath(path.Dir(string(p))))
	f.clock = f.clock.Add(time.Second)
	f.at[p] = node{mode: 0o640, mtime: f.clock, data: data}
}

func (f *fakeHost) dir(p store.RelPath) {
	if _, ok := f.at[p]; ok {
		return
	}
	f.dir(store.RelPath(path.Dir(string(p))))
	f.clock = f.clock.Add(time.Second)
	f.at[p] = node{kind: fs.ModeDir, mode: 0o750, mtime: f.clock}
}

func sumOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// entries are what a snapshot of the whole mail root would list.
func (f *fakeHost) entries() []snapshot.Entry {
	var all []snapshot.Entry
	for p, n := range f.at {
		e := snapshot.Entry{Path: p, Type: n.kind, Mode: n.mode, MTime: n.mtime, UID: -1, GID: -1}
		if n.kind == 0 {
			e.Size, e.SHA256 = int64(len(n.data)), sumOf(n.data)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(x, y snapshot.Entry) int { return strings.Compare(string(x.Path), string(y.Path)) })
	return all
}

// listing is the tree as text: types, modes, times, bytes. What is set aside, and the time of the mail root in which
// the directory for it was made, are left out.
func (f *fakeHost) listing() string {
	var b strings.Builder
	for _, e := range f.entries() {
		if e.Path == plan.AsideDir || strings.HasPrefix(string(e.Path), string(plan.AsideDir)+"/") || e.Path == "." {
			continue
		}
		fmt.Fprintf(&b, "%v %04o %d %q %s\n", e.Type, e.Mode, e.MTime.Unix(), e.Path, f.at[e.Path].data)
	}
	return b.String()
}

func (f *fakeHost) clone() *fakeHost {
	c := *f
	c.at = make(map[store.RelPath]node, len(f.at))
	for p, n := range f.at {
		c.at[p] = n
	}
	c.call, c.acted = nil, nil
	return &c
}

func (f *fakeHost) ask(op string, p store.RelPath) error {
	if f.call == nil {
		return nil
	}
	return f.call(op, p)
}

func (f *fakeHost) changed(p store.RelPath) {
	f.clock = f.clock.Add(time.Second)
	dir := store.RelPath(path.Dir(string(p)))
	if n, ok := f.at[dir]; ok {
		n.mtime = f.clock
		f.at[dir] = n
	}
	if f.acted != nil {
		f.acted()
	}
}

var errGuard = errors.New("refused by the guard")

// guard is the short form of the real one.
func (f *fakeHost) guard(p store.RelPath, class string, remove bool) error {
	s := string(p)
	n, ok := f.at[p]
	for d := path.Dir(s); d != "."; d = path.Dir(d) {
		if x, ok := f.at[store.RelPath(d)]; ok && x.kind != fs.ModeDir {
			return fmt.Errorf("%s: %w", d, errGuard)
		}
	}
	aside := p == plan.AsideDir || strings.HasPrefix(s, string(plan.AsideDir)+"/")
	switch {
	case path.Clean(s) != s || s == "." || path.IsAbs(s) || strings.HasPrefix(s, ".."),
		aside != (class == plan.ClassAside), s == "mailboxes",
		remove && (!f.tree || !strings.HasPrefix(s, "mailboxes/")),
		ok && n.kind == fs.ModeSymlink,
		class == plan.ClassFolder && ok && n.kind != fs.ModeDir,
		class != plan.ClassFolder && class != plan.ClassAside && ok && n.kind != 0,
		class == plan.ClassIndex && path.Base(s) != "dovecot.index",
		class == plan.ClassCache && path.Base(s) != "dovecot.index.cache",
		class == plan.ClassTemp && !strings.HasPrefix(path.Base(s), ".dovemend-"):
		return fmt.Errorf("%s as %s: %w", s, class, errGuard)
	}
	if remove && !ok {
		return fs.ErrNotExist
	}
	return nil
}

func (f *fakeHost) Prepare(_ context.Context, steps []plan.Step) (Prepared, error) {
	var p Prepared
	look := func(at store.RelPath) Look {
		n, ok := f.at[at]
		if !ok {
			return Look{Err: &fs.PathError{Op: "lstat", Path: string(at), Err: fs.ErrNotExist}}
		}
		return Look{Found: Found{Type: n.kind, Mode: n.mode, Size: int64(len(n.data)), MTime: n.mtime}}
	}
	for _, s := range steps {
		if s.Op != steps[0].Op || s.Class != steps[0].Class || s.ToClass != steps[0].ToClass {
			return p, errors.New("steps of several kinds at once")
		}
		err := f.ask("guard", s.Path)
		if err == nil {
			err = f.guard(s.Path, s.Class, s.Op == plan.OpRemove || s.Op == plan.OpRemoveDir)
		}
		if err == nil && s.Op == plan.OpRename {
			err = f.guard(s.To, s.ToClass, false)
		}
		if err == nil && s.Op == plan.OpPut {
			err = f.guard(s.Temp, plan.ClassTemp, false)
		}
		if err != nil {
			return p, &StepError{Step: s, Err: err}
		}
		p.At, p.To = append(p.At, look(s.Path)), append(p.To, look(s.To))
	}
	p.Do = func(_ context.Context, open func(plan.Step) (io.ReadCloser, error), report func(int, error)) error {
		for i, s := range steps {
			err := f.do(s, open)
			report(i, err)
			if err != nil {
				return err
			}
		}
		return nil
	}
	return p, nil
}

func (f *fakeHost) do(s plan.Step, open func(plan.Step) (io.ReadCloser, error)) error {
	if err := f.ask(string(s.Op), s.Path); err != nil {
		return err
	}
	n, ok := f.at[s.Path]
	switch s.Op {
	case plan.OpRemove:
		if !ok || n.kind != 0 {
			return fs.ErrNotExist
		}
		delete(f.at, s.Path)
		f.changed(s.Path)
	case plan.OpMkdir:
		if ok {
			return fs.ErrExist
		}
		if err := f.parent(s.Path); err != nil {
			return err
		}
		f.at[s.Path] = node{kind: fs.ModeDir, mode: s.Mode, mtime: f.clock}
		f.changed(s.Path)
	case plan.OpRename:
		return f.rename(s.Path, s.To)
	case plan.OpPut:
		return f.put(s, open)
	case plan.OpSetAttr:
		if !ok {
			return fs.ErrNotExist
		}
		n.mode, n.mtime = s.Mode, s.MTime
		f.at[s.Path] = n
		if f.acted != nil {
			f.acted()
		}
	default:
		return errors.ErrUnsupported
	}
	return nil
}

func (f *fakeHost) parent(p store.RelPath) error {
	if f.at[store.RelPath(path.Dir(string(p)))].kind != fs.ModeDir {
		return fs.ErrNotExist
	}
	return nil
}

func (f *fakeHost) rename(from, to store.RelPath) error {
	n, ok := f.at[from]
	if !ok {
		return fs.ErrNotExist
	}
	if _, taken := f.at[to]; taken {
		return fs.ErrExist
	}
	if err := f.parent(to); err != nil {
		return err
	}
	delete(f.at, from)
	f.at[to] = n
	acted := f.acted
	f.acted = nil
	f.changed(from)
	f.acted = acted
	f.changed(to)
	return nil
}

func (f *fakeHost) put(s plan.Step, open func(plan.Step) (io.ReadCloser, error)) error {
	if _, taken := f.at[s.Path]; taken {
		return fs.ErrExist
	}
	r, err := open(s)
	if err != nil {
		return err
	}
	defer r.Close()
	f.at[s.Temp] = node{mode: 0o600, mtime: f.clock}
	f.changed(s.Temp) // a cut here leaves an empty temporary file
	b, err := io.ReadAll(r)
	if err == nil {
		err = f.ask("write", s.Temp)
	}
	if err != nil {
		return err
	}
	f.at[s.Temp] = node{mode: s.Mode, mtime: s.MTime, data: string(b)}
	if f.acted != nil {
		f.acted()
	}
	return f.rename(s.Temp, s.Path)
}

func (f *fakeHost) Lstat(_ context.Context, paths []store.RelPath, yield func(int, Found, error)) error {
	for i, p := range slices.Backward(paths) { // any order
		if err := f.ask("lstat", p); err != nil {
			return err
		}
		n, ok := f.at[p]
		if !ok {
			yield(i, Found{}, &fs.PathError{Op: "lstat", Path: string(p), Err: fs.ErrNotExist})
			continue
		}
		yield(i, Found{Type: n.kind, Mode: n.mode, Size: int64(len(n.data)), MTime: n.mtime}, nil)
	}
	return nil
}

func (f *fakeHost) Sums(_ context.Context, paths []store.RelPath, yield func(int, string, error)) error {
	for i, p := range paths {
		if err := f.ask("read", p); err != nil {
			return err
		}
		yield(i, sumOf(f.at[p].data), nil)
	}
	return nil
}
