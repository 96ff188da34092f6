package snapshot

import (
	"os"
	"slices"
)

// SyncFiles brings the named files beneath dst to the disk, and the directories that hold them as far as the system can:
// on Linux with one call for the whole file system.
func SyncFiles(dst *os.Root, files []string) error { return syncAll(dst, slices.Values(files)) }

// SyncDir brings a directory's entries to the disk where the system can do that; Windows cannot and need not.
func SyncDir(dst *os.Root, dir string) { syncDir(dst, dir) }

// syncDir brings a directory's entries to the disk where the system can do that; Windows cannot and need not.
func syncDir(dst *os.Root, dir string) {
	if f, err := dst.Open(dir); err == nil {
		f.Sync()
		f.Close()
	}
}
