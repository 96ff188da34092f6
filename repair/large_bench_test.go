//go:build unix

package repair

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dovemend/repair/check"
	"dovemend/repair/large"
	"dovemend/repair/rebuild"
	"dovemend/repair/reconstruct"
	"dovemend/repair/salvage"
	"dovemend/repair/store"
)

// BenchmarkAccount does with large accounts, as a tree on the local disk, what happens offline: reconstruct, check, rebuild, salvage.
// Besides time it reports processor time, which tells more on a machine that is busy with other work, and the highest heap. With
// -short each account is a tenth.
func BenchmarkAccount(b *testing.B) {
	for _, c := range []struct {
		name  string
		a     large.Account
		spoil func(dir string) error
	}{
		{"maildir", large.Account{Layout: store.Maildir, Messages: 200_000, Mailboxes: 1, Cache: true}, nil},
		{"sdbox", large.Account{Layout: store.SDBox, Messages: 50_000, Mailboxes: 1, Cache: true}, nil},
		{"mdbox", large.Account{Layout: store.MDBox, Messages: 200_000, Mailboxes: 20, Cache: true}, nil},
		{"maildir-500", large.Account{Layout: store.Maildir, Messages: 50_000, Mailboxes: 500, Cache: true}, nil},
		{"mdbox-500", large.Account{Layout: store.MDBox, Messages: 200_000, Mailboxes: 500, Cache: true}, nil},
		{"maildir-no-uidlist", large.Account{Layout: store.Maildir, Messages: 200_000, Mailboxes: 1, Cache: true}, remove("dovecot-uidlist")},
		{"mdbox-no-index", large.Account{Layout: store.MDBox, Messages: 200_000, Mailboxes: 20, Cache: true}, remove("mailboxes/*/dbox-Mails/dovecot.index")},
		{"mdbox-no-map", large.Account{Layout: store.MDBox, Messages: 200_000, Mailboxes: 20, Cache: true}, remove("storage/dovecot.map.index")},
	} {
		b.Run(c.name, func(b *testing.B) {
			if testing.Short() {
				c.a.Messages /= 10
			}
			dir := b.TempDir()
			if _, err := c.a.Lay(dir); err != nil {
				b.Fatal(err)
			}
			if c.spoil != nil {
				if err := c.spoil(dir); err != nil {
					b.Fatal(err)
				}
			}
			benchAccount(b, dir, c.a)
		})
	}
}

// remove takes files out of an account.
func remove(pattern string) func(dir string) error {
	return func(dir string) error {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if len(names) == 0 {
			err = errors.Join(err, os.ErrNotExist)
		}
		for _, name := range names {
			err = errors.Join(err, os.Remove(name))
		}
		return err
	}
}

func benchAccount(b *testing.B, dir string, a large.Account) {
	ctx := b.Context()
	l, err := OpenLocal(ctx, dir, "")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if len(l.Account.Mailboxes) != a.Mailboxes {
		b.Fatalf("%d mailboxes", len(l.Account.Mailboxes))
	}
	read := func(b *testing.B) *reconstruct.Account {
		acct, err := reconstruct.Read(ctx, l.FS, l.Account, l.Account.Mailboxes)
		if err != nil {
			b.Fatal(err)
		}
		return acct
	}
	b.Run("reconstruct", func(b *testing.B) {
		measure(b, a.Messages, func() {
			acct, got := read(b), 0
			for _, s := range acct.Boxes {
				got += s.Counts().Messages
			}
			if got != a.Messages {
				b.Fatalf("%d messages of %d", got, a.Messages)
			}
		})
	})
	b.Run("check", func(b *testing.B) {
		acct := read(b)
		measure(b, a.Messages, func() {
			if _, err := checked(ctx, l.FS, acct); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("rebuild", func(b *testing.B) {
		acct := read(b)
		reports, err := check.All(ctx, l.FS, acct)
		if err != nil {
			b.Fatal(err)
		}
		shared := check.Account(l.FS, acct)
		measure(b, a.Messages, func() {
			w, err := rebuild.Build(ctx, rebuild.Input{FS: l.FS, Account: acct, Reports: reports, Shared: shared, Now: time.Now(), Force: true, Out: nowhere{}})
			if err != nil {
				b.Fatal(err)
			}
			got := 0
			for _, x := range w.Boxes {
				got += x.Messages
			}
			if got != a.Messages {
				b.Fatalf("%d messages of %d", got, a.Messages)
			}
		})
	})
	for _, f := range []salvage.Format{salvage.EML, salvage.Mbox, salvage.Maildir} {
		b.Run("salvage-"+string(f), func(b *testing.B) {
			measure(b, a.Messages, func() {
				out := b.TempDir()
				done, err := l.Salvage(ctx, l.Account.Mailboxes, func() (*os.Root, error) { return os.OpenRoot(out) }, salvage.Options{Format: f}, Silent{})
				if err != nil || done.Messages != a.Messages {
					b.Fatalf("%+v, %v", done, err)
				}
			})
		})
	}
}

// nowhere is a [rebuild.Output] that keeps nothing.
type nowhere struct{}

func (nowhere) Create(string) (io.WriteCloser, error) { return nowhere{}, nil }
func (nowhere) Write(p []byte) (int, error)           { return len(p), nil }
func (nowhere) Close() error                          { return nil }

// measure runs a benchmark's loop.
func measure(b *testing.B, messages int, do func()) {
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
				highest.Store(max(highest.Load(), m.HeapInuse))
			}
		}
	}()
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		do()
	}
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
	close(stop)
	b.ReportMetric(float64(highest.Load())/(1<<20), "MiB-heap")
	b.ReportMetric(float64(messages)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
