//go:build unix

package repair

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/store"
	"dovemend/repair/watch"
)

// smallAccount is what the hosts of these tests hold.
var smallAccount = fill.Shape{Inbox: 20, Seen: 8, Work: 3, Expunged: 2, Moved: 3, Copied: 2, InSent: 3, InUmlauts: 3, InAside: 2}

// watchHost is a real host, as a watch reaches it.
type watchHost struct {
	forecastHost
	state string
	said  *said
}

func newWatchHost(t *testing.T, o realhost.Options) *watchHost {
	t.Helper()
	shape := smallAccount
	h := &watchHost{state: filepath.Join(t.TempDir(), "state"), said: &said{}}
	h.RealHost = remotetest.Real(t, remotetest.Options{Options: o, Fill: &shape, NoCanaries: true})
	h.saved = filepath.Join(t.TempDir(), "saved")
	h.kick(t)
	h.copy(t, h.MailRoot(), h.saved)
	return h
}

// over gives the options of a watch: through SSH with the host's own imap, or over TLS with the password and no host at all.
func (h *watchHost) over(ssh bool) Options {
	o := Options{StateDir: h.state, Account: h.Account(), All: true}
	if ssh {
		o.Remote = remote.Config{Target: h.User() + "@" + h.Addr(), Identities: []string{h.Identity()}, KnownHosts: []string{h.KnownHosts()}, ConfigFile: "none", NoAgent: true}
		o.IMAP = IMAPOptions{Preauth: true}
	} else {
		o.IMAP = IMAPOptions{Addr: h.IMAPS(), TLS: "tls", CAFile: h.CA(), Password: func() (string, error) { return h.Password(), nil }}
	}
	return o
}

// look looks once; change may change the watch before.
func (h *watchHost) look(t *testing.T, o Options, change ...func(*WatchOptions)) *Watched {
	t.Helper()
	w := WatchOptions{Policy: watch.Default()}
	for _, c := range change {
		c(&w)
	}
	x, err := NewWatcher(o, w, h.said).Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func now(w *WatchOptions)    { w.Now = true }
func accept(w *WatchOptions) { w.Policy.Accept = true }

func want(t *testing.T, what string, x *Watched, alarms ...string) {
	t.Helper()
	var got []string
	for _, a := range x.Alarms {
		got = append(got, strings.TrimSpace(strings.Join(strings.Fields(string(a.Kind)+" "+a.Class+" "+a.Mailbox), " ")))
	}
	if !slices.Equal(got, alarms) {
		t.Errorf("%s: alarms %q, want %q\n%s", what, got, alarms, x.Reason())
	}
}

// broken breaks the INBOX while nobody has it open.
func (h *watchHost) broken(t *testing.T, kind string) {
	t.Helper()
	h.kick(t)
	if _, err := damage.Do(damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout(), LayoutFS: h.LayoutFS(), Mailbox: "INBOX"}, kind, 7); err != nil {
		t.Fatal(err)
	}
}

// tree gives path, size and time of everything in the mail root.
func (h *watchHost) tree(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(h.MailRoot(), func(p string, i os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&b, p, i.Size(), i.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWatchOnRealDovecot(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			h := newWatchHost(t, realhost.Options{Layout: layout, RotateLogs: true})
			for _, ssh := range []bool{true, false} {
				if ssh && layout == "sdbox" && os.Getenv("DOVEMEND_TEST_FULL") == "" {
					continue // mdbox goes that way too, and what differs between them comes below
				}
				name := "with a password alone"
				if ssh {
					name = "through SSH"
				}
				t.Run(name, func(t *testing.T) { h.watchIt(t, ssh) })
			}
			if layout != "maildir" {
				t.Run("damage that a look would make worse", func(t *testing.T) { h.evident(t) })
			} else {
				t.Run("lost UIDs", func(t *testing.T) { h.uidlist(t) })
			}
		})
	}
}

