package plan

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// clear takes every file out of the mailbox's own folder: for dbox the regular files directly in it, for Maildir
// those in cur, new and tmp, the index files, the uidlist and the keywords. Index files go first; directories, symbolic
// links and special files stay. What mailboxes share, and sub-mailboxes, are not in these places.
func (b *builder) clear(m store.Mailbox) error {
	var files []snapshot.Entry
	var stay []string
	own := func(dir store.RelPath, mine func(string) bool) {
		for _, name := range b.kids[dir] {
			if !mine(name) {
				continue
			}
			e := b.at[join(dir, name)]
			switch {
			case !e.Type.IsRegular():
				stay = append(stay, safe(string(e.Path))+" is "+kind(e.Type)+": it stays")
			case strings.ContainsFunc(name, control):
				stay = append(stay, safe(string(e.Path))+" has control characters in its name: it stays")
			default:
				files = append(files, e)
			}
		}
	}
	folders := []Folder{{Path: m.Dir, Scope: ScopeAll}}
	if b.in.Account.Layout != store.Maildir {
		own(m.Dir, func(string) bool { return true })
	} else {
		folders[0].Scope = ScopeOwn
		own(m.Dir, ownName)
		for _, sub := range []string{"cur", "new", "tmp"} {
			if e := b.at[join(m.Dir, sub)]; e.Err != "" {
				return &NoCopyError{Path: e.Path, Why: "it could not be listed: " + safe(e.Err)}
			}
			own(join(m.Dir, sub), func(string) bool { return true })
			folders = append(folders, Folder{Path: join(m.Dir, sub), Scope: ScopeTouched})
		}
	}
	b.noteSome(stay)
	if len(files) == 0 {
		b.note("%s has no files of its own: nothing to do", safe(m.Name))
		return nil
	}
	slices.SortFunc(files, func(x, y snapshot.Entry) int { return goOrder(x.Path, y.Path) })
	for _, e := range files {
		if err := b.takeOut(e, classOf(e.Path), "clears "+safe(m.Name)); err != nil {
			return err
		}
	}
	for _, f := range folders {
		if _, ok := b.at[f.Path]; ok || len(b.kids[f.Path]) > 0 {
			b.folder(m, f.Path, f.Scope)
		}
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// ownName says whether a file directly in a Maildir's folder belongs to that mailbox alone, and to Dovecot.
func ownName(name string) bool {
	for _, prefix := range []string{"dovecot.index", "dovecot-uidlist", "dovecot-keywords"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// classOf gives the guard's class for a file of a mailbox.
func classOf(p store.RelPath) string {
	name := path.Base(string(p))
	switch {
	case isIndex(p):
		return ClassIndexFile
	case strings.HasPrefix(name, ".dovemend-"):
		return ClassTemp
	}
	return ClassMailboxFile
}

// goOrder sorts paths in the order in which they may go: index files first, uidlist and keywords last.
func goOrder(x, y store.RelPath) int {
	return cmp.Or(cmp.Compare(goRank(x), goRank(y)), cmp.Compare(x, y))
}

func goRank(p store.RelPath) int {
	name := path.Base(string(p))
	if i := slices.Index(indexNames, name); i >= 0 {
		return i
	}
	if ownName(name) {
		return len(indexNames) + 1
	}
	return len(indexNames)
}

// join puts a name beneath a directory, which may be the mail root itself (".").
func join(dir store.RelPath, name string) store.RelPath {
	return store.RelPath(path.Join(string(dir), name))
}

func parent(p store.RelPath) store.RelPath { return store.RelPath(path.Dir(string(p))) }

// aside is where a path is set aside by a run. A directory with cur, new and tmp in it would be a mailbox to a Maildir
// with LAYOUT=fs, so these get other names there.
func aside(run string, p store.RelPath) store.RelPath {
	dir, name := parent(p), path.Base(string(p))
	switch path.Base(string(dir)) {
	case "cur", "new", "tmp":
		p = dir + ".aside/" + store.RelPath(name)
	}
	return AsideDir + "/" + store.RelPath(run) + "/" + p
}

// asideDirs gives the steps that make the directories beneath dovemend-aside that renames lead into.
func asideDirs(steps []Step) []Step {
	var dirs []Step
	seen := map[store.RelPath]bool{}
	for _, s := range steps {
		if s.Op != OpRename || s.ToClass != ClassAside {
			continue
		}
		var missing []store.RelPath
		for d := parent(s.To); d != "." && !seen[d]; d = parent(d) {
			seen[d] = true
			missing = append(missing, d)
		}
		slices.Reverse(missing)
		for _, d := range missing {
			dirs = append(dirs, Step{Op: OpMkdir, Path: d, Class: ClassAside, Expect: Expect{Absent: true}, Mode: 0o700,
				Why: "for what is set aside"})
		}
	}
	return dirs
}

func number(steps []Step) {
	for i := range steps {
		steps[i].Seq = i + 1
	}
}
