//go:build unix

package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/remotetest/sshhost"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// bed is an account on the embedded host: real files, reached by SSH and SFTP.
type bed struct {
	t     *testing.T
	home  string
	mail  string // the mail root
	host  *sshhost.Host
	fault atomic.Pointer[func(op, path string) error]
	state string
	acc   store.Account
	boxes []store.Mailbox
}

func newBed(t *testing.T, layout store.Layout, messages int) *bed {
	t.Helper()
	home, err := filepath.EvalSymlinks(stateDir(t))
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, home: home, mail: filepath.Join(home, "mail", "example.org", "anna"), state: stateDir(t)}
	w := newWorld(layout)
	if layout != store.MDBox {
		for i := range messages {
			name := fmt.Sprintf("mailboxes/INBOX/dbox-Mails/u.%d", 100+i)
			if layout == store.Maildir {
				name = fmt.Sprintf("cur/%d.M2P2.host:2,", 100+i)
			}
			w.host.file(store.RelPath(name), strings.Repeat("x", i%97))
		}
	}
	b.acc, b.boxes = w.acc, w.boxes
	b.acc.Root = store.HostPath(b.mail)
	for _, e := range w.host.entries() {
		p := filepath.Join(b.mail, string(e.Path))
		if e.Type.IsDir() {
			err = os.MkdirAll(p, 0o700)
		} else {
			err = os.WriteFile(p, []byte(w.host.at[e.Path].data), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range w.host.entries() {
		p := filepath.Join(b.mail, string(e.Path))
		if err := errors.Join(os.Chmod(p, e.Mode), os.Chtimes(p, e.MTime, e.MTime)); err != nil {
			t.Fatal(err)
		}
	}
	b.host, err = sshhost.Start(sshhost.Options{Home: home, Password: "open sesame", Fault: func(op, path string) error {
		if f := b.fault.Load(); f != nil {
			return (*f)(op, path)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.host.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// dial logs in, as a new process would.
func (b *bed) dial() *remote.Host {
	b.t.Helper()
	known := filepath.Join(b.state, "known_hosts")
	if err := os.WriteFile(known, []byte(b.host.KnownHostsLine()+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	h, err := remote.Dial(context.Background(), remote.Config{Target: b.host.User() + "@" + b.host.Addr(), ConfigFile: "none",
		KnownHosts: []string{known}, NoAgent: true, Password: func(context.Context) (string, error) { return "open sesame", nil }})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { h.Close() })
	return h
}

// work is one run on the bed.
type work struct {
	*bed
	h    *remote.Host
	dir  *rundir.Dir
	snap *snapshot.Snapshot
	e    *Executor
}

func (b *bed) begin(paths []store.RelPath, make func(w *work) (*plan.Plan, error)) *work {
	b.t.Helper()
	ctx := context.Background()
	d, err := rundir.Create(b.state, rundir.Meta{})
	if err != nil {
		b.t.Fatal(err)
	}
	root, err := d.SnapshotRoot()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { root.Close(); d.Close() })
	w := &work{bed: b, h: b.dial(), dir: d}
	if w.snap, err = snapshot.Take(ctx, snapshot.FromHost(w.h, b.acc.Root), root, snapshot.Options{Paths: paths}); err != nil {
		b.t.Fatal(err)
	}
	p, err := make(w)
	if err != nil {
		b.t.Fatal(err)
	}
	w.e = &Executor{Run: d, Plan: reload(b.t, p)}
	w.connect(w.h)
	return w
}

// connect gives the executor this connection.
func (w *work) connect(h *remote.Host) {
	w.t.Helper()
	root, err := h.OpenRoot(context.Background(), w.mail)
	if err != nil {
		w.t.Fatal(err)
	}
	w.e.Host = OnRoot(h, root)
}

func (b *bed) repair(r plan.Remedy, aside bool) *work {
	return b.begin([]store.RelPath{"."}, func(w *work) (*plan.Plan, error) {
		return plan.Build(plan.Input{Run: w.dir.ID(), Account: b.acc, Mailboxes: b.boxes, Remedy: r, Aside: aside,
			Policy: plan.Policy{Accept: plan.Losses(), Confirm: []string{"INBOX"}}, Entries: w.snap.Manifest().Entries,
			Facts: []plan.Facts{{Mailbox: "INBOX", Messages: 4, AfterDropIndex: plan.Afterwards{Messages: 4}}}})
	})
}

func (w *work) undo() *work {
	r, err := w.e.Replay()
	if err != nil {
		w.t.Fatal(err)
	}
	u := w.begin(w.e.Plan.Touches(), func(u *work) (*plan.Plan, error) {
		return plan.BuildUndo(plan.UndoInput{Run: u.dir.ID(), Original: w.e.Plan, Begun: r.Touched(),
			Before: w.snap.Manifest().Entries, Now: u.snap.Manifest().Entries})
	})
	u.e.Open = func(_ context.Context, s plan.Step) (io.ReadCloser, error) { return w.snap.FS().Open(string(s.Source)) }
	return u
}

func (w *work) apply() {
	w.t.Helper()
	out, err := w.e.Apply(context.Background())
	if err != nil || !out.Complete() {
		w.t.Fatalf("%+v, %v", out, err)
	}
}

// verify lists the folders anew and compares.
func (w *work) verify() {
	w.t.Helper()
	var now []snapshot.Entry
	err := snapshot.FromHost(w.dial(), w.acc.Root).List(context.Background(), w.e.Plan.Touches(), func(e snapshot.Entry) error {
		now = append(now, e)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range VerifyFiles(w.e.Plan, w.snap.Manifest().Entries, now) {
		w.t.Errorf("verify: %v", d)
	}
}

// tree is everything beneath the home directory with modes, times in seconds and bytes, but what is set aside, and the
// time of the mail root in which the directory for that was made.
func (b *bed) tree() string {
	var s strings.Builder
	err := filepath.WalkDir(b.home, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Name() == "dovemend-aside" {
			return filepath.SkipDir
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		mtime := fi.ModTime().Unix()
		if p == b.mail {
			mtime = 0
		}
		var data []byte
		if fi.Mode().IsRegular() {
			if data, err = os.ReadFile(p); err != nil {
				return err
			}
		}
		fmt.Fprintf(&s, "%v %d %q %s\n", fi.Mode(), mtime, strings.TrimPrefix(p, b.home), data)
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return s.String()
}

func TestOverSFTPEachRemedyIsAppliedVerifiedAndUndone(t *testing.T) {
	for _, layout := range []store.Layout{store.MDBox, store.SDBox, store.Maildir} {
		for _, remedy := range []plan.Remedy{plan.DropCache, plan.DropIndex, plan.Clear} {
			for _, aside := range []bool{false, true} {
				if layout == store.Maildir && !aside {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/aside=%v", layout, remedy, aside), func(t *testing.T) {
					b := newBed(t, layout, 20)
					original := b.tree()
					w := b.repair(remedy, aside)
					w.apply()
					w.verify()
					repaired := b.tree()
					if repaired == original {
						t.Fatal("nothing was done")
					}
					u := w.undo()
					u.apply()
					u.verify()
					same(t, "undone", b.tree(), original)
					uu := u.undo()
					uu.apply()
					same(t, "the undo undone", times(b.tree()), times(repaired))
				})
			}
		}
	}
}

// times takes the times of directories out: those of the first repair are of the clock.
func times(tree string) string {
	var s strings.Builder
	for line := range strings.Lines(tree) {
		if strings.HasPrefix(line, "d") {
			f := strings.SplitN(line, " ", 3)
			line = f[0] + " " + f[2]
		}
		s.WriteString(line)
	}
	return s.String()
}

func TestOverSFTPConnectionCutMidwayIsResumedOnANewOne(t *testing.T) {
	for _, layout := range []store.Layout{store.SDBox, store.Maildir} {
		t.Run(string(layout), func(t *testing.T) {
			b := newBed(t, layout, 800)
			original := b.tree()
			w := b.repair(plan.Clear, false)
			var acts atomic.Int64
			cutAt := func(n int64) {
				acts.Store(0)
				f := func(op, _ string) error {
					if (op == "remove" || op == "rename") && acts.Add(1) == n {
						b.host.CutConnections()
					}
					return nil
				}
				b.fault.Store(&f)
			}
			resume := func(w *work) {
				t.Helper()
				cutAt(600)
				out, err := w.e.Apply(context.Background())
				if err == nil || !out.Changed || out.Complete() || out.Done == 0 {
					t.Fatalf("cut: %+v, %v", out, err)
				}
				b.fault.Store(nil)
				w.connect(b.dial())
				w.apply()
			}
			resume(w)
			w.verify()
			u := w.undo()
			resume(u)
			same(t, "undone", b.tree(), original)
		})
	}
}

func TestOverSFTPQuotaErrorLeavesNoTemporaryFileAndIsResumed(t *testing.T) {
	for _, c := range []struct {
		messages  int
		op        string
		some, all int // of these operations so many succeed; all is how many there would be by SFTP alone, 0 where that is no matter
	}{
		{3, "write", 4, 0},
		{300, "rename", 100, 0}, // their temporary files are made by the host's tar, and most are there when it happens
		{300, "write", 3, 300},  // so few are written by SFTP
	} {
		t.Run(fmt.Sprintf("%d files, %s", c.messages, c.op), func(t *testing.T) {
			b := newBed(t, store.SDBox, c.messages)
			original := b.tree()
			w := b.repair(plan.Clear, false)
			w.apply()
			u := w.undo()
			var n atomic.Int64
			f := func(op, _ string) error {
				if op == c.op && n.Add(1) > int64(c.some) {
					return syscall.EDQUOT
				}
				return nil
			}
			b.fault.Store(&f)
			out, err := u.e.Apply(context.Background())
			var step *StepError
			if !errors.As(err, &step) || step.Step.Op != plan.OpPut || !out.Changed {
				t.Fatalf("got %+v, %v", out, err)
			}
			if strings.Contains(b.tree(), ".dovemend-") {
				t.Errorf("a temporary file is left:\n%s", b.tree())
			}
			if c.all > 0 && n.Load() > int64(c.all)/4 {
				t.Errorf("%d writes by SFTP: the host's tar has made nothing", n.Load())
			}
			b.fault.Store(nil)
			u.apply()
			same(t, "undone", b.tree(), original)
		})
	}
}

func TestOverSFTPTheGuardStopsASwappedInSymlink(t *testing.T) {
	b := newBed(t, store.SDBox, 3)
	w := b.repair(plan.Clear, false)
	inbox := filepath.Join(b.mail, "mailboxes", "INBOX", "dbox-Mails")
	away := filepath.Join(b.home, "away")
	if err := errors.Join(os.Rename(inbox, away), os.Symlink(away, inbox)); err != nil {
		t.Fatal(err)
	}
	was := b.tree()
	out, err := w.e.Apply(context.Background())
	var guard *remote.GuardError
	if !errors.As(err, &guard) || out.Changed {
		t.Errorf("got %+v, %v", out, err)
	}
	same(t, "tree", b.tree(), was)
}

func TestOverSFTPAClientsChangeBetweenPlanAndApplyStopsIt(t *testing.T) {
	b := newBed(t, store.MDBox, 0)
	w := b.repair(plan.DropIndex, false)
	index := filepath.Join(b.mail, "mailboxes", "INBOX", "dbox-Mails", "dovecot.index")
	fi, err := os.Stat(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(index, []byte(strings.Repeat("z", int(fi.Size()))), 0o640), os.Chtimes(index, time.Now(), fi.ModTime())); err != nil {
		t.Fatal(err)
	}
	out, err := w.e.Apply(context.Background())
	if !errors.Is(err, ErrChanged) || out.Changed {
		t.Errorf("same size, same time, other bytes: %+v, %v", out, err)
	}
	if _, err := os.Stat(index); err != nil {
		t.Error(err)
	}
}

func TestClassesAreTheGuards(t *testing.T) {
	for ours, theirs := range map[string]remote.Class{plan.ClassCache: remote.ClassCache, plan.ClassIndex: remote.ClassIndex,
		plan.ClassIndexFile: remote.ClassIndexFile, plan.ClassMailboxFile: remote.ClassMailboxFile, plan.ClassFolder: remote.ClassFolder,
		plan.ClassTemp: remote.ClassTemp, plan.ClassAside: remote.ClassAside} {
		if ours != string(theirs) {
			t.Errorf("%q is %q in remote", ours, theirs)
		}
	}
}
