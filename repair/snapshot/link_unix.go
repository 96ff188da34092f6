//go:build unix

package snapshot

import (
	"os"

	"golang.org/x/sys/unix"
)

// linkAcross makes a hard link in one directory of a file in another. Both were opened through their roots, and a symbolic link
// at the old name is not followed.
func linkAcross(from *heldDir, old string, to *heldDir, name string) error {
	a, err := from.handle()
	if err != nil {
		return err
	}
	b, err := to.handle()
	if err != nil {
		return err
	}
	if err := unix.Linkat(int(a.Fd()), old, int(b.Fd()), name, 0); err != nil {
		return &os.LinkError{Op: "link", Old: old, New: name, Err: err}
	}
	return nil
}
