package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// UndoInput is what the plan of an undo is built from.
type UndoInput struct {
	Run      string           // ID of the undo's own run
	Original *Plan            // the plan that was applied, in whole or in part
	Begun    map[int]bool     // its steps whose intent is in the journal, whatever became of them; nil: that is not known, it may be any
	Before   []snapshot.Entry // of the snapshot the original was built from
	Now      []snapshot.Entry // of this run's own, fresh snapshot of what [Plan.Touches] lists
	Manifest string           // SHA-256 of the fresh snapshot's manifest
}

// BuildUndo makes the plan that brings the folders a run has changed back to what they were, byte for byte, with their
// modes and times. It looks at what is there now, not at what the journal says came of each step: what is identical
// stays; what was set aside comes back by a rename, what was removed from the snapshot; and what stands in the way or
// has come since is first set aside beneath dovemend-aside/<run of the undo>/. In a Maildir, messages that have come
// since stay where they are, for a Maildir can hold both. The plan is a plan like any other: it can be resumed, and undone.
func BuildUndo(in UndoInput) (*Plan, error) {
	o := in.Original
	if o == nil || in.Run == "" || in.Run == o.Run || strings.Contains(in.Run, "/") {
		return nil, errors.New("plan undo: no plan of another run to undo")
	}
	u := &undoer{in: in, before: table(in.Before), now: table(in.Now), moved: map[store.RelPath][]store.RelPath{},
		ours: map[store.RelPath]string{}, written: map[store.RelPath]string{}, touched: map[store.RelPath][]store.RelPath{}, known: map[store.RelPath]bool{}}
	u.p = &Plan{Version: version, Run: in.Run, Of: o.Run, Root: o.Root, Layout: o.Layout, Remedy: Undo, Aside: true,
		Mailboxes: slices.Clone(o.Mailboxes), Snapshot: in.Manifest, Facts: slices.Clone(o.Facts)}
	u.gather()
	for _, f := range o.Folders {
		if err := u.folder(f); err != nil {
			return nil, fmt.Errorf("plan undo of run %s: %w", o.Run, err)
		}
	}
	u.finish()
	return u.p, nil
}

// undoer is the plan of an undo on its way.
type undoer struct {
	in          UndoInput
	p           *Plan
	before, now entryTable
	touched     map[store.RelPath][]store.RelPath // by folder: the paths the run may have changed, each once
	known       map[store.RelPath]bool            // the same paths
	moved       map[store.RelPath][]store.RelPath // where the run may have moved a path to
	ours        map[store.RelPath]string          // what the run may have put there: its hash
	written     map[store.RelPath]string          // of those, what the run wrote itself

	out, dirs, back, attrs, last []Step
	stayed                       int // messages that came since and stay
	newer                        int // files that came since and are set aside
	replaced                     int // files of dbox folders that changed since and are set aside
}

// entryTable finds entries by path and by directory.
type entryTable struct {
	at map[store.RelPath]snapshot.Entry
	in map[store.RelPath][]store.RelPath
}

func table(entries []snapshot.Entry) entryTable {
	t := entryTable{make(map[store.RelPath]snapshot.Entry, len(entries)), map[store.RelPath][]store.RelPath{}}
	for _, e := range entries {
		t.at[e.Path] = e
		if e.Path != "." {
			t.in[parent(e.Path)] = append(t.in[parent(e.Path)], e.Path)
		}
	}
	return t
}

// gather reads from the original's steps what they may have changed.
func (u *undoer) gather() {
	touch := func(p store.RelPath) {
		if !u.known[p] && !strings.HasPrefix(string(p), string(AsideDir)+"/") {
			u.known[p] = true
			u.touched[parent(p)] = append(u.touched[parent(p)], p)
		}
	}
	for _, s := range u.in.Original.Steps {
		if u.in.Begun != nil && !u.in.Begun[s.Seq] {
			continue
		}
		switch s.Op {
		case OpRemove:
			touch(s.Path)
		case OpRename:
			touch(s.Path)
			touch(s.To)
			u.moved[s.Path] = append(u.moved[s.Path], s.To)
			u.ours[s.To] = s.Expect.SHA256
			if strings.HasPrefix(path.Base(string(s.Path)), tempPrefix+u.in.Original.Run+"-") { // put there by the run
				u.written[s.To] = s.Expect.SHA256
			}
		case OpPut:
			touch(s.Path)
			touch(s.Temp)
			u.ours[s.Path], u.written[s.Path] = s.SHA256, s.SHA256
		case OpSetAttr:
			if !s.Expect.Type.IsDir() {
				touch(s.Path)
			}
		}
	}
}

