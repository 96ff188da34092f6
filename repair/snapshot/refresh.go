package snapshot

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Refresh brings a snapshot up to what src has now: it lists the source again, copies what has changed, is new, was torn
// or unreadable, and compares by o.Verify the bytes of all files at or beneath o.Paths. Bytes that were replaced or whose file
// is gone stay, in before/ and the manifest's Earlier. It gives the changes against the snapshot as it was. When it
// fails, or is killed, the snapshot is as it was, or as it is afterwards, and nothing between.
func (s *Snapshot) Refresh(ctx context.Context, src Source, o Options) (changed []Change, err error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("refresh snapshot: %w", err)
	}
	next := s.m
	next.Earlier = slices.Clone(s.m.Earlier)
	w := &work{copier: newCopier(s.root, src, o.Reporter), o: o, m: &next, orig: s.m.Entries}
	if err := w.refresh(ctx, s); err != nil {
		_ = clearIncoming(s.root)
		return nil, fmt.Errorf("refresh snapshot: %w", err)
	}
	return Compare(w.orig, s.m.Entries), nil
}

func (w *work) refresh(ctx context.Context, s *Snapshot) error {
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
	for i := range w.orig {
		if e := &w.orig[i]; e.Local != "" || fold {
			w.names.reserve(e.Path, e.local())
		}
	}
	// A file copied again now was read now; for the judgement of later snapshots the first time stays.
	if w.m.Taken.IsZero() {
		w.m.Taken = time.Now().UTC()
	}
	if err := w.settle(ctx, true); err != nil {
		return err
	}
	sum, err := w.finish(ctx, true)
	if err != nil {
		return err
	}
	s.m, s.sum = *w.m, sum
	s.stats = Stats{}
	w.figures(&s.stats)
	s.count()
	return nil
}
