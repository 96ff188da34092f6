package snapshot

import (
	"cmp"
	"context"
	"encoding/hex"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"dovemend/repair/store"
)

// Bulk is a [Source] that brings many files over faster than one by one.
type Bulk interface {
	Source
	// Prepare is told how much there will be to fetch, as far as is known. It returns at once.
	Prepare(ctx context.Context, files int, bytes int64)
	// Fetch calls take with what comes of each of the files, from several goroutines and in no certain order. A file that is not
	// as long as its entry says, or cannot be read, is left out or its reader ends with an error: then it is to be opened by
	// itself. doubtful are files whose bytes may have been made up by the host. An error take returns, unless it wraps one its
	// reader gave, ends the fetching and is returned; other errors are those of ctx and the connection.
	Fetch(ctx context.Context, files []*Entry, take func(i int, r io.Reader) error) (doubtful []int, notes []string, err error)
}

// bulkFrom is from how many files on the bulk engine is asked.
const bulkFrom = 2

// inBulk fetches the files at these positions of t.m.Entries with the source's own engine, as far as it has one, and gives the
// positions of those that are still to be fetched.
func (t *taking) inBulk(ctx context.Context, todo []int) ([]int, error) {
	src, ok := t.src.(Bulk)
	if !ok || len(todo) < bulkFrom {
		return todo, nil
	}
	files := make([]*Entry, len(todo))
	for k, i := range todo {
		files[k] = &t.m.Entries[i]
	}
	came := make([]bool, len(todo))
	t.dirs = newDirs(t.dst)
	defer t.dirs.close()
	doubtful, notes, err := src.Fetch(ctx, files, func(k int, r io.Reader) error {
		e := files[k]
		s, err := t.save(ctx, r, e)
		if err != nil {
			return err
		}
		if err := t.placed(todo[k], s); err != nil {
			return err
		}
		came[k] = true
		t.rep.Advance(1, 0)
		return nil
	})
	for _, n := range notes {
		t.rep.Note(n)
	}
	if err != nil {
		return nil, err
	}
	if err := t.settleDoubts(ctx, todo, came, doubtful); err != nil {
		return nil, err
	}
	rest := todo[:0:0]
	for k, i := range todo {
		if !came[k] {
			rest = append(rest, i)
		}
	}
	return rest, nil
}

// settleDoubts has the host hash the files whose bytes it may have made up. Those that are not shown to be right are fetched again.
func (t *taking) settleDoubts(ctx context.Context, todo []int, came []bool, doubtful []int) error {
	at := make(map[int]int, len(doubtful))
	var ask []int
	for _, k := range doubtful {
		if k >= 0 && k < len(todo) && came[k] {
			at[todo[k]] = k
			ask = append(ask, todo[k])
		}
	}
	equal, err := t.hashedEqual(ctx, ask, func(i int) string { return t.m.Entries[i].SHA256 })
	if err != nil {
		return err
	}
	for _, i := range equal {
		delete(at, i)
	}
	for i, k := range at {
		came[k] = false
		e := &t.m.Entries[i]
		if err := t.dst.Remove(filePath(e)); err != nil {
			return local(err)
		}
		t.told.Store(e.Path, e.Size)
		t.rep.Advance(-1, 0)
		t.again.Add(1)
	}
	return nil
}

// listAll lists the source. Where all of it will have to be fetched, the source is told meanwhile how much that is.
func (t *taking) listAll(ctx context.Context, begun bool) ([]Entry, []Refused, error) {
	src, ok := t.src.(Bulk)
	if !ok || begun || len(t.o.Previous) > 0 {
		return list(ctx, t.src, t.m.Paths)
	}
	return list(ctx, &preparing{Bulk: src}, t.m.Paths)
}

// preparing is a source that is told what it lists.
type preparing struct {
	Bulk
	files int
	bytes int64
}

func (p *preparing) List(ctx context.Context, paths []store.RelPath, yield func(Entry) error) error {
	p.files, p.bytes = 0, 0
	return p.Bulk.List(ctx, paths, func(e Entry) error {
		if e.Type == 0 {
			p.files, p.bytes = p.files+1, add(p.bytes, max(e.Size, 0))
			p.Prepare(ctx, p.files, p.bytes)
		}
		return yield(e)
	})
}

