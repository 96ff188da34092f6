package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/repair/apply"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
)

// attempts is how often a plan is made anew because something changed before its first step.
const attempts = 3

// StoppedError: the run stopped after it had changed something on the host. It can be resumed or undone.
type StoppedError struct {
	Run     string
	Of      string // where the run is an undo: the run it takes back
	Remedy  plan.Remedy
	Outcome apply.Outcome // of an evacuation, or of taking one back, it counts messages
	Moves   bool          // it is one
	Err     error
}

func (e *StoppedError) Error() string { return fmt.Sprintf("%s: %v", e.Far(), e.Err) }

// Far says how far it had come.
func (e *StoppedError) Far() string {
	if e.Moves {
		return fmt.Sprintf("stopped after %d of %d messages were moved", e.Outcome.Done, e.Outcome.Total)
	}
	return fmt.Sprintf("stopped after %d of %d steps", e.Outcome.Done, e.Outcome.Total)
}

// Unwrap gives the cause.
func (e *StoppedError) Unwrap() error { return e.Err }

// ErrUnchanged: applying a plan ended before its first step.
var ErrUnchanged = errors.New("nothing was changed")

// Apply ends the processes, looks at the files again, and carries out the plan made by [Run.Plan]. Messages that it takes out of
// their mailboxes are written to the run's folder first (see [Run.Saved]). Where something has
// changed since, the plan is made anew first; if that one would cost more than was accepted, nothing is done. A
// [StoppedError] says that something was changed before it stopped.
//
// Where a mail process wakes up in the middle of a rebuild, what was done is taken back, and the rebuild begun again as a run
// of its own: [Run.ID] is another one then.
func (r *Run) Apply(ctx context.Context) error {
	if r.plan == nil {
		return errors.New("apply: no plan was made")
	}
	if r.plan.Moves != nil {
		return r.evacuate(ctx)
	}
	for attempt := 1; ; attempt++ {
		if err := r.quiesce(ctx, r.s.o.Quiesce); err != nil {
			return unchanged(err)
		}
		if err := r.freshen(ctx); err != nil {
			return unchanged(err)
		}
		if len(r.plan.Steps) == 0 {
			return r.stage(rundir.StageApplied)
		}
		if err := r.saveLeftOut(ctx); err != nil {
			return unchanged(err)
		}
		out, err := r.execute(ctx)
		switch {
		case err == nil:
			return nil
		case out.Changed && errors.Is(err, apply.ErrChanged) && r.plan.Remedy == plan.Rebuild && attempt < attempts:
			r.s.rep.Warn("a mail program woke Dovecot up in the middle of the repair; what was done is taken back, and the repair begun anew. Close that program if you can")
			if err := r.startOver(ctx, out, err); err != nil {
				return err
			}
		case out.Changed:
			return &StoppedError{Run: r.ID(), Remedy: r.plan.Remedy, Outcome: out, Err: err}
		case errors.Is(err, apply.ErrChanged) && attempt < attempts:
			r.s.rep.Info("something changed just before the first step; looking again")
		default:
			return fmt.Errorf("%w: %w", ErrUnchanged, err)
		}
	}
}

// unchanged says of an error that it came before the first step.
func unchanged(err error) error {
	if errors.Is(err, ErrUnchanged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnchanged, err)
}

// quiesce ends the account's processes. Without a shell that cannot be done, and every step's expectation has to do.
func (r *Run) quiesce(ctx context.Context, o remote.QuiesceOptions) error {
	r.s.rep.Stage("ending Dovecot's processes")
	quiet, err := r.s.host.Quiesce(ctx, o)
	if errors.Is(err, remote.ErrNoShell) {
		r.s.rep.Warn("without a shell, running mail processes cannot be ended; if a mail program changes the mailbox meanwhile, the repair notices and stops")
		return nil
	}
	if err != nil {
		return fmt.Errorf("end processes: %w", err)
	}
	r.log.Info("processes ended", "ended", len(quiet.Ended), "back", len(quiet.Back), "stayed_away", quiet.Stayed)
	if quiet.Hidden {
		r.s.rep.Warn("this host hides Dovecot's processes from their own user, so that none can be seen or ended; close all mail programs. If one changes the mailbox meanwhile, the repair notices and stops")
		return nil
	}
	if n := len(quiet.Ended); n > 0 {
		r.s.rep.Info(fmt.Sprintf("%s ended", counted(n, "process", "processes")))
	}
	if !quiet.Stayed {
		r.s.rep.Warn("mail processes keep coming back" + who(quiet.Back) + "; close that mail program if you can. The repair goes on: each step first makes sure that nothing has changed")
	}
	return nil
}

