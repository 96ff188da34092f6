package apply

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dovemend/repair/plan"
	"dovemend/repair/rundir"
)

// Executor applies one plan, from its beginning or from where it stopped.
type Executor struct {
	Host   Host
	Run    *rundir.Dir                                                   // the caller holds its lock
	Plan   *plan.Plan                                                    // as saved in the run; one that was edited since it was begun is refused
	Open   func(ctx context.Context, s plan.Step) (io.ReadCloser, error) // the bytes of a put; nil where the plan has none
	Report func(done, total int, s plan.Step)                            // after each step that is done; may be nil
	Quiet  func(ctx context.Context) error                               // once, after new files were put under names of ours and before anything else is touched; may be nil

	wrap func(syncWriter) syncWriter // for tests: stands between the journal and its file
}

// applying is one call of Apply.
type applying struct {
	*Executor
	j   *writer
	r   Replay
	out Outcome
}

// Replay reads what the run's journal tells.
func (e *Executor) Replay() (Replay, error) { return ReadJournal(e.Run.Root(), rundir.JournalFile) }

// Apply does every step that is not done yet. When ctx ends, the step (or the batch) in progress is ended, its outcome
// is written, and the error tells the position; only an upload is broken off. A step's error is a *[StepError].
// Outcome tells whether anything on the host is changed, also by an earlier attempt.
func (e *Executor) Apply(ctx context.Context) (Outcome, error) {
	a := &applying{Executor: e, out: Outcome{Total: len(e.Plan.Steps)}}
	if err := validate(e.Plan, e.Run.ID()); err != nil {
		return a.out, err
	}
	sum, err := e.Plan.Sum()
	if err != nil {
		return a.out, err
	}
	if a.r, err = e.Replay(); err != nil {
		return a.out, err
	}
	a.out.Done, a.out.Changed = len(a.r.Done), a.r.Changed()
	switch {
	case a.r.Damage != nil:
		return a.out, fmt.Errorf("journal of run %s: %w", e.Run.ID(), a.r.Damage)
	case a.r.Plan != sum && !a.r.Changed(): // not begun, or begun with another plan that has changed nothing
		a.r = begin()
		a.out.Done = 0
	case a.r.Plan != sum || a.r.Run != e.Run.ID() || a.r.Steps != a.out.Total:
		return a.out, fmt.Errorf("run %s: %w", e.Run.ID(), ErrPlanEdited)
	case a.r.Ended:
		return a.out, a.stage(rundir.StageApplied)
	}
	if a.j, err = openJournal(e.Run.Root(), rundir.JournalFile, a.r); err != nil {
		return a.out, err
	}
	if e.wrap != nil {
		a.j.w = e.wrap(a.j.w)
	}
	err = a.all(ctx, sum)
	if closeErr := a.j.close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close journal: %w", closeErr)
	}
	return a.out, err
}

func (a *applying) all(ctx context.Context, sum string) error {
	first := record{Kind: kindResume}
	if a.r.Plan == "" {
		first = record{Kind: kindBegin, Plan: sum, Run: a.Run.ID(), Steps: a.out.Total}
	}
	if err := a.j.write(first); err != nil {
		return err
	}
	steps := a.Plan.Steps
	quiet := a.Quiet == nil || len(steps) == 0 || !isTemp(steps[0])
	for i := 0; i < len(steps); {
		end := batch(steps, i)
		var todo []plan.Step
		for _, s := range steps[i:end] {
			if !a.r.Done[s.Seq] {
				todo = append(todo, s)
			}
		}
		i = end
		if len(todo) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped after %d of %d steps: %w", a.out.Done, a.out.Total, err)
		}
		if !quiet && !isTemp(todo[0]) {
			if err := a.Quiet(ctx); err != nil {
				return err
			}
			quiet = true
			if err := a.lookAhead(ctx, steps[i-len(todo):]); err != nil {
				return err
			}
		}
		if err := a.some(ctx, todo); err != nil {
			return err
		}
	}
	if err := a.j.write(record{Kind: kindEnd}); err != nil {
		return err
	}
	return a.stage(rundir.StageApplied)
}

