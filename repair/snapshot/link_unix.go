//go:build unix

package snapshot

import (
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// linkAcross makes a hard link in one root of a file in another. Both directories are opened through their root, so that
// neither name can lead out of it, and a symbolic link at the old name is not followed.
func linkAcross(from *os.Root, old string, to *os.Root, name string) error {
	a, err := from.Open(path.Dir(old))
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := to.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer b.Close()
	if err := unix.Linkat(int(a.Fd()), path.Base(old), int(b.Fd()), path.Base(name), 0); err != nil {
		return &os.LinkError{Op: "link", Old: old, New: name, Err: err}
	}
	return nil
}
