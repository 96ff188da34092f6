package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"dovemend/repair/store"
)

// keep remembers that a file must be as it was, for verification: for index files, uidlist and keywords only.
func (u *undoer) keep(f Folder, p store.RelPath) {
	if !ownName(path.Base(string(p))) {
		return
	}
	u.promise(f).Kept = append(u.promise(f).Kept, p)
}

func (u *undoer) promise(f Folder) *Promise {
	for i := range u.p.Promise {
		if u.p.Promise[i].Mailbox == f.Mailbox {
			return &u.p.Promise[i]
		}
	}
	pr := Promise{Mailbox: f.Mailbox, Messages: -1, Flags: true, UIDs: true}
	for _, facts := range u.p.Facts {
		if facts.Mailbox == f.Mailbox && u.in.Original.Remedy != Undo {
			pr.Messages = facts.Messages
		}
	}
	u.p.Promise = append(u.p.Promise, pr)
	return &u.p.Promise[len(u.p.Promise)-1]
}

// makeDirs plans for a folder, and those above it, that are no longer there.
func (u *undoer) makeDirs(f Folder, changed bool) {
	if !changed || f.Path == "." {
		return
	}
	if _, ok := u.now.at[f.Path]; ok {
		return
	}
	if len(u.now.in[f.Path]) > 0 { // listed without itself
		return
	}
	var missing []store.RelPath
	for d := f.Path; d != "." && d != "mailboxes"; d = parent(d) {
		if _, ok := u.now.at[d]; ok || slices.ContainsFunc(u.dirs, func(s Step) bool { return s.Path == d }) {
			break
		}
		missing = append(missing, d)
	}
	slices.Reverse(missing)
	for _, d := range missing {
		mode := u.before.at[d].Mode
		if mode == 0 {
			mode = 0o700
		}
		u.dirs = append(u.dirs, Step{Op: OpMkdir, Path: d, Class: ClassFolder, Expect: Expect{Absent: true}, Mode: mode,
			Why: "the folder is no longer there"})
	}
}

// folderTimes puts a folder's mode and time back. It does not where messages stay that have come since: Dovecot
// notices them by the time of the folder.
func (u *undoer) folderTimes(f Folder, changed, stayed bool) {
	was, ok := u.before.at[f.Path]
	if !ok || !was.Type.IsDir() || f.Path == "." || stayed {
		return
	}
	is, ok := u.now.at[f.Path]
	if !changed && (!ok || is.Mode == was.Mode && is.MTime.Unix() == was.MTime.Unix()) {
		return
	}
	u.last = append(u.last, Step{Op: OpSetAttr, Path: f.Path, Class: ClassFolder, Expect: Expect{Type: was.Type.Type()},
		Mode: was.Mode, MTime: was.MTime, Why: "mode and time as they were"})
}

// finish puts the steps into their order: out of the way, back, and the times of the folders at the very end.
func (u *undoer) finish() {
	p := u.p
	slices.SortFunc(u.out, func(x, y Step) int { return goOrder(x.Path, y.Path) })
	slices.SortFunc(u.back, func(x, y Step) int { return goOrder(target(y), target(x)) })
	slices.SortFunc(u.last, func(x, y Step) int { return strings.Compare(string(y.Path), string(x.Path)) })
	p.Steps = slices.Concat(asideDirs(u.out), u.out, u.dirs, u.back, u.attrs, u.last)
	number(p.Steps)
	planned := len(u.last)
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Op == OpPut {
			s.Temp = u.temp(*s)
			u.tempTimes(parent(s.Temp))
		}
	}
	p.Steps = append(p.Steps, u.last[planned:]...)
	number(p.Steps)
	if u.newer > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%s that came since, set aside in %s/%s and copied into this run: new mail among them is not in the mailbox afterwards",
			count(u.newer, "file"), AsideDir, p.Run))
	}
	if u.replaced > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%s that changed since, set aside in %s/%s and copied into this run: flags and new mail that only they tell of are not in the mailbox afterwards",
			count(u.replaced, "file"), AsideDir, p.Run))
	}
	if u.stayed > 0 {
		p.Notes = append(p.Notes, count(u.stayed, "message")+" that came since, left in the mailbox")
		for i := range p.Promise {
			p.Promise[i].Messages = -1
		}
	}
	if p.Layout == store.MDBox && len(p.Steps) > 0 && !slices.ContainsFunc(u.in.Original.Folders, func(f Folder) bool { return f.Path == "storage" }) {
		p.Notes = append(p.Notes, "storage/, which all mailboxes share, is left as it is")
	}
	if len(p.Steps) == 0 {
		p.Notes = append(p.Notes, "everything is as it was: nothing to do")
	}
}

func target(s Step) store.RelPath {
	if s.Op == OpRename {
		return s.To
	}
	return s.Path
}

// temp names the file a put writes first. In a Maildir that is in tmp, which Dovecot itself cleans of old files.
func (u *undoer) temp(s Step) store.RelPath {
	dir := parent(s.Path)
	if u.p.Layout == store.Maildir {
		if b := path.Base(string(dir)); b == "cur" || b == "new" || b == "tmp" {
			dir = parent(dir)
		}
		if e, ok := u.now.at[join(dir, "tmp")]; ok && e.Type.IsDir() {
			dir = join(dir, "tmp")
		} else {
			dir = parent(s.Path)
		}
	}
	return join(dir, fmt.Sprintf("%s%s-%d", tempPrefix, u.p.Run, s.Seq))
}

// tempTimes plans for the time of a directory that only a temporary file passes through.
func (u *undoer) tempTimes(dir store.RelPath) {
	e, ok := u.now.at[dir]
	if !ok || !e.Type.IsDir() || dir == "." || slices.ContainsFunc(u.last, func(s Step) bool { return s.Path == dir }) {
		return
	}
	for _, f := range u.in.Original.Folders {
		if f.Path == dir && len(u.touched[dir]) > 0 {
			return
		}
	}
	u.last = append(u.last, Step{Op: OpSetAttr, Path: dir, Class: ClassFolder, Expect: Expect{Type: e.Type.Type()}, Mode: e.Mode,
		MTime: e.MTime, Why: "time as it was"})
}