// folder plans for one directory that the run may have changed.
func (u *undoer) folder(f Folder) error {
	touched := u.touched[f.Path]
	if len(touched) == 0 {
		return nil
	}
	if !slices.ContainsFunc(touched, essential) {
		f.Scope = ScopeTouched // what changed since fits what the run has left
	}
	start := len(u.out) + len(u.back) + len(u.attrs)
	stayed := u.stayed
	paths := slices.Clone(touched)
	if f.Scope != ScopeTouched {
		paths = append(append(paths, u.inScope(u.before, f)...), u.inScope(u.now, f)...)
	}
	slices.SortFunc(paths, goOrder)
	for _, p := range slices.Compact(paths) {
		if err := u.path(f, p); err != nil {
			return err
		}
	}
	if f.Scope == ScopeTouched {
		if err := u.sameMessages(f); err != nil {
			return err
		}
	}
	changed := len(u.out)+len(u.back)+len(u.attrs) > start
	g := f
	if e, ok := u.now.at[f.Path]; ok {
		g.Mode, g.MTime = e.Mode, e.MTime
	}
	u.p.Folders = append(u.p.Folders, g)
	u.makeDirs(f, changed)
	u.folderTimes(f, changed, u.stayed > stayed)
	return nil
}

// essential reports whether files beside this one mean something else once it is another. What only helps, and what lies under
// a name of ours, is not.
func essential(p store.RelPath) bool {
	name := path.Base(string(p))
	if isIndex(p) {
		return !slices.ContainsFunc([]string{".cache", ".backup", ".log.2"}, func(end string) bool { return strings.HasSuffix(name, end) })
	}
	return !strings.HasPrefix(name, tempPrefix)
}

// inScope lists the files directly in a folder that are brought back as a whole.
func (u *undoer) inScope(t entryTable, f Folder) []store.RelPath {
	var paths []store.RelPath
	for _, p := range t.in[f.Path] {
		if !t.at[p].Type.IsRegular() {
			continue
		}
		name := path.Base(string(p))
		switch f.Scope {
		case ScopeAll:
		case ScopeIndex:
			if !isIndex(p) || !slices.ContainsFunc(u.touched[f.Path], func(t store.RelPath) bool { return family(t) == family(p) }) {
				continue // of a Maildir's root, the list of mailboxes is an index of its own
			}
		case ScopeOwn:
			if !ownName(name) {
				continue
			}
		}
		if !strings.ContainsFunc(name, control) {
			paths = append(paths, p)
		}
	}
	return paths
}

// path plans for one file: what it was, against what it is.
func (u *undoer) path(f Folder, p store.RelPath) error {
	was, had := u.before.at[p]
	is, has := u.now.at[p]
	had = had && was.Type.IsRegular()
	if has && !had && is.Type.IsRegular() && strings.HasPrefix(path.Base(string(p)), tempPrefix+u.in.Original.Run+"-") {
		gone := Step{Op: OpRemove, Path: p, Class: ClassTemp, Expect: expect(is), Why: "a file of the run that never took its place"}
		if !strings.HasPrefix(string(p), "mailboxes/") { // nothing is removed elsewhere
			gone.Op, gone.To, gone.ToClass = OpRename, aside(u.in.Run, p), ClassAside
		}
		u.out = append(u.out, gone)
		return nil
	}
	switch {
	case has && !is.Type.IsRegular():
		if had {
			return &InTheWayError{Path: p, What: kind(is.Type)}
		}
		return nil
	case had && has && same(was, is):
		if was.Mode != is.Mode || was.MTime.Unix() != is.MTime.Unix() {
			u.attrs = append(u.attrs, Step{Op: OpSetAttr, Path: p, Class: classOf(p), Expect: expect(is), Mode: was.Mode,
				MTime: was.MTime, Why: "mode and time as they were"})
		}
		u.keep(f, p)
		return nil
	case !had && !has:
		return nil
	case !had && f.Scope == ScopeTouched && (is.SHA256 == "" || u.ours[p] != is.SHA256):
		u.p.Notes = append(u.p.Notes, safe(string(p))+" has changed since: it stays")
		return nil
	}
	if has {
		if !had {
			u.newer++
		} else if f.Scope == ScopeAll {
			u.replaced++
		}
		if err := u.away(is); err != nil {
			return err
		}
	}
	if had {
		u.keep(f, p)
		return u.bringBack(was)
	}
	return nil
}

