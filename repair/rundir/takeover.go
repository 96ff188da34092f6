package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// TakeOverSnapshot moves the snapshot folder of another run here, in place of this run's own, which must be empty: a copy
// that was interrupted is gone on with in the run that finishes it. The other run's run.json says where it went. The
// caller holds the account's lock, and has no file of either folder open.
func (d *Dir) TakeOverSnapshot(from *Dir) error {
	runs, err := os.OpenRoot(filepath.Dir(d.path))
	if err != nil {
		return fmt.Errorf("take over the copy of run %s: %w", from.ID(), err)
	}
	defer runs.Close()
	mine := filepath.Join(d.ID(), SnapshotDir)
	if err := runs.Remove(mine); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take over the copy of run %s: %w", from.ID(), err)
	}
	if err := runs.Rename(filepath.Join(from.ID(), SnapshotDir), mine); err != nil {
		return fmt.Errorf("take over the copy of run %s: %w", from.ID(), err)
	}
	return from.Update(func(m *Meta) {
		m.Stage, m.Error = StageFailed, "interrupted; run "+d.ID()+" goes on with its copy"
	})
}

// Unfinished lists the runs on the account with this key whose snapshot was not completed, newest first.
func Unfinished(state, key string) ([]Listed, error) {
	all, err := List(state)
	if err != nil {
		return nil, err
	}
	var fit []Listed
	for _, l := range all {
		if l.Err == nil && (l.Meta.Stage == StageNew || l.Meta.Stage == StageFailed) && l.Meta.Key() == key {
			fit = append(fit, l)
		}
	}
	return fit, nil
}
