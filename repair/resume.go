package repair

import (
	"context"
	"fmt"

	"dovemend/repair/apply"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
)

// Resume finishes a run that stopped midway: an interrupted repair, or an interrupted undo. The returned run is to be
// verified and closed by the caller.
func Resume(ctx context.Context, o Options, id string, rep Reporter) (*Run, error) {
	r, err := reopen(ctx, o, id, rep)
	if err != nil {
		return nil, err
	}
	if err := r.resume(ctx); err != nil {
		return r, err
	}
	return r, nil
}

func (r *Run) resume(ctx context.Context) error {
	m := r.dir.Meta()
	replay, err := apply.ReadJournal(r.dir.Root(), rundir.JournalFile)
	if err != nil {
		return err
	}
	switch {
	case m.Stage == rundir.StageVerified:
		return &NothingError{Run: r.ID(), Why: "it was applied to its end and verified; there is nothing to resume"}
	case m.Stage == rundir.StageUndone:
		return &NothingError{Run: r.ID(), Why: "it was undone by run " + m.UndoneBy}
	case m.Stage != rundir.StageApplying && m.Stage != rundir.StageApplied && !replay.Changed():
		return &NothingError{Run: r.ID(), Why: "it had changed nothing when it ended; start it anew, what was copied is not copied twice"}
	}
	r.plan = new(plan.Plan)
	if err := r.dir.ReadJSON(rundir.PlanFile, r.plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	r.remedy = r.plan.Remedy
	if err := r.open(); err != nil {
		return err
	}
	if r.plan.Moves != nil {
		return r.resumeMoves(ctx)
	}
	if m.Stage != rundir.StageApplied { // else only the look at what came of it is missing
		if err := r.quiesce(ctx, r.s.o.Quiesce); err != nil {
			return err
		}
		out, err := r.execute(ctx)
		if err != nil {
			return &StoppedError{Run: r.ID(), Of: r.plan.Of, Remedy: r.plan.Remedy, Outcome: out, Err: err}
		}
	}
	if r.plan.Remedy == plan.Undo {
		return r.markUndone(r.plan.Of)
	}
	return nil
}
