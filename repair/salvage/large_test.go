package salvage

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dovemend/repair/dovecot"
)

// generated makes messages one by one, so that only the writer's memory is looked at.
func generated(n int, size int64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for i := range n {
			m := &Message{Mailbox: fmt.Sprintf("Box %d", i*8/n), Class: classes[i%4], UID: dovecot.UID(i + 1), UIDValidity: 1, GUID: guid(i), Received: at(i), Source: Source{"storage/m.1", int64(i)},
				Open: func() (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(strings.NewReader(fmt.Sprintf("Subject: %d\n\n", i)), io.LimitReader(lines{}, size))), nil
				}}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// lines is text without end.
type lines struct{}

// manyLines are copied as a whole: byte by byte it takes long with the race detector.
var manyLines = bytes.Repeat(append(bytes.Repeat([]byte{'x'}, 69), '\n'), 1000)

func (lines) Read(b []byte) (int, error) { return copy(b, manyLines), nil }

// heap watches the memory in use.
type heap struct {
	n, every    int
	first, most uint64
}

func (h *heap) Advance(int, int64) {
	if h.n++; h.n%h.every > 0 {
		return
	}
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	if h.first == 0 {
		h.first = s.HeapAlloc
	}
	h.most = max(h.most, s.HeapAlloc)
}

func (h *heap) Warn(string) {}

func TestTenThousandMessagesTakeLittleMemory(t *testing.T) {
	for format, n := range map[Format]int{EML: 10_000, Mbox: 10_000, Maildir: 4000} { // small files take time
		t.Run(string(format), func(t *testing.T) {
			dir, h, start := t.TempDir(), &heap{every: n / 10}, time.Now()
			sum, err := Write(t.Context(), openRoot(t, dir), generated(n, 3000), Options{Format: format, Reporter: h})
			if err != nil || sum.Messages != n || sum.Written != n {
				t.Fatalf("%+v, %v", sum, err)
			}
			t.Logf("first run: %v, memory %d kB, at most %d kB", time.Since(start).Round(time.Millisecond), h.first>>10, h.most>>10)
			if h.most > h.first+3<<20 {
				t.Errorf("memory grows from %d to %d bytes", h.first, h.most)
			}
			h, start = &heap{every: n / 10}, time.Now()
			sum, err = Write(t.Context(), openRoot(t, dir), generated(n, 3000), Options{Format: format, Reporter: h})
			if err != nil || sum.Kept != n {
				t.Fatalf("%+v, %v", sum, err)
			}
			t.Logf("second run: %v, memory at most %d kB", time.Since(start).Round(time.Millisecond), h.most>>10)
			if h.most > h.first+3<<20 {
				t.Errorf("memory grows from %d to %d bytes", h.first, h.most)
			}
		})
	}
}

func TestALargeMessageTakesNoMemory(t *testing.T) {
	for _, format := range allFormats {
		dir := t.TempDir()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Write(t.Context(), openRoot(t, dir), generated(1, 50<<20), Options{Format: format}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
			t.Errorf("%s: it took %d bytes of memory", format, got)
		}
		if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
			t.Error(err)
		}
	}
}
