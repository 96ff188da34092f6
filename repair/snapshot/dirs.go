package snapshot

import (
	"os"
	"path/filepath"
	"sync"
)

// openDirs is how many directories are held open.
const openDirs = 128

// dirs holds directories of the snapshot open, so that a file in them costs no walk from the top. All are opened through the
// snapshot's root.
type dirs struct {
	root *os.Root
	mu   sync.Mutex
	open map[string]*heldDir
}

type heldDir struct {
	*os.Root
	path  string // on the local disk
	users int
	once  sync.Once
	file  *os.File
	err   error
}

// handle is the directory as a file, for what [os.Root] has no verb for.
func (h *heldDir) handle() (*os.File, error) {
	h.once.Do(func() { h.file, h.err = h.Open(".") })
	return h.file, h.err
}

func newDirs(root *os.Root) *dirs { return &dirs{root: root, open: map[string]*heldDir{}} }

// use gives a directory, and what is to be called after its use.
func (d *dirs) use(name string) (*heldDir, func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.open[name]
	if h == nil {
		r, err := d.root.OpenRoot(name)
		if err != nil {
			return nil, nil, err
		}
		d.trim(openDirs - 1)
		h = &heldDir{Root: r, path: filepath.Join(d.root.Name(), filepath.FromSlash(name))}
		d.open[name] = h
	}
	h.users++
	return h, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		h.users--
	}, nil
}

// trim closes directories that nobody uses until at most n are open. d.mu is held.
func (d *dirs) trim(n int) {
	for name, h := range d.open {
		if len(d.open) <= n {
			return
		}
		if h.users == 0 {
			if h.Close(); h.file != nil {
				h.file.Close()
			}
			delete(d.open, name)
		}
	}
}

// close closes all of them.
func (d *dirs) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trim(0)
}
