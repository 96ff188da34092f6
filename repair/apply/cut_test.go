package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"dovemend/repair/plan"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// world is an account on a fake host, and what is made of it.
type world struct {
	host  *fakeHost
	acc   store.Account
	boxes []store.Mailbox
}

func newWorld(layout store.Layout) *world {
	w := &world{host: newFakeHost(layout != store.Maildir), acc: store.Account{Root: "/home/u/mail", Layout: layout, Tree: layout != store.Maildir}}
	index := []string{"dovecot.index", "dovecot.index.backup", "dovecot.index.log", "dovecot.index.log.2", "dovecot.index.cache"}
	if layout == store.Maildir {
		for _, d := range []store.RelPath{"cur", "new", "tmp", ".Sent/cur", ".Sent/new"} {
			w.host.dir(d)
		}
		for _, n := range append(index, "dovecot-uidlist", "dovecot-keywords", "maildirfolder", "subscriptions", "dovecot-uidvalidity") {
			w.host.file(store.RelPath(n), "maildir "+n)
		}
		for i := range 4 {
			w.host.file(store.RelPath(fmt.Sprintf("cur/%d.M1P2.host,S=5:2,S", i)), fmt.Sprintf("mail %d", i))
		}
		w.host.file("new/9.M1P2.host\xff", "new mail")
		w.host.file(".Sent/cur/7.M1P2.host:2,", "sent")
		w.boxes = []store.Mailbox{{Name: "INBOX", Storage: "INBOX", Dir: "."}}
		return w
	}
	dir := store.RelPath("mailboxes/INBOX/dbox-Mails")
	for _, n := range index {
		w.host.file(dir+"/"+store.RelPath(n), "index "+n)
	}
	if layout == store.SDBox {
		for i := range 4 {
			w.host.file(dir+store.RelPath(fmt.Sprintf("/u.%d", i+1)), fmt.Sprintf("mail %d", i))
		}
	} else {
		w.host.file("storage/m.1", "mails")
		w.host.file("storage/dovecot.map.index", "map")
	}
	w.host.file("mailboxes/INBOX/Sub/dbox-Mails/dovecot.index", "of the sub-mailbox")
	w.host.file("mailboxes/Other/dbox-Mails/dovecot.index", "of another")
	w.boxes = []store.Mailbox{{Name: "INBOX", Storage: "INBOX", Dir: dir}}
	return w
}

