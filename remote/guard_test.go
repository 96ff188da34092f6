package remote

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func ruleOf(err error) string {
	var g *GuardError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &g):
		return g.Rule
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	}
	return "other: " + err.Error()
}

func TestGuardJudgesMailRoots(t *testing.T) {
	tests := []struct {
		root, want string
		dir        string
		tree       bool
	}{
		{fakeMail, "", fakeMail, true},
		{"/home/u/mail/example.org/anna", "", fakeMail, true},
		{"/home/link/mail/example.org/anna", "", fakeMail, true},
		{"/home/u/Maildir", "", "/home/u/Maildir", false},
		{"/home/u/fake", "", "/home/u/fake", false},
		{"", ruleClean, "", false},
		{".", ruleClean, "", false},
		{"mail/example.org/anna", ruleClean, "", false},
		{"~/mail", ruleClean, "", false},
		{fakeMail + "/", ruleClean, "", false},
		{fakeMail + "/../anna", ruleClean, "", false},
		{"/userdata01//u", ruleClean, "", false},
		{"//", ruleClean, "", false},
		{fakeMail + "\x00", ruleControl, "", false},
		{"/home/u/a\nb", ruleControl, "", false},
		{"/home/u/" + strings.Repeat("x", 256), ruleLength, "", false},
		{"/" + strings.Repeat("x/", 2100) + "x", ruleLength, "", false},
		{"/", ruleTop, "", false},
		{"/home", ruleHome, "", false},
		{"/home/u", ruleHome, "", false},
		{"/home/link", ruleHome, "", false},
		{"/home/v", ruleOwner, "", false},
		{"/home/u/plain", ruleType, "", false},
		{"/home/u/missing", "missing", "", false},
		{"/home/u/loop", "other: ", "", false},
	}
	for _, lazy := range []bool{false, true} {
		for _, tt := range tests {
			r, err := fakeRoot(newFakeTree(), lazy, tt.root)
			if tt.root == "/home/u/loop" {
				if err == nil {
					t.Errorf("open %q (lazy %v): passed", tt.root, lazy)
				}
				continue
			}
			if got := ruleOf(err); got != tt.want {
				t.Errorf("open %.80q (lazy %v): %q (%v), want %q", tt.root, lazy, got, err, tt.want)
				continue
			}
			if err == nil && (r.Dir() != tt.dir || r.Removable() != tt.tree) {
				t.Errorf("open %q (lazy %v): dir %q removable %v, want %q %v", tt.root, lazy, r.Dir(), r.Removable(), tt.dir, tt.tree)
			}
		}
	}
}

func TestGuardRefusesResolvedHome(t *testing.T) {
	tree := newFakeTree()
	r := &Root{homes: []string{"/home/link"}, uid: fakeUID, view: fakeView{tree, true}}
	if got := ruleOf(r.open(context.Background(), "/home/u")); got != ruleHome {
		t.Errorf("home behind a symbolic link: rule %q, want %q", got, ruleHome)
	}
}

