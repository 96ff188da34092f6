package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/pkg/sftp"
)

// Class says what a path is meant to be; the guard checks that it is one.
type Class string

const (
	ClassCache       Class = "cache"        // the file dovecot.index.cache
	ClassIndex       Class = "index"        // the file dovecot.index
	ClassIndexFile   Class = "index-file"   // dovecot.index, .backup, .log, .log.2, .cache (and those of the map and list index, for writing)
	ClassMailboxFile Class = "mailbox-file" // any regular file directly in one mailbox's own folder
	ClassFolder      Class = "folder"       // a directory of a mailbox
	ClassTemp        Class = "temp"         // a file of our own: name begins with ".dovemend-"
	ClassAside       Class = "aside"        // something at or beneath dovemend-aside/; for writing only
)

const (
	treeName   = "mailboxes"      // the guarded directory in a mail root
	asideName  = "dovemend-aside" // where things are set aside, in a mail root
	tempPrefix = ".dovemend-"     // how files of our own begin
)

// Root is the mail root of one account: the directory that holds mailboxes/, or the Maildir. Only it makes the
// [GuardedPath] without which nothing is removed and the [WritablePath] without which nothing is written. Removal is
// possible only strictly beneath mailboxes/ in it; where there is none, nothing can be removed at all.
//
// A Root is bound to the connection it was opened on: when that is lost its verbs fail, also if reading work has made
// a new one, and a new Root must be opened. All methods may be called from several goroutines.
type Root struct {
	dir   string   // absolute, clean, no symbolic link in any component when it was opened
	homes []string // the home directory as the login gives it and resolved
	uid   int      // who must own the directories; -1 unknown
	tree  bool     // mailboxes is a real directory in dir
	view  viewer
	link  *link
	sftp  *sftp.Client
	host  *Host // nil: there is SFTP alone
}

// Dir is the mail root's absolute path, symbolic links resolved.
func (r *Root) Dir() string { return r.dir }

// Removable tells whether there is a mailboxes tree, beneath which removal is possible.
func (r *Root) Removable() bool { return r.tree }

// OpenRoot opens the account whose mail root this is. Symbolic links in the path are resolved first, and the resolved
// path is what is kept and judged. Refusals are [*GuardError].
func (h *Host) OpenRoot(ctx context.Context, mailRoot string) (*Root, error) {
	l, err := h.current()
	if err != nil {
		return nil, fmt.Errorf("open mail root: %w", err)
	}
	c, err := l.sftp(ctx)
	if err != nil {
		return nil, fmt.Errorf("open mail root: %w", err)
	}
	info := h.Info()
	r, err := openRoot(ctx, l, c, []string{info.Home, info.HomeLink}, info.UID, mailRoot)
	if err != nil {
		return nil, err
	}
	r.host = h
	return r, nil
}

func openRoot(ctx context.Context, l *link, c *sftp.Client, homes []string, uid int, mailRoot string) (*Root, error) {
	r := &Root{homes: homes, uid: uid, view: sftpView{l, c}, link: l, sftp: c}
	if err := r.open(ctx, mailRoot); err != nil {
		return nil, err
	}
	return r, nil
}

// open resolves and judges the mail root, and looks for its mailboxes tree.
func (r *Root) open(ctx context.Context, given string) error {
	if err := rootText(r, given); err != nil {
		return err
	}
	dir, err := resolve(ctx, r.view, given)
	if err != nil {
		return fmt.Errorf("open mail root: %w", err)
	}
	if err := rootText(r, dir); err != nil {
		return err
	}
	for _, home := range r.homes { // a home that is itself a symbolic link
		if !path.IsAbs(home) {
			continue
		}
		if real, err := resolve(ctx, r.view, path.Clean(home)); err == nil {
			r.homes = append(r.homes, real)
		}
	}
	if err := rootText(r, dir); err != nil {
		return err
	}
	at := r.view.item(ctx, dir)
	switch {
	case at.err != nil:
		return fmt.Errorf("open mail root: %w", at.err)
	case at.kind != fs.ModeDir:
		return &GuardError{Rule: ruleType, Path: dir, Err: errors.New("the mail root is not a directory")}
	}
	if r.uid < 0 {
		r.uid = at.uid
	}
	if r.uid >= 0 && at.uid >= 0 && at.uid != r.uid {
		return &GuardError{Rule: ruleOwner, Path: dir, Err: fmt.Errorf("the mail root belongs to user id %d, the login is %d", at.uid, r.uid)}
	}
	tree := r.view.item(ctx, path.Join(dir, treeName))
	if tree.err != nil && !errors.Is(tree.err, fs.ErrNotExist) {
		return fmt.Errorf("open mail root: %w", tree.err)
	}
	r.dir = dir
	r.tree = tree.err == nil && tree.kind == fs.ModeDir
	return nil
}

// resolve follows every symbolic link in p. The host's own answer is not enough: not every SFTP server resolves links
// in REALPATH, so each component is looked at again, and links are followed here.
func resolve(ctx context.Context, v viewer, p string) (string, error) {
	const maxLinks = 40 // as Linux
	p, err := v.realPath(ctx, p)
	if err != nil {
		return "", err
	}
	for range maxLinks {
		if !path.IsAbs(p) || path.Clean(p) != p {
			return "", &GuardError{Rule: ruleClean, Path: p, Err: errors.New("the host resolves the path to one that is not absolute and clean")}
		}
		chain := chainOf(p)
		link := -1
		for i, at := range v.dirs(ctx, chain) {
			if at.err != nil {
				return "", at.err
			}
			if at.kind == fs.ModeSymlink {
				link = i
				break
			}
		}
		if link < 0 {
			return p, nil
		}
		target, err := v.readLink(ctx, chain[link])
		if err != nil {
			return "", err
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(chain[link]), target)
		}
		p = path.Join(target, strings.TrimPrefix(p, chain[link]))
	}
	return "", &GuardError{Rule: ruleSymlink, Path: p, Err: errors.New("too many symbolic links")}
}

// chainOf gives p and all directories above it but "/", from the top down.
func chainOf(p string) []string {
	var chain []string
	for i := 1; i < len(p); i++ {
		if p[i] == '/' {
			chain = append(chain, p[:i])
		}
	}
	if p != "/" {
		chain = append(chain, p)
	}
	return chain
}
