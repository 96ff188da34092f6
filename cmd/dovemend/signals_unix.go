//go:build unix

package main

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// ignoreSizeLimit has a write beyond the limit of a file's size (ulimit -f) end in an error, which is told and leaves a
// run that can be gone on with. Otherwise the kernel would end the program.
func ignoreSizeLimit() { signal.Ignore(unix.SIGXFSZ) }
