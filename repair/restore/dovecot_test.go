package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/probe"
)

func realDialer(h *remotetest.RealHost) probe.Dialer {
	return func(ctx context.Context) (*probe.Conn, error) {
		c, err := imap.Connect(ctx, imap.Config{Addr: h.IMAPS(), CAFile: h.CA()})
		if err != nil {
			return nil, err
		}
		return &probe.Conn{Client: c}, c.Login(ctx, h.Account(), h.Password())
	}
}

// TestDovecotTakesOddMessages: what the real Dovecot gives back is what was sent, it is recognised the second time, whatever the layout, and undoing
// leaves nothing behind.
func TestDovecotTakesOddMessages(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			h := remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: layout, NoSSHD: true}, NoCanaries: true})
			texts := append(odd(), plain(40)...)
			x := newTrial(t, realDialer(h), Options{Full: true, Mailbox: "Zurück/Alt & neu"})
			items, e, err := x.apply(deadline(t), texts...)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, items, map[Status]int{Added: len(texts)})
			for _, i := range items {
				if i.Doubt != "" || i.UID == 0 {
					t.Errorf("%q: UID %d, %s", i.Subject, i.UID, i.Doubt)
				}
			}
			if len(e.Dropped()) != 0 {
				t.Errorf("dropped %v", e.Dropped())
			}
			again, _, err := x.fresh().apply(deadline(t), texts...)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, again, map[Status]int{There: len(texts)})
			u, err := New(x.dial, x.dir, "journal.jsonl", x.o, silent{}, slog.New(slog.DiscardHandler)).Undo(deadline(t), x.gather(Filter{}, texts...))
			if err != nil || u.Removed != len(texts) || len(u.Kept) != 0 {
				t.Errorf("undone: %+v, %v", u, err)
			}
		})
	}
}

// spoiler damages the file of a message while it is being added: what a failing disk does.
type spoiler struct {
	silent
	once sync.Once
	dir  string
	text string
	done string
}

func (s *spoiler) Advance(int, int64) {
	files, _ := filepath.Glob(filepath.Join(s.dir, "u.*"))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(b, []byte(s.text)) {
			continue
		}
		s.once.Do(func() {
			// The size that the message's header tells becomes one that cannot be.
			at := bytes.IndexByte(b, '\n') + 1
			copy(b[at+2:], "\x0000000000ffffffff")
			if os.WriteFile(name, b, 0o600) == nil {
				s.done = name
			}
		})
	}
}

// TestDovecotBreaksAtAMessage: a message whose file on the real host is damaged as soon as it was added is found, taken out of the mailbox, or told; all others stay.
func TestDovecotBreaksAtAMessage(t *testing.T) {
	h := remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: "sdbox", NoSSHD: true}, NoCanaries: true})
	texts := plain(60)
	x := newTrial(t, realDialer(h), Options{})
	items := x.gather(Filter{}, texts...)
	rep := &spoiler{dir: filepath.Join(h.MailRoot(), "mailboxes", "Back", "dbox-Mails"), text: "number 37\n"}
	e := New(x.dial, x.dir, "journal.jsonl", x.o, rep, slog.New(slog.DiscardHandler))
	e.pause = -1
	err := e.Apply(deadline(t), items)
	e.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if rep.done == "" {
		t.Fatal("nothing was damaged")
	}
	for i, it := range items {
		odd := it.Status != Added || it.Doubt != ""
		if odd != (i == 37) {
			t.Errorf("message %d is %s: %s %s", i, it.Status, it.Why, it.Doubt)
		}
	}
	t.Logf("37: %s: %s %s %q", items[37].Status, items[37].Why, items[37].Doubt, items[37].Notes)
	again, _, err := x.fresh().apply(deadline(t), append(texts[:37:37], texts[38:]...)...)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, again, map[Status]int{There: 59})
	if strings.Contains(h.DovecotLog(), "Panic") {
		t.Log("the imap process crashed")
	}
}

// TestDovecotAndAKillAtALine: as [TestKilledAtEveryLine], on the real server, which goes on with what it has received when its client is gone. With
// DOVEMEND_TEST_FULL it is every line.
func TestDovecotAndAKillAtALine(t *testing.T) {
	h := remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: "mdbox", NoSSHD: true}, NoCanaries: true})
	texts := plain(40)
	lines := []int{2, 9, 31, 60, 85}
	if os.Getenv("DOVEMEND_TEST_FULL") != "" {
		lines = nil
		for line := 1; line <= 2*len(texts)+8; line++ {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		x := newTrial(t, realDialer(h), Options{All: line%2 == 0, Mailbox: fmt.Sprintf("Kill%d", line)})
		x.quiet = quietFor
		x.cut = func(at int) error {
			if at == line {
				return errCut
			}
			return nil
		}
		_, _, err := x.apply(deadline(t), texts...)
		if err == nil && line > 2*len(texts) {
			break // the journal has no such line
		}
		if !errors.Is(err, errCut) {
			t.Fatalf("line %d: %v", line, err)
		}
		x.cut = nil
		items, _, err := x.apply(deadline(t), texts...)
		if err != nil {
			t.Fatalf("after line %d: %v", line, err)
		}
		expect(t, items, map[Status]int{Added: len(texts)})
		got := map[string]int{}
		c, err := x.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Examine(t.Context(), x.o.Mailbox)
		if err != nil {
			t.Fatal(err)
		}
		var uids []uint32
		for uid := uint32(1); uid < e.UIDNext; uid++ {
			uids = append(uids, uid)
		}
		if err := c.FetchBodies(t.Context(), uids, func(b imap.Body) error { got[fmt.Sprintf("%x", b.SHA256)]++; return nil }); err != nil {
			t.Fatal(err)
		}
		c.Logout(t.Context())
		for i, it := range items {
			if got[it.SHA256] != 1 {
				t.Errorf("after line %d, message %d is there %d times", line, i, got[it.SHA256])
			}
		}
		if int(e.Exists) != len(texts) {
			t.Errorf("after line %d there are %d messages", line, e.Exists)
		}
	}
}
