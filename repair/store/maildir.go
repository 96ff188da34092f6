package store

import (
	"context"
	"io/fs"
	"path"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// isMaildir reports whether a directory with these entries is a Maildir. One of cur, new and tmp may be missing: that
// is a damage dovemend is made for.
func isMaildir(entries []fs.DirEntry) bool {
	dirs := 0
	var uidlist bool
	for _, e := range entries {
		switch name := e.Name(); {
		case e.IsDir() && (name == "cur" || name == "new" || name == "tmp"):
			dirs++
		case name == "dovecot-uidlist":
			uidlist = true
		}
	}
	return dirs >= 2 || dirs == 1 && uidlist
}

// maildirAt recognises a Maildir and lists its mailboxes. Folders named with a leading dot make it Maildir++; folders
// without one that are Maildirs themselves make it LAYOUT=fs, unless dotted ones are there too: then they are other
// accounts, as on hosts that keep ~/mail as one account's Maildir and ~/mail/DOMAIN/USER beside it.
func (r *reader) maildirAt(ctx context.Context, root string, entries []fs.DirEntry) (*Account, error) {
	if !isMaildir(entries) {
		return nil, nil
	}
	a := &Account{Root: fromFS(root), Layout: Maildir, Files: rootFiles(entries), Mailboxes: []Mailbox{{"INBOX", "INBOX", "."}}}
	var dotted, plain []string
	for _, e := range entries {
		switch name := e.Name(); {
		case !e.IsDir() || mailDirs[name] || name == asideDir || strings.HasPrefix(name, ".dovemend-"):
		case strings.HasPrefix(name, "."):
			if s := name[1:]; s != "" && !strings.HasPrefix(s, ".") {
				dotted = append(dotted, name)
			}
		case !isDomain(name):
			plain = append(plain, name)
		}
	}
	found, _, err := r.maildirs(ctx, root, dotted, a)
	if err != nil {
		return nil, err
	}
	for _, dir := range found {
		m := Mailbox{decodePath(dir[1:], "."), dir[1:], RelPath(dir)}
		if strings.EqualFold(m.Name, "INBOX") { // the root is INBOX; a folder of that name must be told from it
			m.Name, m.Storage = dir, dir
		}
		a.Mailboxes = append(a.Mailboxes, m)
	}
	if len(found) > 0 {
		return a, nil
	}
	for depth := 0; len(plain) > 0; depth++ {
		if depth >= maxFolderDepth || len(a.Mailboxes) > maxMailboxes {
			r.cut.Store(true)
			break
		}
		found, beneath, err := r.maildirs(ctx, root, plain, a)
		if err != nil {
			return nil, err
		}
		for _, dir := range found {
			a.FSLayout = true
			m := Mailbox{decodePath(dir, "/"), dir, RelPath(dir)}
			if strings.EqualFold(m.Name, "INBOX") {
				m.Name = "./" + dir
			}
			a.Mailboxes = append(a.Mailboxes, m)
		}
		if len(found) == 0 && depth >= 2 {
			break // folders of something else
		}
		plain = beneath
	}
	return a, nil
}

// maildirs reads directories in parallel and yields those that are mail folders, and the plain directories beneath
// them all.
func (r *reader) maildirs(ctx context.Context, root string, dirs []string, a *Account) (found, beneath []string, err error) {
	kind := make([]bool, len(dirs))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4 * parallelReads)
	for i, dir := range dirs {
		g.Go(func() error {
			inside, err := r.readDir(ctx, path.Join(root, dir))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if !r.lasting(ctx, err) {
					return err
				}
				a.Unreadable = append(a.Unreadable, RelPath(dir))
				return nil
			}
			kind[i] = isMaildir(inside) || strings.HasPrefix(dir, ".") && isFolder(inside)
			for _, e := range inside {
				if e.IsDir() && !mailDirs[e.Name()] && !skip(e.Name()) {
					beneath = append(beneath, dir+"/"+e.Name())
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i, dir := range dirs {
		if kind[i] {
			found = append(found, dir)
		}
	}
	return found, beneath, nil
}

// isFolder is isMaildir for a dotted directory inside a Maildir, where any one sign is enough.
func isFolder(entries []fs.DirEntry) bool {
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() && mailDirs[name] || !e.IsDir() && (name == "maildirfolder" || name == "dovecot-uidlist" || strings.HasPrefix(name, "dovecot.index")) {
			return true
		}
	}
	return false
}

var mailDirs = map[string]bool{"cur": true, "new": true, "tmp": true}