// save writes and hashes one file of a bulk transfer, in its place at once: what stands there without a line in the journal is
// not counted as copied.
func (t *taking) save(ctx context.Context, r io.Reader, e *Entry) (s streamed, err error) {
	dir, done, err := t.dirs.use(path.Dir(filePath(e)))
	if err != nil {
		return s, local(err)
	}
	defer done()
	var told int64
	s, err = t.writeAs(ctx, dir.Root, path.Base(filePath(e)), r, *e, e.Size, func(n int64) {
		told += n
		t.rep.Advance(0, n)
	})
	if err != nil && told > 0 {
		t.told.Store(e.Path, told)
	}
	return s, err
}

// place moves a file that was fetched to its place, and notes that it is there.
func (t *taking) place(i int, s streamed) error {
	if err := t.dst.Rename(s.temp, filePath(&t.m.Entries[i])); err != nil {
		return local(err)
	}
	return t.placed(i, s)
}

// placed notes that a file is in its place.
func (t *taking) placed(i int, s streamed) error {
	e := &t.m.Entries[i]
	e.Torn, e.SHA256, e.Err = false, s.sum, ""
	t.fetched.Add(1)
	if err := t.journal.add(e); err != nil {
		return err
	}
	t.prove.add(i)
	return nil
}

// bulkSize is from what size on a file is fetched before the smaller ones.
const bulkSize = 1 << 20

// fetchOrder sorts what is to be fetched: index files first, so that the mail they speak of is copied after them; then the
// large ones, the largest first; then the others, as they lie in their directories.
func (t *taking) fetchOrder(todo []int) {
	rank := func(i int) int {
		switch e := &t.m.Entries[i]; {
		case strings.HasPrefix(path.Base(string(e.Path)), "dovecot"):
			return 0
		case e.Size >= bulkSize:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(todo, func(a, b int) int {
		ra, rb := rank(a), rank(b)
		if ra != rb || ra != 1 {
			return cmp.Compare(ra, rb)
		}
		return cmp.Compare(t.m.Entries[b].Size, t.m.Entries[a].Size)
	})
}

// proof has the host hash the files that have been copied, while others are still on their way.
type proof struct {
	t    *taking
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	more  *sync.Cond
	queue []int
	ended bool
}

// proofFiles and proofBytes are how much the host is asked to hash at a time.
const (
	proofFiles = 2000
	proofBytes = 128 << 20
)

// startProof begins; where the host cannot hash, or is not to, nothing comes of it.
func (t *taking) startProof(ctx context.Context) *proof {
	p := &proof{t: t, done: make(chan struct{})}
	p.ctx, p.stop = context.WithCancel(ctx)
	p.more = sync.NewCond(&p.mu)
	go func() {
		defer close(p.done)
		if t.o.Verify == "" || t.o.Verify == "auto" {
			p.run()
		}
	}()
	return p
}

// add puts the entry at a position into line.
func (p *proof) add(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, i)
	p.more.Signal()
}

// end waits until all is hashed; after an error it is given up.
func (p *proof) end(err error) {
	if err != nil {
		p.stop()
	}
	defer p.stop()
	p.mu.Lock()
	p.ended = true
	p.more.Signal()
	p.mu.Unlock()
	<-p.done
}

// portion waits for enough to be worth a command on the host, or for what is left; it gives nothing when all is done.
func (p *proof) portion() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, bytes := 0, int64(0)
	for {
		for n < len(p.queue) && n < proofFiles && bytes < proofBytes {
			bytes = add(bytes, p.t.m.Entries[p.queue[n]].Size)
			n++
		}
		if n == proofFiles || bytes >= proofBytes || p.ended {
			part := p.queue[:n:n]
			p.queue = p.queue[n:]
			return part
		}
		p.more.Wait()
	}
}

// run hashes in portions, and ends with the first that does not succeed: what is not proven here is verified afterwards.
func (p *proof) run() {
	for {
		part := p.portion()
		if len(part) == 0 {
			return
		}
		paths := make([]store.RelPath, len(part))
		for k, i := range part {
			paths[k] = p.t.m.Entries[i].Path
		}
		err := p.t.src.Sums(p.ctx, paths, func(k int, sum [32]byte, err error) error {
			if k >= 0 && k < len(part) {
				e := &p.t.m.Entries[part[k]]
				e.proved = err == nil && e.SHA256 == hex.EncodeToString(sum[:])
			}
			return nil
		})
		if err != nil {
			return
		}
	}
}
