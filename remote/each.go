package remote

import (
	"context"
	"sync"
	"sync/atomic"
)

// inFlight bounds the files worked on at one time by the verbs for many: enough to fill a line of 100 ms, and few
// enough for every server's queue. Each file costs two requests, one after the other.
const inFlight = 1024

// GuardEach is [Root.Guard] for many paths, over a slow line in seconds. report is called once for each, in any order
// but never twice at a time. What is known of directories serves for up to a second; each file is looked at by itself, or, where one
// directory holds many of them and the host has find, all in one list.
// The error is that of ctx or of the connection.
func (r *Root) GuardEach(ctx context.Context, rels []string, class Class, report func(i int, p GuardedPath, err error)) error {
	view := r.listed(ctx, newSharedView(r.view), rels)
	ats := make([]seen, len(rels))
	return r.each(ctx, len(rels), inFlight, false, func(i int) (err error) {
		ats[i], err = r.check(ctx, view, rels[i], class, true)
		return err
	}, func(i int, err error) {
		p := GuardedPath{}
		if err == nil {
			p = GuardedPath{r, rels[i], class, ats[i]}
		}
		report(i, p, err)
	})
}

// GuardWriteEach is [Root.GuardWrite] for many paths, with what is said of [Root.GuardEach].
func (r *Root) GuardWriteEach(ctx context.Context, rels []string, class Class, report func(i int, p WritablePath, err error)) error {
	view := r.listed(ctx, newSharedView(r.view), rels)
	ats := make([]seen, len(rels))
	return r.each(ctx, len(rels), inFlight, false, func(i int) (err error) {
		ats[i], err = r.check(ctx, view, rels[i], class, false)
		return err
	}, func(i int, err error) {
		p := WritablePath{}
		if err == nil {
			p = WritablePath{r, rels[i], class, ats[i]}
		}
		report(i, p, err)
	})
}

// RemoveEach is [Root.Remove] for many files, in no order. Each is guarded again; what is known of directories serves
// for up to a second, but each file is looked at just before it is removed. With the first error no more are begun;
// report hears of each file that was begun, never of two at a time, and that error is returned.
func (r *Root) RemoveEach(ctx context.Context, paths []GuardedPath, report func(i int, err error)) error {
	view := newSharedView(r.view)
	return r.each(ctx, len(paths), inFlight, true, func(i int) error { return r.remove(ctx, view, paths[i]) }, report)
}

// Move is one rename.
type Move struct{ From, To WritablePath }

// RenameEach is [Root.Rename] for many files or directories, in no order, with what is said of [Root.RemoveEach]. No
// destination may be given twice.
func (r *Root) RenameEach(ctx context.Context, moves []Move, report func(i int, err error)) error {
	view := newSharedView(r.view)
	return r.each(ctx, len(moves), inFlight, true, func(i int) error { return r.rename(ctx, view, moves[i].From, moves[i].To, nil) }, report)
}

// each does work 0 to n-1, at most so many at one time. It returns the first error where stop is set, else only that of ctx or
// of the connection.
func (r *Root) each(ctx context.Context, n, width int, stop bool, work func(i int) error, report func(i int, err error)) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		next  atomic.Int64
		over  atomic.Bool
	)
	for range min(n, width) {
		wg.Go(func() {
			for !over.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				err := work(i)
				mu.Lock()
				if err != nil && first == nil && stop {
					first = err
					over.Store(true)
				}
				report(i, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if first != nil {
		return first
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.link.lost()
}
