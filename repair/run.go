package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"dovemend/remote"
	"dovemend/repair/check"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
	"dovemend/repair/rebuild"
	"dovemend/repair/reconstruct"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// Version is what run.json says of the program that made it; main sets it.
var Version = ""

// Run is one repair, backup or undo in progress: a folder, and the account it works on. Its methods are the stages, to
// be called in their order. It holds the account's lock until it is closed.
type Run struct {
	s       *Session
	dir     *rundir.Dir
	log     *slog.Logger // the session's and the run's log.txt
	logFile io.Closer
	release []func() error
	account store.Account
	boxes   []store.Mailbox

	snapRoot *os.Root
	snap     *snapshot.Snapshot
	acct     *reconstruct.Account
	reports  []*check.Report
	shared   []check.Finding // what concerns the account as a whole
	found    []Diagnosis     // the reports in words
	work     *rebuild.Work   // what a rebuild has made, in the run's folder
	forced   bool            // of all mailboxes, healthy ones too
	plan     *plan.Plan
	evac     *evacuate.State
	came     func(u *Run) error // of a part that is taken back: is asked of every fresh copy of the undo u
	past     *earlier           // copies that were made before
	guard    func() error       // of a part of a run: is asked after each examination
	changed  bool               // something on the host may have been changed by this process
	remedy   plan.Remedy
}

// NewRun begins a run of kind "repair" or "backup" on some mailboxes of an account: its folder is made and the account
// locked, so that two runs never work on it at once (rundir.ErrLocked).
func (s *Session) NewRun(ctx context.Context, kind string, a store.Account, boxes []store.Mailbox) (*Run, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := rundir.EnsureState(s.o.StateDir); err != nil {
		return nil, err
	}
	if w := rundir.StateWarning(s.o.StateDir); w != "" {
		s.rep.Warn(w)
	}
	m := s.meta(rundir.Kind(kind), a, boxes)
	if m.Kind == rundir.KindRepair {
		if err := s.unfinished(m); err != nil {
			return nil, err
		}
	}
	return s.begin(m, a, boxes)
}

func (s *Session) meta(kind rundir.Kind, a store.Account, boxes []store.Mailbox) rundir.Meta {
	info := s.info()
	m := rundir.Meta{Kind: kind, Target: info.Target, User: info.User, Addr: info.Addr, HostKey: info.Fingerprint,
		MailRoot: a.Root, Address: a.Address, Layout: a.Layout, Remedy: string(s.o.Remedy), Version: Version}
	for _, b := range boxes {
		m.Mailboxes = append(m.Mailboxes, b.Name)
	}
	return m
}

func (s *Session) begin(m rundir.Meta, a store.Account, boxes []store.Mailbox) (*Run, error) {
	dir, err := rundir.Create(s.o.StateDir, m)
	if err != nil {
		return nil, err
	}
	r := &Run{s: s, dir: dir, account: a, boxes: boxes, remedy: plan.Remedy(m.Remedy), log: s.log}
	if err := r.lock(); err != nil {
		return nil, errors.Join(err, r.fail(err), dir.Close())
	}
	if err := r.openLog(); err != nil {
		return nil, errors.Join(err, r.fail(err), r.Close())
	}
	r.note()
	r.keepHost()
	r.log.Info("run begins", "run", dir.ID(), "kind", m.Kind, "host", s.info().Addr, "mail_root", string(a.Root), "version", Version)
	return r, nil
}

