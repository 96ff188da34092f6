package snapshot

import (
	"path"
	"slices"
	"strings"

	"dovemend/repair/store"
)

// asideDir is where dovemend sets things aside on the host; a copy of the whole account leaves it out.
const asideDir = "dovemend-aside"

// Paths says what to copy for some of an account's mailboxes: their own folders without their sub-mailboxes, and what the
// mailboxes share (for mdbox the storage with the mail itself, and of every mailbox the index files). With all, or without any mailbox named, it is
// everything beneath the mail root.
func Paths(a store.Account, boxes []store.Mailbox, all bool) []store.RelPath {
	if all || len(boxes) == 0 {
		return []store.RelPath{"."}
	}
	paths := shared(a)
	for _, m := range boxes {
		if a.Layout != store.Maildir || m.Dir != "." && !a.FSLayout {
			paths = append(paths, m.Dir)
			continue
		}
		// The folder holds other mailboxes too.
		for _, name := range maildirOwn {
			paths = append(paths, store.RelPath(path.Join(string(m.Dir), name)))
		}
	}
	return topmost(paths)
}

// Shared says what to copy of what an account's mailboxes share alone, where the mailbox in question is yet to be made.
func Shared(a store.Account) []store.RelPath { return topmost(shared(a)) }

func shared(a store.Account) []store.RelPath {
	paths := a.Shared()
	if a.Layout == store.MDBox {
		// Which of the stored messages are whose is told by the index files of all mailboxes.
		for _, m := range a.Mailboxes {
			for _, name := range indexFiles {
				paths = append(paths, store.RelPath(path.Join(string(m.Dir), name)))
			}
		}
	}
	return paths
}

var indexFiles = []string{"dovecot.index", "dovecot.index.backup", "dovecot.index.log", "dovecot.index.log.2"}

var maildirOwn = []string{
	"cur", "new", "tmp", "dovecot-uidlist", "dovecot-keywords", "dovecot.index", "dovecot.index.log", "dovecot.index.log.2",
	"dovecot.index.cache", "dovecot.index.backup", "dovecot.index.pvt", "dovecot.index.pvt.log", "maildirfolder", "dovecot-acl", "dovecot-shared",
}

// topmost sorts paths and leaves out those that lie beneath another.
func topmost(paths []store.RelPath) []store.RelPath {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if slices.Contains(paths, ".") {
		return []store.RelPath{"."}
	}
	given := map[store.RelPath]bool{}
	for _, p := range paths {
		given[p] = true
	}
	return slices.DeleteFunc(paths, func(p store.RelPath) bool {
		for up := path.Dir(string(p)); up != "." && up != "/"; up = path.Dir(up) {
			if given[store.RelPath(up)] {
				return true
			}
		}
		return false
	})
}

// beneath reports whether p is one of the paths or lies beneath one.
func beneath(paths []store.RelPath, p store.RelPath) bool {
	for _, q := range paths {
		if q == "." || p == q || strings.HasPrefix(string(p), string(q)+"/") {
			return true
		}
	}
	return false
}

// Covers reports whether the snapshot was asked for all that lies at or beneath the paths; none stand for the whole mail root.
func (m *Manifest) Covers(paths []store.RelPath) bool {
	if len(paths) == 0 {
		paths = []store.RelPath{"."}
	}
	return !slices.ContainsFunc(paths, func(p store.RelPath) bool { return !beneath(m.Paths, p) })
}
