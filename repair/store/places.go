package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Places are the directories to search for a login's mail: its home, and where hosts are known to keep mail outside of
// it. A "*" in one of them stands for any text within one component; most of them will not exist.
func Places(home HostPath, user string) []HostPath {
	places := []HostPath{home}
	if user == "" || strings.ContainsAny(user, "/*?[]\\\x00") || user == "." || user == ".." {
		return places
	}
	for _, p := range []string{
		"/userdata*/" + user, "/home*/" + user, "/data*/" + user, "/vol*/" + user, "/mnt/*/" + user, "/srv/*/" + user,
		"/var/vmail/" + user, "/var/mail/" + user, "/var/spool/mail/" + user,
	} {
		if HostPath(p) != home {
			places = append(places, HostPath(p))
		}
	}
	return places
}

// start is a start directory without symbolic links, and what lies in it, or why it cannot be one.
type start struct {
	given HostPath
	real  string
	info  fs.FileInfo
	err   error
	read  *dirRead // nil where it is no directory
}

// dirRead is what came of reading a directory.
type dirRead struct {
	entries []fs.DirEntry
	err     error
}

// starts expands and resolves start directories and reads them, each as soon as it can be: over a slow line none waits for another.
func (r *reader) starts(ctx context.Context, from []HostPath) ([]start, error) {
	dirs := &sharedDirs{reader: r, known: map[string]func() ([]fs.DirEntry, error){}}
	all := make([][]start, len(from))
	g, gctx := errgroup.WithContext(ctx)
	for i, p := range from {
		g.Go(func() error {
			expanded, err := dirs.expand(gctx, p)
			if err != nil {
				return fmt.Errorf("search for mail in %q: %w", p, err)
			}
			all[i] = make([]start, len(expanded))
			var wg sync.WaitGroup
			for n, p := range expanded {
				wg.Go(func() { all[i][n] = dirs.start(ctx, p) })
			}
			wg.Wait()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(all...), nil
}

func (d *sharedDirs) start(ctx context.Context, p HostPath) start {
	s := start{given: p}
	if s.real, s.info, s.err = resolve(d.fsys, p.inFS()); s.err == nil && s.info.IsDir() {
		entries, err := d.readDir(ctx, s.real)
		s.read = &dirRead{entries, err}
	}
	return s
}

// sharedDirs reads each directory once, for several that want it.
type sharedDirs struct {
	*reader
	mu    sync.Mutex
	known map[string]func() ([]fs.DirEntry, error)
}

func (d *sharedDirs) readDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	d.mu.Lock()
	read := d.known[name]
	if read == nil {
		read = sync.OnceValues(func() ([]fs.DirEntry, error) { return d.reader.readDir(ctx, name) })
		d.known[name] = read
	}
	d.mu.Unlock()
	return read()
}

// expand replaces the components of a path that hold a "*" by what is there, at most 64 paths.
func (r *sharedDirs) expand(ctx context.Context, p HostPath) ([]HostPath, error) {
	if !strings.Contains(string(p), "*") {
		return []HostPath{p}, nil
	}
	found := []string{"."}
	for c := range strings.SplitSeq(p.inFS(), "/") {
		var next []string
		for _, dir := range found {
			if !strings.Contains(c, "*") {
				next = append(next, path.Join(dir, c))
				continue
			}
			entries, err := r.readDir(ctx, dir)
			if err != nil {
				if !r.lasting(ctx, err) {
					return nil, err
				}
				continue
			}
			for _, e := range entries {
				if ok, _ := path.Match(c, e.Name()); ok && (e.IsDir() || e.Type()&fs.ModeSymlink != 0) && len(next) < 64 {
					next = append(next, path.Join(dir, e.Name()))
				}
			}
		}
		found = next
	}
	there := make([]bool, len(found))
	var wg sync.WaitGroup
	for i, name := range found {
		wg.Go(func() {
			_, err := fs.Lstat(r.fsys, name)
			there[i] = err == nil || !errors.Is(err, fs.ErrNotExist)
		})
	}
	wg.Wait()
	var out []HostPath
	for i, name := range found {
		if there[i] {
			out = append(out, fromFS(name))
		}
	}
	return out, nil
}