func (w *world) build(t *testing.T, run string, r plan.Remedy, aside bool) *plan.Plan {
	t.Helper()
	p, err := plan.Build(plan.Input{Run: run, Account: w.acc, Mailboxes: w.boxes, Remedy: r, Aside: aside,
		Policy:  plan.Policy{Accept: plan.Losses(), Confirm: []string{"INBOX"}},
		Entries: w.host.entries(), Facts: []plan.Facts{{Mailbox: "INBOX", Messages: 4, AfterDropIndex: plan.Afterwards{Messages: 4}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Steps) == 0 {
		t.Fatal("a plan without steps")
	}
	return reload(t, p)
}

// stateDir is a temporary directory in memory where the system has one: thousands of runs are synced here.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dovemend-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// reload gives the plan as it is after it was saved.
func reload(t *testing.T, p *plan.Plan) *plan.Plan {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back plan.Plan
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

// copies opens what a put wants from the state of the host when the snapshot was made.
func copies(f *fakeHost) func(context.Context, plan.Step) (io.ReadCloser, error) {
	return func(_ context.Context, s plan.Step) (io.ReadCloser, error) {
		n, ok := f.at[s.Source]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(n.data)), nil
	}
}

// cut is a kill -9 at one point.
type cut struct{}

// cutter counts points and cuts at one of them; 0 never.
type cutter struct{ at, n int }

func (c *cutter) point() {
	if c.n++; c.n == c.at {
		panic(cut{})
	}
}

// cutWriter is a journal that is cut inside each of its lines, which is as good as after the one before, and at each
// sync.
type cutWriter struct {
	syncWriter
	c *cutter
}

func (w *cutWriter) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		half := len(line) / 2
		if _, err := w.syncWriter.Write(line[:half]); err != nil {
			return 0, err
		}
		w.c.point()
		if _, err := w.syncWriter.Write(line[half:]); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (w *cutWriter) Sync() error {
	w.c.point()
	return nil // a test that syncs some ten thousand times would wear out the disk
}

// apply runs a plan until it is done or cut. It opens the run anew, as a new process would.
func apply(t *testing.T, state, run string, p *plan.Plan, host, copy *fakeHost, c *cutter) (wasCut bool) {
	t.Helper()
	d, err := rundir.Open(state, run)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if c == nil {
		c = &cutter{}
	}
	host.acted = c.point
	defer func() {
		host.acted = nil
		if x := recover(); x != nil {
			if _, ok := x.(cut); !ok {
				panic(x)
			}
			wasCut = true
		}
	}()
	e := &Executor{Host: host, Run: d, Plan: p, Open: copies(copy), wrap: func(w syncWriter) syncWriter { return &cutWriter{w, c} }}
	out, err := e.Apply(context.Background())
	if err != nil {
		t.Fatalf("cut at %d: %v", c.at, err)
	}
	if !out.Complete() || d.Meta().Stage != rundir.StageApplied {
		t.Fatalf("cut at %d: %+v, stage %s", c.at, out, d.Meta().Stage)
	}
	return false
}

func begun(t *testing.T, state, run string) map[int]bool {
	t.Helper()
	d, err := rundir.Open(state, run)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := ReadJournal(d.Root(), rundir.JournalFile)
	if err != nil || r.Damage != nil {
		t.Fatal(err, r.Damage)
	}
	return r.Touched()
}

func newRun(t *testing.T, state string) string {
	t.Helper()
	d, err := rundir.Create(state, rundir.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return d.ID()
}

// undo takes a run back on the host, cut at c and then resumed if c is not nil.
func undo(t *testing.T, state string, original *plan.Plan, host, before *fakeHost, c *cutter) (*plan.Plan, *fakeHost, bool) {
	t.Helper()
	run := newRun(t, state)
	now := host.clone()
	p, err := plan.BuildUndo(plan.UndoInput{Run: run, Original: original, Begun: begun(t, state, original.Run),
		Before: before.entries(), Now: now.entries()})
	if err != nil {
		t.Fatal(err)
	}
	p = reload(t, p)
	wasCut := apply(t, state, run, p, host, before, c)
	if wasCut {
		apply(t, state, run, p, host, before, nil)
	}
	return p, now, wasCut
}

func same(t *testing.T, what string, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

// planned is what the tree must be after the plan, but for the times of directories.
func planned(p *plan.Plan, before *fakeHost) string {
	var b strings.Builder
	for _, e := range AfterState(p, before.entries()) {
		if e.Type == 0 {
			fmt.Fprintf(&b, "%04o %d %q %s\n", e.Mode, e.MTime.Unix(), e.Path, e.SHA256)
		}
	}
	return b.String()
}

func files(f *fakeHost) string {
	var b strings.Builder
	for _, e := range f.entries() {
		if e.Type == 0 {
			fmt.Fprintf(&b, "%04o %d %q %s\n", e.Mode, e.MTime.Unix(), e.Path, e.SHA256)
		}
	}
	return b.String()
}

func noBad(t *testing.T, p *plan.Plan, before, now []snapshot.Entry) {
	t.Helper()
	for _, d := range VerifyFiles(p, before, now) {
		if d.Bad {
			t.Errorf("verify: %v", d)
		}
	}
}

// TestCutAnywhereResumeCompletesAndUndoRestores kills each remedy on each layout at every point there is: in the middle
// of every line of the journal, at every sync, and after every change on the host. Then the run is
// resumed, and must reach the planned tree; or it is undone as it lies there, and undone after the resume, and both
// must give the tree back byte for byte with modes and times.
func TestCutAnywhereResumeCompletesAndUndoRestores(t *testing.T) {
	for _, layout := range []store.Layout{store.MDBox, store.SDBox, store.Maildir} {
		for _, remedy := range []plan.Remedy{plan.DropCache, plan.DropIndex, plan.Clear} {
			for _, aside := range []bool{false, true} {
				if layout == store.Maildir && !aside {
					continue // nothing is removed there: the same plan
				}
				t.Run(fmt.Sprintf("%s/%s/aside=%v", layout, remedy, aside), func(t *testing.T) {
					t.Parallel()
					before := newWorld(layout)
					original := before.host.listing()
					state := stateDir(t)
					for at := 1; ; at++ {
						run := newRun(t, state)
						w := &world{host: before.host.clone(), acc: before.acc, boxes: before.boxes}
						p := w.build(t, run, remedy, aside)
						wasCut := apply(t, state, run, p, w.host, before.host, &cutter{at: at})

						lying := w.host.clone()
						if len(begun(t, state, run)) > 0 || wasCut {
							undo(t, state, p, lying, before.host, nil)
							same(t, fmt.Sprintf("cut at %d, then undone", at), lying.listing(), original)
						}
						if wasCut {
							apply(t, state, run, p, w.host, before.host, nil)
						}
						same(t, fmt.Sprintf("cut at %d, then resumed", at), files(w.host), planned(p, before.host))
						noBad(t, p, before.host.entries(), w.host.entries())
						if wasCut && at%7 != 0 { // it is the same tree each time
							continue
						}
						undo(t, state, p, w.host, before.host, nil)
						same(t, fmt.Sprintf("cut at %d, resumed, then undone", at), w.host.listing(), original)
						if !wasCut {
							break
						}
					}
				})
			}
		}
	}
}

// TestUndoCutAnywhereIsResumedAndCanItselfBeUndone kills the undo at every point, with a Dovecot that has made files
// anew in between, and then undoes the undo.
func TestUndoCutAnywhereIsResumedAndCanItselfBeUndone(t *testing.T) {
	for _, layout := range []store.Layout{store.MDBox, store.SDBox, store.Maildir} {
		for _, aside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/aside=%v", layout, aside), func(t *testing.T) {
				t.Parallel()
				before := newWorld(layout)
				original := before.host.listing()
				state := stateDir(t)
				for at := 1; ; at++ {
					run := newRun(t, state)
					w := &world{host: before.host.clone(), acc: before.acc, boxes: before.boxes}
					p := w.build(t, run, plan.Clear, aside)
					apply(t, state, run, p, w.host, before.host, nil)
					dir := string(w.boxes[0].Dir) + "/"
					w.host.file(store.RelPath(strings.TrimPrefix(dir, "./")+"dovecot.index.log"), "made anew by Dovecot")
					if layout == store.SDBox {
						w.host.file(store.RelPath(dir+"u.1"), "new mail")
					}
					cleared := w.host.listing()

					u, atUndo, wasCut := undo(t, state, p, w.host, before.host, &cutter{at: at})
					same(t, fmt.Sprintf("undo cut at %d", at), w.host.listing(), original)
					noBad(t, u, atUndo.entries(), w.host.entries())

					if wasCut && at%7 != 0 { // it is the same tree each time
						continue
					}
					undo(t, state, u, w.host, atUndo, nil)
					same(t, fmt.Sprintf("undo cut at %d, then undone", at), w.host.listing(), cleared)
					if !wasCut {
						break
					}
				}
			})
		}
	}
}
