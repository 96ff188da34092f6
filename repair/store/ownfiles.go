package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// OwnFiles lists the files that belong to this one mailbox alone, sorted. For dbox that is everything but directories
// directly in its folder; for Maildir what is in cur, new and tmp, and of the folder itself the index files, the
// uidlist and the keywords. It never names a sub-mailbox or a file the account shares: subscriptions, list index,
// dovecot-uidvalidity, and the marks a Maildir folder is made with (maildirfolder, dovecot-acl, dovecot-shared).
func (a Account) OwnFiles(ctx context.Context, fsys fs.FS, m Mailbox) ([]RelPath, error) {
	r := newReader(fsys, 8)
	var files []RelPath
	list := func(dir string, must bool, own func(string) bool) error {
		entries, err := r.readDir(ctx, path.Join(a.Root.inFS(), dir))
		if errors.Is(err, fs.ErrNotExist) && !must {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list mailbox %q: %w", m.Name, err)
		}
		if r.cut.Load() {
			return fmt.Errorf("list mailbox %q: more than %d files in one directory", m.Name, maxEntries)
		}
		for _, e := range entries {
			if !e.IsDir() && own(e.Name()) {
				files = append(files, RelPath(path.Join(dir, e.Name())))
			}
		}
		return nil
	}
	any := func(string) bool { return true }
	if a.Layout != Maildir {
		err := list(string(m.Dir), true, any)
		slices.Sort(files)
		return files, err
	}
	if err := list(string(m.Dir), true, ownMaildirFile); err != nil {
		return nil, err
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := list(path.Join(string(m.Dir), sub), false, any); err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return files, nil
}

func ownMaildirFile(name string) bool {
	for _, prefix := range []string{"dovecot.index", "dovecot-uidlist", "dovecot-keywords"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Shared lists what the account's mailboxes share, sorted: for mdbox the storage, for every layout subscriptions, list
// index and the like, as found in the mail root or by their usual names. Some may not exist.
func (a Account) Shared() []RelPath {
	shared := []RelPath{
		"subscriptions", "dovecot.list.index", "dovecot.list.index.log", "dovecot.list.index.log.2", "dovecot.list.index.cache",
		"dovecot.mailbox.log", "dovecot.mailbox.log.2", "dovecot-uidvalidity", "dovecot-acl-list",
	}
	switch a.Layout {
	case MDBox:
		shared = append(shared, "storage", "attachments")
	case SDBox:
		shared = append(shared, "attachments")
	}
	shared = append(shared, a.Files...)
	slices.Sort(shared)
	return slices.Compact(shared)
}
