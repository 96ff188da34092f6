package remote

import (
	"context"
	"io/fs"
	"sync"
	"time"

	"github.com/pkg/sftp"
)

// viewer is what the guard sees of the host. It never follows a symbolic link.
type viewer interface {
	dirs(ctx context.Context, paths []string) []seen // the directories on the way, all at once
	item(ctx context.Context, p string) seen
	realPath(ctx context.Context, p string) (string, error)
	readLink(ctx context.Context, p string) (string, error)
}

// seen is one answer of lstat.
type seen struct {
	kind  fs.FileMode // type bits; fs.ModeIrregular where the host did not say
	mode  fs.FileMode // the other bits
	uid   int         // -1 unknown
	size  int64
	mtime time.Time
	err   error
}

// info gives what was seen, nil where nothing was.
func (s seen) info(name string) fs.FileInfo {
	if s.err != nil {
		return nil
	}
	return &fileInfo{name: name, size: s.size, mode: s.kind | s.mode, mtime: s.mtime, stat: Stat{UID: s.uid, GID: -1}}
}

// same says whether this is still the file it was.
func (s seen) same(now seen) bool {
	return s.kind == now.kind && s.uid == now.uid && s.size == now.size && s.mtime.Equal(now.mtime)
}

// sftpView looks through SFTP.
type sftpView struct {
	l *link
	c *sftp.Client
}

func (v sftpView) item(ctx context.Context, p string) seen {
	fi, err := linkCall(ctx, v.l, func() (fs.FileInfo, error) { return v.c.Lstat(p) }, nil)
	if err != nil {
		return seen{err: fsError("lstat", p, err)}
	}
	return seenOf(fi)
}

// seenOf reads attributes. pkg/sftp shows a file whose type the server left out as a regular one, which must not
// be believed.
func seenOf(fi fs.FileInfo) seen {
	s := seen{kind: fi.Mode().Type(), mode: fi.Mode() &^ fs.ModeType, uid: -1, size: fi.Size(), mtime: fi.ModTime()}
	if st, ok := fi.Sys().(*sftp.FileStat); ok {
		s.uid = int(st.UID)
		if st.Mode&0o170000 == 0 {
			s.kind = fs.ModeIrregular
		}
	}
	return s
}

func (v sftpView) dirs(ctx context.Context, paths []string) []seen {
	out := make([]seen, len(paths))
	var wg sync.WaitGroup
	for i, p := range paths {
		wg.Go(func() { out[i] = v.item(ctx, p) })
	}
	wg.Wait()
	return out
}

func (v sftpView) realPath(ctx context.Context, p string) (string, error) {
	real, err := linkCall(ctx, v.l, func() (string, error) { return v.c.RealPath(p) }, nil)
	return real, fsError("realpath", p, err)
}

func (v sftpView) readLink(ctx context.Context, p string) (string, error) {
	target, err := linkCall(ctx, v.l, func() (string, error) { return v.c.ReadLink(p) }, nil)
	return target, fsError("readlink", p, err)
}

// sharedView remembers for a moment what it saw of directories, for work on many files at once. Of the files
// themselves it remembers nothing.
type sharedView struct {
	viewer
	mu    sync.Mutex
	known map[string]sharedDirs
}

type sharedDirs struct {
	until time.Time
	dirs  []seen
	real  string
}

// sharedFor is how long a directory's answer serves. It is in the text of the rules' page: docs/safety.md.
const sharedFor = time.Second

func newSharedView(v viewer) *sharedView {
	return &sharedView{viewer: v, known: map[string]sharedDirs{}}
}

func (v *sharedView) dirs(ctx context.Context, paths []string) []seen {
	if len(paths) == 0 {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	key := "d" + paths[len(paths)-1]
	if k, ok := v.known[key]; ok && time.Now().Before(k.until) {
		return k.dirs
	}
	now := time.Now()
	got := v.viewer.dirs(ctx, paths)
	for _, at := range got {
		if at.err != nil {
			return got
		}
	}
	v.known[key] = sharedDirs{until: now.Add(sharedFor), dirs: got}
	return got
}

func (v *sharedView) realPath(ctx context.Context, p string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := "r" + p
	if k, ok := v.known[key]; ok && time.Now().Before(k.until) {
		return k.real, nil
	}
	now := time.Now()
	real, err := v.viewer.realPath(ctx, p)
	if err == nil {
		v.known[key] = sharedDirs{until: now.Add(sharedFor), real: real}
	}
	return real, err
}
