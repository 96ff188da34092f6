package apply

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"dovemend/repair/journal"
)

// syncWriter is what a journal is written to.
type syncWriter interface {
	io.WriteCloser
	Sync() error
}

// writer is the file that lines are added to. After an error nothing more is written: what is in the file then is told
// by reading it again.
type writer struct {
	w   syncWriter
	end journal.Position
	err error
}

// openJournal opens a run's journal for adding to, after the lines that r has read of it; what is behind these, the
// torn end of a write, is cut off.
func openJournal(root *os.Root, name string, r Replay) (*writer, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := f.Truncate(r.end.Bytes); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), f.Close())
	}
	return &writer{w: f, end: r.end}, nil
}

// write adds lines in one write, and syncs it. When it returns nil the lines will be there whatever happens.
func (j *writer) write(records ...record) error {
	if j.err != nil {
		return j.err
	}
	if len(records) == 0 {
		return nil
	}
	at := time.Now()
	var b []byte
	end := j.end
	for _, r := range records {
		line, next, err := end.Seal(r, at)
		if err != nil {
			return j.fail(err)
		}
		end = next
		b = append(b, line...)
	}
	if _, err := j.w.Write(b); err != nil {
		return j.fail(err)
	}
	if err := j.w.Sync(); err != nil {
		return j.fail(err)
	}
	j.end = end
	return nil
}

func (j *writer) fail(err error) error {
	j.err = fmt.Errorf("write journal: %w", err)
	return j.err
}

func (j *writer) close() error { return j.w.Close() }