// watchIt takes an account through what a watch is for.
func (h *watchHost) watchIt(t *testing.T, ssh bool) {
	o := h.over(ssh)
	x := h.look(t, o)
	want(t, "the first look", x)
	if !x.First || x.IMAP == "" || x.Connections != 1 {
		t.Errorf("the first look: first %v, over %q (%s), %d connections", x.First, x.IMAP, x.IMAPNot, x.Connections)
	}
	x = h.look(t, o)
	want(t, "a healthy account", x)
	if x.First || len(x.Notes) > 0 {
		t.Errorf("the second look: first %v, notes %q", x.First, x.Notes)
	}
	truth := h.Truth.Mailboxes[fill.Inbox]
	i := slices.IndexFunc(x.Seen.Mailboxes, func(s watch.Seen) bool { return s.Name == "INBOX" })
	if n := x.Seen.Mailboxes[i].Numbers; n.Messages != len(truth.Messages) || n.Read != 8 || n.UIDValidity != truth.UIDValidity {
		t.Errorf("INBOX: %+v, of which there are %d", n, len(truth.Messages))
	}
	if len(x.Seen.Mailboxes) != len(h.Truth.Mailboxes) {
		t.Errorf("%d mailboxes were looked at, there are %d", len(x.Seen.Mailboxes), len(h.Truth.Mailboxes))
	}

	h.counts(t, o)

	// Everything is suddenly unread, and then as it was.
	h.Doveadm(t, "flags", "remove", "-u", h.Account(), `\Seen`, "mailbox", "INBOX", "all")
	want(t, "all unread", h.look(t, o), "all-unread INBOX")
	h.restore(t)
	want(t, "marks are back", h.look(t, o))

	if !ssh {
		h.losses(t, o)
	}
	if h.Layout() != "maildir" {
		// rm dovecot.index*, and a mail program looks before the watch does: empty, and every reply says OK.
		h.kick(t)
		h.rmIndex(t)
		if _, err := h.Host.Doveadm(t.Context(), "mailbox", "status", "-u", h.Account(), "messages", "INBOX"); err != nil {
			t.Fatal(err)
		}
		want(t, "silently emptied", h.look(t, o), "uidvalidity-new INBOX")
		h.restore(t)
		want(t, "its files are back", h.look(t, o))
	}

	// What Dovecot may not read is not to be seen in names and sizes: SELECT fails, and where the process is our own its log is told.
	h.kick(t)
	file := "dovecot.index.log"
	if h.Layout() == "maildir" {
		file = "dovecot-uidlist"
	}
	file = filepath.Join(damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout()}.Folder(), file)
	// Another time, so that Dovecot reads the file anew; in a Maildir it does so only when the folder of the messages changed.
	later := time.Now().Add(5 * time.Second)
	err := errors.Join(os.Chtimes(file, later, later), os.Chmod(file, 0))
	if h.Layout() == "maildir" {
		err = errors.Join(err, os.Chtimes(filepath.Join(filepath.Dir(file), "cur"), later, later))
	}
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Base(file)
	x = h.look(t, o)
	want(t, file+" not readable", x, "look-failed internal-error INBOX")
	if len(x.Alarms) == 1 && ssh && (len(x.Alarms[0].Log) == 0 || !strings.Contains(x.Reason(), file)) {
		t.Errorf("the server's log is not told: %s", x.Reason())
	}
	x = h.look(t, o)
	want(t, "left alone", x, "look-failed internal-error INBOX")
	if i := slices.IndexFunc(x.Seen.Mailboxes, func(s watch.Seen) bool { return s.Name == "INBOX" }); !x.Seen.Mailboxes[i].Waited || x.Alarms[0].New {
		t.Error("the failing mailbox was looked at again at once")
	}
	h.restore(t)
	want(t, "repaired", h.look(t, o, now))
	b, err := os.ReadFile(filepath.Join(h.state, NewWatcher(o, WatchOptions{}, nil).StateFile()))
	if err != nil || len(b) > 8000 || strings.Contains(string(b), h.Password()) {
		t.Errorf("the state has %d bytes, %v", len(b), err)
	}
}

// counts sees that STATUS, which counts the read messages of large mailboxes, says the same as the flags of each message.
func (h *watchHost) counts(t *testing.T, o Options) {
	if o.Remote.Target != "" {
		return
	}
	l, err := Seer{IMAP: o.IMAP, Account: store.Account{Address: o.Account}, Log: slog.New(slog.DiscardHandler)}.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e, err := c.Examine(t.Context(), "INBOX")
	if err != nil || e.Unseen != -1 {
		t.Errorf("EXAMINE tells %+v, %v", e, err)
	}
	if s, err := c.Status(t.Context(), "INBOX"); err != nil || s.Unseen != 12 || s.Exists != 20 || s.UIDValidity != e.UIDValidity || s.UIDNext != e.UIDNext {
		t.Errorf("STATUS tells %+v, EXAMINE %+v, %v", s, e, err)
	}
}

// losses has messages moved, which is no loss; then gone for no reason, and an older mailbox put back.
func (h *watchHost) losses(t *testing.T, o Options) {
	h.Doveadm(t, "move", "-u", h.Account(), "Sent", "mailbox", "INBOX", "all")
	want(t, "moved", h.look(t, o))
	h.Doveadm(t, "move", "-u", h.Account(), "INBOX", "mailbox", "Sent", "all")
	want(t, "moved back", h.look(t, o))
	h.Doveadm(t, "expunge", "-u", h.Account(), "mailbox", "INBOX", "all")
	want(t, "expunged", h.look(t, o), "messages-lost INBOX")
	want(t, "accepted", h.look(t, o, accept))
	want(t, "after it was accepted", h.look(t, o))
	h.restore(t)
	x := h.look(t, o)
	if len(x.Alarms) == 0 || x.Alarms[0].Kind != watch.UIDNextBack {
		t.Errorf("the mailbox of yesterday: %s", x.Reason())
	}
	want(t, "accepted", h.look(t, o, accept))

}

