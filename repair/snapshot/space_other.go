//go:build !linux && !darwin && !freebsd && !windows

package snapshot

import (
	"errors"
	"os"
	"syscall"
)

// freeSpace cannot be told here.
func freeSpace(*os.Root) int64 { return -1 }

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }
