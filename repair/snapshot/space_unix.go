//go:build linux || darwin || freebsd

package snapshot

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// freeSpace gives the bytes the file system around dst has left for this user, -1 where it does not tell.
func freeSpace(dst *os.Root) int64 {
	f, err := dst.Open(".")
	if err != nil {
		return -1
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return -1
	}
	free, size := uint64(max(0, int64(st.Bavail))), uint64(st.Bsize)
	if size != 0 && free > math.MaxInt64/size {
		return math.MaxInt64
	}
	return int64(free * size)
}

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}
