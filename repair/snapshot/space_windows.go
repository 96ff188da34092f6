package snapshot

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// freeSpace gives the bytes the volume of dst has left for this user, -1 where it does not tell.
func freeSpace(dst *os.Root) int64 {
	name, err := windows.UTF16PtrFromString(dst.Name())
	if err != nil {
		return -1
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return -1
	}
	return int64(min(free, math.MaxInt64))
}

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}
