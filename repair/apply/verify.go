package apply

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"dovemend/repair/plan"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// AfterState gives what the host must hold once every step is done, from the entries the plan was made from, sorted by
// path. Times of directories that steps change are zero but where a step sets them.
func AfterState(p *plan.Plan, entries []snapshot.Entry) []snapshot.Entry {
	at := make(map[store.RelPath]snapshot.Entry, len(entries))
	for _, e := range entries {
		at[e.Path] = e
	}
	stir := func(p store.RelPath) {
		dir := store.RelPath(path.Dir(string(p)))
		if e, ok := at[dir]; ok {
			e.MTime = time.Time{}
			at[dir] = e
		}
	}
	for _, s := range p.Steps {
		e := at[s.Path]
		switch s.Op {
		case plan.OpRemove, plan.OpRemoveDir:
			delete(at, s.Path)
		case plan.OpMkdir:
			if e.Type.IsDir() {
				continue
			}
			at[s.Path] = snapshot.Entry{Path: s.Path, Type: fs.ModeDir, Mode: s.Mode, UID: -1, GID: -1}
		case plan.OpRename:
			if _, ok := at[s.Path]; !ok { // set aside by an earlier run: the step tells what it is
				e = snapshot.Entry{Type: s.Expect.Type, Size: s.Expect.Size, MTime: s.Expect.MTime, SHA256: s.Expect.SHA256, UID: -1, GID: -1}
			}
			delete(at, s.Path)
			e.Path = s.To
			at[s.To] = e
			stir(s.To)
		case plan.OpPut:
			at[s.Path] = snapshot.Entry{Path: s.Path, Mode: s.Mode, Size: s.Size, MTime: s.MTime, SHA256: s.SHA256, UID: -1, GID: -1}
			stir(s.Temp)
		case plan.OpSetAttr:
			e.Path, e.Mode = s.Path, s.Mode
			if !s.MTime.IsZero() {
				e.MTime = s.MTime
			}
			if e.Type == 0 {
				e.Type = s.Expect.Type
			}
			at[s.Path] = e
			continue
		}
		stir(s.Path)
	}
	after := make([]snapshot.Entry, 0, len(at))
	for _, e := range at {
		after = append(after, e)
	}
	slices.SortFunc(after, func(x, y snapshot.Entry) int { return strings.Compare(string(x.Path), string(y.Path)) })
	return after
}

// Difference is one thing on the host that is not as the plan says.
type Difference struct {
	Path store.RelPath
	Text string // what is different; safe to print, without the path
	Bad  bool   // the repair did not do what it promised; else it is what Dovecot or a client did since
}

// String names the path too; it is safe to print.
func (d Difference) String() string { return fmt.Sprintf("%q: %s", d.Path, d.Text) }

// VerifyFiles compares what is on the host after a run with what the plan promised: everything the steps touched, and
// the other files of the folders they touched. before are the entries the plan was made from, now a fresh listing of
// [plan.Plan.Touches]; hashes are compared where both have them. What Dovecot makes or writes on its own is told, but
// not bad.
func VerifyFiles(p *plan.Plan, before, now []snapshot.Entry) []Difference {
	c := &comparison{p: p, now: map[store.RelPath]snapshot.Entry{}, unique: map[string]bool{}, was: map[store.RelPath]bool{}}
	for _, e := range now {
		c.now[e.Path] = e
		c.unique[unique(e.Path)] = true
	}
	gone := c.gone()
	for _, e := range AfterState(p, before) {
		c.was[e.Path] = true
		if c.inScope(e.Path) && e.Type.IsRegular() {
			c.present(e)
		}
	}
	for _, e := range now {
		if e.Type.IsRegular() && !c.was[e.Path] && !gone[e.Path] && c.inScope(e.Path) {
			c.add(e.Path, false, "it is new: Dovecot or a client made it")
		}
	}
	slices.SortFunc(c.diffs, func(x, y Difference) int { return strings.Compare(string(x.Path), string(y.Path)) })
	return c.diffs
}

// comparison is one call of VerifyFiles.
type comparison struct {
	p      *plan.Plan
	now    map[store.RelPath]snapshot.Entry
	was    map[store.RelPath]bool // paths that must be there
	unique map[string]bool        // unique names of what is there
	diffs  []Difference
}

func (c *comparison) add(p store.RelPath, bad bool, text string) {
	c.diffs = append(c.diffs, Difference{Path: p, Text: text, Bad: bad})
}

