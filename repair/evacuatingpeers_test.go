//go:build unix

package repair

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/plan"
	"dovemend/repair/probe"
)

// TestEvacuateWhileProgramsAreAtWork: a filter and a mail program connect again and again, and new mail comes, while messages are
// moved out, the mailbox is cleared, and they are moved back: nothing is lost, and nothing is there twice.
func TestEvacuateWhileProgramsAreAtWork(t *testing.T) {
	remotetest.Programs(t, "mbsync", "imapfilter")
	t.Parallel()
	h := newForecastHost(t, realhost.Options{Layout: "mdbox", RotateLogs: true})
	x := &evacuation{forecastHost: h, T: t, state: filepath.Join(t.TempDir(), "state"), back: true, said: &said{}, batch: 8, filter: true}
	x.poison()
	// One way only: a program that also uploads what it has may put messages back by itself, which is not looked at here.
	mbsync := strings.Replace(h.mbsyncText(t, t.TempDir()), "Expunge Both", "Expunge None\nSync Pull", 1)
	peers := map[string]string{"mbsync": mbsync, "imapfilter": h.filterText(t)}
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	runs := map[string]*atomic.Int32{}
	for program, config := range peers {
		name := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		home := t.TempDir()
		count := new(atomic.Int32)
		runs[program] = count
		wait.Go(func() {
			for ctx.Err() == nil {
				args := []string{"-c", name}
				if program == "mbsync" {
					args = append(args, "-a")
				}
				cmd := exec.CommandContext(ctx, program, args...)
				cmd.Env = append(os.Environ(), "HOME="+home, "LC_ALL=C")
				if cmd.Run() == nil { // it fails when its session is ended
					count.Add(1)
				}
			}
		})
	}
	defer wait.Wait()
	defer stop()
	x.cut = func(n int) error {
		if n == 5 || n == 9 {
			x.Doveadm(t, "copy", "-u", x.Account(), "INBOX", "mailbox", "Sent", "uid", fmt.Sprint(n))
			x.more++
		}
		return nil
	}
	r := x.start()
	if err := r.Apply(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(x.said.texts, "\n"))
	}
	stop()
	wait.Wait()
	x.verified(r)
	x.all(fill.Inbox)
	if err := errors.Join(r.End(0, nil), r.Close()); err != nil {
		t.Fatal(err)
	}
	x.undo(r.ID())
	for program, n := range runs {
		t.Logf("%s came to its end %d times meanwhile", program, n.Load())
		if program == "imapfilter" && n.Load() == 0 {
			t.Error("the filter never did anything")
		}
	}
}

// filterText is a filter that marks what was read.
func (h *forecastHost) filterText(t *testing.T) string {
	t.Helper()
	host, port, err := net.SplitHostPort(h.IMAP())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`options.timeout = 30
options.starttls = false
account = IMAP { server = %q, port = %s, username = %q, password = %q }
seen = account['INBOX']:is_seen()
seen:add_flags({ 'Filtered' })
`, host, port, h.Account(), h.Password())
}

// TestEvacuateAnotherMailboxByPassword: a mailbox whose name is not ASCII and has levels, over TLS with a password, at a host that
// gives no shell: its processes cannot be ended, nor its own imap program be started.
func TestEvacuateAnotherMailboxByPassword(t *testing.T) {
	t.Parallel()
	h := newForecastHost(t, realhost.Options{Layout: "maildir", RotateLogs: true, SFTPOnly: true})
	x := &evacuation{forecastHost: h, T: t, state: filepath.Join(t.TempDir(), "state"), said: &said{}}
	o := x.options()
	o.Mailboxes, o.Confirm, o.IMAP = []string{fill.Umlauts}, []string{fill.Umlauts}, IMAPOptions{Addr: h.IMAPS(), TLS: imap.TLS, CAFile: h.CA(), Password: func() (string, error) { return h.Password(), nil }}
	s, err := Connect(t.Context(), o, x.said)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, m, err := s.Choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.NewRun(t.Context(), "repair", a, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Plan(t.Context(), plan.Evacuate); err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Verify(t.Context()); err != nil || !v.OK || v.IMAP != imap.TLS {
		t.Errorf("%+v, %v", v, err)
	}
	backup := r.Evacuated().Backup
	if !strings.HasSuffix(backup, "-Entwürfe-Größe") || strings.ContainsAny(backup, "./") {
		t.Errorf("the backup mailbox is %q", backup)
	}
	got, was := x.read(fill.Umlauts, backup), h.Truth.Mailboxes[fill.Umlauts].Messages
	if len(got[fill.Umlauts]) != 0 || len(got[backup]) != len(was) {
		t.Errorf("%d messages left, %d in %s of %d", len(got[fill.Umlauts]), len(got[backup]), backup, len(was))
	}
	if err := errors.Join(r.End(0, nil), r.Close()); err != nil {
		t.Fatal(err)
	}
	u, err := UndoRun(t.Context(), o, r.ID(), x.said)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Session().Close()
	defer u.Close()
	if v, err := u.Verify(t.Context()); err != nil || !v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	sums := func(list []probe.Message) (all []string) {
		for _, m := range list {
			all = append(all, m.BodySHA256)
		}
		slices.Sort(all)
		return all
	}
	var want []string
	for _, m := range was {
		want = append(want, hex.EncodeToString(m.Sum[:]))
	}
	slices.Sort(want)
	if back := sums(x.read(fill.Umlauts)[fill.Umlauts]); !slices.Equal(back, want) {
		t.Errorf("%d messages are back of %d", len(back), len(want))
	}
}
