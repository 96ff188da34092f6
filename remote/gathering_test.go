//go:build !windows

package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slowWriter takes a moment for each piece, and fails after some.
type slowWriter struct {
	mu     sync.Mutex
	got    bytes.Buffer
	pieces int
	hold   chan struct{} // each piece waits for it; nil for none
	fail   int           // from that piece on; 0 for never
	closed atomic.Int32
}

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.hold != nil {
		<-w.hold
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pieces++; w.fail > 0 && w.pieces >= w.fail {
		return 0, io.EOF
	}
	return w.got.Write(p)
}

func (w *slowWriter) Close() error {
	w.closed.Add(1)
	return nil
}

func never() bool { return false }

func TestGatheringKeepsOrderAndWritesFewPieces(t *testing.T) {
	w := &slowWriter{hold: make(chan struct{})}
	g := newGathering(w, never, func(err error) { t.Error(err) })
	var want bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&want, "request %d;", i)
		fmt.Fprintf(g, "request %d;", i)
	}
	if err := g.Close(); err != nil || w.closed.Load() != 0 {
		t.Fatal("closed before all was written", err)
	}
	close(w.hold)
	waitFor(t, func() bool { return w.closed.Load() == 1 })
	if !bytes.Equal(w.got.Bytes(), want.Bytes()) || w.pieces > 2 {
		t.Errorf("%d bytes in %d pieces, want %d in two", w.got.Len(), w.pieces, want.Len())
	}
	if _, err := g.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("written after the end: %v", err)
	}
	if g.Close(); w.closed.Load() != 1 {
		t.Error("closed twice")
	}
}

// TestGatheringWaitsForMoreWhereMuchIsToCome, and no longer than that: with nothing more to come it writes at once, and so it does with enough.
func TestGatheringWaitsForMoreWhereMuchIsToCome(t *testing.T) {
	w := &slowWriter{}
	var much atomic.Bool
	much.Store(true)
	g := newGathering(w, much.Load, func(err error) { t.Error(err) })
	got := func() (bytes, pieces int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.got.Len(), w.pieces
	}
	for range 1000 {
		g.Write([]byte("request"))
	}
	waitFor(t, func() bool { n, _ := got(); return n == 7000 })
	if _, pieces := got(); pieces > 100 {
		t.Errorf("1000 requests went in %d pieces", pieces)
	}
	g.Write(make([]byte, 3*enoughGathered))
	waitFor(t, func() bool { n, _ := got(); return n == 7000+3*enoughGathered })
	much.Store(false)
	g.Write([]byte("last"))
	waitFor(t, func() bool { n, _ := got(); return n == 7004+3*enoughGathered })
	if g.Close(); w.closed.Load() != 1 {
		t.Error("it is not closed")
	}
}

func TestGatheringIsBounded(t *testing.T) {
	w := &slowWriter{hold: make(chan struct{})}
	g := newGathering(w, never, func(err error) { t.Error(err) })
	var written atomic.Int64
	go func() {
		for range 100 {
			n, _ := g.Write(make([]byte, 32<<10))
			written.Add(int64(n))
		}
	}()
	time.Sleep(50 * time.Millisecond)
	if n := written.Load(); n > 2*mostGathered {
		t.Errorf("%d bytes are waiting", n)
	}
	close(w.hold)
	waitFor(t, func() bool { return written.Load() == 100*32<<10 })
}

func TestGatheringTellsWhatItFailsWith(t *testing.T) {
	w := &slowWriter{hold: make(chan struct{}), fail: 2}
	lost := make(chan error, 10)
	g := newGathering(w, never, func(err error) { lost <- err })
	waiting := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, err = g.Write(make([]byte, 32<<10))
		}
		waiting <- err
	}()
	time.Sleep(20 * time.Millisecond) // it waits for room
	close(w.hold)
	if err := <-waiting; !errors.Is(err, io.EOF) {
		t.Errorf("a writer that waits is told %v", err)
	}
	if err := <-lost; !errors.Is(err, io.EOF) {
		t.Errorf("told %v", err)
	}
	if _, err := g.Write([]byte("x")); !errors.Is(err, io.EOF) {
		t.Errorf("after it: %v", err)
	}
	time.Sleep(10 * time.Millisecond)
	if len(lost) > 0 {
		t.Error("told twice")
	}
}

// TestTapCountsRequests that are on their way, whatever their kind and in whatever pieces they come.
func TestTapCountsRequests(t *testing.T) {
	packet := func(kind byte, id byte, rest ...byte) []byte {
		return append([]byte{0, 0, 0, byte(5 + len(rest)), kind, 0, 0, 0, id}, rest...)
	}
	var answers bytes.Buffer
	tap := newSFTPTap(&answers, &slowWriter{}, func(err error) { t.Error(err) }, func(err error) { t.Error(err) })
	kinds := []byte{fxpOpen, fxpClose, fxpRead, 6, fxpLstat, 9, 13, 18, fxpExtended}
	for n := range manyRequests {
		if tap.busy() {
			t.Errorf("busy with %d requests", n)
		}
		p := packet(kinds[n%len(kinds)], byte(n), 0, 0, 0, 0)
		tap.Write(p[:3])
		tap.Write(p[3:])
	}
	if !tap.busy() {
		t.Errorf("not busy with %d requests", manyRequests)
	}
	for n := range manyRequests {
		answers.Write(packet(fxpStatus, byte(n), 0, 0, 0, 4))
	}
	if _, err := io.ReadAll(tap); err != nil || tap.flying.Load() != 0 {
		t.Errorf("%d requests are left: %v", tap.flying.Load(), err)
	}
}
