//go:build unix

package repair

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/sshhost"
	"dovemend/repair/rundir"
	"dovemend/repair/store"
	"dovemend/repair/watch"
)

// watchOptions are those of a watch of an embedded host: files alone.
func (b *bench) watchOptions() Options {
	o := b.options()
	o.Confirm, o.AcceptLoss = nil, nil
	return o
}

func (b *bench) watch(o Options) *Watched {
	b.Helper()
	x, err := NewWatcher(o, WatchOptions{Policy: watch.Default(), Now: true}, b.said).Look(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return x
}

func (b *bench) inbox(name string) string {
	return filepath.Join(b.h.MailRoot(), "mailboxes", "INBOX", "dbox-Mails", name)
}

func TestWatchSeesFilesGrowTowardsWhereDovecotCrashes(t *testing.T) {
	b := newBench(t)
	for _, box := range []string{"INBOX", "Archive"} { // no index, and a log that tells all: nothing is wrong with that
		dir := filepath.Dir(strings.Replace(b.inbox("x"), "INBOX", box, 1))
		log := make([]byte, 40)
		copy(log, []byte{1, 3, 40, 0, 9, 0, 0, 0, 2, 0, 0, 0})
		log[32] = 1
		if err := errors.Join(os.Remove(filepath.Join(dir, "dovecot.index")), os.WriteFile(filepath.Join(dir, "dovecot.index.log"), log, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "sound", b.watch(b.watchOptions()))
	if err := os.Truncate(b.inbox("dovecot.index.cache"), 600<<20); err != nil {
		t.Fatal(err)
	}
	x := b.watch(b.watchOptions())
	want(t, "a large cache", x, "cache-large INBOX")
	if !strings.Contains(x.Reason(), "629 MB") || !strings.Contains(x.Reason(), "drop-cache") {
		t.Errorf("told: %s", x.Reason())
	}
	if err := os.Truncate(b.inbox("dovecot.index.cache"), 6<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(b.inbox("dovecot.index.log"), 50<<20); err != nil {
		t.Fatal(err)
	}
	want(t, "a large log", b.watch(b.watchOptions()), "log-large INBOX")
	o := b.watchOptions()
	o.All, o.Mailboxes = false, []string{"Archive"}
	want(t, "another mailbox", b.watch(o))
}

func TestWatchTellsDamageByTheFilesAloneAndChangesNothing(t *testing.T) {
	b := newBench(t) // its indexes hold nothing that Dovecot would read
	x := b.watch(b.watchOptions())
	want(t, "damaged", x, "files-damaged INBOX", "files-damaged Archive")
	if x.IMAP != "" || !strings.Contains(x.Summary(), "not over IMAP") {
		t.Errorf("it was looked at over IMAP: %q, %q", x.IMAP, x.Summary())
	}
}

func TestWatchOfALoginWithoutAShellIsQuiet(t *testing.T) {
	h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Layout: "sdbox", Options: sshhost.Options{NoShell: true}, Lay: func(root string) error {
		return laySdbox(filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails"), 3)
	}})
	b := &bench{T: t, h: h, state: filepath.Join(t.TempDir(), "state"), said: &said{}}
	o := b.watchOptions()
	o.IMAP = IMAPOptions{Preauth: true}
	w := warned{}
	x, err := NewWatcher(o, WatchOptions{Policy: watch.Default()}, &w).Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want(t, "files alone", x, "files-damaged INBOX")
	if len(w.texts) > 0 || x.Seen.Processes != -1 || !strings.Contains(x.IMAPNot, "no IMAP password") {
		t.Errorf("warned %q, %d processes, not over IMAP since %q", w.texts, x.Seen.Processes, x.IMAPNot)
	}
}

// warned keeps what was warned of.
type warned struct {
	Silent
	texts []string
}

func (w *warned) Warn(text string) { w.texts = append(w.texts, text) }

func TestWatchKeepsOutOfTheWayOfARepair(t *testing.T) {
	b := newBench(t)
	r := b.begin("backup")
	x := b.watch(b.watchOptions())
	if x.Busy == "" || !strings.Contains(x.Busy, r.ID()) || len(x.Alarms) > 0 || len(x.Seen.Mailboxes) > 0 {
		t.Errorf("while a run goes on: %+v", x)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if x = b.watch(b.watchOptions()); x.Busy != "" || !x.First || len(x.Seen.Mailboxes) != 2 {
		t.Errorf("after it: %+v", x)
	}
	s, err := Connect(t.Context(), b.watchOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	info := s.Host().Info()
	release, err := rundir.Lock(b.state, rundir.Meta{HostKey: info.Fingerprint, Addr: info.Addr, MailRoot: store.HostPath(b.h.MailRoot())}.Key(), "")
	if err != nil {
		t.Errorf("a look keeps the account locked: %v", err)
	} else if err := release(); err != nil {
		t.Error(err)
	}
}

func TestWatchTellsWhyTheHostCannotBeReached(t *testing.T) {
	b := newBench(t)
	b.watch(b.watchOptions())
	for name, tt := range map[string]struct {
		change func(o *Options)
		alarm  string
		banned bool
	}{
		"nobody there": {func(o *Options) { o.Remote.Target = "anna@" + free(t) }, "look-failed host-unreachable", false},
		"another key": {func(o *Options) {
			o.Remote.Target, o.Remote.KnownHosts = b.h.User()+"@"+b.h.Addr(), []string{os.DevNull}
		}, "look-failed host-key", true},
		"no login": {func(o *Options) {
			other := remotetest.Embedded(t, remotetest.EmbeddedOptions{Layout: "sdbox"})
			o.Remote.Identities = []string{other.Identity()}
		}, "look-failed host-login", true},
	} {
		t.Run(name, func(t *testing.T) {
			o := b.watchOptions()
			o.StateDir = filepath.Join(t.TempDir(), "state")
			tt.change(&o)
			x := b.watch(o)
			want(t, name, x, tt.alarm)
			if x.Err == nil || x.Seen.Banned != tt.banned || x.State.Wait.Failures != 1 || x.State.Wait.Banned != tt.banned {
				t.Errorf("%v, banned %v, wait %+v", x.Err, x.Seen.Banned, x.State.Wait)
			}
		})
	}
}

func TestWatchNoticesThatTheAccountIsGone(t *testing.T) {
	b := newBench(t)
	o := b.watchOptions()
	b.watch(o)
	if err := os.Rename(b.h.MailRoot(), b.h.MailRoot()+"-away"); err != nil {
		t.Fatal(err)
	}
	x := b.watch(o)
	if len(x.Alarms) == 0 || x.Alarms[len(x.Alarms)-1].Class != "account-missing" {
		t.Errorf("told: %s", x.Reason())
	}
	if err := os.Rename(b.h.MailRoot()+"-away", b.h.MailRoot()); err != nil {
		t.Fatal(err)
	}
	o.Account = "nobody@example.org"
	if _, err := NewWatcher(o, WatchOptions{Policy: watch.Default()}, b.said).Look(t.Context()); err == nil {
		t.Error("an account that never was is only an alarm")
	}
}

// free is an address where nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
