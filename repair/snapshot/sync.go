package snapshot

import "os"

// syncDir brings a directory's entries to the disk where the system can do that; Windows cannot and need not.
func syncDir(dst *os.Root, dir string) {
	if f, err := dst.Open(dir); err == nil {
		f.Sync()
		f.Close()
	}
}
