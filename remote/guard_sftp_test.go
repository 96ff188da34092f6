//go:build unix

package remote

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realTree puts the fake tree on the real file system and opens a Root there through OpenSSH's SFTP server.
func realTree(t *testing.T) (top string, r *Root, tree fakeTree) {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tree = newFakeTree()
	plantTree(t, top, tree)
	if os.Getuid() == 0 {
		if err := os.Chown(filepath.Join(top, fakeMail, "mailboxes/Theirs"), 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	l, c := startSFTP(t, sftpOptions{})
	r, err = openRoot(context.Background(), l, c, []string{filepath.Join(top, fakeHome)}, os.Getuid(), filepath.Join(top, "/home/link/mail/example.org/anna"))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(top, fakeMail); r.Dir() != want {
		t.Fatalf("mail root %q, want %q", r.Dir(), want)
	}
	return top, r, tree
}

// confined says whether a path, however it is read, ends up within the test's own directory. These tests act on what they
// are given, maybe as root, and a guard that is broken must fail them without harm to the machine: what is not confined
// is put to the guard and never acted upon.
func confined(top string, r *Root, rel string) bool {
	depth := 0
	for _, part := range strings.Split(strings.ReplaceAll(rel, "\x00", "/"), "/") {
		if part == ".." {
			depth++
		}
	}
	below := strings.Count(strings.TrimPrefix(r.Dir(), top+"/"), "/") + 1
	return depth <= below && strings.HasPrefix(filepath.Join(r.Dir(), rel), top+"/")
}

// TestGuardOnOpenSSHTouchesNoCanary generates 100,000 hostile paths, takes those that name something on the real file
// system, and tries to remove each as every class: with the guard's pass where it gives one, with a forged one where it
// refuses. What is outside the tree must be untouched, and in the tree exactly what passed is gone.
func TestGuardOnOpenSSHTouchesNoCanary(t *testing.T) {
	ctx := context.Background()
	top, r, tree := realTree(t)
	inTree := func(p string) bool { return p == filepath.Join(r.Dir(), "mailboxes") }
	before := picture(t, top, inTree)
	within := picture(t, r.Dir()+"/mailboxes", func(string) bool { return false })

	rng := rand.New(rand.NewPCG(5, 6))
	rels := relsOf(tree, fakeMail)
	paths := map[string]bool{}
	for range 100_000 {
		p := hostilePath(rng, rels, r.Dir())
		for _, name := range []string{r.Dir() + "/" + p, p} {
			if _, err := os.Lstat(name); err == nil {
				paths[p] = true
			}
		}
	}
	kind := func(rel string) (fs.FileMode, bool) {
		n, ok := within[r.Dir()+"/"+rel]
		if !ok {
			return 0, false
		}
		switch n[0] {
		case '-':
			return 0, true
		case 'd':
			return fs.ModeDir, true
		}
		return fs.ModeIrregular, true
	}
	removed := map[string]bool{}
	passed, refused := 0, 0
	for p := range paths {
		for _, class := range allClasses {
			g, err := r.Guard(ctx, p, class)
			if err != nil {
				refused++
				if !confined(top, r, p) {
					continue
				}
				for _, forged := range []GuardedPath{{}, {root: r, rel: p, class: class}, {root: &Root{}, rel: p, class: class}} {
					if r.Remove(ctx, forged) == nil || r.RemoveDir(ctx, forged) == nil {
						t.Errorf("refused %q as %s, and yet it was removed", p, class)
					}
				}
				continue
			}
			passed++
			if ok, why := oracle(p, class, true, kind); !ok || !confined(top, r, p) {
				t.Errorf("guard passed %q as %s: %s", p, class, why)
				continue
			}
			if class == ClassFolder {
				if r.Remove(ctx, g) == nil {
					t.Errorf("Remove took the directory %q", p)
				}
				if r.RemoveDir(ctx, g) == nil {
					removed[r.Dir()+"/"+p] = true
				}
				continue
			}
			if r.RemoveDir(ctx, g) == nil {
				t.Errorf("RemoveDir took the file %q", p)
			}
			if err := r.Remove(ctx, g); err != nil {
				t.Errorf("remove %q: %v", p, err)
			}
			removed[r.Dir()+"/"+p] = true
		}
	}
	t.Logf("%d paths name something; %d judgements passed, %d refused, %d things removed", len(paths), passed, refused, len(removed))
	if len(paths) < 1000 || passed < 10 || refused < 1000 {
		t.Error("the generator makes nothing of use")
	}
	comparePictures(t, before, picture(t, top, inTree))
	left := picture(t, r.Dir()+"/mailboxes", func(string) bool { return false })
	for p := range within {
		if _, there := left[p]; there == removed[p] {
			t.Errorf("%s: there %v, removed by us %v", p, there, removed[p])
		}
	}
	if _, err := os.Lstat(r.Dir() + "/mailboxes/INBOX/dbox-Mails/dovecot.index"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the plainest path of all was not removed")
	}
}

// TestGuardOnOpenSSHWritesToNoCanary is the same for writing: forged and passed paths are made, filled and moved.
func TestGuardOnOpenSSHWritesToNoCanary(t *testing.T) {
	ctx := context.Background()
	top, r, tree := realTree(t)
	before := picture(t, top, func(p string) bool { return p == r.Dir() })
	rng := rand.New(rand.NewPCG(7, 8))
	rels := append(relsOf(tree, fakeMail), "mailboxes/Evil/new", "mailboxes/Evil2/dbox-Mails/.dovemend-1", "mailboxes/Loop/dbox-Mails/.dovemend-1")
	temp, err := r.GuardWrite(ctx, "mailboxes/INBOX/dbox-Mails/.dovemend-put", ClassTemp)
	if err != nil {
		t.Fatal(err)
	}
	source, err := r.GuardWrite(ctx, "mailboxes/INBOX/dbox-Mails/u.1", ClassMailboxFile)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for range 2000 {
		p := hostilePath(rng, rels, r.Dir())
		class := allClasses[rng.IntN(len(allClasses))]
		w, err := r.GuardWrite(ctx, p, class)
		if err == nil && !confined(top, r, p) {
			t.Fatalf("guard passed %q as %s for writing", p, class)
		}
		if !confined(top, r, p) {
			continue
		}
		if err != nil {
			forged := WritablePath{root: r, rel: p, class: class}
			if r.Mkdir(ctx, forged, Attr{}) == nil || r.SetAttr(ctx, forged, Attr{Mode: 0o777}) == nil ||
				r.Rename(ctx, source, forged) == nil || r.Rename(ctx, forged, temp) == nil ||
				r.Put(ctx, temp, forged, strings.NewReader("x"), Attr{}) == nil || r.Put(ctx, forged, temp, strings.NewReader("x"), Attr{}) == nil {
				t.Fatalf("refused %q as %s (%v), and yet it was changed", p, class, err)
			}
			continue
		}
		passed++
		// Whatever these do, they do it beneath the mail root.
		r.SetAttr(ctx, w, Attr{Mode: 0o750})
		r.Mkdir(ctx, w, Attr{})
		r.Put(ctx, temp, w, strings.NewReader("hello"), Attr{})
	}
	t.Logf("%d passed", passed)
	if passed < 50 {
		t.Error("the generator makes nothing of use")
	}
	comparePictures(t, before, picture(t, top, func(p string) bool { return p == r.Dir() }))
}
