package apply

import (
	"encoding/json"
	"os"
	"time"

	"dovemend/repair/journal"
)

// Event is one line of a journal, for those who tell what happened when.
type Event struct {
	Kind string // "begin", "resume", "intent", "done", "failed", "end"
	At   time.Time
	Step int    // of intent, done and failed
	Err  string // of failed: untrusted text
}

// EachEvent hands out the lines of a run's journal in their order, as far as they are good, without holding them in memory. A torn
// end is no error, and a journal that is not there has no lines; damage is an [ErrJournal] after the last good line.
func EachEvent(root *os.Root, name string, yield func(Event) error) error {
	var stop error
	_, err := journal.Read(root, name, func(line []byte) error {
		var rec struct {
			At time.Time `json:"at"`
			record
		}
		if err := json.Unmarshal(line, &rec); err != nil {
			return err
		}
		stop = yield(Event{Kind: rec.Kind, At: rec.At, Step: rec.Step, Err: rec.Err})
		return stop
	})
	if stop != nil {
		return stop
	}
	return err
}
