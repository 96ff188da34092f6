package snapshot

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// previous is an earlier snapshot whose list is gone through beside that of the host.
type previous struct {
	*Stored
	list *cursor
	told bool // that its list cannot be read
}

// openPrevious opens the lists of the previous snapshots of the same mail root.
func (t *taking) openPrevious() (all []*previous, closeAll func()) {
	var files []io.Closer
	for _, s := range t.o.Previous {
		if s.m.Root != t.m.Root {
			continue
		}
		_, list, f, err := openList(s.root)
		if err != nil {
			t.rep.Note(unreadable(err))
			continue
		}
		all, files = append(all, &previous{Stored: s, list: list}), append(files, f)
	}
	return all, func() {
		for _, f := range files {
			f.Close()
		}
	}
}

func unreadable(err error) string {
	return fmt.Sprintf("the list of an earlier copy cannot be read, and nothing more is taken from that copy: %q", clip(err.Error()))
}

// linking is a file that a previous snapshot may have unchanged.
type linking struct {
	now    *Entry
	old    Entry
	sure   bool // it has not been changed since
	hashed bool // the host has shown that
	linked bool
	copied bool // instead, where links cannot be made
}

// linkers is how many files are linked at one time.
const linkers = 8

// linkFrom takes unchanged files from one snapshot. Those that were changed near the time it was taken are hashed on the
// host first, and fetched where it cannot hash.
func (t *taking) linkFrom(ctx context.Context, prev *previous, entries []Entry) error {
	files := t.same(prev, entries)
	var unsure []*linking
	for i := range files {
		if f := &files[i]; !f.sure {
			unsure = append(unsure, f)
		}
	}
	ask := make([]*Entry, len(unsure))
	for i, f := range unsure {
		ask[i] = f.now
	}
	equal, err := t.hashedEqual(ctx, ask, func(i int) string { return unsure[i].old.SHA256 })
	if err != nil {
		return err
	}
	for i, f := range unsure {
		f.sure, f.hashed = equal[i], equal[i]
	}
	there, here := newDirs(prev.root), newDirs(t.dst)
	defer there.close()
	defer here.close()
	g, ctx := errgroup.WithContext(ctx)
	var begun atomic.Int64
	for range linkers {
		g.Go(func() (err error) {
			for err == nil && ctx.Err() == nil {
				i := int(begun.Add(1)) - 1
				if i >= len(files) {
					return nil
				}
				if f := &files[i]; f.sure {
					f.linked, f.copied, err = t.linkOne(ctx, prev.root, there, here, &f.old, filePath(f.now))
				}
			}
			return cmp.Or(err, ctx.Err())
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, f := range files {
		if f.linked {
			f.now.SHA256, f.now.proved = f.old.SHA256, prev.m.Verified == byHash || f.hashed
			f.now.fresh = f.copied
			t.stats.Linked++
		}
	}
	return nil
}

// same gives the files that look as they did in a previous snapshot, and notes which seem to have grown since.
func (t *taking) same(prev *previous, entries []Entry) (files []linking) {
	for i := range entries {
		e := &entries[i]
		if !e.missing() || !prev.list.meet(e.Path, nil) {
			continue
		}
		p := prev.list.e
		if _, known := t.older[e.Path]; !known && mayHaveGrown(p, e) {
			t.older[e.Path] = before{prev.root, *p}
		}
		if p.hasBytes() && !p.Torn && p.Err == "" && sameFile(p, e) {
			files = append(files, linking{now: e, old: *p, sure: settledBefore(e, prev.m.Taken)})
		}
	}
	if err := prev.list.err; err != nil && !prev.told {
		prev.told = true
		t.rep.Note(unreadable(err))
	}
	return files
}

// settledBefore reports whether a file was last changed well before a time of the local clock.
func settledBefore(e *Entry, t time.Time) bool {
	return !e.MTime.IsZero() && e.MTime.Before(t.Add(-clockSkew))
}

// link is [linkAcross]; a test has it fail.
var link = linkAcross

// linkOne links a file of the previous snapshot, or copies it where links cannot be made. done is false where the old
// copy is not what its manifest says.
func (t *taking) linkOne(ctx context.Context, prev *os.Root, there, here *dirs, p *Entry, name string) (done, copied bool, err error) {
	old := filePath(p)
	from, let, err := there.use(path.Dir(old))
	if err != nil {
		return false, false, nil
	}
	defer let()
	info, err := from.Lstat(path.Base(old))
	if err != nil || !info.Mode().IsRegular() || info.Size() != p.Size {
		return false, false, nil
	}
	to, letTo, err := here.use(path.Dir(name))
	if err != nil {
		return false, false, local(err)
	}
	defer letTo()
	if link(from, path.Base(old), to, path.Base(name)) == nil {
		return true, false, nil
	}
	// Another file system, or too many links: copy. The bytes count only if they are what was hashed.
	in := &copier{dst: t.dst, src: localSource{prev, p}, rep: silent{}}
	in.buffers.New = t.buffers.New
	in.tempName.Store(t.tempName.Add(1) + 1<<40)
	s, err := in.stream(ctx, *p, p.Size, func(int64) {})
	var mine *localError
	switch {
	case errors.As(err, &mine) || ctx.Err() != nil:
		return false, false, err
	case err != nil:
		return false, false, nil
	case s.sum != p.SHA256 || s.more:
		return false, false, local(t.dst.Remove(s.temp))
	}
	return true, true, local(t.dst.Rename(s.temp, name))
}

// hashedEqual reports of each of the files whether its hash on the host is the wanted one; of none where the host cannot hash.
func (t *taking) hashedEqual(ctx context.Context, files []*Entry, want func(int) string) ([]bool, error) {
	equal := make([]bool, len(files))
	if len(files) == 0 || t.o.Verify == "listing" {
		return equal, nil
	}
	paths := make([]store.RelPath, len(files))
	for i, e := range files {
		paths[i] = e.Path
	}
	err := t.src.Sums(ctx, paths, func(i int, sum [32]byte, err error) error {
		if i >= 0 && i < len(files) {
			equal[i] = err == nil && hex.EncodeToString(sum[:]) == want(i)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("hash files on the host: %w", err)
	}
	return equal, nil
}
