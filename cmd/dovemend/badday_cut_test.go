//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/proxy"
	"dovemend/remote/remotetest/sshhost"
	"dovemend/repair/rundir"
)

// line is a way to the host that can be cut after some bytes, and then may stay away.
type line struct {
	*proxy.Proxy
	cut  atomic.Int64 // the line is dead once so many bytes have passed; 0 for never
	stay atomic.Bool  // it stays dead
}

// throughLine leads the day's connections over a line of its own.
func (d *badDay) throughLine() *line {
	d.t.Helper()
	p, err := proxy.Start(d.h.Addr(), proxy.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			d.t.Error(err)
		}
	})
	l := &line{Proxy: p}
	d.engine.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if at := l.cut.Load(); at > 0 && l.stay.Load() && p.Passed() >= at {
			return nil, syscall.EHOSTUNREACH
		}
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, p.Addr())
	}
	return l
}

// cutAfter cuts the line after n more bytes; a line that stays away cannot be connected again until mend.
func (l *line) cutAfter(n int64, stay bool) {
	l.stay.Store(stay)
	l.cut.Store(l.Passed() + n)
	l.CutAfter(n)
}

func (l *line) mend() {
	l.CutAfter(0)
	l.cut.Store(0)
}

// cost is how many bytes pass while something is done.
func (l *line) cost(do func()) int64 {
	before := l.Passed()
	do()
	return l.Passed() - before
}

const cutPoints = 26

// TestCutDuringBackup cuts the connection at random places of a backup: what is said fits what
// happened, the host is as it was, and the same command again has everything.
func TestCutDuringBackup(t *testing.T) {
	d := newBadDay(t, "sdbox", 40, remotetest.EmbeddedOptions{Options: sshhost.Options{NoShell: true}})
	before := d.tree()
	l := d.throughLine()
	whole := l.cost(func() { d.want(0, "backup", nil) })
	for i := range cutPoints {
		n := rand.New(rand.NewPCG(1, uint64(i))).Int64N(whole) + 1
		t.Run(fmt.Sprintf("%d of %d", n, whole), func(t *testing.T) {
			d := &badDay{t: t, h: d.h, state: filepath.Join(t.TempDir(), "state")}
			l := d.throughLine()
			l.cutAfter(n, false)
			switch o := d.do("backup"); {
			case o.code == 0: // it was cut in time to be connected again, or after the end
			case o.code != 1:
				t.Fatalf("exit %d\n%s", o.code, o.stderr)
			case !strings.Contains(o.stderr, "connect"):
				t.Errorf("it does not tell of the connection:\n%s", o.stderr)
			}
			l.mend()
			d.want(0, "backup", nil, "Copied 43 files")
			d.isWhole()
		})
	}
	d.same("after the backups", before)
}

// isWhole compares the newest run's copy with the account.
func (d *badDay) isWhole() {
	d.t.Helper()
	inbox := filepath.Join("mailboxes", "INBOX", "dbox-Mails")
	copied := filepath.Join(d.runs()[0].Folder, "snapshot", "files", inbox)
	names, err := os.ReadDir(filepath.Join(d.h.MailRoot(), inbox))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, n := range names {
		want, err1 := os.ReadFile(filepath.Join(d.h.MailRoot(), inbox, n.Name()))
		got, err2 := os.ReadFile(filepath.Join(copied, n.Name()))
		if err1 != nil || err2 != nil || string(got) != string(want) {
			d.t.Fatalf("the copy of %s is not as on the host: %v %v", n.Name(), err1, err2)
		}
	}
}

