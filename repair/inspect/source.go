package inspect

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FS is where files are read from: a folder of this machine ([Local]), or the copy of a run. Names are slash paths relative
// to it. Unlike elsewhere they need not be UTF-8.
type FS interface {
	fs.ReadDirFS
	Lstat(name string) (fs.FileInfo, error)
}

// Local is a folder of this machine as an [FS]. Nothing outside the folder can be reached through it.
func Local(root *os.Root) FS { return local{root} }

type local struct{ root *os.Root }

func (l local) Open(name string) (fs.File, error) {
	f, err := l.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err // not f: a nil *os.File in an interface is not nil
	}
	return f, nil
}

func (l local) Lstat(name string) (fs.FileInfo, error) { return l.root.Lstat(filepath.FromSlash(name)) }

func (l local) ReadDir(name string) ([]fs.DirEntry, error) {
	d, err := l.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.ReadDir(-1)
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}
