//go:build unix

package repair

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/sshhost"
	"dovemend/repair/watch"
)

// hears gives a pinger and what its monitor has heard.
func hears(t *testing.T) (*watch.Pinger, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var heard []string
	monitor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, r.URL.Path+" "+string(b))
	}))
	t.Cleanup(monitor.Close)
	p, err := watch.NewPinger(monitor.URL+"/x", "test")
	if err != nil {
		t.Fatal(err)
	}
	return p, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), heard...)
	}
}

// TestALookThatHangsEndsWithAnAlarm has hosts that log in and then hang at one thing. A watch that hung with them would keep its own
// alarm back for ever, since no other look may begin before it ends.
func TestALookThatHangsEndsWithAnAlarm(t *testing.T) {
	for _, what := range []string{"files", "processes", "imap"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var hangs atomic.Bool
			hangs.Store(true)
			goOn := make(chan bool)
			once := sync.OnceFunc(func() { hangs.Store(false); close(goOn) })
			wait := func() {
				if hangs.Load() {
					<-goOn
				}
			}
			var o Options
			if what == "imap" {
				addr, _ := listing(t, "* LIST () \"/\" INBOX\r\n", func(int, string) string { wait(); return "" })
				o = Options{StateDir: filepath.Join(t.TempDir(), "state"), IMAP: IMAPOptions{Addr: addr, TLS: "none", User: "anna", Password: func() (string, error) { return "x", nil }}}
			} else {
				ho := sshhost.Options{Fault: func(_, path string) error {
					if what == "files" && strings.HasSuffix(path, "dovecot.index.log.2") {
						wait()
					}
					return nil
				}}
				slow := t.TempDir()
				if what == "processes" {
					flag, began := filepath.Join(slow, "hangs"), filepath.Join(slow, "began") // the look at the shell after the login is let through
					script := "#!/bin/sh\nif [ -e '" + began + "' ]; then while [ -e '" + flag + "' ]; do sleep 0.05; done; fi\n: >'" + began + "'\nexec /bin/sh \"$@\"\n"
					ho.Shell = filepath.Join(slow, "shell")
					if err := errors.Join(os.WriteFile(flag, nil, 0o600), os.WriteFile(ho.Shell, []byte(script), 0o700)); err != nil {
						t.Fatal(err)
					}
					unhang := once
					once = func() { os.Remove(flag); unhang() }
				}
				h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Layout: "sdbox", Options: ho, Lay: func(root string) error {
					return laySdbox(filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails"), 1)
				}})
				b := &bench{T: t, h: h, state: filepath.Join(t.TempDir(), "state")}
				o = b.watchOptions()
			}
			t.Cleanup(func() { once() })
			p, heard := hears(t)
			w := NewWatcher(o, WatchOptions{Policy: watch.Default(), Now: true, Pinger: p}, nil)
			w.limit = 2 * time.Second
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			x, err := w.Look(ctx)
			if err != nil {
				t.Fatal(err)
			}
			want(t, what, x, "look-failed look-hangs")
			if x.Err == nil || x.Seen.Host != (what != "imap") || x.State.Wait.Failures != 1 {
				t.Errorf("%v, %+v", x.Err, x.State.Wait)
			}
			if got := heard(); len(got) != 2 || !strings.HasPrefix(got[1], "/x/fail ") || !strings.Contains(got[1], "not at its end after 2s") {
				t.Errorf("the monitor heard %q", got)
			}
			once()
			w.limit = time.Minute
			if x, err = w.Look(ctx); err != nil || x.Seen.Failure != nil || x.Busy != "" {
				t.Errorf("the next look: %v, %+v", err, x)
			}
		})
	}
}
