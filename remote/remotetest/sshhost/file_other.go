//go:build !linux && !darwin

package sshhost

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

const nonblock = 0

// unlink removes a file and never a directory.
func unlink(p string) error {
	st, err := os.Lstat(p)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return &fs.PathError{Op: "unlink", Path: p, Err: errors.New("is a directory")}
	}
	return os.Remove(p)
}

// rmdir removes an empty directory and never a file.
func rmdir(p string) error {
	st, err := os.Lstat(p)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return &fs.PathError{Op: "rmdir", Path: p, Err: errors.New("is not a directory")}
	}
	return os.Remove(p)
}

// linkless says that a hard link failed because there are none here, not because of the names.
func linkless(err error) bool { return !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) }

// owner gives nothing here: there are no numbers for users.
func owner(st fs.FileInfo) (uid, gid uint32, atime time.Time) { return 0, 0, st.ModTime() }

// statvfs is not offered here.
func statvfs(string) (space, error) { return space{}, errors.ErrUnsupported }
