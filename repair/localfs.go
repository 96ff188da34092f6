package repair

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// shelf shows a tree at a place in a root that holds nothing else: what looks for mail never takes a root directory for a mail root,
// and a part of an account is found where it belongs. The directories above it are made up.
type shelf struct {
	fs.ReadLinkFS
	at   string   // where the tree is
	more []string // empty directories that are made up beside it, or in it
}

const shelfName = "copy"

// made reports whether a directory is made up: one above the tree, or one that is to be there and is not.
func (s shelf) made(name string) bool {
	for _, dir := range append([]string{s.at}, s.more...) {
		if name == "." || strings.HasPrefix(dir, name+"/") || dir == name && name != s.at {
			return true
		}
	}
	return false
}

// inside is the name of what is shown under a name; ok is false where it is made up.
func (s shelf) inside(op, name string) (real string, ok bool, err error) {
	rest, in := strings.CutPrefix(name, s.at)
	switch {
	case !fs.ValidPath(name):
	case in && rest == "":
		return ".", true, nil
	case in && rest[0] == '/' && !slices.Contains(s.more, name):
		return rest[1:], true, nil
	case s.made(name):
		return "", false, nil
	}
	return "", false, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func (s shelf) Open(name string) (fs.File, error) {
	real, ok, err := s.inside("open", name)
	if err == nil && !ok {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid} // it is listed by ReadDir
	}
	if err != nil {
		return nil, err
	}
	return s.ReadLinkFS.Open(real)
}

func (s shelf) ReadDir(name string) ([]fs.DirEntry, error) {
	real, ok, err := s.inside("readdir", name)
	if err != nil {
		return nil, err
	}
	var list []fs.DirEntry
	if ok {
		if list, err = fs.ReadDir(s.ReadLinkFS, real); err != nil {
			return nil, err
		}
	}
	for _, dir := range append([]string{s.at}, s.more...) {
		rest, beneath := strings.CutPrefix(dir, strings.TrimPrefix(name+"/", "./"))
		if !beneath || rest == "" {
			continue
		}
		child, _, _ := strings.Cut(rest, "/")
		if slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == child }) {
			continue
		}
		info, err := s.Stat(path.Join(name, child))
		if err != nil {
			return nil, err
		}
		list = append(list, fs.FileInfoToDirEntry(renamed{info, child}))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

func (s shelf) Stat(name string) (fs.FileInfo, error) {
	real, ok, err := s.inside("stat", name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.madeUp(name)
	}
	return fs.Stat(s.ReadLinkFS, real)
}

func (s shelf) Lstat(name string) (fs.FileInfo, error) {
	real, ok, err := s.inside("lstat", name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.madeUp(name)
	}
	return s.ReadLinkFS.Lstat(real)
}

// madeUp is what is told of a directory that is made up: what is true of the tree's own.
func (s shelf) madeUp(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(s.ReadLinkFS, ".")
	if err != nil {
		return nil, err
	}
	return renamed{info, path.Base(name)}, nil
}

func (s shelf) ReadLink(name string) (string, error) {
	real, ok, err := s.inside("readlink", name)
	if err == nil && !ok {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return s.ReadLinkFS.ReadLink(real)
}

type renamed struct {
	fs.FileInfo
	name string
}

func (r renamed) Name() string { return r.name }

// beneath shows what lies beneath a directory of a tree.
type beneath struct {
	fsys fs.ReadLinkFS
	dir  string
}

func (b beneath) Open(name string) (fs.File, error) { return b.fsys.Open(path.Join(b.dir, name)) }
func (b beneath) ReadDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(b.fsys, path.Join(b.dir, name))
}
func (b beneath) Stat(name string) (fs.FileInfo, error) {
	return fs.Stat(b.fsys, path.Join(b.dir, name))
}
func (b beneath) Lstat(name string) (fs.FileInfo, error) { return b.fsys.Lstat(path.Join(b.dir, name)) }
func (b beneath) ReadLink(name string) (string, error) {
	return b.fsys.ReadLink(path.Join(b.dir, name))
}
