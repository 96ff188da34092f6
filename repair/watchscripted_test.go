//go:build unix

package repair

import (
	"bufio"
	"context"
	"errors"
	"io"
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

	"dovemend/repair/rundir"
	"dovemend/repair/watch"
)

// silently is the answer of a process that dies.
const silently = "dies"

// crashing is an IMAP server whose process dies without a word when a mailbox is examined.
func crashing(t *testing.T, dies func(conn int, mailbox string) string) (addr string, conns func() int) {
	return listing(t, "* LIST () \".\" INBOX\r\n* LIST () \".\" INBOX.Sent\r\n* LIST (\\NoSelect) \".\" INBOX.No\r\n* LIST () \".\" INBOX.A.B\r\n", dies)
}

// listing is such a server that gives this answer to LIST.
func listing(t *testing.T, list string, dies func(conn int, mailbox string) string) (addr string, conns func() int) {
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
						answer = list
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
