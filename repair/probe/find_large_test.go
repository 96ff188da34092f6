//go:build unix

package probe

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"dovemend/remote/imap"
	"dovemend/repair/large"
	repairstore "dovemend/repair/store"
)

// lay lays an account of so many messages in one mailbox.
func (s *store) lay(messages int) {
	s.t.Helper()
	if _, err := (large.Account{Layout: repairstore.Layout(s.layout), Messages: messages, Mailboxes: 1, Cache: true}).Lay(s.root); err != nil {
		s.t.Fatal(err)
	}
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(s.root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, mailUID, mailUID)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestPoisonInALargeMailboxOfTheRealDovecot(t *testing.T) {
	messages := map[string]int{"sdbox": 1000, "mdbox": 3000}
	if os.Getenv("DOVEMEND_TEST_FULL") != "" {
		messages = map[string]int{"sdbox": 20_000, "mdbox": 100_000}
	}
	for layout, n := range messages {
		t.Run(layout, func(t *testing.T) {
			s := newStore(t, layout)
			s.lay(n)
			dial, _ := s.dialer()
			well, err := Find(t.Context(), dial, "INBOX", FindOptions{Pause: -1})
			if err != nil || !well.Healthy() || uidSet(well.Exists).size() != n || well.RoundTrips > 10+n/400 {
				t.Fatalf("%d of %d messages, %d round trips, %v: %s", uidSet(well.Exists).size(), n, well.RoundTrips, err, well.Text)
			}
			t.Logf("%d messages, all well: %d round trips", n, well.RoundTrips)
			if n > 5000 && layout == "mdbox" { // it has several files
				return
			}
			bad, files := []uint32{1, uint32(n / 2), uint32(n)}, []string{"u.1", fmt.Sprint("u.", n/2), fmt.Sprint("u.", n)}
			if layout == "mdbox" { // all messages lie in it
				files = []string{"m.1"}
			}
			for _, f := range files {
				garbage(t, s.files(f)[0])
			}
			before := flagsOf(t, dial)
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			heap := m.HeapAlloc
			var top uint64
			got, err := Find(t.Context(), dial, "INBOX", FindOptions{Pause: -1, Save: func(*Found) error {
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapAlloc)
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d round trips, %d connections, %d KiB of memory: %s", got.RoundTrips, got.Connections, (max(top, heap)-heap)>>10, got.Text)
			found := slices.Sorted(slices.Values(got.UIDs()))
			if layout == "mdbox" {
				all := slices.ContainsFunc(got.Everywhere, func(e LookFailure) bool { return e.Look == imap.LookBody })
				if !all || len(found) > 6 || got.Complete {
					t.Errorf("found %v, everywhere %+v", found, got.Everywhere)
				}
			} else if !slices.Equal(found, bad) {
				t.Errorf("found %v, want %v", found, bad)
			}
			if got.RoundTrips > well.RoundTrips+60 || got.Connections > 30 {
				t.Errorf("%d round trips, %d connections", got.RoundTrips, got.Connections)
			}
			if top > heap+64<<20 {
				t.Errorf("%d MiB of memory", (top-heap)>>20)
			}
			if flagsOf(t, dial) != before {
				t.Error("flags have changed")
			}
		})
	}
}

// garbage writes random bytes over a file's beginning, as bad memory would.
func garbage(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(slices.Repeat([]byte{0xa5}, 60), 0); err != nil {
		t.Fatal(err)
	}
}
