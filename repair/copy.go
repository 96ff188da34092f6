package repair

import (
	"errors"
	"fmt"
	"os"

	"dovemend/repair/inspect"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// Copy is the copy of a run, opened to be looked at. Nothing is locked and nothing changed; what another dovemend does with
// the run meanwhile is seen or not.
type Copy struct {
	ID     string         // of the run
	Folder string         // of the run
	Root   store.HostPath // the mail root that the names in the copy are relative to
	FS     inspect.FS

	Altered []snapshot.Altered // files that are not as they were copied

	dir  *rundir.Dir
	root *os.Root
}

// OpenCopy opens the copy of the run with this ID, the only one whose ID begins so, or for "latest" the newest. The error
// wraps fs.ErrNotExist where the run's copy is not complete, and [snapshot.ErrUnsettled] where it is being changed.
func OpenCopy(state, id string) (*Copy, error) {
	dir, err := rundir.Open(state, id)
	if err != nil {
		return nil, err
	}
	c := &Copy{ID: dir.ID(), Folder: dir.Path(), dir: dir}
	if c.root, err = dir.Root().OpenRoot(rundir.SnapshotDir); err != nil {
		return nil, errors.Join(fmt.Errorf("open the copy of run %s: %w", c.ID, err), dir.Close())
	}
	s, altered, err := snapshot.ReadAsIs(c.root)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the copy of run %s: %w", c.ID, err), c.Close())
	}
	c.Root, c.Altered = s.Manifest().Root, altered
	fsys, ok := s.FS().(inspect.FS)
	if !ok {
		return nil, errors.Join(errors.New("the copy cannot be listed"), c.Close())
	}
	c.FS = fsys
	return c, nil
}

// Close lets go of the run's folder.
func (c *Copy) Close() error { return errors.Join(c.root.Close(), c.dir.Close()) }
