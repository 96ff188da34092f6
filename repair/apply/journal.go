package apply

import (
	"encoding/json"
	"errors"
	"os"

	"dovemend/repair/journal"
)

// ErrJournal: the journal is damaged elsewhere than at its very end, or is of another plan.
var ErrJournal = journal.ErrDamaged

// maxSteps bounds how many steps a journal may speak of.
const maxSteps = 1 << 24

// record is one line of a journal, in the form of package journal.
type record struct {
	Kind  string `json:"kind"`
	Step  int    `json:"step,omitempty"`
	Plan  string `json:"plan,omitempty"`  // begin: SHA-256 of the plan
	Run   string `json:"run,omitempty"`   // begin
	Steps int    `json:"steps,omitempty"` // begin: how many steps the plan has
	Found bool   `json:"found,omitempty"` // done: it was found done on the host, by a resume
	Idle  bool   `json:"idle,omitempty"`  // intent: the step only makes a directory beneath dovemend-aside
	Err   string `json:"err,omitempty"`   // failed: untrusted text
}

// The kinds of line.
const (
	kindBegin  = "begin"  // the first line
	kindResume = "resume" // the run is taken up again
	kindIntent = "intent" // the step is about to act
	kindDone   = "done"   // the step has acted
	kindFailed = "failed" // the step's act gave an error: what came of it is not known
	kindEnd    = "end"    // every step is done
)

// Replay is what a journal tells.
type Replay struct {
	Plan   string         // SHA-256 of the plan; "" where the journal has not begun
	Run    string         // the run's ID
	Steps  int            // how many steps the plan has
	Begun  map[int]bool   // steps whose intent was written: the host may be changed by them
	Done   map[int]bool   // steps that are done
	Failed map[int]string // steps whose last act gave an error, with its (untrusted) text
	Ended  bool           // every step is done
	Damage error          // an [ErrJournal]: lines after the last good one cannot be read

	changes int // intents that were not idle
	begun   bool
	end     journal.Position // behind the last good line
}

// Touched are the steps that may have changed something, as [plan.UndoInput] wants them. Where the journal is damaged or
// lost that is nil, which stands for all steps: the lines that are missing may have told of any.
func (r Replay) Touched() map[int]bool {
	if r.Damage != nil || r.end.Lines == 0 {
		return nil
	}
	return r.Begun
}

// Changed reports whether the host may have been changed. Directories made to set things aside in are no change.
func (r Replay) Changed() bool { return r.changes > 0 || r.Damage != nil }

// ReadJournal reads the named journal of a run. One that is not there has not begun.
func ReadJournal(root *os.Root, name string) (Replay, error) {
	return replay(func(take func([]byte) error) (journal.Position, error) { return journal.Read(root, name, take) })
}

// begin is the replay of a journal that has not begun.
func begin() Replay {
	return Replay{Begun: map[int]bool{}, Done: map[int]bool{}, Failed: map[int]string{}}
}

// replay takes lines as far as they are good. A torn end is no damage: what was not synced was not acted upon.
func replay(read func(take func(line []byte) error) (journal.Position, error)) (Replay, error) {
	r := begin()
	var err error
	r.end, err = read(func(line []byte) error {
		var rec record
		if err := json.Unmarshal(line, &rec); err != nil {
			return err
		}
		return r.take(rec)
	})
	if errors.Is(err, ErrJournal) {
		r.Damage, err = err, nil
	}
	return r, err
}

// errOrder: a line cannot follow what came before.
var errOrder = errors.New("it cannot follow what stands before it")

// take adds one line.
func (r *Replay) take(rec record) error {
	if r.Ended && rec.Kind == kindResume {
		return nil
	}
	if r.begun != (rec.Kind != kindBegin) || r.Ended {
		return errOrder
	}
	if rec.Kind == kindIntent || rec.Kind == kindDone || rec.Kind == kindFailed {
		if rec.Step < 1 || rec.Step > r.Steps {
			return errOrder
		}
	}
	switch rec.Kind {
	case kindBegin:
		if rec.Steps < 0 || rec.Steps > maxSteps {
			return errOrder
		}
		r.begun = true
		r.Plan, r.Run, r.Steps = rec.Plan, rec.Run, rec.Steps
	case kindResume:
	case kindIntent:
		r.Begun[rec.Step] = true
		if !rec.Idle {
			r.changes++
		}
		delete(r.Failed, rec.Step)
	case kindDone:
		r.Done[rec.Step] = true
		delete(r.Failed, rec.Step)
	case kindFailed:
		r.Failed[rec.Step] = rec.Err
	case kindEnd:
		r.Ended = true
	default:
		return errOrder
	}
	return nil
}
