// Package apply runs a plan on a host: guard, expectation, intent written and synced, act, outcome written and synced,
// for each step or for many independent ones together. Killed at any point, [Executor.Run] takes the run up again from
// its journal and from what it finds on the host; what a step expects and does not find stops it. It never connects
// anew, never ends processes, and changes nothing that a guard has not passed. It is the only caller of the verbs of
// package remote that change a host's files.
package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"dovemend/repair/plan"
	"dovemend/repair/store"
)

// These errors can be branched on.
var (
	// ErrChanged: a file is not as the plan expects it. Where [Outcome.Changed] is false a new plan can be made.
	ErrChanged = errors.New("changed since the plan was made")
	// ErrPlanEdited: the plan is not the one the journal was begun with.
	ErrPlanEdited = errors.New("the plan was changed after it was begun")
)

// StepError says which step failed.
type StepError struct {
	Step plan.Step
	Err  error
}

// Error names the step by number, verb and path; it is safe to print.
func (e *StepError) Error() string {
	return fmt.Sprintf("step %d, %s %q: %v", e.Step.Seq, e.Step.Op, e.Step.Path, e.Err)
}

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Found is what the host says of one path, not following a symbolic link.
type Found struct {
	Type  fs.FileMode // type bits; 0 for a regular file
	Mode  fs.FileMode // permission bits, setuid, setgid, sticky
	Size  int64
	MTime time.Time
}

// Host is what the executor needs of a host. [OnRoot] makes one; tests make others.
type Host interface {
	// Prepare has the guard judge every path of these steps, which all have the same Op, Class and ToClass. A refusal is
	// a *[StepError].
	Prepare(ctx context.Context, steps []plan.Step) (Prepared, error)
	// Lstat looks at paths, many at a time. yield is called once for each, one at a time, in any order; its error
	// wraps fs.ErrNotExist where nothing is there. The error returned is that of the connection or of ctx.
	Lstat(ctx context.Context, paths []store.RelPath, yield func(i int, f Found, err error)) error
	// Sums reads files, many at a time, and gives their SHA-256 in hex. yield is called as Lstat calls it.
	Sums(ctx context.Context, paths []store.RelPath, yield func(i int, sum string, err error)) error
}

// Look is what was found at one path.
type Look struct {
	Found
	Err error // wraps fs.ErrNotExist where nothing is there
}

// Prepared are steps that may be done.
type Prepared struct {
	Do Act
	At []Look // what the guard saw at the Path of each step
	To []Look // of renames: at the To of each
}

// Act does prepared steps. open gives the bytes of a put. report is called once for each step that was begun, one at a
// time, in any order; with the first error no more are begun, and that error is returned.
type Act func(ctx context.Context, open func(plan.Step) (io.ReadCloser, error), report func(i int, err error)) error

// Outcome says how far a run has come, over all its attempts.
type Outcome struct {
	Total   int  // steps in the plan
	Done    int  // steps that are done
	Changed bool // something on the host is changed, or may be: resume or undo
}

// Complete reports whether every step is done.
func (o Outcome) Complete() bool { return o.Done == o.Total }

// maxBatch is how many independent steps share one write of the journal. What was begun of them must be looked at again after a kill.
const maxBatch = 4096

// batch gives the end of the run of steps, from i on, that can be done together in no order. Index files go one by
// one: there the order is what keeps the mailbox readable.
func batch(steps []plan.Step, i int) int {
	first := steps[i]
	if !together(first) {
		return i + 1
	}
	j := i + 1
	for j < len(steps) && j-i < maxBatch && together(steps[j]) && steps[j].Op == first.Op &&
		steps[j].Class == first.Class && steps[j].ToClass == first.ToClass {
		j++
	}
	return j
}

func together(s plan.Step) bool {
	switch s.Op {
	case plan.OpRemove, plan.OpPut:
		return s.Class == plan.ClassMailboxFile || isTemp(s)
	case plan.OpRename:
		return s.Class == plan.ClassMailboxFile || s.ToClass == plan.ClassMailboxFile
	}
	return false
}

// validate refuses a plan that is not one: it may have been edited by hand before it was ever begun.
func validate(p *plan.Plan, run string) error {
	if p.Run != run {
		return fmt.Errorf("plan of run %q in the folder of run %s", p.Run, run)
	}
	once := map[store.RelPath]bool{}
	for i, s := range p.Steps {
		if s.Seq != i+1 {
			return fmt.Errorf("step %d of the plan has number %d", i+1, s.Seq)
		}
		to := s.To
		switch s.Op {
		case plan.OpRemove, plan.OpRemoveDir, plan.OpMkdir, plan.OpSetAttr:
		case plan.OpRename:
			if s.To == "" {
				return fmt.Errorf("step %d of the plan renames to nothing", s.Seq)
			}
		case plan.OpPut:
			to = s.Path
			if s.Temp == "" || s.SHA256 == "" || !s.Expect.Absent {
				return fmt.Errorf("step %d of the plan puts a file without its hash or temporary name, or onto another", s.Seq)
			}
		default:
			return fmt.Errorf("step %d of the plan is %q, which is not known", s.Seq, s.Op)
		}
		if to != "" && once[to] {
			return fmt.Errorf("step %d of the plan writes what another step has written", s.Seq)
		}
		once[to] = true
	}
	return nil
}
