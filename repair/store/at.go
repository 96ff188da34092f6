package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// ErrNoMail: a directory that was said to be a mail root holds neither mailboxes/ nor cur/, new/ and tmp/.
var ErrNoMail = errors.New("no mailboxes/ directory and no Maildir there")

// RootError: what was said to be a mail root cannot be one.
type RootError struct {
	Root HostPath
	Why  string
}

func (e *RootError) Error() string { return fmt.Sprintf("mail root %q: %s", e.Root, e.Why) }

// Is makes it an [fs.ErrNotExist], whichever of the reasons it is.
func (e *RootError) Is(target error) bool { return target == fs.ErrNotExist }

// mailReads is how many directories of one account are read.
const mailReads = 200000

// At gives the account whose mail root this is. A path into the account will do: the mailboxes tree, a mailbox's folder
// in it, storage/, a Maildir's folder; the mail root is looked for upwards. Relative, empty and unclean paths and "/" are
// refused, and symbolic links are resolved.
func At(ctx context.Context, fsys fs.FS, root HostPath) (Account, error) {
	if err := checkHostPath(root); err != nil {
		return Account{}, fmt.Errorf("mail root: %w", err)
	}
	r := newReader(fsys, mailReads)
	name, info, err := resolve(fsys, root.inFS())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Account{}, &RootError{Root: root, Why: "there is no such directory on the host"}
	case err != nil:
		return Account{}, fmt.Errorf("mail root %q: %w", root, err)
	case name == ".":
		return Account{}, &RootError{Root: root, Why: "it leads to the root directory"}
	case !info.IsDir():
		return Account{}, &RootError{Root: root, Why: "it is not a directory"}
	}
	a, err := r.upwards(ctx, name)
	if err != nil {
		return Account{}, fmt.Errorf("mail root %q: %w", root, err)
	}
	a.Address = cmp.Or(addressOf(a.Root), addressOf(root))
	return *a, nil
}

// upwards looks for the account at a directory, then for the one around it.
func (r *reader) upwards(ctx context.Context, name string) (*Account, error) {
	entries, err := r.readDir(ctx, name)
	if err != nil {
		return nil, err
	}
	// A tree named mailboxes above decides first: a folder in it may be called anything.
	var found *Account
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if base := path.Base(dir); base != "mailboxes" && !(base == "storage" && dir == name) {
			continue
		}
		a, err := r.at(ctx, path.Dir(dir), false)
		if err != nil {
			return nil, err
		}
		// A mailbox may be called mailboxes too: a root in which Dovecot keeps its own files is surer.
		if a != nil && (found == nil || !dovecotRoot(found.Files) && dovecotRoot(a.Files)) {
			found = a
		}
	}
	if found != nil {
		return found, nil
	}
	if isMaildir(entries) || mailDirs[path.Base(name)] {
		return r.maildirRoot(ctx, name)
	}
	if a, err := r.accountAt(ctx, name, entries, true); a != nil || err != nil {
		return a, err
	}
	if path.Base(name) == "mailboxes" && path.Dir(name) != "." {
		// A tree that shows nothing: still what the user named.
		if a, err := r.at(ctx, path.Dir(name), true); a != nil || err != nil {
			return a, err
		}
	}
	return nil, ErrNoMail
}

func (r *reader) at(ctx context.Context, dir string, named bool) (*Account, error) {
	if dir == "." {
		return nil, nil
	}
	entries, err := r.readDir(ctx, dir)
	if err != nil {
		if r.lasting(ctx, err) {
			return nil, nil
		}
		return nil, err
	}
	return r.accountAt(ctx, dir, entries, named)
}

// maildirRoot goes up from a folder of a Maildir to its root: from cur, from .Folder, and with LAYOUT=fs from folders
// within folders.
func (r *reader) maildirRoot(ctx context.Context, name string) (*Account, error) {
	if mailDirs[path.Base(name)] {
		name = path.Dir(name)
	}
	for path.Dir(name) != "." {
		up := path.Dir(name)
		entries, err := r.readDir(ctx, up)
		if err != nil {
			if !r.lasting(ctx, err) {
				return nil, err
			}
			break
		}
		if !isMaildir(entries) {
			break
		}
		if !strings.HasPrefix(path.Base(name), ".") {
			// A Maildir in a Maildir: a folder of it only if the upper one is not Maildir++.
			a, err := r.maildirAt(ctx, up, entries)
			if err != nil {
				return nil, err
			}
			if !a.FSLayout {
				break
			}
		}
		name = up
	}
	a, err := r.at(ctx, name, true)
	if a == nil && err == nil {
		err = ErrNoMail
	}
	return a, err
}
