package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
)

// FS reads the host's files. It is rooted at "/" and its names have no leading slash, as [io/fs] wants; unlike there, names need
// not be UTF-8. Every error is an [*fs.PathError]; those of a name that cannot be one wrap [fs.ErrInvalid]. Open and Stat follow
// symbolic links, Lstat and ReadDir do not. It is safe for concurrent use, and a lost connection is made anew once for what
// was asked when it was lost.
//
// Everything it gives is the host's word. A listing is refused as a whole when it holds a name that cannot be a file's.
type FS struct {
	h     *Host
	ctx   context.Context
	known *survey // nil: nothing
}

var (
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
)

// FS gives the host's files. When ctx ends, everything that reads through it, open files too, ends with its error.
func (h *Host) FS(ctx context.Context) *FS { return &FS{h: h, ctx: ctx} }

// Stat is what the Sys method of a file's [fs.FileInfo] points to: the owner's and group's numbers.
type Stat struct{ UID, GID int }

// remotePath checks a name and makes it an absolute path.
func remotePath(op, name string) (string, error) {
	if name == "." {
		return "/", nil
	}
	ok := validRemote(name)
	for elem := range strings.SplitSeq(name, "/") {
		ok = ok && elem != "" && elem != "." && elem != ".."
	}
	if !ok {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return "/" + name, nil
}

// ask puts one request to the SFTP server.
func ask[T any](f *FS, op, name string, do func(*sftp.Client, string) (T, error)) (T, error) {
	return askOver(f, op, name, func(_ *link, c *sftp.Client, p string) (T, error) { return do(c, p) })
}

func askOver[T any](f *FS, op, name string, do func(*link, *sftp.Client, string) (T, error)) (v T, err error) {
	p, err := remotePath(op, name)
	if err != nil {
		return v, err
	}
	err = f.h.reading(f.ctx, func(l *link) error {
		c, err := l.sftp(f.ctx)
		if err != nil {
			return err
		}
		v, err = linkCall(f.ctx, l, func() (T, error) { return do(l, c, p) }, nil)
		return err
	})
	return v, fsError(op, name, err)
}

// Stat tells of the file a name leads to.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	return f.stat("stat", name, (*sftp.Client).Stat)
}

// Lstat tells of the name itself, also where it is a symbolic link.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	if info, err, ok := f.known.lstat(name); ok {
		return info, err
	}
	return f.stat("lstat", name, (*sftp.Client).Lstat)
}

func (f *FS) stat(op, name string, do func(*sftp.Client, string) (os.FileInfo, error)) (fs.FileInfo, error) {
	raw, err := ask(f, op, name, do)
	if err != nil {
		return nil, err
	}
	info, err := newFileInfo(path.Base(name), raw)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return info, nil
}

// Plain looks at a name and all directories above it at once, in about one round trip. ok says that each is there and none is
// a symbolic link, and info is that of the name; where not, nothing is said of why.
func (f *FS) Plain(name string) (info fs.FileInfo, ok bool) {
	abs, err := remotePath("lstat", name)
	if err != nil || abs == "/" {
		return nil, false
	}
	chain := chainOf(abs)
	infos := make([]fs.FileInfo, len(chain))
	var wg sync.WaitGroup
	for i, p := range chain {
		wg.Go(func() { infos[i], _ = f.Lstat(p[1:]) })
	}
	wg.Wait()
	for _, at := range infos {
		if at == nil || at.Mode()&fs.ModeSymlink != 0 {
			return nil, false
		}
	}
	return infos[len(infos)-1], true
}

// ReadLink gives the text of a symbolic link, as the host tells it.
func (f *FS) ReadLink(name string) (string, error) {
	if to := f.known.link(name); to != "" {
		return to, nil
	}
	to, err := ask(f, "readlink", name, (*sftp.Client).ReadLink)
	if err == nil && !validRemote(to) {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fmt.Errorf("the host gives an impossible target: %.100q", to)}
	}
	if err != nil {
		return "", err
	}
	return to, nil
}

// ReadDir lists a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	if list, ok := f.known.list(name); ok {
		return list, nil
	}
	raw, err := askOver(f, "readdir", name, func(l *link, c *sftp.Client, p string) ([]os.FileInfo, error) {
		return l.readDir(f.ctx, c, p)
	})
	if err != nil {
		return nil, err
	}
	entries, err := f.entries(name, raw)
	if err != nil {
		return nil, fsError("readdir", name, err)
	}
	return entries, nil
}

func (f *FS) entries(dir string, raw []os.FileInfo) ([]fs.DirEntry, error) {
	entries := make([]fs.DirEntry, 0, len(raw))
	for _, r := range raw {
		name := r.Name()
		if name == "." || name == ".." || !validRemote(name) || strings.Contains(name, "/") {
			return nil, fmt.Errorf("%w: it holds the name %.100q", errBadListing, name)
		}
		info, err := newFileInfo(name, r)
		if err == nil && info.mode&fs.ModeIrregular != 0 { // some servers list without types
			var told fs.FileInfo
			told, err = f.Lstat(path.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				info = told.(*fileInfo)
			}
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, fs.FileInfoToDirEntry(info))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	// A directory that changes while it is read may be listed twice over, also by an honest host (seen with OpenSSH on ext4).
	entries = slices.CompactFunc(entries, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() })
	return entries, nil
}

// RealPath makes a path absolute and resolves its symbolic links, as far as the host's SFTP server does (OpenSSH's does).
func (h *Host) RealPath(ctx context.Context, p string) (string, error) {
	if !validRemote(p) {
		return "", &fs.PathError{Op: "realpath", Path: p, Err: fs.ErrInvalid}
	}
	var real string
	err := h.reading(ctx, func(l *link) error {
		c, err := l.sftp(ctx)
		if err != nil {
			return err
		}
		real, err = linkCall(ctx, l, func() (string, error) { return c.RealPath(p) }, nil)
		return err
	})
	if err == nil && (!path.IsAbs(real) || !validRemote(real)) {
		err = fmt.Errorf("the host answers %.100q", real)
	}
	if err != nil {
		return "", fsError("realpath", p, err)
	}
	return real, nil
}

// fileInfo is a checked copy of what the host told of a file.
type fileInfo struct {
	name  string
	size  int64
	mode  fs.FileMode
	mtime time.Time
	stat  Stat
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.size }
func (i *fileInfo) Mode() fs.FileMode  { return i.mode }
func (i *fileInfo) ModTime() time.Time { return i.mtime }
func (i *fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i *fileInfo) Sys() any           { return &i.stat }

// newFileInfo checks what the host told. A file whose type it did not tell is irregular: neither read nor followed.
func newFileInfo(name string, raw os.FileInfo) (*fileInfo, error) {
	if raw == nil {
		return nil, errors.New("the host tells nothing of it")
	}
	i := &fileInfo{name: name, size: raw.Size(), mode: raw.Mode(), mtime: raw.ModTime(), stat: Stat{UID: -1, GID: -1}}
	if i.size < 0 {
		return nil, errors.New("the host tells an impossible size")
	}
	s, ok := raw.Sys().(*sftp.FileStat)
	if !ok {
		return i, nil
	}
	i.stat = Stat{UID: int(s.UID), GID: int(s.GID)}
	const typeBits, socket, link, regular, block, dir, char, fifo = 0o170000, 0o140000, 0o120000, 0o100000, 0o060000, 0o040000, 0o020000, 0o010000
	switch s.Mode & typeBits {
	case socket, link, regular, block, dir, char, fifo:
	default:
		i.mode |= fs.ModeIrregular
	}
	return i, nil
}
