package snapshot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// link takes unchanged files from the previous snapshots.
func (t *taking) link(ctx context.Context, have []bool) error {
	for _, prev := range t.o.Previous {
		if err := t.linkFrom(ctx, prev, have); err != nil {
			return err
		}
	}
	return nil
}

// linkFrom takes unchanged files from one snapshot. Those that were changed near the time it was taken are hashed on the
// host first, and fetched where it cannot hash.
func (t *taking) linkFrom(ctx context.Context, prev *Snapshot, have []bool) error {
	if prev.m.Root != t.m.Root {
		return nil
	}
	var sure, unsure []int
	old := make(map[int]Entry)
	for i := range t.m.Entries {
		e := &t.m.Entries[i]
		if e.Type != 0 || e.Err != "" || have[i] {
			continue
		}
		p, ok := prev.Entry(e.Path)
		if _, known := t.older[i]; ok && !known && mayHaveGrown(&p, e) {
			if t.older == nil {
				t.older = map[int]before{}
			}
			t.older[i] = before{prev.root, p}
		}
		if !ok || !p.hasBytes() || p.Torn || p.Err != "" || !sameFile(&p, e) {
			continue
		}
		old[i] = p
		if settledBefore(e, prev.m.Taken) {
			sure = append(sure, i)
		} else {
			unsure = append(unsure, i)
		}
	}
	equal, err := t.hashedEqual(ctx, unsure, func(i int) string { return old[i].SHA256 })
	if err != nil {
		return err
	}
	hashed := make(map[int]bool, len(equal))
	for _, i := range equal {
		hashed[i] = true
	}
	sure = append(sure, equal...)
	linked := make([]bool, len(t.m.Entries))
	there, here := newDirs(prev.root), newDirs(t.dst)
	defer there.close()
	defer here.close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, i := range sure {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			p := old[i]
			ok, err := t.linkOne(ctx, prev, there, here, &p, filePath(&t.m.Entries[i]))
			linked[i] = ok
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, ok := range linked {
		if ok {
			t.m.Entries[i].SHA256 = old[i].SHA256
			t.m.Entries[i].proved = prev.m.Verified == byHash || hashed[i]
			have[i] = true
			t.stats.Linked++
		}
	}
	return nil
}

// settledBefore reports whether a file was last changed well before a time of the local clock.
func settledBefore(e *Entry, t time.Time) bool {
	return !e.MTime.IsZero() && e.MTime.Before(t.Add(-clockSkew))
}

// linkOne links a file of the previous snapshot, or copies it where links cannot be made. It reports false where the old
// copy is not what its manifest says.
func (t *taking) linkOne(ctx context.Context, prev *Snapshot, there, here *dirs, p *Entry, name string) (bool, error) {
	old := filePath(p)
	from, done, err := there.use(path.Dir(old))
	if err != nil {
		return false, nil
	}
	defer done()
	info, err := from.Lstat(path.Base(old))
	if err != nil || !info.Mode().IsRegular() || info.Size() != p.Size {
		return false, nil
	}
	to, done, err := here.use(path.Dir(name))
	if err != nil {
		return false, local(err)
	}
	defer done()
	if linkAcross(from, path.Base(old), to, path.Base(name)) == nil {
		return true, nil
	}
	// Another file system, or too many links: copy. The bytes count only if they are what was hashed.
	in := &copier{dst: t.dst, src: localSource{prev}, rep: silent{}}
	in.buffers.New = t.buffers.New
	in.tempName.Store(t.tempName.Add(1) + 1<<40)
	s, err := in.stream(ctx, *p, p.Size, func(int64) {})
	var mine *localError
	switch {
	case errors.As(err, &mine) || ctx.Err() != nil:
		return false, err
	case err != nil:
		return false, nil
	case s.sum != p.SHA256 || s.more:
		return false, local(t.dst.Remove(s.temp))
	}
	return true, local(t.dst.Rename(s.temp, name))
}

// hashedEqual gives those of the entries whose hash on the host is the wanted one; none where the host cannot hash.
func (t *taking) hashedEqual(ctx context.Context, which []int, want func(int) string) ([]int, error) {
	if len(which) == 0 || t.o.Verify == "listing" {
		return nil, nil
	}
	paths := make([]store.RelPath, len(which))
	for k, i := range which {
		paths[k] = t.m.Entries[i].Path
	}
	equal := map[int]bool{}
	err := t.src.Sums(ctx, paths, func(k int, sum [32]byte, err error) error {
		if k >= 0 && k < len(which) && err == nil && hex.EncodeToString(sum[:]) == want(which[k]) {
			equal[which[k]] = true
		}
		return nil
	})
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("hash files on the host: %w", err)
	}
	out := make([]int, 0, len(equal))
	for i := range equal {
		out = append(out, i)
	}
	slices.Sort(out)
	return out, nil
}