// isTemp says whether a step puts a file under a name of ours, where nobody looks for it.
func isTemp(s plan.Step) bool { return s.Op == plan.OpPut && s.Class == plan.ClassTemp }

// some does steps that can be done together.
func (a *applying) some(ctx context.Context, todo []plan.Step) error {
	todo, err := a.settle(ctx, todo)
	if err != nil || len(todo) == 0 {
		return err
	}
	if todo, err = a.madeAlready(ctx, todo); err != nil || len(todo) == 0 {
		return err
	}
	ready, err := a.Host.Prepare(ctx, todo)
	if err != nil {
		return a.refused(todo, err)
	}
	if err := a.expect(ctx, todo, ready); err != nil {
		return err
	}
	if err := a.intend(todo); err != nil {
		return err
	}
	return a.act(ctx, todo, ready.Do)
}

// intend writes the intents. From here on the host may be changed, and run.json says so.
func (a *applying) intend(todo []plan.Step) error {
	if a.Run.Meta().Stage != rundir.StageApplying && !idle(todo[0]) {
		if err := a.stage(rundir.StageApplying); err != nil {
			return err
		}
	}
	records := make([]record, len(todo))
	for i, s := range todo {
		records[i] = record{Kind: kindIntent, Step: s.Seq, Idle: idle(s)}
	}
	return a.j.write(records...)
}

// idle says whether a step changes nothing that anybody would want back.
func idle(s plan.Step) bool { return s.Op == plan.OpMkdir && s.Class == plan.ClassAside }

// act does the steps and writes what came of them.
func (a *applying) act(ctx context.Context, todo []plan.Step, act Act) error {
	a.out.Changed = a.out.Changed || !idle(todo[0])
	if todo[0].Op != plan.OpPut { // an upload may be long, and broken off it changes nothing but its temporary file
		ctx = context.WithoutCancel(ctx)
	}
	open := func(s plan.Step) (io.ReadCloser, error) {
		if a.Open == nil {
			return nil, errors.New("nothing to put: there is no snapshot to read from")
		}
		r, err := a.Open(ctx, s)
		if err != nil {
			return nil, err
		}
		return verifying(r, s), nil
	}
	records := make([]record, 0, len(todo))
	var done []plan.Step
	first := -1
	var firstErr error
	err := act(ctx, open, func(i int, err error) {
		if err == nil {
			records = append(records, record{Kind: kindDone, Step: todo[i].Seq})
			done = append(done, todo[i])
			return
		}
		records = append(records, record{Kind: kindFailed, Step: todo[i].Seq, Err: err.Error()})
		if first < 0 || i < first {
			first, firstErr = i, err
		}
	})
	if writeErr := a.j.write(records...); writeErr != nil {
		return errors.Join(writeErr, err)
	}
	for _, s := range done {
		a.finished(s)
	}
	switch {
	case firstErr != nil:
		return &StepError{Step: todo[first], Err: firstErr}
	case err != nil:
		return a.refused(todo, err)
	case len(done) != len(todo):
		return fmt.Errorf("step %d: %d of %d steps done together were not begun", todo[0].Seq, len(todo)-len(done), len(todo))
	}
	return nil
}

// refused makes an error that concerns several steps one of the first of them, unless it names a step itself.
func (a *applying) refused(steps []plan.Step, err error) error {
	var step *StepError
	if errors.As(err, &step) {
		return err
	}
	return &StepError{Step: steps[0], Err: err}
}

func (a *applying) finished(s plan.Step) {
	a.r.Done[s.Seq] = true
	a.out.Done++
	if a.Report != nil {
		a.Report(a.out.Done, a.out.Total, s)
	}
}

func (a *applying) stage(s rundir.Stage) error {
	if a.Run.Meta().Stage == s {
		return nil
	}
	return a.Run.Update(func(m *rundir.Meta) { m.Stage = s })
}
