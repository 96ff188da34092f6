package rundir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// ReadKept reads a small file, of at most limit bytes, from a folder of the state directory that belongs to no run.
// fs.ErrNotExist where there is none.
func ReadKept(state, folder, name string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(state)
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", folder, name, err)
	}
	defer root.Close()
	f, err := root.Open(path.Join(folder, name))
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", folder, name, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", folder, name, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", folder, name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("read %s/%s: more than %d bytes", folder, name, limit)
	}
	return b, nil
}

// WriteKept replaces such a file: whole or not at all, and synced to the disk. What a process that was killed while it did so has
// left is removed. Callers hold a lock, so that only one of them writes to a file at a time.
func WriteKept(state, folder, name string, b []byte) error {
	if err := EnsureState(state); err != nil {
		return err
	}
	root, err := os.OpenRoot(state)
	if err != nil {
		return fmt.Errorf("write %s/%s: %w", folder, name, err)
	}
	defer root.Close()
	if err := root.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write %s/%s: %w", folder, name, err)
	}
	entries, err := fs.ReadDir(root.FS(), folder)
	if err != nil {
		return fmt.Errorf("write %s/%s: %w", folder, name, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), name+".tmp-") {
			if err := removeTemp(root, path.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("write %s/%s: %w", folder, name, err)
			}
		}
	}
	if err := writeFile(root, path.Join(folder, name), func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
		return fmt.Errorf("write %s/%s: %w", folder, name, err)
	}
	return nil
}

// SetAsideKept renames such a file to NAME.damaged, over an earlier one of that name.
func SetAsideKept(state, folder, name string) error {
	root, err := os.OpenRoot(state)
	if err != nil {
		return fmt.Errorf("set aside %s/%s: %w", folder, name, err)
	}
	defer root.Close()
	p := path.Join(folder, name)
	if err := root.Rename(p, p+".damaged"); err != nil {
		return fmt.Errorf("set aside %s/%s: %w", folder, name, err)
	}
	return nil
}