// openLog lets the run's log.txt tell what the session's log tells of this run.
func (r *Run) openLog() error {
	f, err := r.dir.OpenLog()
	if err != nil {
		return err
	}
	r.logFile = f
	r.log = slog.New(slog.NewMultiHandler(r.s.log.Handler(), slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return nil
}

// lock takes the account's lock and the run's own, or none. An account is known by its host's key: where that is another
// than when the run was made, the lock of either name is taken.
func (r *Run) lock() error {
	account := func(key string) func() (func() error, error) {
		return func() (func() error, error) { return rundir.Lock(r.s.o.StateDir, key, r.dir.ID()) }
	}
	was, is := r.dir.Meta(), r.dir.Meta()
	is.HostKey, is.Addr = r.s.info().Fingerprint, r.s.info().Addr
	takes := []func() (func() error, error){account(was.Key())}
	if is.Key() != was.Key() {
		takes = append(takes, account(is.Key()))
	}
	if was.PartOf != "" { // the run it is a part of holds the account's
		takes = nil
	}
	for _, take := range append(takes, r.dir.Lock) {
		release, err := take()
		if err != nil {
			return errors.Join(err, r.unlock())
		}
		r.release = append(r.release, release)
	}
	return nil
}

// earlier are the copies of the account that were made before this run.
func (r *Run) earlier() *earlier {
	if r.past == nil {
		r.past = &earlier{state: r.s.o.StateDir, key: r.dir.Meta().Key(), before: r.ID(), log: r.log}
	}
	return r.past
}

// ID is the run's name.
func (r *Run) ID() string { return r.dir.ID() }

// Folder is where the run's files are.
func (r *Run) Folder() string { return r.dir.Path() }

// Account is the account the run works on.
func (r *Run) Account() store.Account { return r.account }

// Mailboxes are the mailboxes the run works on.
func (r *Run) Mailboxes() []store.Mailbox { return r.boxes }

// Meta is what run.json tells now.
func (r *Run) Meta() rundir.Meta { return r.dir.Meta() }

// Changed reports whether this run may have changed something on the host: whether there is something to resume or undo.
func (r *Run) Changed() bool { return r.dir.Meta().CanUndo() }

// Close lets go of the run's folder and locks. What is in the folder stays.
func (r *Run) Close() error {
	var errs []error
	if r.past != nil {
		errs = append(errs, r.past.Close())
	}
	if r.snapRoot != nil {
		errs = append(errs, r.snapRoot.Close())
	}
	for i := len(r.release) - 1; i >= 0; i-- {
		errs = append(errs, r.release[i]())
	}
	r.release = nil
	if r.logFile != nil {
		errs = append(errs, r.logFile.Close())
	}
	return errors.Join(append(errs, r.dir.Close())...)
}

// End records how the run's command ended: the exit code, and the error in words.
func (r *Run) End(exit int, err error) error {
	r.log.Info("command ended", "exit", exit, "error", err)
	return r.dir.Update(func(m *rundir.Meta) {
		m.Ended, m.Exit, m.Error = time.Now().UTC(), exit, ""
		if err != nil {
			m.Error = remote.Safe(err.Error())
		}
		if err != nil && (m.Stage == rundir.StageNew) {
			m.Stage = rundir.StageFailed
		}
	})
}

func (r *Run) fail(err error) error { return r.End(1, err) }

func (r *Run) stage(s rundir.Stage) error {
	r.log.Info("stage reached", "stage", s)
	return r.dir.Update(func(m *rundir.Meta) { m.Stage = s })
}

// progress is the Reporter as package snapshot knows it.
type progress struct{ Reporter }

func (p progress) Note(text string) { p.Info(text) }

func (r *Run) source() snapshot.Source { return snapshot.FromHost(r.s.host, r.account.Root) }

func (r *Run) options(paths []store.RelPath) snapshot.Options {
	return snapshot.Options{Root: r.account.Root, Address: r.account.Address, Layout: r.account.Layout, Paths: paths,
		Verify: r.s.o.Verify, Reporter: progress{r.s.rep}}
}

// Snapshot copies the mailboxes to the run's folder and verifies the copy. Files that have not changed since the last
// snapshot of this account are taken from it. It changes nothing on the host.
func (r *Run) Snapshot(ctx context.Context) (*snapshot.Stored, error) {
	return r.take(ctx, snapshot.Paths(r.account, r.boxes, r.s.o.All))
}

// take copies what lies at the paths. The list of the copy is not read before it is needed, by [Run.open].
func (r *Run) take(ctx context.Context, paths []store.RelPath) (*snapshot.Stored, error) {
	o := r.options(paths)
	r.takeOver(paths)
	previous, closePrevious := r.previous(paths)
	defer closePrevious()
	o.Previous = previous
	root, err := r.dir.SnapshotRoot()
	if err != nil {
		return nil, err
	}
	r.snapRoot = root
	r.s.rep.Stage("copying " + remote.Safe(AccountName(r.account)) + " to this computer")
	copied, err := snapshot.Store(ctx, r.source(), root, o)
	if err != nil {
		return nil, fmt.Errorf("copy the mail: %w", err)
	}
	for _, e := range copied.Notable() {
		switch {
		case e.Err != "":
			r.s.rep.Warn("not copied: " + remote.Safe(string(e.Path)) + ": " + remote.Safe(e.Err))
		case e.Torn:
			r.s.rep.Info("changed while it was copied: " + remote.Safe(string(e.Path)))
		}
	}
	r.keepCopy(copied)
	return copied, r.stage(rundir.StageSnapshot)
}

// takeOver makes the copy of an earlier run that was interrupted the beginning of this one. Where that cannot be done the
// copy is begun anew.
func (r *Run) takeOver(paths []store.RelPath) {
	left, err := rundir.Unfinished(r.s.o.StateDir, r.dir.Meta().Key())
	if err != nil {
		r.log.Warn("no look for an interrupted copy", "error", err)
		return
	}
	for _, l := range left {
		if l.ID == r.ID() {
			continue
		}
		done, err := r.takeOverFrom(l.ID, paths)
		if err != nil {
			r.log.Warn("an interrupted copy cannot be gone on with", "run", l.ID, "error", err)
		}
		if done {
			r.s.rep.Info("going on with the copy that run " + l.ID + " had begun")
			return
		}
	}
}

func (r *Run) takeOverFrom(id string, paths []store.RelPath) (done bool, err error) {
	dir, err := rundir.Open(r.s.o.StateDir, id)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	root, err := dir.SnapshotRoot()
	if err != nil {
		return false, err
	}
	fit, err := snapshot.Interrupted(root, r.account.Root, paths)
	if err = errors.Join(err, root.Close()); err != nil || !fit {
		return false, err
	}
	err = r.dir.TakeOverSnapshot(dir)
	return err == nil, err
}

// previousLooks is how many earlier snapshots are looked at for one that holds all that is to be copied.
const previousLooks = 32

// previous opens the last complete snapshot of this account that can be read, and where that is one of less than is to be
// copied now, as after the repair of one mailbox, also the last one of all of it.
func (r *Run) previous(paths []store.RelPath) ([]*snapshot.Stored, func()) {
	var all []*snapshot.Stored
	var closers []func()
	closeAll := func() {
		for _, f := range closers {
			f()
		}
	}
	runs, err := rundir.Snapshots(r.s.o.StateDir, r.dir.Meta().Key())
	if err != nil {
		r.log.Warn("no earlier snapshot to build on", "error", err)
	}
	for _, l := range runs[:min(len(runs), previousLooks)] {
		if l.ID == r.ID() {
			continue
		}
		s, closeIt, err := openOther(r, l.ID, snapshot.OpenStored)
		if err != nil {
			r.log.Warn("the earlier snapshot cannot be read", "run", l.ID, "error", err)
			continue
		}
		covers := s.Head().Covers(paths)
		if len(all) > 0 && !covers {
			closeIt()
			continue
		}
		all, closers = append(all, s), append(closers, closeIt)
		if covers {
			break
		}
	}
	return all, closeAll
}

// open opens the run's snapshot again.
func (r *Run) open() error {
	if r.snap != nil {
		return nil
	}
	var err error
	if r.snapRoot == nil {
		if r.snapRoot, err = r.dir.SnapshotRoot(); err != nil {
			return err
		}
	}
	r.snap, err = snapshot.Open(r.snapRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("run %s has no complete snapshot: %w", r.ID(), err)
	}
	return err
}
