package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"dovemend/repair/plan"
	"dovemend/repair/rundir"
	"dovemend/repair/store"
)

const inbox = "mailboxes/INBOX/dbox-Mails/"

// bench is one run on one world, ready to be applied.
type bench struct {
	*world
	before *fakeHost
	dir    *rundir.Dir
	e      *Executor
}

func newBench(t *testing.T, layout store.Layout, r plan.Remedy, aside bool) *bench {
	t.Helper()
	w := newWorld(layout)
	state := stateDir(t)
	d, err := rundir.Open(state, newRun(t, state))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	b := &bench{world: w, before: w.host.clone(), dir: d}
	p := w.build(t, d.ID(), r, aside)
	b.e = &Executor{Host: w.host, Run: d, Plan: p, Open: copies(b.before)}
	return b
}

func (b *bench) touch(p store.RelPath, data string) {
	n := b.host.at[p]
	n.data = data
	b.host.at[p] = n
}

func TestChangedFileStopsBeforeAnythingIsDone(t *testing.T) {
	tests := []struct {
		name   string
		change func(f *fakeHost)
	}{
		{"another size", func(f *fakeHost) { f.file(inbox+"dovecot.index.cache", "longer than it was before") }},
		{"another time", func(f *fakeHost) { f.file(inbox+"dovecot.index.cache", f.at[inbox+"dovecot.index.cache"].data) }},
		{"gone", func(f *fakeHost) { delete(f.at, inbox+"dovecot.index.cache") }},
		{"same size and time, other bytes", func(f *fakeHost) {
			n := f.at[inbox+"dovecot.index.cache"]
			n.data = strings.Repeat("x", len(n.data))
			f.at[inbox+"dovecot.index.cache"] = n
		}},
		{"a directory", func(f *fakeHost) {
			delete(f.at, inbox+"dovecot.index.cache")
			f.dir(inbox + "dovecot.index.cache")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, store.SDBox, plan.Clear, false)
			tt.change(b.host)
			was := b.host.listing()
			out, err := b.e.Apply(context.Background())
			var step *StepError
			if !errors.As(err, &step) || step.Step.Seq != 1 || (!errors.Is(err, ErrChanged) && !errors.Is(err, errGuard) && !errors.Is(err, fs.ErrNotExist)) {
				t.Errorf("got %v", err)
			}
			if out.Changed || out.Done != 0 {
				t.Errorf("outcome %+v", out)
			}
			same(t, "the tree", b.host.listing(), was)
			if s := b.dir.Meta().Stage; s != rundir.StageNew {
				t.Errorf("stage %s", s)
			}
		})
	}
}

func TestFileThatChangesMidwayLeavesAJournalToUndo(t *testing.T) {
	b := newBench(t, store.SDBox, plan.Clear, false)
	b.touch(inbox+"u.3", "delivered anew")
	out, err := b.e.Apply(context.Background())
	var step *StepError
	if !errors.Is(err, ErrChanged) || !errors.As(err, &step) || step.Step.Path != inbox+"u.3" {
		t.Fatalf("got %v", err)
	}
	if !out.Changed || out.Done != 5 || out.Complete() {
		t.Errorf("outcome %+v", out)
	}
	for _, u := range []store.RelPath{"u.1", "u.2", "u.3", "u.4"} {
		if _, ok := b.host.at[inbox+u]; !ok {
			t.Errorf("%s of the batch that was stopped is gone", u)
		}
	}
	if s := b.dir.Meta().Stage; s != rundir.StageApplying {
		t.Errorf("stage %s", s)
	}
	if _, err := b.e.Apply(context.Background()); !errors.Is(err, ErrChanged) {
		t.Errorf("resumed: %v", err)
	}
}

func TestSymlinkSwappedInIsRefusedByTheGuard(t *testing.T) {
	for _, p := range []store.RelPath{inbox + "u.2", "mailboxes/INBOX/dbox-Mails"} {
		b := newBench(t, store.SDBox, plan.Clear, false)
		b.host.at[p] = node{kind: fs.ModeSymlink, mtime: b.host.at[p].mtime}
		if _, err := b.e.Apply(context.Background()); !errors.Is(err, errGuard) {
			t.Errorf("%s: got %v", p, err)
		}
		if _, ok := b.host.at[inbox+"u.1"]; !ok {
			t.Errorf("%s: messages were removed", p)
		}
	}
}

