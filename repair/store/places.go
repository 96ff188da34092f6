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

// expandAll is expand for many places, which are looked at at once.
func (r *reader) expandAll(ctx context.Context, from []HostPath) ([]HostPath, error) {
	dirs := &sharedDirs{reader: r, known: map[string]func() ([]fs.DirEntry, error){}}
	expanded := make([][]HostPath, len(from))
	g, ctx := errgroup.WithContext(ctx)
	for i, p := range from {
		g.Go(func() (err error) {
			if expanded[i], err = dirs.expand(ctx, p); err != nil {
				return fmt.Errorf("search for mail in %q: %w", p, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(expanded...), nil
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
