package snapshot

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"dovemend/remote"
	"dovemend/repair/store"
)

// listParallel is how many directories are listed at once over SFTP, where each costs several round trips.
const listParallel = 128

// FromHost gives the files beneath a mail root of a host. This is the only file of the package that knows of one.
func FromHost(h *remote.Host, root store.HostPath) Source {
	return &hostSource{
		host: h,
		fs:   func(ctx context.Context) hostFS { return h.FS(ctx) },
		root: strings.Trim(path.Clean("/"+string(root)), "/"),
		sums: func(ctx context.Context, rel []string, yield func(int, [32]byte, error) error) error {
			return noShell(h.Sums(ctx, string(root), rel, yield))
		},
	}
}

// hostFS is what is needed of [remote.FS].
type hostFS interface {
	fs.ReadLinkFS
	fs.ReadDirFS
	OpenListed(name string, info fs.FileInfo) (fs.File, error)
}

// bulkHost is what is needed of [remote.Host] for many files at once.
type bulkHost interface {
	Prepare(ctx context.Context, files int, bytes int64)
	List(ctx context.Context, dir string, paths []string, skip string, yield func(remote.Listed) error) error
	Fetch(ctx context.Context, dir string, files []remote.Wanted, take func(i int, r io.Reader) error) (remote.Fetched, error)
	PrefixSums(ctx context.Context, dir string, files []remote.Prefix, yield func(i int, sum [32]byte, err error) error) error
}

type hostSource struct {
	host bulkHost // nil: there is only fs
	fs   func(context.Context) hostFS
	root string // without a leading slash
	sums func(context.Context, []string, func(int, [32]byte, error) error) error
}

func (s *hostSource) name(p store.RelPath) string {
	return cmp.Or(path.Join(s.root, string(p)), ".")
}

func (s *hostSource) entry(fsys hostFS, p store.RelPath, i fs.FileInfo) Entry {
	e := Entry{
		Path: p, Type: i.Mode().Type(), Mode: i.Mode() &^ fs.ModeType, Size: i.Size(), MTime: i.ModTime(), UID: -1, GID: -1,
	}
	if st, ok := i.Sys().(*remote.Stat); ok {
		e.UID, e.GID = st.UID, st.GID
	}
	if e.Type == fs.ModeSymlink {
		link, err := fsys.ReadLink(s.name(p))
		if e.Link = link; err != nil {
			e.Err = err.Error()
		}
	}
	return e
}

func (s *hostSource) Lstat(ctx context.Context, p store.RelPath) (Entry, error) {
	fsys := s.fs(ctx)
	i, err := fsys.Lstat(s.name(p))
	if err != nil {
		return Entry{}, err
	}
	return s.entry(fsys, p, i), nil
}

func (s *hostSource) Open(ctx context.Context, p store.RelPath) (io.ReadCloser, error) {
	fsys := s.fs(ctx)
	// Lstat and not the look that Open takes: a file that became a symbolic link must not be followed.
	i, err := fsys.Lstat(s.name(p))
	if err != nil {
		return nil, err
	}
	return fsys.OpenListed(s.name(p), i)
}

