//go:build unix

package repair

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/rundir"
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
	if err := os.Chmod(filepath.Join(damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout()}.Folder(), file), 0); err != nil {
		t.Fatal(err)
	}
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

// silently is the answer of a process that dies.
const silently = "dies"

// crashing is an IMAP server whose process dies without a word when a mailbox is examined.
func crashing(t *testing.T, dies func(conn int, mailbox string) string) (addr string, conns func() int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	n, open := 0, 0
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			if open++; open > 1 {
				t.Error("two connections at one time")
			}
			number := n
			mu.Unlock()
			go func() {
				defer func() {
					mu.Lock()
					open--
					mu.Unlock()
					c.Close()
				}()
				io.WriteString(c, "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n")
				for s := bufio.NewScanner(c); s.Scan(); {
					tag, cmd, _ := strings.Cut(s.Text(), " ")
					answer := ""
					switch {
					case strings.HasPrefix(cmd, "LIST"):
						answer = "* LIST () \".\" INBOX\r\n* LIST () \".\" INBOX.Sent\r\n* LIST (\\NoSelect) \".\" INBOX.No\r\n* LIST () \".\" INBOX.A.B\r\n"
					case strings.HasPrefix(cmd, "EXAMINE"):
						_, box, _ := strings.Cut(cmd, " ")
						if answer = dies(number, strings.Trim(box, `"`)); answer == silently {
							return
						} else if answer != "" {
							io.WriteString(c, strings.ReplaceAll(answer, "TAG", tag))
							return
						}
						answer = "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 1] n\r\n"
					case strings.HasPrefix(cmd, "LOGOUT"):
						mu.Lock()
						open-- // the client may connect again before this end has closed
						mu.Unlock()
						io.WriteString(c, "* BYE\r\n"+tag+" OK\r\n")
						mu.Lock()
						open++
						mu.Unlock()
						return
					}
					io.WriteString(c, answer+tag+" OK done\r\n")
				}
			}()
		}
	}()
	return l.Addr().String(), func() int { // waits until no connection is open
		for {
			mu.Lock()
			if count := n; open == 0 {
				mu.Unlock()
				return count
			}
			mu.Unlock()
			time.Sleep(time.Millisecond)
		}
	}
}

func scripted(t *testing.T, addr string) (Options, *watchHost) {
	h := &watchHost{state: filepath.Join(t.TempDir(), "state"), said: &said{}}
	return Options{StateDir: h.state, IMAP: IMAPOptions{Addr: addr, TLS: "none", User: "anna", Password: func() (string, error) { return "x", nil }, Timeout: 5 * time.Second}}, h
}

func TestWatchSurvivesAServerThatCrashesAndDoesNotStorm(t *testing.T) {
	// A process of a server that hangs up is still being ended while the next one is made, so this counts no overlaps.
	addr, conns := crashing(t, func(_ int, box string) string {
		if box == "INBOX.Sent" {
			return silently
		}
		return ""
	})
	o, h := scripted(t, addr)
	x := h.look(t, o)
	want(t, "a crash", x, "look-failed closed-without-a-word Sent")
	if got := x.Seen.Listed; !slices.Equal(got, []string{"INBOX", "Sent", "A/B"}) || len(x.Seen.Mailboxes) != 3 || conns() != 2 {
		t.Errorf("listed %q, %d looked at, %d connections", got, len(x.Seen.Mailboxes), conns())
	}
	if h.look(t, o); conns() != 3 {
		t.Errorf("%d connections: the mailbox that crashes was asked again at once", conns())
	}
}

func TestWatchGivesUpAServerThatCrashesEachTime(t *testing.T) {
	addr, conns := crashing(t, func(int, string) string { return silently })
	o, h := scripted(t, addr)
	if x := h.look(t, o); conns() > 3 || len(x.Alarms) < 3 {
		t.Errorf("%d connections, %s", conns(), x.Reason())
	}
	restarted, conns := crashing(t, func(conn int, box string) string {
		if conn == 1 {
			return "* BYE Server shutting down.\r\n"
		}
		return ""
	})
	o, h = scripted(t, restarted)
	if want(t, "a server that was restarted", h.look(t, o)); conns() != 2 {
		t.Errorf("%d connections", conns())
	}
}

