package apply

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// ErrJournal: the journal is damaged elsewhere than at its very end, or is of another plan.
var ErrJournal = errors.New("journal cannot be trusted")

// maxJournal bounds what is read of a journal, in bytes.
const maxJournal = 1 << 30

// maxSteps bounds how many steps a journal may speak of.
const maxSteps = 1 << 24

// record is one line of a journal. Each line is a JSON object whose last member, sum, is the beginning of the SHA-256 of
// the sum before it and of the line up to the sum: so a torn line is seen, and so is one that was changed or taken away.
type record struct {
	N     int       `json:"n"` // from 1 on
	Kind  string    `json:"kind"`
	At    time.Time `json:"at"`
	Step  int       `json:"step,omitempty"`
	Plan  string    `json:"plan,omitempty"`  // begin: SHA-256 of the plan
	Run   string    `json:"run,omitempty"`   // begin
	Steps int       `json:"steps,omitempty"` // begin: how many steps the plan has
	Found bool      `json:"found,omitempty"` // done: it was found done on the host, by a resume
	Idle  bool      `json:"idle,omitempty"`  // intent: the step only makes a directory beneath dovemend-aside
	Err   string    `json:"err,omitempty"`   // failed: untrusted text
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

const (
	sumDigits  = 32
	sumOpening = `,"sum":"`
	sumLen     = len(sumOpening) + sumDigits + len(`"}`)
)

func chain(prev string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(prev))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))[:sumDigits]
}

// seal makes a line of a record, and gives its sum.
func seal(prev string, r record) (line []byte, sum string, err error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, "", err
	}
	b = b[:len(b)-1] // without the closing brace
	sum = chain(prev, b)
	return append(b, sumOpening+sum+"\"}\n"...), sum, nil
}

// unseal is the opposite of seal. line is without its end of line.
func unseal(prev string, n int, line []byte) (r record, sum string, ok bool) {
	if len(line) < sumLen {
		return record{}, "", false
	}
	body, tail := line[:len(line)-sumLen], line[len(line)-sumLen:]
	sum = chain(prev, body)
	if string(tail) != sumOpening+sum+`"}` || json.Unmarshal(line, &r) != nil || r.N != n {
		return record{}, "", false
	}
	return r, sum, true
}

// Replay is what a journal tells.
type Replay struct {
	Plan   string         // SHA-256 of the plan; "" where the journal has not begun
	Run    string         // the run's ID
	Steps  int            // how many steps the plan has
	Begun  map[int]bool   // steps whose intent was written: the host may be changed by them
	Done   map[int]bool   // steps that are done
	Failed map[int]string // steps whose last act gave an error, with its (untrusted) text
	Ended  bool           // every step is done
	Torn   bool           // the end of the last write is missing, as after a kill
	Damage error          // an [ErrJournal]: lines after the last good one cannot be read

	changes int // intents that were not idle
	lines   int
	sum     string
	good    int64 // bytes up to the end of the last good line
}

// Touched are the steps that may have changed something, as [plan.UndoInput] wants them. Where the journal is damaged or
// lost that is nil, which stands for all steps: the lines that are missing may have told of any.
func (r Replay) Touched() map[int]bool {
	if r.Damage != nil || r.lines == 0 {
		return nil
	}
	return r.Begun
}

// Changed reports whether the host may have been changed. Directories made to set things aside in are no change.
func (r Replay) Changed() bool { return r.changes > 0 || r.Damage != nil }

// ReadJournal reads the named journal of a run. One that is not there has not begun.
func ReadJournal(root *os.Root, name string) (Replay, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return replay(nil), nil
	}
	if err != nil {
		return Replay{}, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJournal+1))
	if err != nil {
		return Replay{}, fmt.Errorf("read journal: %w", err)
	}
	if len(b) > maxJournal {
		return Replay{}, fmt.Errorf("read journal: more than %d bytes: %w", maxJournal, ErrJournal)
	}
	return replay(b), nil
}

// replay reads lines as far as they are good. A torn end is no damage: what was not synced was not acted upon.
func replay(b []byte) Replay {
	r := Replay{Begun: map[int]bool{}, Done: map[int]bool{}, Failed: map[int]string{}}
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		rec, sum, ok := unseal(r.sum, r.lines+1, line)
		if !whole || !ok || !r.take(rec) {
			r.Torn = true
			if whole && len(bytes.TrimRight(rest, "\x00")) > 0 {
				r.Damage = fmt.Errorf("line %d: %w", r.lines+1, ErrJournal)
			}
			return r
		}
		r.lines, r.sum = r.lines+1, sum
		r.good += int64(len(line)) + 1
		b = rest
	}
	return r
}

// take adds one line, and says whether it can follow what came before.
func (r *Replay) take(rec record) bool {
	if (r.lines == 0) != (rec.Kind == kindBegin) || r.Ended {
		return r.Ended && rec.Kind == kindResume
	}
	if rec.Kind == kindIntent || rec.Kind == kindDone || rec.Kind == kindFailed {
		if rec.Step < 1 || rec.Step > r.Steps {
			return false
		}
	}
	switch rec.Kind {
	case kindBegin:
		if rec.Steps < 0 || rec.Steps > maxSteps {
			return false
		}
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
		return false
	}
	return true
}
