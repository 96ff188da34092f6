package repair

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// Where Dovecot moves the folder of a mailbox that somebody deletes, to empty it there. Where that is interrupted, mail is left in it.
// The mail of mdbox is in the storage all the time.
const (
	maildirTrash = "..DOVECOT-TRASHED"
	dboxTrash    = "trash"
	trashLevels  = 3
)

// readTrash adds what was left of deleted mailboxes to what is known of an account. It gives what was added.
func (l *Local) readTrash(ctx context.Context, acct *reconstruct.Account) (trash map[*reconstruct.State]bool, err error) {
	var dirs []string
	switch l.Account.Layout {
	case store.Maildir:
		dirs = l.trashed(maildirTrash, trashLevels, nil)
	case store.SDBox:
		dirs = l.trashed(dboxTrash, trashLevels, nil)
	}
	if len(dirs) == 0 {
		return nil, nil
	}
	var boxes []store.Mailbox
	for i, d := range dirs {
		name := "deleted mailbox"
		if i > 0 {
			name += fmt.Sprint(" ", i+1)
		}
		boxes = append(boxes, store.Mailbox{Name: name, Storage: d, Dir: store.RelPath(d)})
	}
	old, err := reconstruct.Read(ctx, l.FS, l.Account, boxes)
	if err != nil {
		return nil, err
	}
	trash = map[*reconstruct.State]bool{}
	for _, s := range old.Boxes {
		trash[s] = true
	}
	acct.Boxes, acct.Orphans = append(acct.Boxes, old.Boxes...), append(acct.Orphans, old.Orphans...)
	return trash, nil
}

// trashed lists the folders with messages at and beneath one of those in which deleted mailboxes are put.
func (l *Local) trashed(dir string, levels int, found []string) []string {
	entries, err := fs.ReadDir(l.FS, dir)
	if err != nil {
		return found // mostly there is none
	}
	maildir := l.Account.Layout == store.Maildir
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		if maildir {
			return e.IsDir() && (e.Name() == "cur" || e.Name() == "new")
		}
		info, err := e.Info()
		return err == nil && info.Mode().IsRegular() && sdboxFile(info) != noMessage
	}) {
		found = append(found, dir)
	}
	for _, e := range entries {
		if e.IsDir() && levels > 1 && !(maildir && (e.Name() == "cur" || e.Name() == "new" || e.Name() == "tmp")) {
			found = l.trashed(path.Join(dir, e.Name()), levels-1, found)
		}
	}
	return found
}
