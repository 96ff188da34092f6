//go:build !linux

package snapshot

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"

	"golang.org/x/sync/errgroup"
)

// syncAll brings the named files beneath dst to the disk, and the directories that hold them as far as the system can.
func syncAll(dst *os.Root, files iter.Seq[string]) error {
	var g errgroup.Group
	g.SetLimit(16)
	dirs := map[string]bool{".": true, filesDir: true}
	for name := range files {
		for dir := path.Dir(name); !dirs[dir]; dir = path.Dir(dir) {
			dirs[dir] = true
		}
		g.Go(func() error {
			f, err := dst.OpenFile(name, os.O_RDWR, 0)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil
			}
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Sync()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for dir := range dirs {
		syncDir(dst, dir)
	}
	return nil
}
