//go:build linux || darwin

package sshhost

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// nonblock keeps an open of a FIFO from waiting.
const nonblock = syscall.O_NONBLOCK

// unlink removes a file and never a directory.
func unlink(p string) error {
	if err := syscall.Unlink(p); err != nil {
		return &fs.PathError{Op: "unlink", Path: p, Err: err}
	}
	return nil
}

// rmdir removes an empty directory and never a file.
func rmdir(p string) error {
	if err := syscall.Rmdir(p); err != nil {
		return &fs.PathError{Op: "rmdir", Path: p, Err: err}
	}
	return nil
}

// linkless says that a hard link failed because there are none here, not because of the names.
func linkless(err error) bool {
	return errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EXDEV) ||
		errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EMLINK)
}

// statvfs measures the file system around p.
func statvfs(p string) (space, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(p, &st); err != nil {
		return space{}, &os.PathError{Op: "statvfs", Path: p, Err: err}
	}
	return space{bsize: uint64(st.Bsize), frsize: uint64(st.Bsize), blocks: st.Blocks, bfree: st.Bfree, bavail: st.Bavail,
		files: st.Files, ffree: st.Ffree, favail: st.Ffree, namemax: 255}, nil
}
