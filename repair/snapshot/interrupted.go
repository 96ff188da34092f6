package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"dovemend/repair/store"
)

// Interrupted reports whether a folder holds a Take of just these paths that did not come to its end, with which another
// Take of the same mail root can go on.
func Interrupted(root *os.Root, mailRoot store.HostPath, paths []store.RelPath) (bool, error) {
	if _, err := root.Lstat(manifestName); err == nil {
		return false, nil // all was copied: what is new since is found by comparing with it
	}
	f, err := root.Open(partialName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at an interrupted copy: %w", local(err))
	}
	defer f.Close()
	done := 0
	head, _, err := readJournal(f, func(Entry) error { done++; return nil })
	if err != nil {
		return false, fmt.Errorf("look at an interrupted copy: %w", local(err))
	}
	if len(paths) == 0 {
		paths = []store.RelPath{"."}
	}
	return head != nil && done > 0 && head.Root == mailRoot && slices.Equal(head.Paths, topmost(paths)), nil
}

// FilesDir is where the copied files are in a snapshot's folder, by their names on the host where the local disk can hold them.
const FilesDir = filesDir

// Begun reports whether a folder holds a snapshot that is not finished.
func Begun(fsys fs.FS, dir string) bool {
	_, err := fs.Lstat(fsys, path.Join(dir, manifestName))
	info, begun := fs.Lstat(fsys, path.Join(dir, partialName))
	return errors.Is(err, fs.ErrNotExist) && begun == nil && info.Mode().IsRegular()
}
