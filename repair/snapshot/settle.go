package snapshot

import (
	"cmp"
	"context"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// settleRounds is how often the source is listed anew because something had changed.
const settleRounds = 3

// work brings the list of a copy up to what the source has now. The bytes of orig are in files/; those fetched anew wait in
// incoming/ until finish puts everything into place.
type work struct {
	*copier
	o      Options
	m      *Manifest // without entries
	names  *naming
	orig   *roll
	list   *roll                    // as it is now; orig to begin with
	now    *listing                 // what the source has, for the first look; nil: it is to be listed
	still  bool                     // nothing was fetched since the source was listed, so that there is nothing to be looked at again
	temps  map[store.RelPath]string // where the bytes of an entry are, unless in files/
	synced []string                 // those of temps, to be brought to the disk
}

// settle lists the source, copies what differs, and does so again until nothing differs or for three rounds; then it verifies
// the bytes. With anew, what was torn or unreadable is tried again in any case.
func (w *work) settle(ctx context.Context, anew bool) error {
	w.temps = map[store.RelPath]string{}
	fetched := 0
	for round := range settleRounds {
		if w.still && !anew {
			break
		}
		n, err := w.reconcile(ctx, anew && round == 0)
		if err != nil {
			return err
		}
		if fetched += n; n == 0 {
			break
		}
	}
	return w.verify(ctx, fetched)
}

// reconcile lists the source once and brings w.list up to it. It gives the number of files that were to be fetched.
func (w *work) reconcile(ctx context.Context, anew bool) (int, error) {
	now := w.now
	if w.now = nil; now == nil {
		var err error
		if now, err = w.copier.list(ctx, w.src, w.m.Paths); err != nil {
			return 0, err
		}
	}
	defer now.close()
	next, err := w.newRoll()
	if err != nil {
		return 0, err
	}
	var todo []int
	was := w.list.cursor()
	for now.next() {
		e := now.e
		var old *Entry
		if was.meet(e.Path, w.discard) {
			if old = was.e; old.Type != e.Type {
				w.discard(old)
				old = nil
			}
		}
		if old != nil {
			e.Local = old.Local
		}
		switch {
		case e.Type == fs.ModeDir:
			if old == nil {
				e.setLocal(w.names.dir(e.Path))
			}
		case e.Type != 0 || e.Err != "":
		case old != nil && old.Err != "" && !anew && sameFile(old, e):
			e.Err = old.Err
		case old != nil && old.hasBytes() && sameFile(old, e) && !(anew && old.Torn):
			e.SHA256, e.Torn, e.proved = old.SHA256, old.Torn, old.proved
		default:
			if old == nil {
				e.setLocal(w.names.file(e.Path))
			}
			todo = append(todo, next.n)
		}
		if err := next.add(e); err != nil {
			return 0, err
		}
	}
	for was.next() {
		w.discard(was.e)
	}
	if err := cmp.Or(now.err, was.err); err != nil {
		return 0, err
	}
	if w.list != w.orig {
		w.list.close()
	}
	w.m.Refused = now.refused
	if w.list, err = next.done(); err != nil {
		return 0, err
	}
	return len(todo), w.fetchAgain(ctx, todo)
}

// discard removes bytes fetched for an entry that have been superseded.
func (w *work) discard(e *Entry) {
	if temp, ok := w.temps[e.Path]; ok {
		w.dst.Remove(temp)
		delete(w.temps, e.Path)
	}
}

// fetchAgain downloads the entries at these places of w.list, each looked at before and after.
func (w *work) fetchAgain(ctx context.Context, todo []int) error {
	todo, entries, err := w.list.pick(todo)
	if err != nil || len(todo) == 0 {
		return err
	}
	var bytes int64
	for i := range entries {
		bytes = add(bytes, entries[i].Size)
	}
	if free := freeSpace(w.dst); free >= 0 && add(bytes, spareRoom) > free {
		return &NoSpaceError{Need: add(bytes, spareRoom), Have: free}
	}
	results := make([]got, len(todo))
	if err := w.again(ctx, entries, results); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(w.o.Parallel)
	for k := range entries {
		if results[k].temp != "" {
			continue
		}
		g.Go(func() (err error) {
			results[k], err = w.fetch(gctx, entries[k], true)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for k, i := range todo {
		r := &results[k]
		w.discard(&entries[k])
		if r.gone {
			w.list.set(i, nil)
			continue
		}
		r.entry.Local = entries[k].Local
		w.list.set(i, &r.entry)
		if r.temp == "" {
			continue
		}
		_, was, err := w.orig.find(r.entry.Path)
		if err != nil {
			return err
		}
		if was.hasBytes() && was.SHA256 == r.entry.SHA256 {
			w.dst.Remove(r.temp) // the bytes in files/ are the same
			continue
		}
		w.temps[r.entry.Path] = r.temp
		w.synced = append(w.synced, r.temp)
	}
	return nil
}

// again takes those of the entries that have only grown since they were copied.
func (w *work) again(ctx context.Context, entries []Entry, results []got) error {
	var files []Entry
	var old []before
	var at []int
	for k := range entries {
		e := entries[k]
		_, was, err := w.orig.find(e.Path)
		if err != nil {
			return err
		}
		if w.temps[e.Path] == "" && mayHaveGrown(&was, &e) {
			files, old, at = append(files, e), append(old, before{w.dst, was}), append(at, k)
		}
	}
	return w.grown(ctx, files, old, func(n int, s streamed) error {
		e := files[n]
		e.Torn, e.SHA256, e.Err = false, s.sum, ""
		after, err := w.src.Lstat(ctx, e.Path)
		if err != nil || !sameFile(&e, &after) {
			return local(w.dst.Remove(s.temp)) // it goes on changing: the ordinary way looks at that
		}
		w.fetched.Add(1)
		results[at[n]] = got{entry: e, temp: s.temp}
		return nil
	})
}
