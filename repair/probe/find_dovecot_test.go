//go:build unix

package probe

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest/damage"
)

// fileOf finds the file that holds a message of the store's INBOX, which holds no other one.
func (s *store) fileOf(uid uint32) string {
	s.t.Helper()
	for _, f := range s.files("*") {
		b, err := os.ReadFile(f)
		if err != nil {
			s.t.Fatal(err)
		}
		if n := strings.Count(string(b), "Subject: message "); n == 1 && bytes.Contains(b, fmt.Appendf(nil, "Subject: message %d\n", uid-1)) ||
			n == 1 && bytes.Contains(b, fmt.Appendf(nil, "Subject: message %d\r\n", uid-1)) {
			return f
		}
	}
	s.t.Fatalf("no file with message %d alone", uid)
	return ""
}

// breakFile does a kind of damage to one file: the first seed is taken that hits it, which copies tell.
func (s *store) breakFile(kind, file string) {
	s.t.Helper()
	trial := filepath.Join(s.t.TempDir(), "trial")
	if err := os.CopyFS(trial, os.DirFS(s.root)); err != nil {
		s.t.Fatal(err)
	}
	for seed := range uint64(1000) {
		rel, err := filepath.Rel(s.root, file)
		if err != nil {
			s.t.Fatal(err)
		}
		changes, err := damage.Break(damage.Target{MailRoot: trial, Layout: s.layout}, kind, seed)
		if err != nil {
			s.t.Fatal(err)
		}
		if changes[0].File == filepath.Join(trial, rel) {
			if _, err := damage.Break(damage.Target{MailRoot: s.root, Layout: s.layout}, kind, seed); err != nil {
				s.t.Fatal(err)
			}
			return
		}
	}
	s.t.Fatalf("no seed damages %s", file)
}

// flagsOf gives all flags of INBOX.
func flagsOf(t *testing.T, dial Dialer) string {
	t.Helper()
	c, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Logout(t.Context())
	if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err = c.FetchFlags(t.Context(), 1, func(m imap.Message) error {
		slices.Sort(m.Flags)
		fmt.Fprintln(&b, m.UID, m.Flags, m.Keywords)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// oneFileEach makes mdbox store each message in a file of its own.
const oneFileEach = "mdbox_rotate_size=1"

// failing asks about each message of INBOX alone, in some ways, and gives those at which the server fails: what Find must find.
func failing(t *testing.T, dial Dialer, looks ...imap.Look) (there, bad []uint32) {
	t.Helper()
	var c *Conn
	open := func() {
		if c != nil {
			return
		}
		var err error
		if c, err = dial(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Examine(t.Context(), "INBOX"); err != nil {
			t.Fatal(err)
		}
	}
	open()
	if err := c.AskRanges(t.Context(), imap.LookFlags, []imap.UIDRange{{First: 1, Last: 1 << 30}}, func(u uint32) { there = append(there, u) }); err != nil {
		t.Fatal(err)
	}
	for _, uid := range there {
		for _, look := range looks {
			open()
			answered := false
			err := c.Ask(t.Context(), look, []uint32{uid}, func(uint32) { answered = true })
			if imap.Ended(err) {
				c.Logout(t.Context())
				c = nil
			}
			if !answered && !slices.Contains(bad, uid) {
				bad = append(bad, uid)
			}
		}
	}
	if c != nil {
		c.Logout(t.Context())
	}
	return there, bad
}

func TestRealPoisonIsFoundWhereverItIs(t *testing.T) {
	kinds := []struct {
		layout, kind string
		stays        bool   // Dovecot cannot mend it, nor drop the message
		quick        string // what is always tried; all with DOVEMEND_TEST_FULL=1
	}{
		{"sdbox", "message-garbage", true, "none three"},
		{"mdbox", "message-first-line", false, "none first"},
		{"mdbox", "message-garbage", false, "middle"},
		{"maildir", "message-half", true, "none three"},
	}
	for _, k := range kinds {
		for name, uids := range map[string][]uint32{"none": nil, "first": {1}, "middle": {10}, "last": {20}, "three": {1, 10, 20}} {
			if os.Getenv("DOVEMEND_TEST_FULL") == "" && !strings.Contains(k.quick, name) {
				continue
			}
			t.Run(fmt.Sprint(k.layout, ", ", k.kind, ", ", name), func(t *testing.T) {
				s := newStore(t, k.layout)
				s.more = []string{oneFileEach}
				s.fill()
				dial, _ := s.dialer()
				before := flagsOf(t, dial)
				var files []string
				for _, uid := range uids {
					files = append(files, s.fileOf(uid))
				}
				for _, f := range files {
					s.breakFile(k.kind, f)
				}
				got, err := Find(t.Context(), dial, "INBOX", FindOptions{Pause: -1})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d round trips, %d connections: %s", got.RoundTrips, got.Connections, got.Text)
				found := slices.Sorted(slices.Values(got.UIDs()))
				after := flagsOf(t, dial)
				there, bad := failing(t, dial, imap.LookEnvelope, imap.LookBody)
				if !slices.Equal(found, bad) || k.stays && !slices.Equal(found, uids) || len(there)+got.Gone != 20 {
					t.Errorf("found %v, really bad %v, damaged %v; %d are there, %d gone", found, bad, uids, len(there), got.Gone)
				}
				for _, p := range slices.Concat(got.Poison, got.Healed) {
					crashed := slices.ContainsFunc(p.Log, func(l Reply) bool { return l.Class == imap.ClassCrash })
					if !slices.Contains(uids, p.UID) || crashed != p.Crash || p.Cache || !p.Hangup {
						t.Errorf("%+v", p)
					}
				}
				if len(uids) == 0 && (!got.Healthy() || got.RoundTrips > 10) {
					t.Errorf("%d round trips: %s", got.RoundTrips, got.Text)
				}
				if got.RoundTrips > 30+50*len(uids) || got.Connections > 5+12*len(uids) {
					t.Errorf("%d round trips, %d connections", got.RoundTrips, got.Connections)
				}
				for line := range strings.Lines(after) {
					if !strings.Contains(before, line) {
						t.Errorf("flags became %s", line)
					}
				}
			})
		}
	}
}

// TestRealPoisonIsFoundWhereTheServerOnlySaysNo has Dovecot go on after a message that it cannot read, as some hosts do.
func TestRealPoisonIsFoundWhereTheServerOnlySaysNo(t *testing.T) {
	s := newStore(t, "maildir")
	s.fill()
	for _, uid := range []uint32{5, 6, 20} {
		s.breakFile("message-half", s.fileOf(uid))
	}
	dial, _ := s.dialer("imap_fetch_failure=no-after")
	got, err := Find(t.Context(), dial, "INBOX", FindOptions{Pause: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d round trips, %d connections: %s", got.RoundTrips, got.Connections, got.Text)
	_, bad := failing(t, dial, imap.LookEnvelope, imap.LookBody)
	if found := slices.Sorted(slices.Values(got.UIDs())); !slices.Equal(found, bad) || len(found) == 0 {
		t.Errorf("found %v, really bad %v", found, bad)
	}
}
