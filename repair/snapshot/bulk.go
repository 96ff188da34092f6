package snapshot

import (
	"context"
	"encoding/hex"
	"io"
	"path"
	"slices"
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

// inBulk fetches these files of the portion with the source's own engine, as far as it has one, and gives those that are still
// to be fetched.
func (p *portion) inBulk(ctx context.Context, todo []int) ([]int, error) {
	src, ok := p.src.(Bulk)
	if !ok || len(todo) < bulkFrom {
		return todo, nil
	}
	files := make([]*Entry, len(todo))
	for i, k := range todo {
		files[i] = &p.files[k].Entry
	}
	came := make([]bool, len(p.files))
	p.dirs = newDirs(p.dst)
	defer p.dirs.close()
	doubtful, notes, err := src.Fetch(ctx, files, func(i int, r io.Reader) error {
		s, err := p.save(ctx, r, files[i])
		if err != nil {
			return err
		}
		if err := p.placed(todo[i], s); err != nil {
			return err
		}
		came[todo[i]] = true
		p.rep.Advance(1, 0)
		return nil
	})
	for _, n := range notes {
		p.tell(n)
	}
	if err != nil {
		return nil, err
	}
	var doubts []int
	for _, i := range doubtful {
		if i >= 0 && i < len(todo) && came[todo[i]] {
			doubts = append(doubts, todo[i])
		}
	}
	if err := p.settleDoubts(ctx, came, doubts); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(todo, func(k int) bool { return came[k] }), nil
}

// tell gives a note, once.
func (t *taking) tell(note string) {
	if !t.noted[note] {
		t.noted[note] = true
		t.rep.Note(note)
	}
}

// settleDoubts has the host hash the files whose bytes it may have made up. Those that are not shown to be right are fetched again.
func (p *portion) settleDoubts(ctx context.Context, came []bool, doubts []int) error {
	entries := make([]*Entry, len(doubts))
	for i, k := range doubts {
		entries[i] = &p.files[k].Entry
	}
	equal, err := p.hashedEqual(ctx, entries, func(i int) string { return entries[i].SHA256 })
	if err != nil {
		return err
	}
	for i, e := range entries {
		if equal[i] || !came[doubts[i]] { // a file may be told twice
			continue
		}
		came[doubts[i]] = false
		if err := p.dst.Remove(filePath(e)); err != nil {
			return local(err)
		}
		p.told.Store(e.Path, e.Size)
		p.rep.Advance(-1, 0)
		p.again.Add(1)
	}
	return nil
}

// listAll lists the source. Where all of it will have to be fetched, the source is told meanwhile how much that is.
func (t *taking) listAll(ctx context.Context, begun bool) (*listing, error) {
	src, ok := t.src.(Bulk)
	if !ok || begun || len(t.o.Previous) > 0 {
		return t.list(ctx, t.src, t.m.Paths)
	}
	return t.list(ctx, &preparing{Bulk: src}, t.m.Paths)
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
func (p *portion) save(ctx context.Context, r io.Reader, e *Entry) (s streamed, err error) {
	dir, done, err := p.dirs.use(path.Dir(filePath(e)))
	if err != nil {
		return s, local(err)
	}
	defer done()
	var told int64
	s, err = p.writeAs(ctx, dir.Root, path.Base(filePath(e)), r, *e, e.Size, func(n int64) {
		told += n
		p.rep.Advance(0, n)
	})
	if err != nil && told > 0 {
		p.told.Store(e.Path, told)
	}
	return s, err
}

// moveIn moves a file that was fetched to its place, and notes that it is there.
func (p *portion) moveIn(k int, s streamed) error {
	if err := p.dst.Rename(s.temp, filePath(&p.files[k].Entry)); err != nil {
		return local(err)
	}
	return p.placed(k, s)
}

// placed notes that a file is in its place.
func (p *portion) placed(k int, s streamed) error {
	e := &p.files[k].Entry
	e.Torn, e.SHA256, e.Err, e.fresh = false, s.sum, "", true
	p.fetched.Add(1)
	if err := p.journal.add(e); err != nil {
		return err
	}
	p.prove.add(k)
	return nil
}

// proof has the host hash the files that have been copied, while others are still on their way.
type proof struct {
	p    *portion
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	more  *sync.Cond
	queue []int
	bytes int64 // of the files in line, all of which are here
	ended bool
}

// proofFiles and proofBytes are how much the host is asked to hash with one command, proofs how many of them run at one time: while one
// is on its way, another works.
const (
	proofs     = 3
	proofFiles = 1000
	proofBytes = 64 << 20
)

// startProof begins; where the host cannot hash, or is not to, nothing comes of it.
func (p *portion) startProof(ctx context.Context) *proof {
	by := &proof{p: p, done: make(chan struct{})}
	by.ctx, by.stop = context.WithCancel(ctx)
	by.more = sync.NewCond(&by.mu)
	go func() {
		defer close(by.done)
		if p.o.Verify != "" && p.o.Verify != "auto" {
			return
		}
		var wg sync.WaitGroup
		for range proofs {
			wg.Go(by.run)
		}
		wg.Wait()
	}()
	return by
}

// add puts a file into line.
func (p *proof) add(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.bytes = append(p.queue, i), p.bytes+p.p.files[i].Size
	p.more.Signal()
}

// last says that no more files come.
func (p *proof) last() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.more.Broadcast()
}

// end waits until all is hashed.
func (p *proof) end() {
	<-p.done
	p.stop()
}

// enough waits for enough to be worth a command on the host, or for what is left; it gives nothing when all is done.
func (p *proof) enough() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) < proofFiles && p.bytes < proofBytes && !p.ended {
		p.more.Wait()
	}
	n, bytes := 0, int64(0)
	for n < len(p.queue) && n < proofFiles && bytes < proofBytes {
		bytes += p.p.files[p.queue[n]].Size
		n++
	}
	part := p.queue[:n:n]
	p.queue, p.bytes = p.queue[n:], p.bytes-bytes
	return part
}

// run hashes in portions, and ends with the first that does not succeed: what is not proven here is verified afterwards.
func (p *proof) run() {
	for {
		part := p.enough()
		if len(part) == 0 {
			return
		}
		paths := make([]store.RelPath, len(part))
		for k, i := range part {
			paths[k] = p.p.files[i].Path
		}
		err := p.p.src.Sums(p.ctx, paths, func(k int, sum [32]byte, err error) error {
			if k >= 0 && k < len(part) {
				e := &p.p.files[part[k]].Entry
				e.proved = err == nil && e.SHA256 == hex.EncodeToString(sum[:])
			}
			return nil
		})
		if err != nil {
			return
		}
	}
}
