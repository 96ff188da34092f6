package snapshot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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
	subset, all, err := w.unproved(way)
	if err != nil {
		return err
	}
	start := time.Now()
	for try := 1; len(subset) > 0; try++ {
		if subset, way, err = w.differing(ctx, subset, way, start); err != nil {
			return err
		}
		if try == copyTries {
			if err := w.tear(subset); err != nil {
				return err
			}
			break
		}
		fetched += len(subset)
		if err := w.fetchAgain(ctx, subset); err != nil {
			return err
		}
	}
	if all || way == byListing && fetched > 0 || w.m.Verified == "" {
		w.m.Verified = way
	}
	return nil
}

// unproved gives the places of the files that are to be compared, and whether the others, if any, were shown to be the host's.
func (w *work) unproved(way string) (places []int, all bool, err error) {
	all = true
	c := w.list.cursor()
	for c.next() {
		switch {
		case !c.e.hasBytes():
		case !beneath(w.o.Paths, c.e.Path):
			all = false
		case way != byHash || !c.e.proved || !settledBefore(c.e, w.m.Taken):
			// A file changed near the time of its copying may have changed again within the granularity of its time.
			places = append(places, c.at)
		}
	}
	return places, all, c.err
}

// tear marks files as torn.
func (w *work) tear(places []int) error {
	places, entries, err := w.list.pick(places)
	for k, i := range places {
		entries[k].Torn = true
		w.list.set(i, &entries[k])
	}
	return err
}

// differing gives those of the files whose bytes on the host are not, or cannot be shown to be, those of the copy, and
// the way of comparing that was used in the end.
func (w *work) differing(ctx context.Context, files []int, way string, start time.Time) (bad []int, used string, err error) {
	for part := range slices.Chunk(files, portionSize) {
		places, entries, err := w.list.pick(part)
		if err != nil {
			return nil, way, err
		}
		good := make([]bool, len(entries))
		if way, err = w.compare(ctx, entries, good, way, start); err != nil {
			return nil, way, err
		}
		for k, i := range places {
			if !good[k] {
				bad = append(bad, i)
			}
		}
	}
	return bad, way, nil
}

// compare reports of each of the entries whether it is good: the same on the host, or nothing to be compared.
func (w *work) compare(ctx context.Context, entries []Entry, good []bool, way string, start time.Time) (used string, err error) {
	var check []int
	for k := range entries {
		if good[k] = !entries[k].hasBytes() || entries[k].Torn; !good[k] {
			check = append(check, k)
		}
	}
	if way == byHash {
		err := w.hashed(ctx, entries, check, good)
		if err == nil {
			return byHash, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			if _, again := w.src.Lstat(ctx, "."); again != nil || ctx.Err() != nil {
				return way, fmt.Errorf("hash files on the host: %w", err)
			}
			w.rep.Note("the host could not hash its files; they are compared by their list")
		}
		way = byListing
	}
	if way == byListing {
		check = slices.DeleteFunc(check, func(k int) bool {
			good[k] = w.o.Verify == "listing" || settledBefore(&entries[k], start)
			return good[k]
		})
	}
	return way, w.read(ctx, entries, check, good)
}

// hashed compares by hashes made on the host.
func (w *work) hashed(ctx context.Context, entries []Entry, check []int, good []bool) error {
	paths := make([]store.RelPath, len(check))
	for i, k := range check {
		paths[i] = entries[k].Path
	}
	return w.src.Sums(ctx, paths, func(i int, sum [32]byte, err error) error {
		if i >= 0 && i < len(check) {
			good[check[i]] = err == nil && hex.EncodeToString(sum[:]) == entries[check[i]].SHA256
		}
		return ctx.Err()
	})
}

// read compares by reading the files again.
func (w *work) read(ctx context.Context, entries []Entry, check []int, good []bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.o.Parallel)
	for _, k := range check {
		g.Go(func() error {
			sum, err := w.reread(ctx, &entries[k])
			good[k] = err == nil && sum == entries[k].SHA256
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return nil
		})
	}
	return g.Wait()
}
