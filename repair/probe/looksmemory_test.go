package probe

import (
	"math"
	"runtime"
	"testing"
	"time"
)

// TestLookingTakesTheSameMemoryForAnyNumberOfMessages measures what is alive in the middle of the answer to FETCH FLAGS.
func TestLookingTakesTheSameMemoryForAnyNumberOfMessages(t *testing.T) {
	alive := func(n int) uint64 {
		s := newMailServer(n)
		var most uint64
		s.midway = func() {
			least := uint64(math.MaxUint64)
			for range 10 { // what the client takes apart while the garbage is collected counts as in use: the least is what is
				time.Sleep(2 * time.Millisecond)
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				least = min(least, m.HeapAlloc)
			}
			most = max(most, least)
		}
		got := s.look(t, LookOptions{})
		if !got.Healthy() {
			t.Fatal(states(got))
		}
		return most
	}
	alive(4000)
	small, large := alive(4000), alive(40_000)
	if small == 0 || large > small+512<<10 {
		t.Errorf("%d bytes are in use for 4000 messages, %d for 40,000", small, large)
	}
}
