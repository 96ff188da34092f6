package snapshot

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// bulkSize is from what size on a file is fetched before the smaller ones.
const bulkSize = 1 << 20

// fetchRank says when a file is fetched: index files first, so that the mail they speak of is copied after them; then the
// large ones, the largest first; then the others, as they lie in their directories.
func fetchRank(e *Entry) int {
	switch {
	case strings.HasPrefix(path.Base(string(e.Path)), "dovecot"):
		return 0
	case e.Size >= bulkSize:
		return 1
	}
	return lastRank
}

const lastRank = 2

func fetchOrder(a, b *Entry) int {
	ra, rb := fetchRank(a), fetchRank(b)
	if ra == 1 && rb == 1 {
		return cmp.Compare(b.Size, a.Size)
	}
	return cmp.Compare(ra, rb)
}

// portion is some of the files that are to be fetched, in the order in which they are.
type portion struct {
	*taking
	files []wanting
	upTo  int // with this portion and those before it, all of the list up to this place has been fetched
	prove *proof
	dirs  *dirs // during a bulk transfer
}

type wanting struct {
	Entry
	at   int // place in the list
	gone bool
}

// inPortions goes through the files of a list that are not there yet: first through those that come before the others, then through
// the others as they lie.
func (t *taking) inPortions(placed *roll, yield func(*portion) error) error {
	p := &portion{taking: t, upTo: -1}
	c := placed.cursor()
	for c.next() {
		if c.e.missing() && fetchRank(c.e) < lastRank {
			p.files = append(p.files, wanting{Entry: *c.e, at: c.at})
		}
	}
	slices.SortStableFunc(p.files, func(a, b wanting) int { return fetchOrder(&a.Entry, &b.Entry) })
	if c.err != nil {
		return c.err
	}
	c = placed.cursor()
	for c.next() {
		if !c.e.missing() || fetchRank(c.e) < lastRank {
			continue
		}
		if len(p.files) >= portionSize {
			if err := yield(p); err != nil {
				return err
			}
			p = &portion{taking: t, files: make([]wanting, 0, portionSize)}
		}
		p.files, p.upTo = append(p.files, wanting{Entry: *c.e, at: c.at}), c.at
	}
	if c.err != nil {
		return c.err
	}
	p.upTo = placed.n
	return yield(p)
}

// fetchAll downloads the files of a list that are not there yet, and gives the list of what is there then. The host hashes what
// came with one portion while the next is fetched, and the source is listed again while it hashes the last.
func (t *taking) fetchAll(ctx context.Context, placed *roll) (*roll, error) {
	out, err := t.newRoll()
	if err != nil {
		return nil, err
	}
	came := make(chan *portion)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := t.inPortions(placed, func(p *portion) error {
			if err := p.fetch(ctx); err != nil {
				return err
			}
			select {
			case came <- p:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		close(came)
		if err == nil && t.fetched.Load() > 0 {
			t.after, err = t.list(ctx, t.src, t.m.Paths)
		}
		return err
	})
	g.Go(func() error {
		rest, fetched := placed.cursor(), map[int]*wanting{}
		for p := range came {
			p.prove.end()
			for k := range p.files {
				fetched[p.files[k].at] = &p.files[k]
			}
			if err := merge(out, rest, fetched, p.upTo); err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out.done()
}

// merge adds to a roll the entries of a list up to a place, as they are now that files were fetched.
func merge(out *rollWriter, list *cursor, fetched map[int]*wanting, upTo int) error {
	for list.next() {
		if list.at > upTo {
			list.ahead = true
			return nil
		}
		e := list.e
		if f, ok := fetched[list.at]; ok {
			delete(fetched, list.at)
			if e = &f.Entry; f.gone {
				continue
			}
		}
		if err := out.add(e); err != nil {
			return err
		}
	}
	return list.err
}

// fetch downloads a portion: many files at once as far as the source can, the others one by one.
func (p *portion) fetch(ctx context.Context) (err error) {
	todo := make([]int, len(p.files))
	for k := range todo {
		todo[k] = k
	}
	p.prove = p.startProof(ctx)
	if todo, err = p.takeGrown(ctx, todo); err == nil {
		todo, err = p.inBulk(ctx, todo)
	}
	p.prove.last()
	if err != nil {
		p.prove.stop()
	}
	if err != nil || len(todo) > 0 { // among these may be files that it is about to hash
		p.prove.end()
	}
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.o.Parallel)
	for _, k := range todo {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			f := &p.files[k]
			r, err := p.copier.fetch(gctx, f.Entry, false)
			if err != nil {
				return err
			}
			r.entry.Local = f.Local
			if r.temp != "" {
				r.entry.fresh = true
				if err := p.dst.Rename(r.temp, filePath(&r.entry)); err != nil {
					return local(err)
				}
				if err := p.journal.add(&r.entry); err != nil {
					return err
				}
			}
			f.Entry, f.gone = r.entry, r.gone
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
