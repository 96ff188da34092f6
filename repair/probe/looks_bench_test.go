//go:build unix

package probe

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// grow fills INBOX with so many messages: one is saved, the others are copies of it, which mdbox makes without storing them
// again.
func (s *store) grow(t testing.TB, n int) {
	t.Helper()
	p, _ := s.start()
	const text = "From: a@example.org\r\nSubject: message\r\nMessage-ID: <1@example.org>\r\nDate: Mon, 03 Aug 2020 10:00:00 +0200\r\n\r\nThis is text.\r\n"
	c := newSession(t, p)
	for range 8 { // a stored message can be copied 32,768 times
		c.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
	}
	c.do("SELECT INBOX")
	for have := 8; have < n; {
		more := min(have, n-have)
		if lines := c.do(fmt.Sprintf("COPY 1:%d INBOX", more)); !strings.Contains(lines[len(lines)-1], "OK [COPYUID") {
			t.Fatalf("copy %d messages: %q", more, lines)
		}
		c.do("NOOP")
		have += more
	}
	if lines := c.do("STATUS INBOX (MESSAGES)"); !strings.Contains(lines[0], fmt.Sprintf("MESSAGES %d)", n)) {
		t.Fatalf("fill the store: %q", lines)
	}
	c.do("LOGOUT")
	p.Close()
}

// BenchmarkProbeOfALargeMailbox probes a healthy mailbox of the real Dovecot by every kind of look, as probe does without
// being told otherwise. It tells the most memory in use at one time besides how long it takes.
func BenchmarkProbeOfALargeMailbox(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("%d messages", n), func(b *testing.B) {
			s := newStore(b, "mdbox")
			s.grow(b, n)
			dial, _ := s.dialer()
			var most atomic.Uint64
			for b.Loop() {
				stop := watchHeap(&most)
				got, err := LookAt(b.Context(), dial, []string{"INBOX"}, LookOptions{})
				stop()
				if err != nil || !got.Healthy() || got.Mailboxes[0].Exists != n {
					b.Fatalf("%v: %+v", err, got)
				}
			}
			b.ReportMetric(float64(most.Load())/1e6, "MB-heap")
		})
	}
}

// watchHeap notes, until it is stopped, how much memory is in use.
func watchHeap(most *atomic.Uint64) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse))
			select {
			case <-time.After(5 * time.Millisecond):
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

// TestProbeOfALargeMailboxOfTheRealDovecot is the same with a few thousand messages: what counts is that no look is left
// out and that only a sample is asked about.
func TestProbeOfALargeMailboxOfTheRealDovecot(t *testing.T) {
	s := newStore(t, "mdbox")
	s.grow(t, 3000)
	dial, count := s.dialer()
	got, err := LookAt(t.Context(), dial, []string{"INBOX"}, LookOptions{})
	if err != nil || !got.Healthy() || *count != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	m := got.Mailboxes[0]
	if m.Exists != 3000 || m.Sample != DefaultSample || len(m.Looks) != len(AllLooks())-2 || m.Looks[2].Answered != 3000 {
		t.Errorf("looked: %+v", m)
	}
}
