//go:build !windows

package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// kinds are the two SFTP servers the reading side is tested on.
var kinds = []struct {
	name string
	dial func(*testing.T) *Host
}{
	{"in process", func(t *testing.T) *Host {
		return dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}).config(t))
	}},
	{"OpenSSH", func(t *testing.T) *Host { return dialReal(t, "") }},
}

func onBoth(t *testing.T, test func(*testing.T, *Host)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k.dial(t)) })
	}
}

// name makes a local path one of the host's FS.
func hostName(p string) string { return strings.TrimPrefix(filepath.ToSlash(p), "/") }

func randomBytes(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	r.Read(b)
	return b
}

// makeTree makes a tree with all that a mail root may hold, and gives the files in it with their contents.
func makeTree(t *testing.T) (dir string, files map[string][]byte) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{
		"empty":                 {},
		"one":                   {1},
		"chunk":                 randomBytes(chunkSize, 1),
		"chunk+1":               randomBytes(chunkSize+1, 2),
		"large":                 randomBytes(5<<20+7, 3),
		"sub/deep/er/file":      []byte("deep"),
		"sub/umlaut äöü ☃":      []byte("ü"),
		"sub/space and 'quote'": []byte("q"),
		"sub/-dash":             []byte("-"),
	}
	for name, b := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "emptydir"), 0o700),
		os.Symlink("one", filepath.Join(dir, "link")),
		os.Symlink("sub", filepath.Join(dir, "dirlink")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

func TestFSPassesTheStandardSuite(t *testing.T) {
	onBoth(t, func(t *testing.T, h *Host) {
		dir, files := makeTree(t)
		// The suite opens every name, and reads every byte of every file by itself.
		for _, n := range []string{"dangling", "large", "chunk", "chunk+1"} {
			delete(files, n)
			if err := os.Remove(filepath.Join(dir, n)); err != nil {
				t.Fatal(err)
			}
		}
		sub, err := fs.Sub(h.FS(t.Context()), hostName(dir))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for n := range files {
			names = append(names, n)
		}
		if err := fstest.TestFS(sub, names...); err != nil {
			t.Error(err)
		}
	})
}

func TestFilesReadWhole(t *testing.T) {
	onBoth(t, func(t *testing.T, h *Host) {
		dir, files := makeTree(t)
		f := h.FS(t.Context())
		for name, want := range files {
			got, err := f.ReadFile(hostName(filepath.Join(dir, name)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("ReadFile %s: %d bytes, %v; want %d", name, len(got), err, len(want))
			}
			file, err := f.Open(hostName(filepath.Join(dir, name)))
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			buf := make([]byte, 1000)
			for {
				n, err := file.Read(buf)
				b.Write(buf[:n])
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("Read %s: %d bytes, want %d", name, b.Len(), len(want))
			}
			at := make([]byte, len(want)+10)
			n, err := file.(io.ReaderAt).ReadAt(at, 0)
			if err != io.EOF || !bytes.Equal(at[:n], want) {
				t.Errorf("ReadAt %s: %d bytes, %v; want %d and EOF", name, n, err, len(want))
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
			if _, err := file.Read(buf); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("read after close gives %v", err)
			}
		}
	})
}

func TestFileReadsSurviveItsGrowingAndShrinking(t *testing.T) {
	onBoth(t, func(t *testing.T, h *Host) {
		dir := t.TempDir()
		p := filepath.Join(dir, "log")
		first := randomBytes(3*chunkSize, 1)
		for _, tt := range []struct {
			name string
			now  []byte
		}{{"grown", append(bytes.Clone(first), "more"...)}, {"grown far", append(bytes.Clone(first), randomBytes(1<<20, 2)...)}, {"shrunk", first[:chunkSize+5]}, {"emptied", nil}} {
			if err := os.WriteFile(p, first, 0o600); err != nil {
				t.Fatal(err)
			}
			info, err := h.FS(t.Context()).Lstat(hostName(p))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, tt.now, 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := h.FS(t.Context()).OpenListed(hostName(p), info)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(file)
			if err != nil || !bytes.Equal(got, tt.now) {
				t.Errorf("%s: %d bytes, %v; want %d", tt.name, len(got), err, len(tt.now))
			}
			file.Close()
		}
	})
}

func TestErrorsCarryTheirPath(t *testing.T) {
	onBoth(t, func(t *testing.T, h *Host) {
		dir, _ := makeTree(t)
		f := h.FS(t.Context())
		at := func(n string) string { return hostName(filepath.Join(dir, n)) }
		tests := []struct {
			name string
			do   func(string) error
			path string
			kind error
		}{
			{"open", func(p string) error { _, err := f.Open(p); return err }, at("missing"), fs.ErrNotExist},
			{"open a dangling link", func(p string) error { _, err := f.Open(p); return err }, at("dangling"), fs.ErrNotExist},
			{"stat", func(p string) error { _, err := f.Stat(p); return err }, at("missing"), fs.ErrNotExist},
			{"lstat", func(p string) error { _, err := f.Lstat(p); return err }, at("missing"), fs.ErrNotExist},
			{"readdir", func(p string) error { _, err := f.ReadDir(p); return err }, at("missing"), fs.ErrNotExist},
			{"readdir of a file", func(p string) error { _, err := f.ReadDir(p); return err }, at("one"), nil},
			{"readlink", func(p string) error { _, err := f.ReadLink(p); return err }, at("missing"), fs.ErrNotExist},
			{"readlink of a file", func(p string) error { _, err := f.ReadLink(p); return err }, at("one"), nil},
			{"readfile", func(p string) error { _, err := f.ReadFile(p); return err }, at("missing"), fs.ErrNotExist},
			{"readfile of a directory", func(p string) error { _, err := f.ReadFile(p); return err }, at("sub"), nil},
			{"absolute", func(p string) error { _, err := f.Open(p); return err }, "/etc/passwd", fs.ErrInvalid},
			{"dots", func(p string) error { _, err := f.Open(p); return err }, "etc/../etc/passwd", fs.ErrInvalid},
			{"empty", func(p string) error { _, err := f.Open(p); return err }, "", fs.ErrInvalid},
			{"trailing slash", func(p string) error { _, err := f.Stat(p); return err }, "etc/", fs.ErrInvalid},
			{"NUL", func(p string) error { _, err := f.Lstat(p); return err }, "etc\x00/x", fs.ErrInvalid},
			{"too long", func(p string) error { _, err := f.Lstat(p); return err }, strings.Repeat("x", 5000), fs.ErrInvalid},
		}
		for _, tt := range tests {
			err := tt.do(tt.path)
			var pe *fs.PathError
			if !errors.As(err, &pe) || pe.Path != tt.path {
				t.Errorf("%s: %v is not a path error of %q", tt.name, err, tt.path)
			}
			if tt.kind != nil && !errors.Is(err, tt.kind) {
				t.Errorf("%s: %v is not %v", tt.name, err, tt.kind)
			}
		}
	})
}

func TestPermissionDeniedIsTold(t *testing.T) {
	f := &fakeHost{}
	f.sftp = func(ch io.ReadWriteCloser) {
		rawSFTP(ch, func(_ byte, id uint32, _ []byte) [][]byte { return [][]byte{status(id, 3, "no")} })
	}
	h := dial(t, startFake(t, f).config(t))
	if _, err := h.FS(t.Context()).Open("x"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

func TestNamesNeedNotBeUTF8(t *testing.T) {
	onBoth(t, func(t *testing.T, h *Host) {
		dir := t.TempDir()
		var want []string
		for _, n := range []string{"\xff\xfe", "new\nline", "\x1b[31m", "a\\b", "caf\xe9"} {
			if err := os.WriteFile(filepath.Join(dir, n), []byte(n), 0o600); err != nil {
				t.Skip("the local file system does not take such names")
			}
			want = append(want, n)
		}
		f := h.FS(t.Context())
		entries, err := f.ReadDir(hostName(dir))
		if err != nil || len(entries) != len(want) {
			t.Fatalf("%d entries, %v; want %d", len(entries), err, len(want))
		}
		for _, e := range entries {
			got, err := f.ReadFile(hostName(dir) + "/" + e.Name())
			if err != nil || string(got) != e.Name() {
				t.Errorf("%q: %q, %v", e.Name(), got, err)
			}
		}
	})
}

func TestKindsAndOwnersAreTold(t *testing.T) {
	onBoth(t, func(t *testing.T, h *Host) {
		dir, _ := makeTree(t)
		if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
			t.Fatal(err)
		}
		f := h.FS(t.Context())
		entries, err := f.ReadDir(hostName(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			local, err := os.Lstat(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			sys := local.Sys().(*syscall.Stat_t)
			st, ok := info.Sys().(*Stat)
			if info.Mode() != local.Mode() || !info.ModTime().Equal(local.ModTime().Truncate(time.Second)) || !ok || st.UID != int(sys.Uid) || st.GID != int(sys.Gid) {
				t.Errorf("%s: %v %v %+v; want %v %v", e.Name(), info.Mode(), info.ModTime(), st, local.Mode(), local.ModTime())
			}
		}
		if to, err := f.ReadLink(hostName(dir) + "/dangling"); err != nil || to != "nowhere" {
			t.Errorf("link leads to %q, %v", to, err)
		}
		// Opening a pipe would stop OpenSSH's SFTP server for good.
		if _, err := f.Open(hostName(dir) + "/fifo"); err == nil || !strings.Contains(err.Error(), "a pipe") {
			t.Errorf("opening a pipe gives %v", err)
		}
		info, err := f.Lstat(hostName(dir) + "/link")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.OpenListed(hostName(dir)+"/link", info); err == nil {
			t.Error("a symbolic link was opened as a listed file")
		}
	})
}

func TestRealPathResolves(t *testing.T) {
	h := dialReal(t, "")
	dir, _ := makeTree(t)
	got, err := h.RealPath(t.Context(), filepath.Join(dir, "dirlink", "deep", ".."))
	if want := filepath.Join(dir, "sub"); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, bad := range []string{"", "a\x00b"} {
		if _, err := h.RealPath(t.Context(), bad); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}

func TestManyReadersAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, h *Host) {
		dir, files := makeTree(t)
		f := h.FS(t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for name, want := range files {
					got, err := f.ReadFile(hostName(filepath.Join(dir, name)))
					if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
						t.Errorf("%s: %d bytes, %v", name, len(got), err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestOneFileReadFromManySides(t *testing.T) {
	h := dialReal(t, "")
	dir, files := makeTree(t)
	file, err := h.FS(t.Context()).Open(hostName(filepath.Join(dir, "large")))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := files["large"]
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			off := i * 600_000
			b := make([]byte, 500_000)
			if n, err := file.(io.ReaderAt).ReadAt(b, int64(off)); err != nil || !bytes.Equal(b[:n], want[off:off+n]) {
				t.Errorf("at %d: %d bytes, %v", off, n, err)
			}
		})
	}
	wg.Go(func() {
		if got, err := io.ReadAll(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("in sequence: %d bytes, %v", len(got), err)
		}
	})
	wg.Wait()
}

func TestSFTPRequestsEndWithTheirContext(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	f := &fakeHost{}
	f.sftp = func(ch io.ReadWriteCloser) { slowSFTP(ch, stuck) }
	h := dial(t, startFake(t, f).config(t))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := h.FS(ctx).ReadDir("etc"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := h.Space(ctx, "/"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("space gives %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
