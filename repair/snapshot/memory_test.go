package snapshot

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dovemend/repair/store"
)

// manyHost is a host with many small files, of which it holds nothing in memory. Now and then it looks how much memory is in use.
type manyHost struct {
	files, folders int
	calls          atomic.Int64
	most           atomic.Uint64 // bytes of live memory
}

func (h *manyHost) name(i int) string {
	return fmt.Sprintf(".Folder%02d/cur/%d.M%06dP%d.mail.example.org,S=%d,W=%d:2,S", i%h.folders, 1_600_000_000+i*7, i*7919%1_000_000, 1000+i%9000, 150+i%50, 155+i%50)
}

func (h *manyHost) entry(i int) Entry {
	return Entry{Path: store.RelPath(h.name(i)), Mode: 0o600, Size: int64(150 + i%50), MTime: longAgo.Add(time.Duration(i) * time.Second), UID: 1000, GID: 1000, Inode: uint64(1000 + i)}
}

func (h *manyHost) text(e *Entry) string { return strings.Repeat("m", int(e.Size)) }

// look takes note of the live memory, every 5000 calls.
func (h *manyHost) look() {
	if h.calls.Add(1)%5000 != 0 {
		return
	}
	h.most.Store(max(h.most.Load(), live()))
}

func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (h *manyHost) List(_ context.Context, _ []store.RelPath, yield func(Entry) error) error {
	dir := Entry{Type: fs.ModeDir, Mode: 0o700, MTime: longAgo, UID: 1000, GID: 1000}
	for f := range h.folders {
		for _, p := range []string{".", fmt.Sprintf(".Folder%02d", f), fmt.Sprintf(".Folder%02d/cur", f)} {
			if dir.Path = store.RelPath(p); p == "." && f > 0 {
				continue
			}
			if err := yield(dir); err != nil {
				return err
			}
		}
	}
	for i := range h.files {
		h.look()
		if err := yield(h.entry((i*7919 + 13) % h.files)); err != nil { // in no order
			return err
		}
	}
	return nil
}

func (h *manyHost) Lstat(context.Context, store.RelPath) (Entry, error) {
	return Entry{}, fs.ErrNotExist
}

func (h *manyHost) Open(context.Context, store.RelPath) (io.ReadCloser, error) {
	return nil, fs.ErrNotExist
}

func (h *manyHost) Sums(_ context.Context, paths []store.RelPath, yield func(int, [32]byte, error) error) error {
	for i, p := range paths {
		h.look()
		_, size, _ := strings.Cut(string(p), ",S=")
		var n int
		if _, err := fmt.Sscan(size[:3], &n); err != nil {
			return err
		}
		if err := yield(i, sha256.Sum256([]byte(strings.Repeat("m", n))), nil); err != nil {
			return err
		}
	}
	return nil
}

func (h *manyHost) Prepare(context.Context, int, int64) {}

func (h *manyHost) Fetch(_ context.Context, files []*Entry, take func(int, io.Reader) error) ([]int, []string, error) {
	for i, e := range files {
		h.look()
		if err := take(i, strings.NewReader(h.text(e))); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// TestMemoryDoesNotGrowWithTheAccount copies accounts of many files twice, and says how much memory was in use.
func TestMemoryDoesNotGrowWithTheAccount(t *testing.T) {
	if os.Getenv("DOVEMEND_TEST_FULL") == "" {
		t.Skip("DOVEMEND_TEST_FULL is not set: it writes 250,000 files, and links them")
	}
	const few, many = 50_000, 200_000
	first := map[int]uint64{}
	second := map[int]uint64{}
	for _, n := range []int{few, many} {
		h := &manyHost{files: n, folders: 50}
		store := func(o Options) (*Stored, uint64) {
			before := live()
			h.most.Store(before)
			o.Root = "/m"
			s, err := Store(t.Context(), h, newDir(t), o)
			if err != nil {
				t.Fatal(err)
			}
			h.most.Store(max(h.most.Load(), live()))
			return s, h.most.Load() - before
		}
		one, most := store(Options{})
		first[n] = most
		two, most := store(Options{Previous: []*Stored{one}})
		second[n] = most
		if two.Stats().Linked != n || one.Stats().Fetched != n || one.Stats().Files != n {
			t.Errorf("%+v, %+v", one.Stats(), two.Stats())
		}
		t.Logf("%d files: at most %d kB live in the first copy, %d kB in the second", n, first[n]>>10, second[n]>>10)
	}
	for which, most := range map[string]map[int]uint64{"first": first, "second": second} {
		more := (float64(most[many]) - float64(most[few])) / (many - few)
		t.Logf("%s copy: %.1f bytes held for each further file", which, more)
		if more > 50 {
			t.Errorf("%s copy: %.1f bytes held for each further file, want 50 at most", which, more)
		}
	}
}
