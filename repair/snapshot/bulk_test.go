package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dovemend/repair/store"
)

// faultyBulk is a host with a bulk engine that does not always do what it should.
type faultyBulk struct {
	*host
	mu       sync.Mutex
	r        *rand.Rand
	leaveOut int  // of a hundred files
	breakOff int  // of a hundred files
	lies     bool // some bytes are zeros, and those files are told as doubtful
	fail     error
	prepared int
	prefixes int
	fetches  int
}

func (b *faultyBulk) Prepare(_ context.Context, files int, _ int64) {
	b.prepared = max(b.prepared, files)
}

func (b *faultyBulk) chance(percent int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.r.IntN(100) < percent
}

func (b *faultyBulk) Fetch(ctx context.Context, files []*Entry, take func(int, io.Reader) error) (doubtful []int, notes []string, err error) {
	b.fetches++
	var wg sync.WaitGroup
	errs := make([]error, 4)
	var mu sync.Mutex
	for s := range 4 {
		wg.Go(func() {
			for i := s; i < len(files) && errs[s] == nil; i += 4 {
				b.host.mu.Lock()
				n := b.nodes[files[i].Path]
				var data []byte
				ok := n != nil && n.Type == 0 && !n.denied && n.Size == files[i].Size
				if ok {
					data = slices.Clone(n.data)
				}
				b.host.mu.Unlock()
				if !ok || b.chance(b.leaveOut) {
					continue
				}
				if b.lies && len(data) > 0 && b.chance(20) {
					clear(data[len(data)/2:])
					mu.Lock()
					doubtful = append(doubtful, i)
					mu.Unlock()
				}
				in := io.Reader(bytes.NewReader(data))
				if b.chance(b.breakOff) {
					in = io.MultiReader(bytes.NewReader(data[:len(data)/2]), brokenReader{})
				}
				if err := take(i, in); err != nil && !errors.Is(err, errBroken) {
					errs[s] = err
				}
			}
		})
	}
	wg.Wait()
	return doubtful, []string{"a note"}, errors.Join(append(errs, b.fail, ctx.Err())...)
}

var errBroken = errors.New("broken off")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func (b *faultyBulk) PrefixSums(ctx context.Context, paths []store.RelPath, sizes []int64, yield func(int, [32]byte, error) error) error {
	if b.noSums {
		return errors.ErrUnsupported
	}
	b.prefixes += len(paths)
	for i, p := range paths {
		b.host.mu.Lock()
		data := b.nodes[p].data
		sum := sha256.Sum256(data[:min(int64(len(data)), sizes[i])])
		b.host.mu.Unlock()
		if err := yield(i, sum, nil); err != nil {
			return err
		}
	}
	return nil
}

func (b *faultyBulk) OpenAt(ctx context.Context, p store.RelPath, off int64) (io.ReadCloser, error) {
	in, err := b.Open(ctx, p)
	if err == nil {
		in.(*hostFile).off = int(off)
	}
	return in, err
}

// progressed adds up what the reporter hears.
type progressed struct {
	mu           sync.Mutex
	files        int
	bytes        int64
	wantFiles    int
	wantBytes    int64
	notes        []string
	overstepping bool
}

func (p *progressed) Total(files int, bytes int64) { p.wantFiles, p.wantBytes = files, bytes }
func (p *progressed) Advance(files int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files, p.bytes = p.files+files, p.bytes+bytes
	p.overstepping = p.overstepping || p.files > p.wantFiles || p.bytes > p.wantBytes
}
func (p *progressed) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, text)
}

