package remote

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// relsOf lists what a fake tree holds beneath a mail root, and some of what lies beside it.
func relsOf(tree fakeTree, root string) []string {
	var rels []string
	for p := range tree {
		if rel, ok := strings.CutPrefix(p, root+"/"); ok {
			rels = append(rels, rel)
		}
	}
	rels = append(rels, "../bert/mailboxes/INBOX/dbox-Mails/dovecot.index", "../../../../../home/u/canary/u.1")
	slices.Sort(rels)
	return rels
}

func judge(t *testing.T, tree fakeTree, r *Root, rel string, class Class, remove bool) (rule string) {
	t.Helper()
	var err error
	if remove {
		_, err = r.Guard(context.Background(), rel, class)
	} else {
		_, err = r.GuardWrite(context.Background(), rel, class)
	}
	if err != nil {
		return ruleOf(err)
	}
	kind := func(rel string) (fs.FileMode, bool) {
		n, ok := tree[r.dir+"/"+rel]
		return n.kind, ok
	}
	if ok, why := oracle(rel, class, remove, kind); !ok {
		t.Errorf("guard passed %.200q as %s (remove %v): %s", rel, class, remove, why)
	}
	return ""
}

// TestGuardPassesNothingHostile puts 120,000 generated paths to the guard on a tree in memory, half for removal and half for writing,
// and holds what passes against an oracle.
func TestGuardPassesNothingHostile(t *testing.T) {
	const each = 60_000
	tree := newFakeTree()
	for _, lazy := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(1, 2))
		root, err := fakeRoot(tree, lazy, fakeMail)
		if err != nil {
			t.Fatal(err)
		}
		maildir, err := fakeRoot(tree, lazy, "/home/u/Maildir")
		if err != nil {
			t.Fatal(err)
		}
		rels := relsOf(tree, fakeMail)
		broken := map[string]int{}
		for i := range each {
			rel := hostilePath(rng, rels, fakeMail)
			class := allClasses[rng.IntN(len(allClasses))]
			broken[judge(t, tree, root, rel, class, i%2 == 0)]++
			if i%10 == 0 && judge(t, tree, maildir, rel, class, true) == "" {
				t.Errorf("guard passed %.200q for removal in a Maildir", rel)
			}
			if t.Failed() {
				return
			}
		}
		t.Logf("realpath lazy %v: %v", lazy, broken)
		if broken[""] < each/100 || broken[""] > each/4 {
			t.Errorf("%d of %d paths passed: the generator makes nothing of use", broken[""], each)
		}
		// Each rule on a path must have been the one that refused; the others are of the mail root.
		for _, rule := range []string{ruleClean, ruleControl, ruleLength, ruleNotTree, ruleBeneath, ruleDepth, ruleClass, ruleSymlink, ruleOwner, ruleType} {
			if broken[rule] == 0 {
				t.Errorf("no path was refused by rule %s", rule)
			}
		}
	}
}

// FuzzGuard looks for a path that passes the guard and not the oracle.
func FuzzGuard(f *testing.F) {
	tree := newFakeTree()
	for i, rel := range relsOf(tree, fakeMail) {
		f.Add(rel, string(allClasses[i%len(allClasses)]), i%2 == 0)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		f.Add(hostilePath(rng, relsOf(tree, fakeMail), fakeMail), string(allClasses[rng.IntN(7)]), rng.IntN(2) == 0)
	}
	root := mustFakeRoot(f, tree, fakeMail)
	f.Fuzz(func(t *testing.T, rel, class string, remove bool) {
		judge(t, tree, root, rel, Class(class), remove)
	})
}