func TestGuardJudgesRemovals(t *testing.T) {
	in := "mailboxes/INBOX/dbox-Mails/"
	tests := []struct {
		rel   string
		class Class
		want  string
	}{
		{in + "dovecot.index", ClassIndex, ""},
		{in + "dovecot.index.cache", ClassCache, ""},
		{in + "dovecot.index.log.2", ClassIndexFile, ""},
		{in + "u.1", ClassMailboxFile, ""},
		{in + "u.2", ClassMailboxFile, ""}, // another's file in an own folder
		{in + ".dovemend-x", ClassTemp, ""},
		{"mailboxes/INBOX/Sub/dbox-Mails/dovecot.index", ClassIndex, ""},
		{"mailboxes/Archiv&APY-/dbox-Mails/dovecot.index.cache", ClassCache, ""},
		{"mailboxes/-rf/dbox-Mails/u.1", ClassMailboxFile, ""},
		{"mailboxes/0123456789abcdef0123456789abcdef/u.1", ClassMailboxFile, ""},
		{"mailboxes/0123456789abcdef0123456789abcdeF/u.1", ClassMailboxFile, ruleClass},
		{"mailboxes/0123456789abcdef0123456789abcdef/Sub/u.1", ClassMailboxFile, ruleClass},
		{"mailboxes/Old/cur/1.M2.x:2,S", ClassMailboxFile, ""},
		{"mailboxes/Old/dovecot-uidlist", ClassMailboxFile, ""},
		{"mailboxes/Empty/dbox-Mails", ClassFolder, ""},
		{"mailboxes/Empty", ClassFolder, ""},

		{"", ClassFolder, ruleClean},
		{".", ClassFolder, ruleClean},
		{"..", ClassFolder, ruleClean},
		{"../bert/" + in + "dovecot.index", ClassIndex, ruleClean},
		{"mailboxes/../../bert/mailboxes/INBOX/dbox-Mails/dovecot.index", ClassIndex, ruleClean},
		{"mailboxes/INBOX/../INBOX/dbox-Mails/dovecot.index", ClassIndex, ruleClean},
		{"./" + in + "dovecot.index", ClassIndex, ruleClean},
		{"mailboxes//INBOX/dbox-Mails/dovecot.index", ClassIndex, ruleClean},
		{in + "dovecot.index/", ClassIndex, ruleClean},
		{fakeMail + "/" + in + "dovecot.index", ClassIndex, ruleClean},
		{"/etc/passwd", ClassMailboxFile, ruleClean},
		{in + "dovecot.index\x00", ClassIndex, ruleControl},
		{"mailboxes/a\x1bb/dbox-Mails/dovecot.index", ClassIndex, ruleControl},
		{in + strings.Repeat("n", 256), ClassMailboxFile, ruleLength},
		{"mailboxes/" + strings.Repeat("n/", 2100) + "dovecot.index", ClassIndex, ruleLength},
		{"mailboxes", ClassFolder, ruleNotTree},
		{"storage/m.1", ClassMailboxFile, ruleBeneath},
		{"subscriptions", ClassMailboxFile, ruleBeneath},
		{"Mailboxes/INBOX/dbox-Mails/dovecot.index", ClassIndex, ruleBeneath},
		{"mailboxes2/INBOX/dbox-Mails/dovecot.index", ClassIndex, ruleBeneath},
		{"mаilboxes/INBOX/dbox-Mails/dovecot.index", ClassIndex, ruleBeneath}, // Cyrillic а
		{"dovemend-aside/r1/dovecot.index", ClassIndex, ruleBeneath},
		{"dovemend-aside/r1/dovecot.index", ClassAside, ruleBeneath},
		{"mailboxes/stray", ClassMailboxFile, ruleDepth},
		{"mailboxes/dovecot.index", ClassIndex, ruleDepth},
		{in + "dovecot.index", ClassCache, ruleClass},
		{in + "dovecot.index.cache", ClassIndex, ruleClass},
		{in + "u.1", ClassIndexFile, ruleClass},
		{in + "u.1", ClassTemp, ruleClass},
		{in + "u.1", "", ruleClass},
		{in + "u.1", "anything", ruleClass},
		{in + "dovecot.map.index", ClassIndexFile, ruleClass},
		{"mailboxes/Old/notes.txt", ClassMailboxFile, ruleClass},
		{"mailboxes/INBOX/dbox-Mails", ClassAside, ruleClass},
		{"mailboxes/Evil/u.1", ClassMailboxFile, ruleClass},
		{"mailboxes/Evil", ClassFolder, ruleSymlink},
		{"mailboxes/Evil/dovecot.index", ClassIndex, ruleSymlink},
		{"mailboxes/Evil2/dbox-Mails", ClassFolder, ruleSymlink},
		{"mailboxes/Evil2/dbox-Mails/u.1", ClassMailboxFile, ruleSymlink},
		{"mailboxes/Evil3/dbox-Mails/u.1", ClassMailboxFile, ruleSymlink},
		{"mailboxes/Evil4/dbox-Mails/dovecot.index", ClassIndex, ruleSymlink},
		{"mailboxes/Loop/dbox-Mails/dovecot.index", ClassIndex, ruleSymlink},
		{"mailboxes/Theirs/dbox-Mails/u.1", ClassMailboxFile, ruleOwner},
		{"mailboxes/Theirs", ClassFolder, ruleOwner},
		{in + "fifo", ClassMailboxFile, ruleType},
		{"mailboxes/Odd/dbox-Mails/dovecot.index", ClassIndex, ruleType},
		{"mailboxes/INBOX/dbox-Mails", ClassFolder, ""},
		{in + "dovecot.index", ClassFolder, ruleType},
		{in + "u.9", ClassMailboxFile, "missing"},
		{"mailboxes/Nowhere/dbox-Mails/u.9", ClassMailboxFile, "missing"},
	}
	for _, lazy := range []bool{false, true} {
		r, err := fakeRoot(newFakeTree(), lazy, fakeMail)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			p, err := r.Guard(context.Background(), tt.rel, tt.class)
			if got := ruleOf(err); got != tt.want {
				t.Errorf("remove %.80q as %s (lazy %v): %q (%v), want %q", tt.rel, tt.class, lazy, got, err, tt.want)
			}
			if err != nil && p != (GuardedPath{}) {
				t.Errorf("remove %.80q: refused, and yet a path was given", tt.rel)
			}
			if errors.Is(err, ErrGuard) == (tt.want == "" || tt.want == "missing") {
				t.Errorf("remove %.80q: errors.Is(err, ErrGuard) is wrong for %v", tt.rel, err)
			}
		}
	}
}

func TestGuardRemovesNothingWithoutTree(t *testing.T) {
	r := mustFakeRoot(t, newFakeTree(), "/home/u/Maildir")
	for _, rel := range []string{"dovecot.index", "cur/1.M1.h:2,S", ".Sub/dovecot-uidlist", "mailboxes/x/dovecot.index"} {
		for _, class := range []Class{ClassIndex, ClassMailboxFile, ClassFolder, ClassTemp} {
			if _, err := r.Guard(context.Background(), rel, class); ruleOf(err) != ruleTreeName {
				t.Errorf("remove %q as %s in a Maildir: %v, want rule %s", rel, class, err, ruleTreeName)
			}
		}
	}
}