func TestTakeInBulkIsTheHost(t *testing.T) {
	for seed := range uint64(12) {
		for _, noSums := range []bool{false, true} {
			r := rand.New(rand.NewPCG(seed, 5))
			b := &faultyBulk{host: randomHost(r, 200), r: r, leaveOut: 10, breakOff: 10, lies: seed%2 == 1}
			b.noSums = noSums
			p := &progressed{}
			s := take(t, b, newDir(t), Options{Root: "/m", Reporter: p})
			same(t, b.host, s)
			// The last file of all may be alone in its portion.
			if n := (p.wantFiles + portionSize - 1) / portionSize; b.fetches != n && b.fetches != n-1 || b.prepared != p.wantFiles {
				t.Errorf("fetched in bulk %d times, prepared for %d of %d files", b.fetches, b.prepared, p.wantFiles)
			}
			if p.overstepping || p.files != p.wantFiles || p.bytes != p.wantBytes || !slices.Contains(p.notes, "a note") {
				t.Errorf("seed %d: told %d of %d files, %d of %d bytes, %q", seed, p.files, p.wantFiles, p.bytes, p.wantBytes, p.notes)
			}
			if st := s.Stats(); st.Torn+st.Missing > 0 || st.Fetched < st.Files {
				t.Errorf("%+v", st)
			}
			if t.Failed() {
				t.Fatalf("seed %d, noSums %t", seed, noSums)
			}
		}
	}
}

func TestBulkThatFailsIsResumed(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	b := &faultyBulk{host: randomHost(r, 200), r: r, leaveOut: 50, fail: errors.New("the line is gone")}
	dst := newDir(t)
	if _, err := Take(t.Context(), b, dst, Options{Root: "/m"}); err == nil || !strings.Contains(err.Error(), "the line is gone") {
		t.Fatal(err)
	}
	b.fail = nil
	s := take(t, b, dst, Options{Root: "/m"})
	same(t, b.host, s)
	if st := s.Stats(); st.Resumed == 0 || st.Resumed+st.Fetched < st.Files {
		t.Errorf("%+v", st)
	}
}

// TestFileThatChangesAfterItsProofIsSeen: hashing on the host while others are copied must not hide what changes later.
func TestFileThatChangesAfterItsProofIsSeen(t *testing.T) {
	for _, mtime := range []time.Time{longAgo.Add(time.Hour), time.Now()} {
		h := newHost()
		for i := range 20 {
			h.putAt(fmt.Sprintf("f%d", i), strings.Repeat("x", 1000), mtime)
		}
		b := &faultyBulk{host: h, r: rand.New(rand.NewPCG(1, 1))}
		lists := 0
		h.hook = func(h *host, op string, p store.RelPath, n int) error {
			if op != "list" {
				return nil
			}
			if lists++; lists == 2 { // all is copied and proven; now one changes, as old and as long as it was where that is now
				h.mu.Lock()
				n := *h.nodes["f7"]
				n.data = []byte(strings.Repeat("y", 1000))
				if mtime.Year() < 2024 {
					n.MTime = n.MTime.Add(time.Second)
				}
				h.nodes["f7"] = &n
				h.mu.Unlock()
			}
			return nil
		}
		s := take(t, b, newDir(t), Options{Root: "/m"})
		h.hook = nil
		same(t, h, s)
	}
}

