//go:build !unix

package snapshot

import (
	"os"
	"path/filepath"
)

// linkAcross makes a hard link in one directory of a file in another. The names were checked by the caller; no symbolic links
// are ever made in a snapshot.
func linkAcross(from *heldDir, old string, to *heldDir, name string) error {
	return os.Link(filepath.Join(from.path, old), filepath.Join(to.path, name))
}
