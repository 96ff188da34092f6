package repair

import (
	"errors"
	"log/slog"

	"dovemend/repair/reconstruct"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
)

// earlierLooks is how many earlier copies are looked into for what the files no longer tell.
const earlierLooks = 16

// earlier opens the copies of an account that were made before a run, the last one first. Those that were asked stay open until it
// is closed: what they told is read from them.
type earlier struct {
	state  string
	key    string // of the account
	before string // a run's ID
	log    *slog.Logger

	listed bool
	runs   []rundir.Listed // not opened yet
	opened []reconstruct.Copy
	close  []func() error
}

// copies is a [reconstruct.Earlier].
func (e *earlier) copies(yield func(reconstruct.Copy) bool) {
	e.list()
	for i := 0; ; i++ {
		for i == len(e.opened) {
			if len(e.runs) == 0 {
				return
			}
			l := e.runs[0]
			e.runs = e.runs[1:]
			if err := e.open(l); err != nil {
				e.log.Warn("the earlier copy cannot be read", "run", l.ID, "error", err)
			}
		}
		if !yield(e.opened[i]) {
			return
		}
	}
}

func (e *earlier) list() {
	if e.listed {
		return
	}
	e.listed = true
	runs, err := rundir.Snapshots(e.state, e.key)
	if err != nil {
		e.log.Warn("no look into earlier copies", "error", err)
	}
	for _, l := range runs {
		if l.ID < e.before && len(e.runs) < earlierLooks {
			e.runs = append(e.runs, l)
		}
	}
}

func (e *earlier) open(l rundir.Listed) error {
	dir, err := rundir.Open(e.state, l.ID)
	if err != nil {
		return err
	}
	root, err := dir.Root().OpenRoot(rundir.SnapshotDir)
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	s, err := snapshot.Read(root)
	if err != nil {
		return errors.Join(err, root.Close(), dir.Close())
	}
	e.opened = append(e.opened, reconstruct.Copy{ID: l.ID, Taken: l.Meta.Created, FS: s.FS()})
	e.close = append(e.close, dir.Close, root.Close)
	return nil
}

// Close lets go of the copies.
func (e *earlier) Close() error {
	var errs []error
	for i := len(e.close) - 1; i >= 0; i-- {
		errs = append(errs, e.close[i]())
	}
	e.opened, e.close = nil, nil
	return errors.Join(errs...)
}
