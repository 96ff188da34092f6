package snapshot

import (
	"iter"
	"os"

	"golang.org/x/sys/unix"
)

// syncAll brings everything written beneath dst to the disk: on Linux with one call for the whole file system, which
// for thousands of small files is several times faster than syncing each.
func syncAll(dst *os.Root, _ iter.Seq[string]) error {
	f, err := dst.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
