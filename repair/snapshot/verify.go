package snapshot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// ways of verifying, as the manifest names them.
const (
	byHash    = "hash"
	byReread  = "reread"
	byListing = "listing"
)

// verify compares the bytes of the copy with those of the host and copies what differs again; what still differs then is
// torn. Which files: those at or beneath w.o.Paths. Where the host cannot hash, and is not to be read again in full, only
// files changed near this time are read again, since a change within the same second does not show in a listing.
func (w *work) verify(ctx context.Context, fetched int) error {
	way := map[string]string{"": byHash, "auto": byHash, "full": byReread, "listing": byListing}[w.o.Verify]
	subset := map[store.RelPath]bool{}
	all := true
	for i := range w.m.Entries {
		e := &w.m.Entries[i]
		if !e.hasBytes() {
			continue
		}
		if beneath(w.o.Paths, e.Path) {
			// A file changed near the time of its copying may have changed again within the granularity of its time.
			if way != byHash || !e.proved || !settledBefore(e, w.m.Taken) {
				subset[e.Path] = true
			}
		} else {
			all = false
		}
	}
	start := time.Now()
	for try := 1; len(subset) > 0; try++ {
		bad, used, err := w.differing(ctx, subset, way, start)
		if err != nil {
			return err
		}
		if way = used; len(bad) == 0 {
			break
		}
		var todo []int
		subset = map[store.RelPath]bool{}
		for _, p := range bad {
			i := find(w.m.Entries, p)
			if try == copyTries {
				w.m.Entries[i].Torn = true
				continue
			}
			todo = append(todo, i)
			subset[p] = true
		}
		fetched += len(todo)
		if err := w.fetchAgain(ctx, todo); err != nil {
			return err
		}
	}
	if all || way == byListing && fetched > 0 || w.m.Verified == "" {
		w.m.Verified = way
	}
	return nil
}

// differing gives the files of a subset whose bytes on the host are not, or cannot be shown to be, those of the copy, and
// the way of comparing that was used in the end.
func (w *work) differing(ctx context.Context, subset map[store.RelPath]bool, way string, start time.Time) ([]store.RelPath, string, error) {
	var check []*Entry
	for i := range w.m.Entries {
		if e := &w.m.Entries[i]; subset[e.Path] && e.hasBytes() && !e.Torn {
			check = append(check, e)
		}
	}
	if way == byHash {
		bad, err := w.hashed(ctx, check)
		if err == nil {
			return bad, byHash, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			if _, again := w.src.Lstat(ctx, "."); again != nil || ctx.Err() != nil {
				return nil, way, fmt.Errorf("hash files on the host: %w", err)
			}
			w.rep.Note("the host could not hash its files; they are compared by their list")
		}
		way = byListing
	}
	if way == byListing {
		recent := check[:0]
		for _, e := range check {
			if !settledBefore(e, start) {
				recent = append(recent, e)
			}
		}
		if check = recent; w.o.Verify == "listing" {
			return nil, way, nil
		}
	}
	bad, err := w.read(ctx, check)
	return bad, way, err
}

// hashed compares by hashes made on the host.
func (w *work) hashed(ctx context.Context, check []*Entry) ([]store.RelPath, error) {
	paths := make([]store.RelPath, len(check))
	for i, e := range check {
		paths[i] = e.Path
	}
	good := make([]bool, len(check))
	err := w.src.Sums(ctx, paths, func(i int, sum [32]byte, err error) error {
		if i >= 0 && i < len(check) {
			good[i] = err == nil && hex.EncodeToString(sum[:]) == check[i].SHA256
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return without(check, good), nil
}

// read compares by reading the files again.
func (w *work) read(ctx context.Context, check []*Entry) ([]store.RelPath, error) {
	good := make([]bool, len(check))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.o.Parallel)
	for i, e := range check {
		g.Go(func() error {
			sum, err := w.reread(ctx, e)
			good[i] = err == nil && sum == e.SHA256
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return without(check, good), nil
}

func without(check []*Entry, good []bool) []store.RelPath {
	var bad []store.RelPath
	for i, e := range check {
		if !good[i] {
			bad = append(bad, e.Path)
		}
	}
	return bad
}
