package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dovemend/remote"
	"dovemend/repair/apply"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
)

// UnfinishedError: an earlier rebuild or evacuation of one of the mailboxes stopped midway. What the host holds is neither what was there
// nor what is to be, and a new copy of it would know less than the old one does: it is to be resumed or undone first.
type UnfinishedError struct {
	Run, Mailbox string
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("run %s stopped midway in %s, and has to be finished or taken back first", e.Run, remote.Safe(e.Mailbox))
}

// unfinished looks for a rebuild or an evacuation of one of the mailboxes that stopped midway.
func (s *Session) unfinished(m rundir.Meta) error {
	all, err := rundir.List(s.o.StateDir)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Err != nil || l.Meta.Kind != rundir.KindRepair || l.Meta.Stage != rundir.StageApplying || l.Meta.Remedy != string(plan.Rebuild) && l.Meta.Remedy != string(plan.Evacuate) || !sameAccount(l.Meta, m) {
			continue
		}
		for _, name := range l.Meta.Mailboxes {
			if slices.Contains(m.Mailboxes, name) {
				return &UnfinishedError{Run: l.ID, Mailbox: name}
			}
		}
	}
	return nil
}

// startOver takes back a rebuild that a process came in between of, and makes this the run that does it anew: with a folder
// and a copy of its own, planned and ready to be applied. The error is a [StoppedError] where taking back stopped, too.
func (r *Run) startOver(ctx context.Context, out apply.Outcome, why error) error {
	stopped := &StoppedError{Run: r.ID(), Remedy: r.plan.Remedy, Outcome: out, Err: why}
	remedy := r.remedy
	u, err := r.undo(ctx)
	if u == nil {
		return errors.Join(stopped, err, r.relock())
	}
	var midway *StoppedError
	switch {
	case errors.As(err, &midway):
		return errors.Join(midway, u.Close(), r.relock())
	case err != nil: // nothing was taken back
		return errors.Join(stopped, err, u.Close(), r.relock())
	}
	if err := errors.Join(u.End(0, nil), u.Close()); err != nil {
		return unchanged(err)
	}
	next, err := r.s.begin(r.s.meta(rundir.KindRepair, r.account, r.boxes), r.account, r.boxes)
	if err != nil {
		return unchanged(err)
	}
	if err := errors.Join(r.update(r.ID(), func(m *rundir.Meta) { // as it is now: taking it back has changed it
		m.Ended, m.Exit = time.Now().UTC(), 1
		m.Error = remote.Safe(why.Error()) + "; taken back by run " + u.ID() + ", and begun anew as run " + next.ID()
	}), r.Close()); err != nil {
		return unchanged(errors.Join(err, next.Close()))
	}
	*r = *next
	r.remedy = remedy
	r.s.rep.Info("what was done is taken back; the repair goes on as run " + r.ID())
	if _, err := r.Snapshot(ctx); err != nil {
		return unchanged(err)
	}
	if err := r.examine(ctx); err != nil {
		return unchanged(err)
	}
	if _, err := r.Plan(ctx, remedy); err != nil {
		return fmt.Errorf("the repair was taken back, and begun anew it is not what was agreed to; %w: %w", ErrUnchanged, err)
	}
	return nil
}

// relock takes the locks again that [Run.undo] has given to the run of the undo.
func (r *Run) relock() error {
	if len(r.release) > 0 {
		return nil
	}
	return r.lock()
}
