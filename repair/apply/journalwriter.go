package apply

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// syncWriter is what a journal is written to.
type syncWriter interface {
	io.WriteCloser
	Sync() error
}

// journal is the file that lines are added to. After an error nothing more is written: what is in the file then is told
// by reading it again.
type journal struct {
	w     syncWriter
	lines int
	sum   string
	err   error
	now   func() time.Time
}

// openJournal opens a run's journal for adding to, after the lines that r has read of it; what is behind these, the
// torn end of a write, is cut off.
func openJournal(root *os.Root, name string, r Replay) (*journal, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := f.Truncate(r.good); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), f.Close())
	}
	return &journal{w: f, lines: r.lines, sum: r.sum, now: time.Now}, nil
}

// write adds lines in one write, and syncs it. When it returns nil the lines will be there whatever happens.
func (j *journal) write(records ...record) error {
	if j.err != nil {
		return j.err
	}
	if len(records) == 0 {
		return nil
	}
	at := j.now().UTC().Truncate(time.Millisecond)
	var b []byte
	lines, sum := j.lines, j.sum
	for _, r := range records {
		lines++
		r.N, r.At = lines, at
		line, next, err := seal(sum, r)
		if err != nil {
			return j.fail(err)
		}
		sum = next
		b = append(b, line...)
	}
	if _, err := j.w.Write(b); err != nil {
		return j.fail(err)
	}
	if err := j.w.Sync(); err != nil {
		return j.fail(err)
	}
	j.lines, j.sum = lines, sum
	return nil
}

func (j *journal) fail(err error) error {
	j.err = fmt.Errorf("write journal: %w", err)
	return j.err
}

func (j *journal) close() error { return j.w.Close() }