// hush ends processes that have come back, or that may still be at a command whose connection is lost, and tells whether it could
// see them all.
func (r *Run) hush(ctx context.Context) (sure bool, err error) {
	o := r.s.o.Quiesce
	o.Settle, o.Tries = time.Millisecond, 1
	quiet, err := r.s.host.Quiesce(ctx, o)
	if errors.Is(err, remote.ErrNoShell) {
		return false, nil
	}
	r.log.Info("processes ended that have come back", "ended", len(quiet.Ended), "hidden", quiet.Hidden, "error", err)
	return !quiet.Hidden, err
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// who says whose the processes are, where their titles tell.
func who(ps []remote.Process) string {
	seen := map[string]bool{}
	var list []string
	for _, p := range ps {
		text := remote.Safe(p.Service)
		if p.Account != "" {
			text += " of " + remote.Safe(p.Account)
		}
		if p.Client != "" {
			text += " from " + remote.Safe(p.Client)
		}
		if !seen[text] && len(list) < 5 {
			seen[text] = true
			list = append(list, text)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// freshen compares the host with the copy once more, copies what moved, and makes the plan anew if anything did.
func (r *Run) freshen(ctx context.Context) error {
	r.s.rep.Stage("comparing the copy with the host again")
	changes, err := r.snap.Refresh(ctx, r.source(), r.options(r.touches()))
	if err != nil {
		return fmt.Errorf("copy what has changed: %w", err)
	}
	if len(changes) == 0 && r.plan.Snapshot == r.snap.Digest() {
		return nil
	}
	if n := len(changes); n > 0 {
		r.keepCopy(&r.snap.Stored)
		r.s.rep.Info(fmt.Sprintf("%s changed since the copy was made, and copied again; the plan is made anew", counted(n, "file has", "files have")))
	}
	if err := r.examine(ctx); err != nil {
		return err
	}
	if _, err := r.Plan(ctx, r.remedy); err != nil {
		return fmt.Errorf("the mailbox changed since the plan was shown, and the new plan is not what was agreed to; %w: %w", ErrUnchanged, err)
	}
	return nil
}

// execute carries out the run's plan, from its beginning or from where it stopped.
func (r *Run) execute(ctx context.Context) (apply.Outcome, error) {
	root, err := r.s.host.OpenRoot(ctx, string(r.account.Root))
	if err != nil {
		return apply.Outcome{}, err
	}
	r.s.rep.Stage(r.doing())
	r.s.rep.Total(len(r.plan.Steps), 0)
	told := 0
	e := &apply.Executor{Quiet: func(ctx context.Context) error { _, err := r.hush(ctx); return err }, Host: apply.OnRoot(r.s.host, root), Run: r.dir, Plan: r.plan,
		Report: func(done, _ int, s plan.Step) {
			r.s.rep.Advance(done-told, 0)
			told = done
			r.log.Info("step done", "seq", s.Seq, "op", s.Op, "path", string(s.Path))
		}}
	if hasPuts(r.plan) {
		closeBlobs, err := r.openBlobs(e)
		if err != nil {
			return apply.Outcome{}, err
		}
		defer closeBlobs()
	}
	if r.plan.Of != "" {
		from, closeFrom, err := r.bytesOf(r.plan.Of)
		if err != nil {
			return apply.Outcome{}, err
		}
		defer closeFrom()
		e.Open = func(_ context.Context, s plan.Step) (io.ReadCloser, error) { return from.FS().Open(string(s.Source)) }
	}
	out, err := e.Apply(ctx)
	r.changed = out.Changed
	return out, err
}

func (r *Run) doing() string {
	if r.plan.Remedy == plan.Undo {
		return "taking back run " + r.plan.Of
	}
	return "repairing (" + string(r.plan.Remedy) + ")"
}

// bytesOf opens the snapshot of another run.
func (r *Run) bytesOf(id string) (*snapshot.Snapshot, func(), error) {
	return openOther(r, id, snapshot.Open)
}

// openOther opens what another run has copied, in one of the ways a snapshot is opened.
func openOther[S any](r *Run, id string, open func(*os.Root) (*S, error)) (*S, func(), error) {
	dir, err := rundir.Open(r.s.o.StateDir, id)
	if err != nil {
		return nil, nil, err
	}
	root, err := dir.SnapshotRoot()
	if err != nil {
		return nil, nil, errors.Join(err, dir.Close())
	}
	s, err := open(root)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the snapshot of run %s: %w", id, err), root.Close(), dir.Close())
	}
	return s, func() { _ = root.Close(); _ = dir.Close() }, nil
}
