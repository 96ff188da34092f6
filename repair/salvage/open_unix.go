//go:build unix

package salvage

import "syscall"

// openWithoutWaiting makes the opening of a pipe return at once.
const openWithoutWaiting = syscall.O_NONBLOCK
