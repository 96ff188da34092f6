package apply

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Event is one line of a journal, for those who tell what happened when.
type Event struct {
	Kind string // "begin", "resume", "intent", "done", "failed", "end"
	At   time.Time
	Step int    // of intent, done and failed
	Err  string // of failed: untrusted text
}

// maxEventLine bounds one line of a journal, in bytes; a longer one is no line of ours.
const maxEventLine = 1 << 20

// EachEvent hands out the lines of a run's journal in their order, as far as they are good, without holding them in memory. A torn
// end is no error, and a journal that is not there has no lines; damage is an [ErrJournal] after the last good line.
func EachEvent(root *os.Root, name string, yield func(Event) error) error {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, maxEventLine)
	sum := ""
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("read journal: %w", err)
		}
		if err != nil { // the end, or what is torn at it
			return nil
		}
		rec, next, ok := unseal(sum, n, line[:len(line)-1])
		if !ok {
			if _, err := in.Peek(1); err != nil {
				return nil
			}
			return fmt.Errorf("line %d: %w", n, ErrJournal)
		}
		sum = next
		if err := yield(Event{Kind: rec.Kind, At: rec.At, Step: rec.Step, Err: rec.Err}); err != nil {
			return err
		}
	}
}
