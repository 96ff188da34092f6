package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"dovemend/repair/store"
)

// maxLinks is how many symbolic links are followed in one name.
const maxLinks = 40

// FS gives the copy as it would look on the host: host names relative to the mail root, with the host's modes, sizes
// and times. Unlike elsewhere, names need not be UTF-8. Symbolic links are followed within the copy only; one that leads
// out of it leads nowhere. What could not be copied is listed, and gives its error when opened.
func (s *Snapshot) FS() fs.ReadLinkFS {
	return &tree{s: s, children: sync.OnceValue(func() map[store.RelPath][]string { return childrenOf(s.m.Entries) })}
}

type tree struct {
	s        *Snapshot
	children func() map[store.RelPath][]string // names in each directory, sorted
}

var (
	_ fs.ReadDirFS  = (*tree)(nil)
	_ fs.ReadFileFS = (*tree)(nil)
	_ fs.StatFS     = (*tree)(nil)
)

// childrenOf lists what is in each directory, those included that are only known by what lies beneath them.
func childrenOf(entries []Entry) map[store.RelPath][]string {
	children := map[store.RelPath][]string{".": nil}
	for i := range entries {
		if entries[i].Type == fs.ModeDir {
			children[entries[i].Path] = nil
		}
	}
	implied := map[store.RelPath]bool{}
	for i := range entries {
		for p := entries[i].Path; p != "."; {
			up := store.RelPath(path.Dir(string(p)))
			children[up] = append(children[up], path.Base(string(p)))
			if find(entries, up) >= 0 || up == "." || implied[up] {
				break
			}
			implied[up] = true
			p = up
		}
	}
	for _, names := range children {
		slices.Sort(names)
	}
	return children
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// lookup gives the entry of a path; a directory that is only implied has one made up.
func (t *tree) lookup(p store.RelPath) (Entry, bool) {
	if e, ok := t.s.Entry(p); ok {
		return e, true
	}
	if _, ok := t.children()[p]; ok {
		return Entry{Path: p, Type: fs.ModeDir, Mode: 0o700, UID: -1, GID: -1}, true
	}
	return Entry{}, false
}

// walk resolves the symbolic links in a name, the last component's only if follow is set.
func (t *tree) walk(op, name string, follow bool) (Entry, error) {
	if !cleanPath(name) {
		return Entry{}, pathError(op, name, fs.ErrInvalid)
	}
	if e, ok := t.lookup(store.RelPath(name)); ok && !(follow && e.Type == fs.ModeSymlink) {
		return e, nil
	}
	todo, done, links := strings.Split(name, "/"), ".", 0
	at, _ := t.lookup(".")
	for len(todo) > 0 {
		c := todo[0]
		if todo = todo[1:]; c == "" || c == "." {
			continue
		}
		if c == ".." {
			if done == "." {
				return Entry{}, pathError(op, name, fs.ErrNotExist)
			}
			done = path.Dir(done)
			at, _ = t.lookup(store.RelPath(done))
			continue
		}
		if at.Type != fs.ModeDir {
			return Entry{}, pathError(op, name, fs.ErrNotExist)
		}
		next := path.Join(done, c)
		e, ok := t.lookup(store.RelPath(next))
		if !ok {
			return Entry{}, pathError(op, name, fs.ErrNotExist)
		}
		if e.Type == fs.ModeSymlink && (follow || len(todo) > 0) {
			if links++; links > maxLinks || strings.HasPrefix(e.Link, "/") || len(e.Link) > maxPathLen {
				return Entry{}, pathError(op, name, fs.ErrNotExist)
			}
			todo = append(strings.Split(e.Link, "/"), todo...)
			continue
		}
		done, at = next, e
	}
	return at, nil
}

func (t *tree) Lstat(name string) (fs.FileInfo, error) {
	e, err := t.walk("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return t.info(e, path.Base(name)), nil
}

func (t *tree) Stat(name string) (fs.FileInfo, error) {
	e, err := t.walk("stat", name, true)
	if err != nil {
		return nil, err
	}
	return t.info(e, path.Base(name)), nil
}

func (t *tree) ReadLink(name string) (string, error) {
	e, err := t.walk("readlink", name, false)
	if err == nil && e.Type != fs.ModeSymlink {
		err = pathError("readlink", name, fs.ErrInvalid)
	}
	return e.Link, err
}

func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.walk("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if e.Type != fs.ModeDir {
		return nil, pathError("readdir", name, fmt.Errorf("not a directory"))
	}
	if e.Err != "" {
		return nil, pathError("readdir", name, notCopied(e))
	}
	names := t.children()[e.Path]
	list := make([]fs.DirEntry, 0, len(names))
	for _, n := range names {
		if child, ok := t.lookup(store.RelPath(path.Join(string(e.Path), n))); ok {
			list = append(list, fs.FileInfoToDirEntry(t.info(child, n)))
		}
	}
	return list, nil
}

func (t *tree) Open(name string) (fs.File, error) {
	e, err := t.walk("open", name, true)
	if err != nil {
		return nil, err
	}
	i := t.info(e, path.Base(name))
	switch {
	case e.Type == fs.ModeDir:
		list, err := t.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &openDir{info: i, list: list}, nil
	case !e.hasBytes():
		return nil, pathError("open", name, notCopied(e))
	}
	f, err := t.s.root.Open(filePath(&e))
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &openFile{f, i}, nil
}

func (t *tree) ReadFile(name string) ([]byte, error) {
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// ErrNotCopied: the host has this file, but the copy lacks its bytes: it could not be read, or is not a regular file.
var ErrNotCopied = errors.New("not in the snapshot")

// notCopied is the error of opening what the copy lacks.
func notCopied(e Entry) error {
	if e.Err != "" {
		return fmt.Errorf("%w: %s", ErrNotCopied, e.Err)
	}
	return fmt.Errorf("%w: not a regular file", ErrNotCopied)
}

// Owner is who owned a file on the host, as its [fs.FileInfo] tells by Sys; -1 where the host did not say.
type Owner struct {
	UID, GID int
	taken    time.Time
}

// Begun is when the copying began, by the local clock: what was changed later may not fit the rest.
func (o Owner) Begun() time.Time { return o.taken }

// Owned gives user and group.
func (o Owner) Owned() (uid, gid int) { return o.UID, o.GID }

// info shows an entry as the host had it.
type info struct {
	e     Entry
	name  string
	taken time.Time
}

func (t *tree) info(e Entry, name string) info { return info{e, name, t.s.m.Taken} }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.e.Size }
func (i info) Mode() fs.FileMode  { return i.e.Type | i.e.Mode }
func (i info) ModTime() time.Time { return i.e.MTime }
func (i info) IsDir() bool        { return i.e.Type == fs.ModeDir }
func (i info) Sys() any           { return Owner{i.e.UID, i.e.GID, i.taken} }

// SHA256 is the file's sum in hex when it was copied.
func (i info) SHA256() string { return i.e.SHA256 }

type openFile struct {
	*os.File
	info info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type openDir struct {
	info info
	list []fs.DirEntry
	at   int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, pathError("read", d.info.name, fmt.Errorf("is a directory"))
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.list[d.at:]
	if n <= 0 {
		d.at = len(d.list)
		return slices.Clone(rest), nil
	}
	if len(rest) == 0 {
		return nil, io.EOF
	}
	rest = rest[:min(n, len(rest))]
	d.at += len(rest)
	return slices.Clone(rest), nil
}
