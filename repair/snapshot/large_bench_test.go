package snapshot

import (
	"io"
	"io/fs"
	"testing"
)

// BenchmarkCopy reads a copy of 10,000 small files: its manifest, every file by way of FS, and every file's hash.
func BenchmarkCopy(b *testing.B) {
	const n = 10_000
	dst := newDir(b)
	s := take(b, diskSource(maildirOnDisk(b, n), nil), dst, Options{Root: "/m", Verify: "listing"})
	size := int64(0)
	for _, e := range s.Manifest().Entries {
		if e.Type == 0 {
			size += e.Size
		}
	}
	rate := func(b *testing.B) {
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
	}
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Read(dst); err != nil {
				b.Fatal(err)
			}
		}
		rate(b)
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			fsys, got, buf := s.FS(), int64(0), make([]byte, 64<<10)
			err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				f, err := fsys.Open(name)
				if err != nil {
					return err
				}
				defer f.Close()
				m, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
				got += m
				return err
			})
			if err != nil || got != size {
				b.Fatal(got, err)
			}
		}
		rate(b)
	})
	b.Run("hash", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Check(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		rate(b)
	})
}
