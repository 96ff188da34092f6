package remote

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// Names of Dovecot's index files (2.2 to 2.4): a base and an ending. The map index is mdbox's and in storage/, the list
// index is in the mail root or beside mailboxes/; for both the class is for writing only.
var (
	indexBases   = []string{"dovecot.index", "dovecot.map.index", "dovecot.list.index"}
	indexEndings = []string{"", ".backup", ".log", ".log.2", ".cache"}
)

// checkClass is the rule "class".
func checkClass(q *inquiry) error {
	base := path.Base(q.rel)
	aside := q.parts[0] == asideName
	if aside != (q.class == ClassAside) {
		if aside {
			return errors.New("what is set aside is only moved, as class aside")
		}
		return errors.New("the path is not at or beneath dovemend-aside")
	}
	switch q.class {
	case ClassCache:
		return must(base == "dovecot.index.cache", "the file is not named dovecot.index.cache")
	case ClassIndex:
		return must(base == "dovecot.index", "the file is not named dovecot.index")
	case ClassIndexFile:
		return must(isIndexFile(base, q.remove), "the file is not one of Dovecot's index files")
	case ClassMailboxFile:
		return must(inMailbox(q), "the file is not directly in one mailbox's own folder")
	case ClassTemp:
		return must(strings.HasPrefix(base, tempPrefix) && base != tempPrefix, "the file's name does not begin with .dovemend-")
	case ClassFolder:
		return nil
	case ClassAside:
		return must(!q.remove, "nothing is removed from dovemend-aside")
	}
	return errors.New("there is no such class")
}

func must(ok bool, text string) error {
	if ok {
		return nil
	}
	return errors.New(text)
}

func isIndexFile(base string, remove bool) bool {
	bases := indexBases
	if remove {
		bases = bases[:1]
	}
	return slices.ContainsFunc(bases, func(b string) bool {
		ending, ok := strings.CutPrefix(base, b)
		return ok && slices.Contains(indexEndings, ending)
	})
}

func isGUID(name string) bool {
	return len(name) == 32 && strings.Trim(name, "0123456789abcdef") == ""
}

// inMailbox says whether a file lies where the files of one mailbox lie: in a dbox-Mails folder, in a folder named by the
// mailbox's GUID (LAYOUT=index), in cur, new or tmp of
// a Maildir, or beside these if its name is one of Dovecot's. For writing also in mdbox's storage/, and in a mail root
// that is a Maildir anywhere, since what is written there can only be moved, never lost.
func inMailbox(q *inquiry) bool {
	dirs, base := q.parts[:len(q.parts)-1], q.parts[len(q.parts)-1]
	if !q.remove && !q.root.tree {
		return true
	}
	if !q.remove && len(dirs) == 1 && dirs[0] == "storage" {
		return true
	}
	if len(dirs) < 2 || dirs[0] != treeName {
		return false
	}
	switch dirs[len(dirs)-1] {
	case "dbox-Mails", "cur", "new", "tmp":
		return len(dirs) >= 3
	}
	if len(dirs) == 2 && isGUID(dirs[1]) { // LAYOUT=index: mailboxes/GUID/u.N
		return true
	}
	return strings.HasPrefix(base, "dovecot") && base != "dovecot" || base == "maildirfolder"
}
