package remote

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
)

// fakeNode is one entry of a fakeTree.
type fakeNode struct {
	kind fs.FileMode
	uid  int
	link string
}

// fakeTree is a host's file system by absolute path. Lookups walk it component by component, following symbolic links
// on the way as a kernel does.
type fakeTree map[string]fakeNode

const fakeUID = 1000

// add makes a directory (trailing slash), a symbolic link ("name -> target") or a file, and what is above it.
func (t fakeTree) add(entries ...string) {
	for _, e := range entries {
		name, link, isLink := strings.Cut(e, " -> ")
		node := fakeNode{uid: fakeUID}
		switch {
		case isLink:
			node.kind, node.link = fs.ModeSymlink, link
		case strings.HasSuffix(name, "/"):
			name, node.kind = strings.TrimSuffix(name, "/"), fs.ModeDir
		}
		t[name] = node
		for d := path.Dir(name); d != "/"; d = path.Dir(d) {
			if _, ok := t[d]; !ok {
				t[d] = fakeNode{kind: fs.ModeDir, uid: fakeUID}
			}
		}
	}
}

// walk finds the real path of p; last says whether a link in the last component is followed.
func (t fakeTree) walk(p string, last bool) (string, fakeNode, error) {
	at := "/"
	parts := strings.Split(p, "/")
	links := 0
	for i := 0; i < len(parts); i++ {
		switch parts[i] {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		if at != "/" && t[at].kind != fs.ModeDir {
			return "", fakeNode{}, fs.ErrNotExist
		}
		next := path.Join(at, parts[i])
		n, ok := t[next]
		if !ok || len(parts[i]) > 255 || strings.IndexByte(parts[i], 0) >= 0 {
			return "", fakeNode{}, &fs.PathError{Op: "lstat", Path: p, Err: fs.ErrNotExist}
		}
		if n.kind == fs.ModeSymlink && (last || i < len(parts)-1) {
			if links++; links > 40 {
				return "", fakeNode{}, errors.New("too many links")
			}
			rest := append(strings.Split(n.link, "/"), parts[i+1:]...)
			if path.IsAbs(n.link) {
				at = "/"
			}
			parts, i = rest, -1
			continue
		}
		at = next
	}
	if at == "/" {
		return at, fakeNode{kind: fs.ModeDir}, nil
	}
	return at, t[at], nil
}

// fakeView is a viewer over a fakeTree. A lazy one answers REALPATH as servers do that do not resolve links.
type fakeView struct {
	tree fakeTree
	lazy bool
}

func (v fakeView) item(_ context.Context, p string) seen {
	_, n, err := v.tree.walk(p, false)
	return seen{kind: n.kind, uid: n.uid, err: err}
}

func (v fakeView) dirs(ctx context.Context, paths []string) []seen {
	out := make([]seen, len(paths))
	for i, p := range paths {
		out[i] = v.item(ctx, p)
	}
	return out
}

func (v fakeView) realPath(_ context.Context, p string) (string, error) {
	if v.lazy {
		return path.Clean(p), nil
	}
	real, _, err := v.tree.walk(p, true)
	return real, err
}

func (v fakeView) readLink(_ context.Context, p string) (string, error) {
	_, n, err := v.tree.walk(p, false)
	if err == nil && n.kind != fs.ModeSymlink {
		err = fs.ErrInvalid
	}
	return n.link, err
}

const (
	fakeHome = "/home/u"
	fakeMail = "/userdata01/u/mail/example.org/anna"
)

// newFakeTree is a shared host with two accounts and much beside them.
func newFakeTree() fakeTree {
	t := fakeTree{}
	for _, a := range []string{"anna", "bert"} {
		m := "/userdata01/u/mail/example.org/" + a + "/"
		t.add(m+"storage/m.1", m+"storage/dovecot.map.index", m+"subscriptions", m+"dovecot.list.index",
			m+"mailboxes/INBOX/dbox-Mails/dovecot.index", m+"mailboxes/INBOX/dbox-Mails/dovecot.index.log",
			m+"mailboxes/INBOX/dbox-Mails/dovecot.index.log.2", m+"mailboxes/INBOX/dbox-Mails/dovecot.index.backup",
			m+"mailboxes/INBOX/dbox-Mails/dovecot.index.cache", m+"mailboxes/INBOX/dbox-Mails/u.1",
			m+"mailboxes/INBOX/dbox-Mails/.dovemend-x", m+"mailboxes/INBOX/Sub/dbox-Mails/dovecot.index",
			m+"mailboxes/Archiv&APY-/dbox-Mails/dovecot.index.cache", m+"mailboxes/stray",
			m+"mailboxes/Empty/dbox-Mails/", m+"mailboxes/-rf/dbox-Mails/u.1", m+"mailboxes/0123456789abcdef0123456789abcdef/u.1", m+"mailboxes/Old/cur/1.M2.x:2,S",
			m+"mailboxes/Old/dovecot-uidlist", m+"mailboxes/Old/notes.txt",
			m+"mailboxes/Evil -> /home/u/canary", m+"mailboxes/Evil2/dbox-Mails -> /home/u/canary",
			m+"mailboxes/Evil3/dbox-Mails/u.1 -> /home/u/canary/u.1", m+"mailboxes/Evil4 -> ../../bert/mailboxes/INBOX",
			m+"mailboxes/Loop/dbox-Mails -> ../Loop/dbox-Mails",
			m+"dovemend-aside/r1/dovecot.index", m+"Mailboxes/INBOX/dbox-Mails/dovecot.index")
		t[m+"mailboxes/INBOX/dbox-Mails/fifo"] = fakeNode{kind: fs.ModeNamedPipe, uid: fakeUID}
		t[m+"mailboxes/INBOX/dbox-Mails/u.2"] = fakeNode{uid: 0}
		t.add(m + "mailboxes/Theirs/dbox-Mails/u.1")
		t[m+"mailboxes/Theirs"] = fakeNode{kind: fs.ModeDir, uid: 0}
		t.add(m + "mailboxes/Odd/dbox-Mails/dovecot.index")
		t[m+"mailboxes/Odd/dbox-Mails/dovecot.index"] = fakeNode{kind: fs.ModeIrregular, uid: fakeUID}
	}
	t.add("/home/u/canary/u.1", "/home/u/canary/dovecot.index", "/home/u/.bashrc", "/home/v/secret",
		"/home/u/mail -> /userdata01/u/mail", "/home/link -> u", "/home/u/Maildir/cur/1.M1.h:2,S", "/home/u/Maildir/.Sub/dovecot-uidlist",
		"/home/u/Maildir/dovecot.index", "/home/u/fake/mailboxes -> /home/u/canary", "/home/u/plain", "/etc/passwd", "/home/u/loop -> loop")
	t["/home/v"] = fakeNode{kind: fs.ModeDir, uid: 2000}
	t["/home/v/secret"] = fakeNode{uid: 2000}
	t["/home"] = fakeNode{kind: fs.ModeDir}
	return t
}

// fakeRoot opens a mail root in a fake tree.
func fakeRoot(tree fakeTree, lazy bool, dir string) (*Root, error) {
	r := &Root{homes: []string{fakeHome, "/home/link"}, uid: fakeUID, view: fakeView{tree, lazy}}
	return r, r.open(context.Background(), dir)
}

func mustFakeRoot(t testing.TB, tree fakeTree, dir string) *Root {
	t.Helper()
	r, err := fakeRoot(tree, false, dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