func TestGuardNoticesTreeTurnedIntoLink(t *testing.T) {
	tree := newFakeTree()
	r := mustFakeRoot(t, tree, fakeMail)
	const rel = "mailboxes/INBOX/dbox-Mails/dovecot.index"
	if _, err := r.Guard(context.Background(), rel, ClassIndex); err != nil {
		t.Fatal(err)
	}
	tree[fakeMail+"/mailboxes"] = fakeNode{kind: fs.ModeSymlink, uid: fakeUID, link: "../bert/mailboxes"}
	if _, err := r.Guard(context.Background(), rel, ClassIndex); ruleOf(err) != ruleSymlink {
		t.Errorf("tree became a symbolic link: %v, want rule %s", err, ruleSymlink)
	}
	// The same above the mail root, where only the host's own resolving or a look from the top can tell.
	for _, lazy := range []bool{false, true} {
		tree := newFakeTree()
		r, err := fakeRoot(tree, lazy, fakeMail)
		if err != nil {
			t.Fatal(err)
		}
		tree.add("/other/u/mail/example.org/anna/mailboxes/INBOX/dbox-Mails/dovecot.index")
		tree["/userdata01"] = fakeNode{kind: fs.ModeSymlink, link: "/other"}
		if _, err := r.Guard(context.Background(), rel, ClassIndex); ruleOf(err) != ruleSymlink {
			t.Errorf("directory above the root became a symbolic link (lazy %v): %v, want rule %s", lazy, err, ruleSymlink)
		}
	}
}

func TestGuardJudgesWrites(t *testing.T) {
	in := "mailboxes/INBOX/dbox-Mails/"
	tests := []struct {
		rel   string
		class Class
		want  string
	}{
		{in + "dovecot.index", ClassIndex, ""},
		{in + "u.9", ClassMailboxFile, ""},
		{in + ".dovemend-new", ClassTemp, ""},
		{"storage/m.1", ClassMailboxFile, ""},
		{"storage/dovecot.map.index", ClassIndexFile, ""},
		{"dovecot.list.index", ClassIndexFile, ""},
		{"dovemend-aside", ClassAside, ""},
		{"dovemend-aside/r1/dovecot.index", ClassAside, ""},
		{"dovemend-aside/r2/mailboxes/INBOX/u.1", ClassAside, ""},
		{"mailboxes/New/dbox-Mails", ClassFolder, ""},
		{"mailboxes/New", ClassFolder, ""},

		{"", ClassFolder, ruleClean},
		{"..", ClassFolder, ruleClean},
		{"../bert/mailboxes/New", ClassFolder, ruleClean},
		{"/etc/cron.d/x", ClassFolder, ruleClean},
		{"mailboxes", ClassFolder, ruleNotTree},
		{"storage/m\n1", ClassMailboxFile, ruleControl},
		{"dovemend-aside", ClassFolder, ruleClass},
		{"dovemend-aside/r1/dovecot.index", ClassIndex, ruleClass},
		{"mailboxes/INBOX/x", ClassAside, ruleClass},
		{"subscriptions", ClassMailboxFile, ruleClass},
		{in + "evil.sh", ClassIndexFile, ruleClass},
		{".dovemend-", ClassTemp, ruleClass},
		{"mailboxes/Evil/.dovemend-1", ClassTemp, ruleSymlink},
		{"mailboxes/Evil3/dbox-Mails/u.1", ClassMailboxFile, ruleSymlink},
		{"mailboxes/Evil2/dbox-Mails/deep/er/.dovemend-1", ClassTemp, ruleSymlink},
		{"mailboxes/Theirs/dbox-Mails/u.1", ClassMailboxFile, ruleOwner},
		{in + "fifo", ClassMailboxFile, ruleType},
		{in + "u.1/x/.dovemend-1", ClassTemp, ruleType},
	}
	r := mustFakeRoot(t, newFakeTree(), fakeMail)
	for _, tt := range tests {
		p, err := r.GuardWrite(context.Background(), tt.rel, tt.class)
		if got := ruleOf(err); got != tt.want {
			t.Errorf("write %q as %s: %q (%v), want %q", tt.rel, tt.class, got, err, tt.want)
		}
		if err != nil && p != (WritablePath{}) {
			t.Errorf("write %q: refused, and yet a path was given", tt.rel)
		}
	}
}

func TestGuardErrorsAreSafeToPrint(t *testing.T) {
	r := mustFakeRoot(t, newFakeTree(), fakeMail)
	_, err := r.Guard(context.Background(), "mailboxes/\x1b[2J\u202e/dbox-Mails/dovecot.index", ClassIndex)
	if err == nil || !isSafe(err.Error()) {
		t.Errorf("error is not safe to print: %q", err)
	}
}