func same(x, y snapshot.Entry) bool {
	return verified(x) == nil && verified(y) == nil && x.SHA256 == y.SHA256 && x.Size == y.Size
}

// away takes a file out of the way: one that is just as the run wrote it, whose bytes the run's folder has, is removed
// where removing is allowed at all; every other is set aside.
func (u *undoer) away(e snapshot.Entry) error {
	if h := u.written[e.Path]; h == "" || h != e.SHA256 || !strings.HasPrefix(string(e.Path), "mailboxes/") {
		return u.setAside(e)
	}
	u.out = append(u.out, Step{Op: OpRemove, Path: e.Path, Class: classOf(e.Path), Expect: expect(e), Why: "a file that the run wrote"})
	return nil
}

func (u *undoer) setAside(e snapshot.Entry) error {
	if err := verified(e); err != nil {
		return err
	}
	u.out = append(u.out, Step{Op: OpRename, Path: e.Path, To: aside(u.in.Run, e.Path), Class: classOf(e.Path),
		ToClass: ClassAside, Expect: expect(e), Why: "came or changed since: set aside"})
	return nil
}

// bringBack renames a file back from where the run set it aside, or else puts it from the snapshot.
func (u *undoer) bringBack(e snapshot.Entry) error {
	for _, q := range u.moved[e.Path] {
		a, ok := u.now.at[q]
		if !ok || !a.Type.IsRegular() || !same(a, e) {
			continue
		}
		u.back = append(u.back, Step{Op: OpRename, Path: q, To: e.Path, Class: ClassAside, ToClass: classOf(e.Path),
			Expect: expect(a), Why: "comes back from where it was set aside"})
		if a.Mode != e.Mode || a.MTime.Unix() != e.MTime.Unix() {
			x := expect(a)
			u.attrs = append(u.attrs, Step{Op: OpSetAttr, Path: e.Path, Class: classOf(e.Path), Expect: x, Mode: e.Mode,
				MTime: e.MTime, Why: "mode and time as they were"})
		}
		return nil
	}
	if err := verified(e); err != nil {
		return err
	}
	u.back = append(u.back, Step{Op: OpPut, Path: e.Path, Class: classOf(e.Path), Expect: Expect{Absent: true},
		Source: e.Path, Size: e.Size, SHA256: e.SHA256, Mode: e.Mode, MTime: e.MTime, Why: "comes back from the snapshot"})
	return nil
}

// sameMessages sets aside messages of a Maildir that have the unique name of one that comes back: Dovecot wants each
// once. Other messages that have come since are counted, and stay.
func (u *undoer) sameMessages(f Folder) error {
	sub := path.Base(string(f.Path))
	if u.p.Layout != store.Maildir || sub != "cur" && sub != "new" {
		return nil
	}
	back := map[string]bool{}
	for _, sub := range []string{"cur", "new", "tmp"} {
		for _, p := range u.touched[join(parent(f.Path), sub)] {
			if e, ok := u.before.at[p]; ok && e.Type.IsRegular() {
				back[uniqueName(p)] = true
			}
		}
	}
	var paths []store.RelPath
	for _, p := range u.now.in[f.Path] {
		if u.now.at[p].Type.IsRegular() && !u.known[p] {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	for _, p := range paths {
		if _, had := u.before.at[p]; had {
			continue
		}
		if !back[uniqueName(p)] || strings.ContainsFunc(path.Base(string(p)), control) {
			u.stayed++
			continue
		}
		if err := u.setAside(u.now.at[p]); err != nil {
			return err
		}
	}
	return nil
}

// uniqueName is what names a message of a Maildir, without its flags.
func uniqueName(p store.RelPath) string {
	name, _, _ := strings.Cut(path.Base(string(p)), ":")
	return name
}