// inScope says whether a path lies where the plan changes something.
func (c *comparison) inScope(p store.RelPath) bool {
	if strings.HasPrefix(string(p), string(plan.AsideDir)+"/"+c.p.Run+"/") {
		return true
	}
	dir := store.RelPath(path.Dir(string(p)))
	for _, f := range c.p.Folders {
		if f.Path != dir {
			continue
		}
		if f.Mailbox == "" && f.Scope == plan.ScopeIndex { // shared by all mailboxes: most of it is none of the plan's
			return dovecots(p) || c.named(p)
		}
		sub := path.Base(string(dir))
		// Directly in a Maildir's own folder lies much that is none of the plan's.
		return c.p.Layout != store.Maildir || sub == "cur" || sub == "new" || sub == "tmp" || dovecots(p)
	}
	return false
}

// named reports whether a step names a path.
func (c *comparison) named(p store.RelPath) bool {
	return slices.ContainsFunc(c.p.Steps, func(s plan.Step) bool { return s.Path == p || s.To == p })
}

// gone checks what the plan took away, and gives these paths.
func (c *comparison) gone() map[store.RelPath]bool {
	gone := map[store.RelPath]bool{}
	back := map[store.RelPath]bool{}
	for _, s := range c.p.Steps {
		switch s.Op {
		case plan.OpRename:
			back[s.To] = true
		case plan.OpPut:
			back[s.Path] = s.Class != plan.ClassTemp
		case plan.OpMkdir:
			back[s.Path] = true
		}
	}
	for _, s := range c.p.Steps {
		if s.Op != plan.OpRemove && s.Op != plan.OpRename || back[s.Path] {
			continue
		}
		gone[s.Path] = true
		e, ok := c.now[s.Path]
		switch {
		case !ok:
		case e.Size == s.Expect.Size && e.MTime.Unix() == s.Expect.MTime.Unix() && (e.SHA256 == "" || e.SHA256 == s.Expect.SHA256):
			c.add(s.Path, true, "it is still there")
		default:
			c.add(s.Path, false, "it is there anew: Dovecot or a client made it")
		}
	}
	return gone
}

// present checks one file that must be there.
func (c *comparison) present(want snapshot.Entry) {
	have, ok := c.now[want.Path]
	own := dovecots(want.Path) && !strings.HasPrefix(string(want.Path), string(plan.AsideDir)+"/")
	switch {
	case !ok && own:
		c.add(want.Path, c.touched(want.Path), "it is missing")
	case !ok && c.p.Layout == store.Maildir && c.unique[unique(want.Path)]:
		c.add(want.Path, false, "its flags were changed, or it was moved from new to cur, since")
	case !ok:
		c.add(want.Path, true, "it is missing")
	case !have.Type.IsRegular():
		c.add(want.Path, true, "it is no file any more")
	case have.Size > want.Size && grows(want.Path):
		c.add(want.Path, false, "it has grown: new mail came")
	case have.Size != want.Size || have.SHA256 != "" && want.SHA256 != "" && have.SHA256 != want.SHA256:
		c.add(want.Path, !own, "its bytes are not the ones they were")
	case !want.MTime.IsZero() && have.MTime.Unix() != want.MTime.Unix():
		c.add(want.Path, false, "its time has changed")
	case have.Mode != want.Mode:
		c.add(want.Path, false, fmt.Sprintf("its mode was %04o and is %04o", want.Mode.Perm(), have.Mode.Perm()))
	}
}

// grows says whether Dovecot adds mail to a file: to those of mdbox's storage.
func grows(p store.RelPath) bool { return strings.HasPrefix(string(p), "storage/m.") }

// touched says whether the plan put the file there.
func (c *comparison) touched(p store.RelPath) bool {
	return slices.ContainsFunc(c.p.Steps, func(s plan.Step) bool {
		return s.Op == plan.OpPut && s.Path == p || s.Op == plan.OpRename && s.To == p
	})
}

// dovecots says whether Dovecot itself writes a file as it works: index files, uidlist, keywords.
func dovecots(p store.RelPath) bool {
	name := path.Base(string(p))
	for _, prefix := range []string{"dovecot.index", "dovecot.map.index", "dovecot.list.index", "dovecot-uidlist", "dovecot-keywords"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// unique is what names a message of a Maildir, without its flags.
func unique(p store.RelPath) string {
	name, _, _ := strings.Cut(path.Base(string(p)), ":")
	return name
}
