package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// keep takes over what an interrupted Take had copied: files whose bytes here still have the hash that was noted, and
// which the source lists as they were then. It reports which entries of the manifest that covers. Bytes of
// files that have changed or gone meanwhile are kept in before/; anything else in files/ was not finished and goes.
func (t *taking) keep(ctx context.Context, done []Entry) ([]bool, error) {
	have := make([]bool, len(t.m.Entries))
	latest := map[store.RelPath]Entry{}
	for _, e := range done {
		if e.hasBytes() {
			latest[e.Path] = e
		}
	}
	whole, err := t.whole(ctx, latest)
	if err != nil {
		return nil, err
	}
	var unsure []int
	stays := map[string]bool{}
	keepIt := func(i int) {
		d, e := latest[t.m.Entries[i].Path], &t.m.Entries[i]
		e.Local, e.SHA256 = d.Local, d.SHA256
		have[i] = true
		stays[filePath(e)] = true
		t.names.reserve(e.Path, e.local())
		t.synced = append(t.synced, filePath(e))
		t.stats.Resumed++
	}
	for i := range t.m.Entries {
		e := &t.m.Entries[i]
		d, ok := latest[e.Path]
		if !ok || !whole[e.Path] || d.Torn || e.Err != "" || !sameFile(&d, e) {
			continue
		}
		if delete(whole, e.Path); settledBefore(e, t.m.Taken) {
			keepIt(i)
		} else {
			unsure = append(unsure, i)
		}
	}
	equal, err := t.hashedEqual(ctx, unsure, func(i int) string { return latest[t.m.Entries[i].Path].SHA256 })
	if err != nil {
		return nil, err
	}
	for _, i := range equal {
		keepIt(i)
	}
	var earlier []Entry
	for p := range whole { // what is left: listed otherwise now, or no more
		earlier = append(earlier, latest[p])
	}
	slices.SortFunc(earlier, byPath)
	if err := t.moveBefore(earlier); err != nil {
		return nil, err
	}
	return have, t.sweep(stays)
}

// whole hashes the local bytes of the noted files and gives the paths of those that are as noted.
func (t *taking) whole(ctx context.Context, noted map[store.RelPath]Entry) (map[store.RelPath]bool, error) {
	var mu sync.Mutex
	whole := map[store.RelPath]bool{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for p, e := range noted {
		g.Go(func() error {
			sum, err := hashLocal(ctx, t.dst, filePath(&e), e.Size)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err == nil && sum == e.SHA256 {
				mu.Lock()
				whole[p] = true
				mu.Unlock()
			}
			return nil
		})
	}
	return whole, g.Wait()
}

// moveBefore moves files out of files/ that an earlier attempt had copied and that are not the host's any more.
func (t *taking) moveBefore(earlier []Entry) error {
	if len(earlier) == 0 {
		return nil
	}
	n, err := nextBefore(t.dst)
	if err != nil {
		return err
	}
	for _, e := range earlier {
		from := filePath(&e)
		e.Local = path.Join(n, e.local())
		to := path.Join(beforeDir, e.Local)
		if err := t.dst.MkdirAll(path.Dir(to), 0o700); err != nil {
			return local(err)
		}
		if err := t.dst.Rename(from, to); err != nil {
			return local(err)
		}
		if err := t.journal.addEarlier(&e); err != nil {
			return err
		}
		t.m.Earlier = append(t.m.Earlier, e)
	}
	return nil
}

// sweep removes from files/ whatever an interrupted Take left there and this one does not go on with.
func (t *taking) sweep(stays map[string]bool) error {
	var files, dirs []string
	err := fs.WalkDir(t.dst.FS(), filesDir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			dirs = append(dirs, name)
		case !stays[name]:
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return local(err)
	}
	for _, name := range files {
		if err := t.dst.Remove(name); err != nil {
			return local(err)
		}
	}
	slices.Reverse(dirs)
	for _, name := range dirs {
		if name != filesDir {
			// Refused where something stays in it, which is right. Those still needed are made again.
			_ = t.dst.Remove(name)
		}
	}
	return nil
}

// nextBefore gives the first free number in before/, as a name.
func nextBefore(dst *os.Root) (string, error) {
	for n := 1; ; n++ {
		name := strconv.Itoa(n)
		_, err := dst.Lstat(path.Join(beforeDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", local(err)
		}
	}
}