func TestWatchWaitsAfterFailuresAndStillTellsTheMonitor(t *testing.T) {
	var heard []string
	monitor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		heard = append(heard, r.URL.Path+" "+string(b))
	}))
	defer monitor.Close()
	p, err := watch.NewPinger(monitor.URL+"/secret-uuid", "test")
	if err != nil {
		t.Fatal(err)
	}
	p.Pause = time.Millisecond
	pings := func(w *WatchOptions) { w.Pinger = p }
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	o, h := scripted(t, nobody.Addr().String())
	want(t, "nobody there", h.look(t, o, pings), "look-failed unreachable")
	x := h.look(t, o, pings)
	want(t, "left alone", x, "look-failed unreachable")
	if !x.Waits || !x.Until.After(time.Now()) {
		t.Errorf("it was tried again at once: %+v", x)
	}
	if len(heard) != 3 || heard[0] != "/secret-uuid/start " || !strings.Contains(heard[1], "/fail") || !strings.Contains(heard[1], "refused") ||
		!strings.HasPrefix(heard[2], "/secret-uuid/fail ") || !strings.Contains(heard[2], "not looked at before") {
		t.Errorf("the monitor heard %q", heard)
	}
	addr, _ := crashing(t, func(int, string) string { return "" })
	o, h = scripted(t, addr)
	want(t, "healthy", h.look(t, o, pings))
	if len(heard) != 5 || !strings.HasPrefix(heard[4], "/secret-uuid 3 mailboxes") {
		t.Errorf("the monitor heard %q", heard[3:])
	}
	monitor.Close()
	x = h.look(t, o, pings)
	if want(t, "the monitor is gone", x); x.PingErr == nil || !h.said.has("the monitor could not be told") || h.said.has("secret") {
		t.Errorf("%v, said %q", x.PingErr, h.said.texts)
	}
	b, err := os.ReadFile(filepath.Join(h.state, NewWatcher(o, WatchOptions{}, nil).StateFile()))
	if err != nil || strings.Contains(string(b), "secret") {
		t.Errorf("the state: %s, %v", b, err)
	}
}

func TestTwoWatchesOfOneAccountDoNotOverlap(t *testing.T) {
	inside, goOn := make(chan bool), make(chan bool)
	addr, conns := crashing(t, func(int, string) string {
		inside <- true
		<-goOn
		return ""
	})
	o, h := scripted(t, addr)
	o.Mailboxes = []string{"inbox"}
	done := make(chan error)
	go func() {
		_, err := NewWatcher(o, WatchOptions{Policy: watch.Default()}, nil).Look(t.Context())
		done <- err
	}()
	<-inside
	if _, err := NewWatcher(o, WatchOptions{Policy: watch.Default()}, h.said).Look(t.Context()); !errors.Is(err, rundir.ErrLocked) {
		t.Errorf("a second watch: %v", err)
	}
	goOn <- true
	if err := <-done; err != nil || conns() != 1 {
		t.Errorf("the first watch: %v, %d connections", err, conns())
	}
}

func TestWatchLeavesNothingBehindWhenItIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addr, conns := crashing(t, func(int, string) string { cancel(); return "" })
	o, h := scripted(t, addr)
	w := NewWatcher(o, WatchOptions{Policy: watch.Default()}, h.said)
	if _, err := w.Look(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(h.state, w.StateFile())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an interrupted look was remembered: %v", err)
	}
	conns()
	if x := h.look(t, o); !x.First {
		t.Error("an interrupted look counted")
	}
}

func TestADamagedStateIsSetAsideAndSaid(t *testing.T) {
	addr, _ := crashing(t, func(int, string) string { return "" })
	o, h := scripted(t, addr)
	w := NewWatcher(o, WatchOptions{Policy: watch.Default()}, h.said)
	h.look(t, o)
	file := filepath.Join(h.state, w.StateFile())
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, good[:len(good)/2], []byte("\x00\x00\x00")} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		h.said = &said{}
		if x := h.look(t, o); !x.First || !h.said.has("learns anew") {
			t.Errorf("%q: first %v, said %q", b, x.First, h.said.texts)
		}
		if kept, err := os.ReadFile(file + ".damaged"); err != nil || string(kept) != string(b) {
			t.Errorf("set aside: %q, %v", kept, err)
		}
	}
	if err := os.WriteFile(file, []byte(`{"version": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Look(t.Context()); !errors.Is(err, watch.ErrNewer) {
		t.Errorf("a state of the future: %v", err)
	}
}
