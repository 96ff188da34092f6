package snapshot

import (
	"context"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// settleRounds is how often the source is listed anew because something had changed.
const settleRounds = 3

// work brings a list of entries up to what the source has now. The bytes of orig are in files/; those fetched anew wait in
// incoming/ until finish puts everything into place.
type work struct {
	*copier
	o      Options
	m      *Manifest
	names  *naming
	orig   []Entry
	temps  map[store.RelPath]string // where the bytes of an entry are, unless in files/
	synced []string
}

// settle lists the source, copies what differs, and does so again until nothing differs or for three rounds; then it verifies
// the bytes. With anew, what was torn or unreadable is tried again in any case.
func (w *work) settle(ctx context.Context, anew bool) error {
	w.temps = map[store.RelPath]string{}
	fetched := 0
	for round := range settleRounds {
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

// reconcile lists the source once and brings w.m.Entries up to it. It gives the number of files that were to be fetched.
func (w *work) reconcile(ctx context.Context, anew bool) (int, error) {
	now, refused, err := list(ctx, w.src, w.m.Paths)
	if err != nil {
		return 0, err
	}
	w.m.Refused = refused
	was := w.m.Entries
	for i := range was {
		if find(now, was[i].Path) < 0 {
			w.discard(was[i].Path)
		}
	}
	var todo []int
	for i := range now {
		e := &now[i]
		var old *Entry
		if k := find(was, e.Path); k >= 0 {
			if old = &was[k]; old.Type != e.Type {
				w.discard(old.Path)
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
			todo = append(todo, i)
		}
	}
	w.m.Entries = now
	return len(todo), w.fetchAgain(ctx, todo)
}

// discard removes bytes fetched for an entry that have been superseded.
func (w *work) discard(p store.RelPath) {
	if temp, ok := w.temps[p]; ok {
		w.dst.Remove(temp)
		delete(w.temps, p)
	}
}

// fetchAgain downloads the entries at these positions of w.m.Entries, each looked at before and after.
func (w *work) fetchAgain(ctx context.Context, todo []int) error {
	if len(todo) == 0 {
		return nil
	}
	var bytes int64
	for _, i := range todo {
		bytes = add(bytes, w.m.Entries[i].Size)
	}
	if free := freeSpace(w.dst); free >= 0 && add(bytes, spareRoom) > free {
		return &NoSpaceError{Need: add(bytes, spareRoom), Have: free}
	}
	results := make([]got, len(todo))
	if err := w.again(ctx, todo, results); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(w.o.Parallel)
	for k, i := range todo {
		if results[k].temp != "" {
			continue
		}
		g.Go(func() (err error) {
			results[k], err = w.fetch(gctx, w.m.Entries[i], true)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	gone := map[store.RelPath]bool{}
	for k, i := range todo {
		r, e := &results[k], &w.m.Entries[i]
		if r.entry.Local = e.Local; r.gone {
			gone[e.Path] = true
			w.discard(e.Path)
			continue
		}
		*e = r.entry
		w.discard(e.Path)
		if r.temp == "" {
			continue
		}
		if o := find(w.orig, e.Path); o >= 0 && w.orig[o].hasBytes() && w.orig[o].SHA256 == e.SHA256 {
			w.dst.Remove(r.temp) // the bytes in files/ are the same
			continue
		}
		w.temps[e.Path] = r.temp
		w.synced = append(w.synced, r.temp)
	}
	w.m.Entries = slices.DeleteFunc(w.m.Entries, func(e Entry) bool { return gone[e.Path] })
	return nil
}

// again takes those of the entries that have only grown since they were copied.
func (w *work) again(ctx context.Context, todo []int, results []got) error {
	var files []Entry
	var old []before
	var at []int
	for k, i := range todo {
		e := w.m.Entries[i]
		if o := find(w.orig, e.Path); o >= 0 && w.temps[e.Path] == "" && mayHaveGrown(&w.orig[o], &e) {
			files, old, at = append(files, e), append(old, before{w.dst, w.orig[o]}), append(at, k)
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

// incomplete reports whether anything that was listed is missing from the copy.
func (m *Manifest) incomplete() bool {
	return len(m.Refused) > 0 || slices.ContainsFunc(m.Entries, func(e Entry) bool { return e.Err != "" })
}
