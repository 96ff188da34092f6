//go:build !unix

package snapshot

import (
	"os"
	"path/filepath"
)

// linkAcross makes a hard link in one root of a file in another. The names were checked by the caller; no symbolic links
// are ever made in a snapshot.
func linkAcross(from *os.Root, old string, to *os.Root, name string) error {
	return os.Link(filepath.Join(from.Name(), filepath.FromSlash(old)), filepath.Join(to.Name(), filepath.FromSlash(name)))
}
