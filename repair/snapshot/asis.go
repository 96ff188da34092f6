package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"dovemend/repair/store"
)

// Altered is a file of a copy to which something has happened since the copy was made.
type Altered struct {
	Path store.RelPath
	Was  int64 // its bytes when it was copied
	Is   int64 // its bytes now; -1 where there is no file any more
}

// String says it in a sentence, without its end.
func (a Altered) String() string {
	if a.Is < 0 {
		return fmt.Sprintf("it is missing from the copy, and had %d bytes when it was copied", a.Was)
	}
	return fmt.Sprintf("it has %d bytes, and had %d when it was copied", a.Is, a.Was)
}

// ReadAsIs is [Read] for those who want what is left of a copy, whatever has happened to it: files that are not as long as its list says
// show as long as they are, those that are gone not at all, and both are named. The bytes are not compared. What is to be done to a
// host is never decided by such a copy.
func ReadAsIs(dst *os.Root) (*Snapshot, []Altered, error) {
	s, err := Read(dst)
	if err != nil {
		return nil, nil, err
	}
	sizes := localSizes{root: dst}
	defer sizes.close()
	var altered []Altered
	left := s.m.Entries[:0]
	for _, e := range s.m.Entries {
		if e.hasBytes() {
			is, err := sizes.of(filePath(&e))
			if err != nil {
				return nil, nil, fmt.Errorf("look at the copy of %q: %w", e.Path, err)
			}
			if is != e.Size {
				altered = append(altered, Altered{e.Path, e.Size, is})
			}
			if e.Size = is; is < 0 {
				continue
			}
		}
		left = append(left, e)
	}
	s.m.Entries = left
	return s, altered, s.count(cursorOf(left))
}

// localSizes looks at files one after the other. The folder of the last one stays open: most are in the same.
type localSizes struct {
	root *os.Root
	name string
	dir  *os.Root
	gone bool // there is no such folder
}

// of is how long a file is; -1 where there is none of this name.
func (l *localSizes) of(name string) (int64, error) {
	if dir := path.Dir(name); l.name != dir {
		l.close()
		var err error
		l.dir, err = l.root.OpenRoot(dir)
		if l.gone = notThere(l.root, dir, err); err != nil && !l.gone {
			return 0, err
		}
		l.name = dir
	}
	if l.gone {
		return -1, nil
	}
	info, err := l.dir.Lstat(path.Base(name))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular():
		return -1, nil
	case err != nil:
		return 0, err
	}
	return info.Size(), nil
}

// notThere reports whether a folder could not be opened because there is none, or something else in its place.
func notThere(root *os.Root, dir string, err error) bool {
	if err == nil {
		return false
	}
	for ; dir != "."; dir = path.Dir(dir) {
		if info, serr := root.Lstat(dir); errors.Is(serr, fs.ErrNotExist) || serr == nil && !info.IsDir() {
			return true
		}
	}
	return false
}

func (l *localSizes) close() {
	if l.dir != nil {
		_ = l.dir.Close() // it was only looked at
	}
	l.dir, l.name = nil, ""
}
