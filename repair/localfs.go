package repair

import (
	"io/fs"
	"path"
	"strings"
)

// shelf shows a tree as the only directory of a root: what looks for mail never takes a root directory for a mail root.
type shelf struct{ fs.ReadLinkFS }

const shelfName = "copy"

func (s shelf) inside(op, name string) (string, error) {
	rest, ok := strings.CutPrefix(name, shelfName)
	switch {
	case !fs.ValidPath(name) || !ok || rest != "" && rest[0] != '/':
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	case rest == "":
		return ".", nil
	}
	return rest[1:], nil
}

func (s shelf) Open(name string) (fs.File, error) {
	name, err := s.inside("open", name)
	if err != nil {
		return nil, err
	}
	return s.ReadLinkFS.Open(name)
}

func (s shelf) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == "." {
		info, err := fs.Stat(s.ReadLinkFS, ".")
		if err != nil {
			return nil, err
		}
		return []fs.DirEntry{fs.FileInfoToDirEntry(renamed{info, shelfName})}, nil
	}
	name, err := s.inside("readdir", name)
	if err != nil {
		return nil, err
	}
	return fs.ReadDir(s.ReadLinkFS, name)
}

func (s shelf) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return fs.Stat(s.ReadLinkFS, ".")
	}
	name, err := s.inside("stat", name)
	if err != nil {
		return nil, err
	}
	return fs.Stat(s.ReadLinkFS, name)
}

func (s shelf) Lstat(name string) (fs.FileInfo, error) {
	if name == "." {
		return s.Stat(name)
	}
	name, err := s.inside("lstat", name)
	if err != nil {
		return nil, err
	}
	return s.ReadLinkFS.Lstat(name)
}

func (s shelf) ReadLink(name string) (string, error) {
	name, err := s.inside("readlink", name)
	if err != nil {
		return "", err
	}
	return s.ReadLinkFS.ReadLink(name)
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