// TestConnectionLostAtEachCallCanBeResumed makes each request in turn the first that is not answered, of a run and of
// its undo.
func TestConnectionLostAtEachCallCanBeResumed(t *testing.T) {
	lost := errors.New("connection lost")
	for _, layout := range []store.Layout{store.SDBox, store.Maildir} {
		for _, undone := range []bool{false, true} {
			at := 1
			for ; ; at++ {
				b := newBench(t, layout, plan.Clear, true)
				e, want := b.e, planned(b.e.Plan, b.before)
				if undone {
					applied(t, b)
					for p := range b.host.at { // so that the undo must put some from the snapshot
						if strings.HasPrefix(string(p), "dovemend-aside/") && strings.Contains(string(p), ".index") {
							delete(b.host.at, p)
						}
					}
					e, want = undoOf(t, b), files(b.before)
				}
				n := 0
				b.host.call = func(string, store.RelPath) error {
					if n++; n >= at {
						return lost
					}
					return nil
				}
				out, err := e.Apply(context.Background())
				if err == nil {
					break // there was no such call
				}
				if !errors.Is(err, lost) || out.Complete() {
					t.Fatalf("%s, call %d: %+v, %v", layout, at, out, err)
				}
				b.host.call = nil
				out, err = e.Apply(context.Background())
				if err != nil || !out.Complete() {
					t.Fatalf("%s, call %d, resumed: %+v, %v", layout, at, out, err)
				}
				same(t, fmt.Sprintf("%s, call %d", layout, at), files(b.host), want)
			}
			if at < 20 { // the guard, the reading and the act of each step, and a look here and there
				t.Errorf("%s: only %d calls", layout, at)
			}
		}
	}
}

// undoOf makes the executor that undoes what a bench has applied.
func undoOf(t *testing.T, b *bench) *Executor {
	t.Helper()
	state := stateDir(t)
	d, err := rundir.Open(state, newRun(t, state))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	r, err := b.e.Replay()
	if err != nil {
		t.Fatal(err)
	}
	run := d.ID()
	if run == b.dir.ID() {
		t.Skip("two runs of one ID in two state directories")
	}
	p, err := plan.BuildUndo(plan.UndoInput{Run: run, Original: b.e.Plan, Begun: r.Touched(), Before: b.before.entries(), Now: b.host.entries()})
	if err != nil {
		t.Fatal(err)
	}
	return &Executor{Host: b.host, Run: d, Plan: p, Open: copies(b.before)}
}

func applied(t *testing.T, b *bench) {
	t.Helper()
	if out, err := b.e.Apply(context.Background()); err != nil || !out.Complete() {
		t.Fatal(out, err)
	}
}

func TestQuotaErrorStopsThePutAndResumeFinishesIt(t *testing.T) {
	b := newBench(t, store.SDBox, plan.Clear, false)
	applied(t, b)
	u := undoOf(t, b)
	full := &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	b.host.call = func(op string, p store.RelPath) error {
		if op == "write" && strings.Contains(string(p), ".dovemend-") && len(b.host.at) > 14 {
			return full
		}
		return nil
	}
	out, err := u.Apply(context.Background())
	if !errors.Is(err, syscall.ENOSPC) || out.Complete() || out.Done == 0 {
		t.Fatalf("got %+v, %v", out, err)
	}
	b.host.call = nil
	if out, err := u.Apply(context.Background()); err != nil || !out.Complete() {
		t.Fatalf("resumed: %+v, %v", out, err)
	}
	same(t, "tree", b.host.listing(), b.before.listing())
}

func TestLocalCopyThatHasChangedIsNotPut(t *testing.T) {
	for _, data := range []string{"mail X", "mail", "mail 0 and more", ""} {
		b := newBench(t, store.SDBox, plan.Clear, false)
		applied(t, b)
		u := undoOf(t, b)
		bad := b.before.clone()
		bad.at[inbox+"u.1"] = node{data: data}
		u.Open = copies(bad)
		if _, err := u.Apply(context.Background()); err == nil || !strings.Contains(err.Error(), "changed on the local disk") {
			t.Errorf("%q: got %v", data, err)
		}
		if _, ok := b.host.at[inbox+"u.1"]; ok {
			t.Errorf("%q: put in its place all the same", data)
		}
	}
}

func TestEditedPlanIsRefusedOnceSomethingIsChanged(t *testing.T) {
	b := newBench(t, store.SDBox, plan.Clear, false)
	b.touch(inbox+"u.3", "other bytes")
	if _, err := b.e.Apply(context.Background()); err == nil {
		t.Fatal("no error")
	}
	b.e.Plan = reload(t, b.e.Plan)
	b.e.Plan.Steps[7].Expect.Size++
	if _, err := b.e.Apply(context.Background()); !errors.Is(err, ErrPlanEdited) {
		t.Errorf("got %v", err)
	}
}

func TestNewPlanIsTakenWhileNothingIsChanged(t *testing.T) {
	for _, aside := range []bool{false, true} {
		b := newBench(t, store.SDBox, plan.Clear, aside)
		b.touch(inbox+"dovecot.index.cache", "a client was here")
		out, err := b.e.Apply(context.Background())
		if !errors.Is(err, ErrChanged) || out.Changed {
			t.Fatalf("aside %v: %+v, %v", aside, out, err)
		}
		b.e.Plan = b.build(t, b.dir.ID(), plan.Clear, aside)
		if out, err := b.e.Apply(context.Background()); err != nil || !out.Complete() {
			t.Errorf("aside %v, planned anew: %+v, %v", aside, out, err)
		}
	}
}