// rmIndex removes all index files of the INBOX, as people do who were told that it helps.
func (h *watchHost) rmIndex(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout(), LayoutFS: h.LayoutFS()}.Folder(), "dovecot.index*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// evident breaks what anybody can see, and the watch must not let Dovecot near it.
func (h *watchHost) evident(t *testing.T) {
	o := h.over(true)
	want(t, "before", h.look(t, o, accept))
	storage := h.Layout() == "mdbox"
	kinds := []string{"index-missing", "index-empty", "index-header-garbage"}
	if storage {
		kinds = []string{"rm", "map-missing"}
	}
	if os.Getenv("DOVEMEND_TEST_FULL") != "" {
		kinds = []string{"rm", "index-missing", "index-empty", "index-short", "index-header-garbage", "index-major-version", "map-missing"}
	}
	for _, kind := range kinds {
		alarm := "files-damaged INBOX"
		switch {
		case kind == "map-missing" && !storage:
			continue
		case kind == "map-missing":
			alarm = "files-damaged"
		}
		if kind == "rm" {
			h.kick(t)
			h.rmIndex(t)
		} else {
			h.broken(t, kind)
		}
		before, logged := h.tree(t), len(h.DovecotLog())
		x := h.look(t, o)
		want(t, kind, x, alarm)
		for _, m := range x.Seen.Mailboxes {
			if m.Looked == (m.Name == "INBOX" || alarm == "files-damaged") {
				t.Errorf("%s: %s: looked at %v", kind, m.Name, m.Looked)
			}
		}
		inbox := func(tree string) (l []string) {
			for line := range strings.Lines(tree) {
				if strings.Contains(line, "/INBOX/") || alarm == "files-damaged" {
					l = append(l, line)
				}
			}
			return l
		}
		if after := h.tree(t); !slices.Equal(inbox(before), inbox(after)) || len(h.DovecotLog()) != logged {
			t.Errorf("%s: the watch has changed the damaged mailbox:\n%s\nwas\n%s\nlog %s", kind, after, before, h.DovecotLog()[logged:])
		}
		h.restore(t)
	}
	want(t, "put back", h.look(t, o))
}

// uidlist takes a Maildir's list of UIDs away.
func (h *watchHost) uidlist(t *testing.T) {
	o := h.over(true)
	want(t, "before", h.look(t, o, accept))
	h.broken(t, "uidlist-missing")
	before := h.tree(t)
	want(t, "gone", h.look(t, o), "files-damaged INBOX")
	if _, err := os.Stat(filepath.Join(h.MailRoot(), "dovecot-uidlist")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(before, "cur") {
		t.Errorf("the watch had Dovecot make another one: %v", err)
	}
	h.restore(t)
	want(t, "put back", h.look(t, o))
}

// TestWatchTellsWhenTheServersProcessesDie has Dovecot's imap processes die before they have said a word, for want of memory.
func TestWatchTellsWhenTheServersProcessesDie(t *testing.T) {
	t.Parallel()
	h := &watchHost{state: filepath.Join(t.TempDir(), "state"), said: &said{}}
	h.RealHost = remotetest.Real(t, remotetest.Options{Options: realhost.Options{Layout: "sdbox", NoSSHD: true, Extra: "service imap {\n vsz_limit = 4M\n}"}, NoCanaries: true})
	x := h.look(t, h.over(false))
	want(t, "no memory", x, "look-failed closed-without-a-word")
	if x.Connections > 3 || x.State.Wait.Failures != 1 {
		t.Errorf("%d connections, %+v", x.Connections, x.State.Wait)
	}
}

func TestWatchSeesTheConnectionLimit(t *testing.T) {
	t.Parallel()
	h := newWatchHost(t, realhost.Options{Layout: "sdbox", MaxUserIP: 3})
	ssh, password := h.over(true), h.over(false)
	want(t, "nobody connected", h.look(t, password))
	want(t, "nobody connected", h.look(t, ssh))
	h.kick(t) // a connection that has just said goodbye may still be counted
	for range 3 {
		c, err := net.Dial("tcp", h.IMAP())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "a LOGIN %s %q\r\n", h.Account(), h.Password())
		for s := bufio.NewScanner(c); s.Scan() && !strings.HasPrefix(s.Text(), "a "); {
		}
	}
	x := h.look(t, password)
	want(t, "full", x, "look-failed connection-limit")
	if x.State.Limit != 3 || x.State.Wait.Failures != 1 {
		t.Errorf("the limit is not remembered: %d, %+v", x.State.Limit, x.State.Wait)
	}
	given := func(w *WatchOptions) { w.Policy.Limit = 3 }
	x = h.look(t, ssh, given)
	want(t, "counted through SSH", x, "connections-near")
	if x.Seen.Processes != 3 || x.IMAP != "preauth" {
		t.Errorf("%d processes, over %q", x.Seen.Processes, x.IMAP)
	}
	if x = h.look(t, password); !x.Waits || x.Connections != 0 || x.Until.IsZero() || x.Healthy() {
		t.Errorf("the full host was asked again at once: %+v", x)
	}
	h.kick(t)
	want(t, "free again", h.look(t, password, now))
	want(t, "free again", h.look(t, ssh, given))
}
