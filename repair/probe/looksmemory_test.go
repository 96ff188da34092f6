package probe

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
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

func TestTalkativeServerFillsNoMemory(t *testing.T) {
	s := newMailServer(3)
	s.hook = func(_ int, cmd string) (string, bool, bool) {
		if !strings.HasPrefix(cmd, "STATUS") {
			return "", false, false
		}
		var b strings.Builder
		for i := range 64 {
			fmt.Fprintf(&b, "* NO nonsense %d of %s\r\n", i, cmd)
		}
		return b.String() + "TAG NO [SERVERBUG] Internal error occurred.\r\n", false, true
	}
	was := mostKept
	mostKept = 1000
	t.Cleanup(func() { mostKept = was })
	names := make([]string, 40)
	for i := range names {
		names[i] = fmt.Sprint("box", i)
	}
	got, err := LookAt(t.Context(), s.dial, names, LookOptions{Looks: []imap.Look{LookStatus}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range got.Mailboxes {
		if r := m.Result(LookStatus); r.State != Fails || len(r.Replies) == 0 || r.Replies[0].Class != imap.ClassInternal {
			t.Fatalf("%+v", r)
		}
		n += len(m.Looks[0].Replies)
	}
	if n > mostKept+len(names)+200 {
		t.Errorf("%d answers are kept", n)
	}
}
