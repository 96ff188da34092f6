package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// Refresh brings a snapshot up to what src has now: it lists the source again, copies what has changed, is new, was torn
// or unreadable, and compares by o.Verify the bytes of all files at or beneath o.Paths. Bytes that were replaced or whose file
// is gone stay, in before/ and the manifest's Earlier. It gives the changes against the snapshot as it was. When it
// fails, or is killed, the snapshot is as it was, or as it is afterwards, and nothing between.
//
// The local bytes at or beneath o.Paths are hashed too, and those that are not what the manifest says are fetched anew
// and told as changed: a file may be a link to one that older snapshots share, and be written to by hand.
func (s *Snapshot) Refresh(ctx context.Context, src Source, o Options) (changed []Change, err error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("refresh snapshot: %w", err)
	}
	next, old := s.m, slices.Clone(s.m.Entries)
	next.Earlier, next.Entries = slices.Clone(s.m.Earlier), nil
	for i := range old {
		old[i].proved = false // what was shown then does not count now
	}
	damaged, err := s.damaged(ctx, o.Paths)
	if err != nil {
		return nil, fmt.Errorf("refresh snapshot: %w", err)
	}
	for _, i := range damaged {
		old[i].SHA256 = "" // as if it had never been copied
	}
	was := s.m.Entries
	w := &work{copier: newCopier(s.root, src, o.Reporter), o: o, m: &next}
	defer w.closeRolls()
	if err := w.refresh(ctx, s, old); err != nil {
		w.closeRolls()
		_ = clearIncoming(s.root)
		return nil, fmt.Errorf("refresh snapshot: %w", err)
	}
	return withDamaged(Compare(old, s.m.Entries), was, damaged, s), nil
}

// damaged hashes the local bytes of the entries at or beneath the paths, and gives the places of those that are not what
// the manifest says.
func (s *Snapshot) damaged(ctx context.Context, paths []store.RelPath) ([]int, error) {
	if err := rollForward(s.root); err != nil {
		return nil, err
	}
	bad := make([]bool, len(s.m.Entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range s.m.Entries {
		e := &s.m.Entries[i]
		if !e.hasBytes() || !beneath(paths, e.Path) {
			continue
		}
		g.Go(func() error {
			sum, err := hashLocal(gctx, s.root, filePath(e), e.Size)
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			bad[i] = err != nil || sum != e.SHA256
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var places []int
	for i := range bad {
		if bad[i] {
			places = append(places, i)
		}
	}
	return places, nil
}

// withDamaged adds to the changes the files whose local bytes were damaged, and which the host has as ever.
func withDamaged(changes []Change, was []Entry, damaged []int, s *Snapshot) []Change {
	told := map[store.RelPath]bool{}
	for _, c := range changes {
		told[c.Path] = true
	}
	for _, i := range damaged {
		if now, ok := s.Entry(was[i].Path); ok && !told[was[i].Path] {
			changes = append(changes, Change{Path: was[i].Path, Kind: Content, Old: was[i], New: now})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return changes
}

// refresh brings s, with these entries, up to date.
func (w *work) refresh(ctx context.Context, s *Snapshot, old []Entry) error {
	if err := rollForward(w.dst); err != nil {
		return err
	}
	if err := prepare(w.dst); err != nil {
		return err
	}
	fold, err := folds(w.dst, incomingDir)
	if err != nil {
		return local(err)
	}
	w.names = newNaming(fold)
	for i := range old {
		if e := &old[i]; e.Local != "" || fold {
			w.names.reserve(e.Path, e.local())
		}
	}
	if w.orig, err = w.rollOf(cursorOf(old)); err != nil {
		return err
	}
	w.list = w.orig
	// A file copied again now was read now; for the judgement of later snapshots the first time stays.
	if w.m.Taken.IsZero() {
		w.m.Taken = time.Now().UTC()
	}
	if err := w.settle(ctx, true); err != nil {
		return err
	}
	entries, err := all(w.list.cursor())
	if err != nil {
		return err
	}
	now, err := w.finish(ctx, true)
	if err != nil {
		return err
	}
	w.figures(&now.stats)
	s.Stored, s.m.Entries = *now, entries
	return nil
}
