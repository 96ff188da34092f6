//go:build unix

package remote

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest/proxy"
)

// far connects to the real sshd through a proxy that holds each byte back for 20 ms each way, with a mail root of one mailbox.
func far(b *testing.B, delay time.Duration, files int) (h *Host, root string, names []string) {
	b.Helper()
	id, pub := newIdentity(b, "ed25519", "")
	s := startSSHD(b, "", pub)
	if delay > 0 {
		p, err := proxy.Start(s.addr, proxy.Options{Delay: delay})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { p.Close() })
		s.addr = p.Addr()
	}
	root = filepath.Join(b.TempDir(), "mail")
	dir := filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	for i := range files {
		name := fmt.Sprintf("mailboxes/INBOX/dbox-Mails/u.%d", i+1)
		if err := os.WriteFile(filepath.Join(root, name), []byte(strings.Repeat("x", 3000)), 0o600); err != nil {
			b.Fatal(err)
		}
		names = append(names, name)
	}
	return dial(b, s.config(id)), root, names
}

// BenchmarkClear removes the 20,000 files of a mailbox over 40 ms, each through the guard: once when it is planned and once more
// when it is removed.
func BenchmarkClear(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		b.StopTimer()
		h, root, names := far(b, 20*time.Millisecond, n)
		b.StartTimer()
		r, err := h.OpenRoot(b.Context(), root)
		if err != nil {
			b.Fatal(err)
		}
		paths := make([]GuardedPath, n)
		start := time.Now()
		if err := r.GuardEach(b.Context(), names, ClassMailboxFile, func(i int, p GuardedPath, err error) {
			if err != nil {
				b.Error(err)
			}
			paths[i] = p
		}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/guard")
		start = time.Now()
		removed := 0
		if err := r.RemoveEach(b.Context(), paths, func(int, error) { removed++ }); err != nil || removed != n {
			b.Fatal(removed, err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/remove")
	}
}

// BenchmarkListing lists a mailbox of 20,000 files over 40 ms, by one command and over SFTP.
func BenchmarkListing(b *testing.B) {
	h, root, names := far(b, 20*time.Millisecond, 20_000)
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := h.List(b.Context(), root, []string{"."}, "", func(Listed) error { n++; return nil }); err != nil || n < len(names) {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("sftp", func(b *testing.B) {
		for b.Loop() {
			if list, err := h.FS(b.Context()).ReadDir(root[1:] + "/mailboxes/INBOX/dbox-Mails"); err != nil || len(list) != len(names) {
				b.Fatal(len(list), err)
			}
		}
	})
}

// BenchmarkFetch reads 2,000 small files over 40 ms with each engine.
func BenchmarkFetch(b *testing.B) {
	h, root, names := far(b, 20*time.Millisecond, 2_000)
	var wanted []Wanted
	for _, n := range names {
		wanted = append(wanted, Wanted{n, 3000})
	}
	for _, e := range []Engine{EngineTar, EngineSFTP} {
		b.Run(string(e), func(b *testing.B) {
			h.cfg.Engine = e
			for b.Loop() {
				if _, err := h.Fetch(b.Context(), root, wanted, func(_ int, r io.Reader) error {
					_, err := io.Copy(io.Discard, r)
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
