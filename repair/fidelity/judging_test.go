package fidelity

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/demoaccount"
	"dovemend/remote/remotetest/fill"
)

// demo is a store that needs no Dovecot: the account of the demo, whose INBOX has a rotated log. Its messages are not numbered by
// this test, so that its own numbers stand.
func demo(t *testing.T) (*base, string) {
	t.Helper()
	root := t.TempDir()
	if err := demoaccount.Unpack(root); err != nil {
		t.Fatal(err)
	}
	truth, err := demoaccount.Truth()
	if err != nil {
		t.Fatal(err)
	}
	b := &base{name: "demo", truth: truth, saved: root}
	b.files, b.links = readTree(t, root)
	b.oracle = newOracle(demoaccount.Layout, false, b)
	return b, root
}

func TestOracleKnowsEachFactOfASoundStore(t *testing.T) {
	b, _ := demo(t)
	if list := b.oracle.unknown(b.truth); len(list) > 0 {
		t.Errorf("%q", list)
	}
}

// What is left after a damage is known for these by thinking, not by the oracle.
func TestOracleTellsWhatADamageLeft(t *testing.T) {
	type sums map[attribute]int // how many of INBOX's 160 messages are still told
	const n = 160
	everything := sums{whole: n, flags: n, keywords: n, uid: n, date: n, validity: 1}
	for _, c := range []struct {
		kind string
		want sums
	}{
		{"index-missing", everything},        // the logs go back to the mailbox's beginning
		{"index-header-garbage", everything}, // the same
		{"backup-garbage", everything},
		{"cache-missing", everything},
		{"log2-missing", everything},
		{"map-missing", everything},
		{"list-index-missing", everything},
		// Where a message was first is told by itself, and of those that Sent holds too the map counts the references. The list
		// index still has the UIDVALIDITY.
		{"index-and-logs-missing", sums{whole: n, date: n, validity: 1}},
		{"folder-emptied", sums{whole: n, date: n, validity: 1}},
		{"map-and-index-missing", sums{whole: n - 6, date: n, validity: 1}},
		{"message-missing", sums{flags: n, keywords: n, uid: n, date: n, validity: 1}}, // dates are in the cache, too
	} {
		t.Run(c.kind, func(t *testing.T) {
			b, root := demo(t)
			changes, err := damage.Break(damage.Target{MailRoot: root, Layout: demoaccount.Layout, Mailbox: fill.Inbox}, c.kind, 1)
			if err != nil {
				t.Fatal(err)
			}
			r := ruinsOf(root, b.links, changes)
			got := make(sums)
			for _, msg := range b.truth.Mailboxes[fill.Inbox].Messages {
				for _, a := range []attribute{whole, flags, keywords, uid, date} {
					if b.oracle.tells(lost{mailbox: fill.Inbox, number: msg.Number, what: a}).told(r) {
						got[a]++
					}
				}
			}
			if b.oracle.validity[fill.Inbox].told(r) {
				got[validity] = 1
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestRuinsAreWhatDestroysBytes(t *testing.T) {
	r := ruinsOf("/m", map[string][]string{"u.1": {"Sent/u.9"}}, []damage.Change{
		{File: "/m/a", What: damage.Overwritten, Offset: 10, Length: 5},
		{File: "/m/b", What: damage.Removed, Length: 7},
		{File: "/m/c", What: damage.Added, Offset: 3, Length: 9},
		{File: "/m/d", What: damage.Moved, Length: 3, To: "/m/e"},
		{File: "/m/u.1", What: damage.Cut, Offset: 4, Length: 4},
	})
	for _, c := range []struct {
		e    evidence
		want bool
	}{
		{bytesOf{"a", 0, 10}, true}, {bytesOf{"a", 14, 15}, false}, {bytesOf{"a", 15, 20}, true}, {nameOf("a"), true},
		{bytesOf{"b", 0, 0}, false}, {nameOf("b"), false}, {bytesOf{"c", 0, 20}, true}, {bytesOf{"d", 0, 3}, true}, {nameOf("d"), true},
		{bytesOf{"u.1", 0, 4}, true}, {bytesOf{"u.1", 0, 5}, false}, {bytesOf{"Sent/u.9", 5, 6}, false}, {nameOf("u.1"), true},
		{every{}, true}, {either{}, false}, {either{nameOf("b"), nameOf("a")}, true}, {every{nameOf("b"), nameOf("a")}, false},
		{fieldOf{"a", 24, 28}, false}, {fieldOf{"c", 24, 28}, true},
		{contradicted{nameOf("a"), bytesOf{"a", 0, 20}}, false}, {contradicted{nameOf("a"), bytesOf{"c", 0, 20}}, true},
	} {
		if got := c.e.told(r); got != c.want {
			t.Errorf("%#v: told %v, want %v", c.e, got, c.want)
		}
		files := make(map[string]bool)
		if c.e.lacks(r, files); c.want && len(files) > 0 {
			t.Errorf("%#v is told and lacks %v", c.e, slices.Sorted(maps.Keys(files)))
		}
	}
	if text := r.text(map[string]bool{"a": true, "b": true, "c": true}); text != "a 10–14; b (removed)" {
		t.Error(text)
	}
}

func TestSettingsChooseCells(t *testing.T) {
	s := settings{only: []string{"m*", "log-*", "", "2"}, seeds: 3}
	for c, want := range map[cell]bool{{"mdbox", "log-cut", "young", 2}: true, {"maildir", "log-cut", "changed", 2}: true,
		{"sdbox", "log-cut", "young", 2}: false, {"mdbox", "log-cut", "young", 1}: false, {"mdbox", "index-cut", "young", 2}: false} {
		if got := s.fits(c); got != want {
			t.Errorf("%s: %v", c, got)
		}
	}
	full := settings{full: true, seeds: 2}
	for _, layout := range layouts {
		cells := full.cells(layout)
		n := len(kindsOf(layout)) * len(stores) * 2
		if slices.Contains(kindsOf(layout), hugeKind) {
			n -= len(stores)*2 - 1
		}
		if len(cells) != n {
			t.Errorf("%s has %d cells, want %d", layout, len(cells), n)
		}
		for _, c := range quickly(layout) {
			if !slices.Contains(cells, c) {
				t.Errorf("%s is no cell of a full run", c)
			}
		}
	}
	for _, kind := range fsKinds {
		if !slices.Contains(damage.Kinds("maildir"), kind) {
			t.Error(fmt.Sprint(kind, " is no kind of damage"))
		}
	}
}

func TestUIDValidityOfAMailboxWithoutMailIsNoLoss(t *testing.T) {
	truth := &fill.Truth{Mailboxes: map[string]*fill.Mailbox{"A": {Messages: make([]fill.Message, 2)}, "B": {Messages: make([]fill.Message, 2)}}}
	all := []verdict{{lost: lost{mailbox: "A", what: validity}, recoverable: true}, {lost: lost{mailbox: "B", what: validity}, recoverable: true},
		{lost: lost{mailbox: "A", what: whole, number: 1}}, {lost: lost{mailbox: "A", what: whole, number: 2}},
		{lost: lost{mailbox: "B", what: whole, number: 3}}, {lost: lost{mailbox: "B", what: whole, number: 4}, recoverable: true}}
	withoutMail(all, truth)
	if all[0].recoverable || all[0].gone == "" || !all[1].recoverable {
		t.Errorf("%+v", all[:2])
	}
}