func TestPlanThatIsNoneIsRefused(t *testing.T) {
	for name, edit := range map[string]func(p *plan.Plan){
		"another run":      func(p *plan.Plan) { p.Run = "20200101-000000-0000" },
		"wrong number":     func(p *plan.Plan) { p.Steps[1].Seq = 7 },
		"unknown verb":     func(p *plan.Plan) { p.Steps[0].Op = "remove-all" },
		"put onto another": func(p *plan.Plan) { p.Steps[0].Op, p.Steps[0].Temp, p.Steps[0].SHA256 = plan.OpPut, "t", "x" },
		"rename nowhere":   func(p *plan.Plan) { p.Steps[0].Op = plan.OpRename },
		"one target twice": func(p *plan.Plan) {
			for i := range 2 {
				p.Steps[i].Op, p.Steps[i].To = plan.OpRename, "dovemend-aside/x"
			}
		},
	} {
		b := newBench(t, store.SDBox, plan.Clear, false)
		edit(b.e.Plan)
		out, err := b.e.Apply(context.Background())
		if err == nil || out.Changed {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
		same(t, name, b.host.listing(), b.before.listing())
	}
}

func TestCancelledRunEndsItsBatchAndTellsThePosition(t *testing.T) {
	b := newBench(t, store.SDBox, plan.Clear, false)
	ctx, cancel := context.WithCancel(context.Background())
	b.host.acted = func() {
		if _, ok := b.host.at[inbox+"dovecot.index"]; !ok {
			cancel()
		}
	}
	out, err := b.e.Apply(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "5 of 9") || out.Done != 5 || !out.Changed {
		t.Fatalf("got %+v, %v", out, err)
	}
	r, err := b.e.Replay()
	if err != nil || len(r.Done) != 5 || len(r.Begun) != 5 {
		t.Errorf("journal: %+v, %v", r, err)
	}
	b.host.acted = nil
	if out, err := b.e.Apply(context.Background()); err != nil || !out.Complete() {
		t.Errorf("resumed: %+v, %v", out, err)
	}
}

// fullDisk is a journal on a disk that is full after some bytes.
type fullDisk struct {
	syncWriter
	left *int
}

func (w fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), *w.left)
	*w.left -= n
	if _, err := w.syncWriter.Write(b[:n]); err != nil {
		return 0, err
	}
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestFullLocalDiskStopsBeforeActing(t *testing.T) {
	for room := 0; ; room += 97 {
		b := newBench(t, store.SDBox, plan.Clear, false)
		left := room
		acts := 0
		b.host.acted = func() { acts++ }
		b.e.wrap = func(w syncWriter) syncWriter { return fullDisk{w, &left} }
		_, err := b.e.Apply(context.Background())
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		r, err := b.e.Replay()
		if err != nil || r.Damage != nil {
			t.Fatal(err, r.Damage)
		}
		if acts > len(r.Begun) {
			t.Errorf("room for %d bytes: %d changes, %d intents", room, acts, len(r.Begun))
		}
		b.host.acted, b.e.wrap = nil, nil
		if out, err := b.e.Apply(context.Background()); err != nil || !out.Complete() {
			t.Errorf("room for %d bytes, resumed: %+v, %v", room, out, err)
		}
	}
}

func TestFinishedRunIsNotAppliedAgain(t *testing.T) {
	b := newBench(t, store.SDBox, plan.Clear, false)
	applied(t, b)
	b.host.file(inbox+"u.1", "new mail")
	b.host.call = func(op string, p store.RelPath) error { return fmt.Errorf("%s %s was called", op, p) }
	if out, err := b.e.Apply(context.Background()); err != nil || !out.Complete() || out.Done != out.Total {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestOnlyIndependentStepsShareABatch(t *testing.T) {
	b := newBench(t, store.SDBox, plan.Clear, true)
	steps := b.e.Plan.Steps
	var sizes []int
	for i := 0; i < len(steps); {
		end := batch(steps, i)
		sizes = append(sizes, end-i)
		i = end
	}
	if got, want := fmt.Sprint(sizes), "[1 1 1 1 1 1 1 1 1 1 4]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, op := range []plan.Op{plan.OpRemove, plan.OpPut} {
		many := make([]plan.Step, maxBatch+100)
		for i := range many {
			many[i] = plan.Step{Op: op, Class: plan.ClassMailboxFile}
		}
		if n := batch(many, 0); n != maxBatch {
			t.Errorf("a batch of %d of %s", n, op)
		}
	}
}
