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

// earlier opens the copies of an account that were made before a run, the last one first, for as long as they are looked at. It
// keeps the one that was asked last: it is most often the one that is asked next.
type earlier struct {
	state  string
	key    string // of the account
	before string // a run's ID
	log    *slog.Logger

	runs   []rundir.Listed
	listed bool
	kept   string // the ID of
	fsys   reconstruct.Copy
	close  func() error
}

// copies is a [reconstruct.Earlier].
func (e *earlier) copies(yield func(reconstruct.Copy) bool) {
	if !e.listed {
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
	for _, l := range e.runs {
		if e.kept != l.ID {
			if err := e.open(l); err != nil {
				e.log.Warn("the earlier copy cannot be read", "run", l.ID, "error", err)
				continue
			}
		}
		if !yield(e.fsys) {
			return
		}
	}
}

func (e *earlier) open(l rundir.Listed) (err error) {
	if err := e.Close(); err != nil {
		return err
	}
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
	e.kept, e.close = l.ID, func() error { return errors.Join(root.Close(), dir.Close()) }
	e.fsys = reconstruct.Copy{ID: l.ID, Taken: l.Meta.Created, FS: s.FS()}
	return nil
}

// Close lets go of the copy that was kept.
func (e *earlier) Close() error {
	if e.close == nil {
		return nil
	}
	err := e.close()
	e.kept, e.close, e.fsys = "", nil, reconstruct.Copy{}
	return err
}