func TestGrownFileIsFetchedFromItsOldEnd(t *testing.T) {
	const old, more = 600 << 10, 50 << 10
	bytesOf := func(c string, n int) string { return strings.Repeat(c, n) }
	type change func(n *node)
	for name, c := range map[string]struct {
		do    change
		whole bool
	}{
		"grown":           {do: func(n *node) { n.data = append(slices.Clone(n.data), bytesOf("b", more)...) }},
		"changed in it":   {do: func(n *node) { n.data = append(slices.Clone(n.data), bytesOf("b", more)...); n.data[7] = 'c' }, whole: true},
		"another file":    {do: func(n *node) { n.data = append(slices.Clone(n.data), bytesOf("b", more)...); n.Inode = 99 }, whole: true},
		"shrunk":          {do: func(n *node) { n.data = slices.Clone(n.data[:old-1]) }, whole: true},
		"damaged here":    {do: func(n *node) { n.data = append(slices.Clone(n.data), bytesOf("b", more)...) }, whole: true},
		"grows meanwhile": {do: func(n *node) { n.data = append(slices.Clone(n.data), bytesOf("b", more)...) }},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost("mailboxes/INBOX/dbox-Mails/dovecot.index")
			h.putAt("storage/m.1", bytesOf("a", old), longAgo)
			h.nodes["storage/m.1"].Inode = 7
			b := &faultyBulk{host: h, r: rand.New(rand.NewPCG(1, 1))}
			first := take(t, b, newDir(t), Options{Root: "/m"})
			was := *h.nodes["storage/m.1"]
			n := was
			c.do(&n)
			n.Size, n.MTime = int64(len(n.data)), longAgo.Add(time.Hour)
			h.nodes["storage/m.1"] = &n
			e, _ := first.Entry("storage/m.1")
			switch name {
			case "damaged here":
				if err := first.root.WriteFile(filePath(&e), []byte(bytesOf("z", old)), 0o600); err != nil {
					t.Fatal(err)
				}
			case "grows meanwhile":
				h.reading = func(h *host, p store.RelPath, off int) {
					h.mu.Lock()
					defer h.mu.Unlock()
					if n := h.nodes[p]; p == "storage/m.1" && len(n.data) == old+more {
						grown := *n
						grown.data = append(slices.Clone(n.data), "one more"...)
						grown.Size, grown.MTime = int64(len(grown.data)), longAgo.Add(2*time.Hour)
						h.nodes[p] = &grown
					}
				}
			}
			second := take(t, b, newDir(t), Options{Root: "/m", Previous: []*Stored{&first.Stored}})
			same(t, h, second)
			if name != "damaged here" {
				if e, _ := first.Entry("storage/m.1"); e.SHA256 != second.m.Entries[0].SHA256 {
					b, err := first.root.ReadFile(filePath(&e))
					if err != nil || string(b) != string(was.data) {
						t.Errorf("the first copy has changed, %v", err)
					}
				}
			}
			if st := second.Stats(); (st.Down >= old-1) != c.whole {
				t.Errorf("%+v", st)
			}
			// The same again as a refresh of the first.
			if name == "damaged here" || name == "grows meanwhile" {
				return
			}
			changed, err := first.Refresh(t.Context(), b, Options{})
			if err != nil || len(changed) == 0 {
				t.Fatalf("%v, %v", changed, err)
			}
			same(t, h, first)
			if st := first.Stats(); (st.Down >= old-1) != c.whole {
				t.Errorf("refreshed: %+v", st)
			}
		})
	}
}

func TestUnchangedFilesOfAVerifiedCopyAreNotHashedAgain(t *testing.T) {
	h := newHost("a", "b", "c")
	first := take(t, h, newDir(t), Options{Root: "/m"})
	sums := 0
	h.hook = func(_ *host, op string, _ store.RelPath, _ int) error {
		if op == "sums" {
			sums++
		}
		return nil
	}
	count := &countingSums{host: h}
	second := take(t, count, newDir(t), Options{Root: "/m", Previous: []*Stored{&first.Stored}})
	same(t, h, second)
	if count.files != 0 || second.Manifest().Verified != byHash || second.Stats().Linked != 3 {
		t.Errorf("%d files hashed, verified by %s, %+v", count.files, second.Manifest().Verified, second.Stats())
	}
	// Before anything is done to the host, all that it is about is hashed again.
	if _, err := second.Refresh(t.Context(), count, Options{Paths: []store.RelPath{"a", "b"}}); err != nil || count.files != 2 {
		t.Errorf("%d files hashed for a refresh, %v", count.files, err)
	}
}

type countingSums struct {
	*host
	files int
}

func (c *countingSums) Sums(ctx context.Context, paths []store.RelPath, yield func(int, [32]byte, error) error) error {
	c.files += len(paths)
	return c.host.Sums(ctx, paths, yield)
}