func (s *hostSource) OpenAt(ctx context.Context, p store.RelPath, off int64) (io.ReadCloser, error) {
	f, err := s.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	if at, ok := f.(io.Seeker); !ok {
		err = errors.ErrUnsupported
	} else {
		_, err = at.Seek(off, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *hostSource) PrefixSums(ctx context.Context, paths []store.RelPath, sizes []int64, yield func(i int, sum [32]byte, err error) error) error {
	if s.host == nil {
		return errors.ErrUnsupported
	}
	files := make([]remote.Prefix, len(paths))
	for i, p := range paths {
		files[i] = remote.Prefix{Name: string(p), Size: sizes[i]}
	}
	return noShell(s.host.PrefixSums(ctx, "/"+s.root, files, yield))
}

// noShell makes the want of a shell an error that says that it cannot be done.
func noShell(err error) error {
	if errors.Is(err, remote.ErrNoShell) {
		return errors.Join(errors.ErrUnsupported, err)
	}
	return err
}

func (s *hostSource) Sums(ctx context.Context, paths []store.RelPath, yield func(i int, sum [32]byte, err error) error) error {
	rel := make([]string, len(paths))
	for i, p := range paths {
		rel[i] = string(p)
	}
	return s.sums(ctx, rel, yield)
}

func (s *hostSource) Prepare(ctx context.Context, files int, bytes int64) {
	if s.host != nil {
		s.host.Prepare(ctx, files, bytes)
	}
}

func (s *hostSource) Fetch(ctx context.Context, files []*Entry, take func(int, io.Reader) error) ([]int, []string, error) {
	if s.host == nil {
		return nil, nil, nil
	}
	want := make([]remote.Wanted, len(files))
	for i, e := range files {
		want[i] = remote.Wanted{Name: string(e.Path), Size: e.Size}
	}
	f, err := s.host.Fetch(ctx, "/"+s.root, want, take)
	return f.Doubtful, f.Notes, err
}

// listAtOnce lists with one command on the host.
func (s *hostSource) listAtOnce(ctx context.Context, paths []store.RelPath, yield func(Entry) error) error {
	if s.host == nil {
		return errors.ErrUnsupported
	}
	rel := make([]string, len(paths))
	skip := asideDir
	for i, p := range paths {
		rel[i] = string(p)
		if beneath([]store.RelPath{asideDir}, p) {
			skip = ""
		}
	}
	err := s.host.List(ctx, "/"+s.root, rel, skip, func(l remote.Listed) error {
		e := Entry{Path: store.RelPath(l.Path), Type: l.Type, Mode: l.Mode, Size: l.Size, MTime: l.MTime, UID: l.Stat.UID, GID: l.Stat.GID, Inode: l.Inode, Link: l.Target}
		if e.Type == fs.ModeSymlink && e.Link == "" {
			link, err := s.fs(ctx).ReadLink(s.name(e.Path))
			if e.Link = link; err != nil {
				e.Err = err.Error()
			}
		}
		if l.Err != nil {
			e.Err = (&fs.PathError{Op: "readdir", Path: s.name(e.Path), Err: l.Err}).Error()
		}
		return yield(e)
	})
	if errors.Is(err, remote.ErrListAgain) {
		return errors.Join(errListAgain, err)
	}
	return err
}

// lister walks the host's directories, many at a time.
type lister struct {
	*hostSource
	ctx   context.Context
	fsys  hostFS
	yield func(Entry) error

	mu    sync.Mutex
	more  *sync.Cond
	queue []Entry // directories to read
	busy  int     // directories being read
	err   error
}

func (s *hostSource) List(ctx context.Context, paths []store.RelPath, yield func(Entry) error) error {
	if err := s.listAtOnce(ctx, paths, yield); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &lister{hostSource: s, ctx: ctx, fsys: s.fs(ctx), yield: yield}
	l.more = sync.NewCond(&l.mu)
	if err := l.start(paths); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range listParallel {
		wg.Go(func() {
			for l.step() {
			}
			cancel() // nothing is left to do, or nothing can be done
		})
	}
	wg.Wait()
	return l.err
}

// start looks at the paths asked for, all at once.
func (l *lister) start(paths []store.RelPath) error {
	infos, errs := make([]fs.FileInfo, len(paths)), make([]error, len(paths))
	slots := make(chan struct{}, listParallel)
	var wg sync.WaitGroup
	for i, p := range paths {
		slots <- struct{}{}
		wg.Go(func() {
			infos[i], errs[i] = l.fsys.Lstat(l.name(p))
			<-slots
		})
	}
	wg.Wait()
	for i, p := range paths {
		switch err := errs[i]; {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		}
		if err := l.give(l.entry(l.fsys, p, infos[i])); err != nil {
			return err
		}
	}
	return nil
}

// give yields an entry; a directory is queued, and yielded when it was read.
func (l *lister) give(e Entry) error {
	if e.Type != fs.ModeDir {
		return l.yield(e)
	}
	if strings.Count(string(e.Path), "/") > maxDepth {
		e.Err = "too deep"
		return l.yield(e)
	}
	l.queue = append(l.queue, e)
	return nil
}

// step reads one directory. It gives false when there are no more.
func (l *lister) step() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && l.busy > 0 && l.err == nil {
		l.more.Wait()
	}
	if l.err != nil || len(l.queue) == 0 {
		return false
	}
	dir := l.queue[len(l.queue)-1]
	l.queue = l.queue[:len(l.queue)-1]
	l.busy++
	l.mu.Unlock()
	entries, err := l.read(&dir)
	l.mu.Lock()
	l.busy--
	defer l.more.Broadcast()
	if l.err != nil {
		return false
	}
	if err == nil {
		err = l.yield(dir)
	}
	for _, e := range entries {
		if err != nil {
			break
		}
		err = l.give(e)
	}
	l.err = err
	return err == nil
}

// read lists one directory. Where that cannot be done for a reason that lies in the directory, its entry says so.
func (l *lister) read(dir *Entry) ([]Entry, error) {
	list, err := l.fsys.ReadDir(l.name(dir.Path))
	var entries []Entry
	for _, d := range list {
		p := store.RelPath(path.Join(string(dir.Path), d.Name()))
		if p == asideDir {
			continue // listed only where it was asked for
		}
		i, e := d.Info()
		if errors.Is(e, fs.ErrNotExist) {
			continue
		}
		if e != nil {
			err = e
			break
		}
		entries = append(entries, l.entry(l.fsys, p, i))
	}
	if err == nil {
		return entries, nil
	}
	if l.ctx.Err() != nil {
		return nil, context.Cause(l.ctx)
	}
	if !errors.Is(err, fs.ErrPermission) {
		// Is it the connection, or this directory?
		i, again := l.fsys.Lstat(l.name(dir.Path))
		if again != nil && !errors.Is(again, fs.ErrNotExist) && !errors.Is(again, fs.ErrPermission) {
			return nil, err
		}
		if errors.Is(again, fs.ErrNotExist) || again == nil && !i.IsDir() {
			return nil, nil // it went away meanwhile, as the next listing will show
		}
	}
	dir.Err = err.Error()
	return entries, nil
}
