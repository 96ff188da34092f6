package reconstruct

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"dovemend/repair/large"
	"dovemend/repair/store"
)

// BenchmarkLargeAccount reads and reconstructs an mdbox account of 200,000 messages in 20 mailboxes. Besides time it reports the
// highest heap while doing so, which bounds what a look at an account needs. With -short the account is a tenth of that.
func BenchmarkLargeAccount(b *testing.B) {
	n := 200_000
	if testing.Short() {
		n /= 10
	}
	dir := b.TempDir()
	boxes, err := large.Account{Layout: store.MDBox, Messages: n, Mailboxes: 20}.Lay(dir)
	if err != nil {
		b.Fatal(err)
	}
	debug.FreeOSMemory()
	var highest atomic.Uint64
	stop := make(chan struct{})
	go func() {
		var m runtime.MemStats
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&m)
				if m.HeapInuse > highest.Load() {
					highest.Store(m.HeapInuse)
				}
			}
		}
	}()
	b.ResetTimer()
	for b.Loop() {
		acct, err := Read(b.Context(), os.DirFS(dir), store.Account{Layout: store.MDBox, Tree: true}, boxes)
		if err != nil {
			b.Fatal(err)
		}
		got := 0
		for _, s := range acct.Boxes {
			got += s.Counts().Messages
		}
		if got != n || !acct.Storage.Sound || len(acct.Orphans) > 0 {
			b.Fatalf("%d messages of %d, sound %v, %d orphans", got, n, acct.Storage.Sound, len(acct.Orphans))
		}
	}
	b.StopTimer()
	close(stop)
	b.ReportMetric(float64(highest.Load())/(1<<20), "MiB-heap")
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
