package store

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	maxFolderDepth = 40
	maxMailboxes   = 50000
	ownDir         = "dbox-Mails"
	asideDir       = "dovemend-aside"
)

var (
	guidName    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	messageFile = regexp.MustCompile(`^u\.[0-9]+$`)
	storageFile = regexp.MustCompile(`^(m\.[0-9]+|dovecot\.map\.index.*)$`)
)

// dboxAt recognises a dbox mail root: a directory with mailboxes/ in it. Unless it is named by the user, it must show
// more than that name: storage/ of mdbox, account-wide files of Dovecot, or a mailbox's folder in the usual place.
func (r *reader) dboxAt(ctx context.Context, root string, entries []fs.DirEntry, named bool) (*Account, error) {
	if !hasDir(entries, "mailboxes") {
		return nil, nil
	}
	a := &Account{Root: fromFS(root), Tree: true, Files: rootFiles(entries)}
	var stored bool
	var tree []fs.DirEntry
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		stored, err = r.hasStorage(gctx, root, entries)
		return err
	})
	g.Go(func() (err error) {
		if tree, err = r.readDir(gctx, path.Join(root, "mailboxes")); err != nil && r.lasting(gctx, err) {
			a.Unreadable = append(a.Unreadable, "mailboxes")
			return nil
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if !named && !stored && !dovecotRoot(a.Files) {
		if ok, err := r.holdsMailbox(ctx, root, tree); !ok {
			return nil, err
		}
	}
	if err := r.listDBox(ctx, root, tree, a); err != nil {
		return nil, err
	}
	if err := r.nameByIndex(ctx, root, a); err != nil {
		return nil, err
	}
	layout, err := r.dboxLayout(ctx, root, entries, stored, a.Mailboxes)
	a.Layout = layout
	return a, err
}

// hasStorage reports whether storage/ holds message files or a map index of mdbox.
func (r *reader) hasStorage(ctx context.Context, root string, entries []fs.DirEntry) (bool, error) {
	if !hasDir(entries, "storage") {
		return false, nil
	}
	files, err := r.readDir(ctx, path.Join(root, "storage"))
	if err != nil && !r.lasting(ctx, err) {
		return false, err
	}
	return slices.ContainsFunc(files, func(e fs.DirEntry) bool { return storageFile.MatchString(e.Name()) }), nil
}

// dovecotRoot reports whether there are files that Dovecot keeps in a mail root.
func dovecotRoot(files []RelPath) bool {
	return slices.ContainsFunc(files, func(f RelPath) bool { return strings.HasPrefix(string(f), "dovecot") })
}

// holdsMailbox looks one level into a mailboxes tree for a folder of a mailbox.
func (r *reader) holdsMailbox(ctx context.Context, root string, tree []fs.DirEntry) (bool, error) {
	for n, e := range tree {
		if !e.IsDir() || n > 64 {
			continue
		}
		inside, err := r.readDir(ctx, path.Join(root, "mailboxes", e.Name()))
		if err != nil {
			if !r.lasting(ctx, err) {
				return false, err
			}
			continue
		}
		if hasDir(inside, ownDir) || guidName.MatchString(e.Name()) && indexed(inside) {
			return true, nil
		}
	}
	return false, nil
}

// dboxLayout tells mdbox from sdbox: by storage/ with something in it; by message files u.N; by the name of the
// extension in an index; and where all of that is missing, by whether a storage directory exists, which Dovecot makes
// for mdbox alone.
func (r *reader) dboxLayout(ctx context.Context, root string, entries []fs.DirEntry, stored bool, boxes []Mailbox) (Layout, error) {
	if stored {
		return MDBox, nil
	}
	some := boxes[:min(len(boxes), 16)]
	for _, m := range some {
		files, err := r.readDir(ctx, path.Join(root, string(m.Dir)))
		if err != nil && !r.lasting(ctx, err) {
			return "", err
		}
		if slices.ContainsFunc(files, func(e fs.DirEntry) bool { return messageFile.MatchString(e.Name()) }) {
			return SDBox, nil
		}
	}
	for _, m := range some {
		for _, name := range []string{"dovecot.index", "dovecot.index.log", "dovecot.index.backup", "dovecot.index.log.2"} {
			b, err := r.head(path.Join(root, string(m.Dir), name), 64<<10)
			if err != nil && !r.lasting(ctx, err) {
				return "", err
			}
			if bytes.Contains(b, []byte("mdbox")) {
				return MDBox, nil
			}
			if bytes.Contains(b, []byte("dbox-hdr")) {
				return SDBox, nil
			}
		}
	}
	if hasDir(entries, "storage") {
		return MDBox, nil
	}
	return SDBox, nil
}

// listDBox fills in the mailboxes beneath mailboxes/: each folder that holds dbox-Mails, and with LAYOUT=index each
// folder named by a GUID. Folders without either are unselectable parents.
func (r *reader) listDBox(ctx context.Context, root string, tree []fs.DirEntry, a *Account) error {
	var mu sync.Mutex
	var level []string // storage names
	for _, e := range tree {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".dovemend-") {
			level = append(level, e.Name())
		}
	}
	for depth := 0; len(level) > 0; depth++ {
		if depth >= maxFolderDepth {
			r.cut.Store(true)
			break
		}
		var next []string
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(4 * parallelReads)
		for _, storage := range level {
			g.Go(func() error {
				dir := path.Join("mailboxes", storage)
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
				switch {
				case len(a.Mailboxes) >= maxMailboxes:
					r.cut.Store(true)
				case hasDir(inside, ownDir):
					a.Mailboxes = append(a.Mailboxes, Mailbox{decodePath(storage, "/"), storage, RelPath(dir + "/" + ownDir)})
				case depth == 0 && guidName.MatchString(storage) && indexed(inside):
					a.Mailboxes = append(a.Mailboxes, Mailbox{storage, storage, RelPath(dir)})
					return nil
				}
				for _, e := range inside {
					if e.IsDir() && e.Name() != ownDir {
						next = append(next, storage+"/"+e.Name())
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		level = next
	}
	return nil
}

// nameByIndex gives mailboxes of LAYOUT=index, whose folders are named by GUID, the name that their own index tells in its
// "box-name" extension: the storage names of all levels with NUL between them. Where none tells, the GUID stays the name.
func (r *reader) nameByIndex(ctx context.Context, root string, a *Account) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i := range a.Mailboxes {
		m := &a.Mailboxes[i]
		if path.Base(string(m.Dir)) == ownDir {
			continue
		}
		g.Go(func() error {
			state, err := r.replay(ctx, path.Join(root, string(m.Dir)), "dovecot.index")
			if state == nil || err != nil {
				return err
			}
			if ext := state.Ext("box-name"); ext != nil && len(ext.Header) > 0 && len(ext.Header) < 4096 {
				m.Name = decodePath(strings.TrimRight(string(ext.Header), "\x00"), "\x00")
			}
			return nil
		})
	}
	return g.Wait()
}

// indexed reports whether a folder holds index or message files of its own.
func indexed(entries []fs.DirEntry) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return strings.HasPrefix(e.Name(), "dovecot.index") || messageFile.MatchString(e.Name())
	})
}

func hasDir(entries []fs.DirEntry, name string) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && e.Name() == name })
}

// rootFiles picks the account-wide files out of a mail root.
func rootFiles(entries []fs.DirEntry) []RelPath {
	var files []RelPath
	for _, e := range entries {
		if e.Type().IsRegular() && accountWide(e.Name()) {
			files = append(files, RelPath(e.Name()))
		}
	}
	return files
}

func accountWide(name string) bool {
	for _, prefix := range []string{"dovecot.list.index", "dovecot.mailbox.log", "dovecot-uidvalidity", "dovecot-acl-list", "dovecot-shared"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "subscriptions" || name == "maildirsize"
}