// TestInterruptedBackupIsGoneOnWith wants the same command to fetch only what is missing.
func TestInterruptedBackupIsGoneOnWith(t *testing.T) {
	d := newBadDay(t, "sdbox", 1, remotetest.EmbeddedOptions{})
	noise, text := rand.NewChaCha8([32]byte{}), make([]byte, 50_000)
	for i := range 400 {
		big := filepath.Join(d.h.MailRoot(), "mailboxes", "INBOX", "dbox-Mails", fmt.Sprintf("u.%d", 1000+i))
		_, _ = noise.Read(text) // what cannot be compressed, or less than these bytes would pass; it never fails
		if err := os.WriteFile(big, text, 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(big, old, old); err != nil {
			t.Fatal(err)
		}
	}
	l := d.throughLine()
	l.cutAfter(17_000_000, true)
	d.want(1, "backup", nil, "connection lost", "next: the same command again; what was copied is not copied twice")
	l.mend()
	again := l.cost(func() { d.want(0, "backup", nil, "going on with the copy that run [0-9a-f-]+ had begun") })
	if again > 10_000_000 { // of 20 MB; what was on its way on each connection is lost
		t.Errorf("%d bytes came again: the copy was begun anew", again)
	}
	d.isWhole()
}

// TestCutDuringRepairAndUndo cuts the connection at random places of a clear, and of its undo: the exit code and the words
// fit what was done, and what they tell to do next completes it.
func TestCutDuringRepairAndUndo(t *testing.T) {
	measure := func(layout string) (repair, undo int64) {
		d := newBadDay(t, layout, 12, remotetest.EmbeddedOptions{Options: sshhost.Options{NoShell: true}})
		l := d.throughLine()
		before := d.tree()
		repair = l.cost(func() { d.want(0, "repair", clearIt) })
		undo = l.cost(func() { d.want(0, "undo", nil) })
		d.same("undo without a cut", before)
		return repair, undo
	}
	for _, layout := range []string{"sdbox", "maildir"} {
		repair, undo := measure(layout)
		for i := range cutPoints / 2 {
			r := rand.New(rand.NewPCG(2, uint64(i)))
			first, second := r.Int64N(repair)+1, r.Int64N(undo)+1
			t.Run(fmt.Sprintf("%s %d of %d and %d of %d", layout, first, repair, second, undo), func(t *testing.T) {
				d := newBadDay(t, layout, 12, remotetest.EmbeddedOptions{Options: sshhost.Options{NoShell: true}})
				l := d.throughLine()
				before := d.tree()
				l.cutAfter(first, false)
				o := d.do("repair", clearIt...)
				l.mend()
				d.finish(o, before, i%2 == 0)
				if now := d.tree(); now == before {
					return // it was taken back
				}
				if n := d.messages(); n != 0 {
					t.Fatalf("%d messages after clear was finished", n)
				}
				l.cutAfter(second, false)
				o = d.do("undo")
				l.mend()
				d.finishUndo(o, i%2 == 0)
				d.same("after the undo", before)
			})
		}
	}
}

// finish does what a repair that was cut short tells to do, by taking it back or going on.
func (d *badDay) finish(o outcome, before string, back bool) {
	d.t.Helper()
	var last listedRun
	if all := d.runs(); len(all) > 0 {
		last = all[0]
	}
	d.t.Logf("exit %d at stage %q: %s", o.code, last.Stage, o.stderr)
	switch {
	case o.code == 0:
	case o.code == 1 && (last.Stage == rundir.StageApplied || last.Stage == rundir.StageVerified): // only the look at it is missing
		d.want(0, "resume", []string{"--run", last.ID})
	case o.code == 1:
		d.same("after exit 1", before)
		if last.Undo || last.Resume {
			d.t.Errorf("nothing was changed, and the run is listed as %s", last.Stage)
		}
		d.want(0, "repair", clearIt)
	case o.code == 6 && back:
		o.check(d.t, 6, "dovemend resume --run "+last.ID, "dovemend undo --run "+last.ID)
		d.want(0, "undo", nil)
		d.same("taken back", before)
	case o.code == 6:
		o.check(d.t, 6, "dovemend resume --run "+last.ID, "dovemend undo --run "+last.ID)
		d.want(0, "resume", nil)
	default:
		d.t.Fatalf("exit %d:\n%s", o.code, o.stderr)
	}
}

// finishUndo does what an undo that was cut short tells to do.
func (d *badDay) finishUndo(o outcome, anew bool) {
	d.t.Helper()
	last := d.runs()[0]
	d.t.Logf("undo: exit %d at stage %q of %s: %s", o.code, last.Stage, last.Kind, o.stderr)
	switch {
	case o.code == 0:
	case o.code == 1 && (last.Stage == rundir.StageApplied || last.Stage == rundir.StageVerified || last.Stage == rundir.StageUndone) && last.Kind == "undo":
		d.want(0, "resume", []string{"--run", last.ID})
	case o.code == 1:
		d.want(0, "undo", nil)
	case o.code == 6 && anew:
		d.want(0, "undo", []string{"--run", last.Of})
	case o.code == 6:
		o.check(d.t, 6, "dovemend resume --run "+last.ID)
		d.want(0, "resume", []string{"--run", last.ID})
	default:
		d.t.Fatalf("undo: exit %d:\n%s", o.code, o.stderr)
	}
}
