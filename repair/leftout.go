package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"

	"dovemend/remote"
	"dovemend/repair/plan"
	"dovemend/repair/rebuild"
	"dovemend/repair/reconstruct"
	"dovemend/repair/rundir"
	"dovemend/repair/salvage"
	"dovemend/repair/snapshot"
)

// Saved is what became of messages that a rebuild takes out of their mailboxes, because Dovecot would fail on them.
type Saved struct {
	Folder   string // on this machine
	Messages int
	Nothing  int // of these: nothing of them can be read
}

// saveLeftOut writes the messages that the plan takes out of their mailboxes to the run's folder, as far as they can be read.
// What was written by an earlier attempt is not written again.
func (r *Run) saveLeftOut(ctx context.Context) error {
	if r.plan.Remedy != plan.Rebuild || r.work == nil || r.acct == nil {
		return nil
	}
	n := 0
	for _, b := range r.work.Boxes {
		n += len(b.LeftOut)
	}
	if n == 0 {
		return nil
	}
	return r.save(ctx, r.snap, r.acct, r.work.Boxes)
}

// save writes messages that leave their mailboxes to the run's folder.
func (r *Run) save(ctx context.Context, from *snapshot.Snapshot, acct *reconstruct.Account, boxes []rebuild.Box) error {
	r.s.rep.Stage("writing messages that have to leave their mailbox to this computer")
	root, err := r.dir.SalvagedRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	x := newSalvager(from.FS(), acct, true)
	defer x.storage.close()
	sum, err := salvage.Write(ctx, root, x.leftOut(boxes), salvage.Options{Format: salvage.EML, Each: x.written, Reporter: warnings{r.s.rep}})
	if err != nil {
		return fmt.Errorf("save messages that have to leave their mailbox: %w", err)
	}
	r.log.Info("messages that leave their mailbox are saved", "messages", sum.Messages, "unreadable", sum.Unreadable, "folder", rundir.SalvagedDir)
	text := fmt.Sprintf("%s that Dovecot fails on, as far as they can be read, to %s", counted(sum.Messages-sum.Unreadable, "message", "messages"), remote.Safe(filepath.Join(r.Folder(), rundir.SalvagedDir)))
	if sum.Unreadable > 0 {
		text += fmt.Sprintf("; of %d nothing can be read", sum.Unreadable)
	}
	r.s.rep.Info("written before anything is changed: " + text)
	return nil
}

// leftOut hands out the messages that a rebuild leaves out.
func (x *salvager) leftOut(boxes []rebuild.Box) iter.Seq2[*salvage.Message, error] {
	return func(yield func(*salvage.Message, error) bool) {
		x.yield = yield
		for _, b := range boxes {
			var s *reconstruct.State
			for _, known := range x.acct.Boxes {
				if known.Mailbox.Dir == b.Mailbox.Dir {
					s = known
				}
			}
			for i := range b.LeftOut {
				l := &b.LeftOut[i]
				why := l.Why
				if slices.Contains(gaps(&l.Message), why) { // it is told anyhow
					why = ""
				}
				x.give(s, b.Mailbox.Name, salvage.Damaged, &l.Message, why)
			}
		}
	}
}

// warnings lets warnings through, and no progress.
type warnings struct{ Reporter }

func (warnings) Advance(int, int64) {}

// Saved tells what messages the run has saved because they had to leave their mailboxes; nil where there are none. It looks
// into the run's folder, and tells the same after [Resume].
func (r *Run) Saved() (*Saved, error) {
	root, err := r.dir.Root().OpenRoot(rundir.SalvagedDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at what was saved: %w", err)
	}
	defer root.Close()
	total, err := salvage.Total(root)
	if err != nil {
		return nil, fmt.Errorf("look at what was saved: %w", err)
	}
	return &Saved{Folder: filepath.Join(r.Folder(), rundir.SalvagedDir), Messages: total.Messages, Nothing: total.Unreadable}, nil
}
