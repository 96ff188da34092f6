package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dovemend/repair/store"
)

// host is a Source in memory. Its hook is called before every call, without the lock held, and may change the host.
type host struct {
	mu      sync.Mutex
	nodes   map[store.RelPath]*node
	extra   []Entry // listed besides
	noSums  bool
	calls   int
	opened  map[store.RelPath]int
	hook    func(h *host, op string, p store.RelPath, n int) error
	reading func(h *host, p store.RelPath, off int) // before each piece of a file is read
}

type node struct {
	Entry
	data   []byte
	denied bool
}

var longAgo = time.Date(2020, 5, 1, 12, 0, 0, 0, time.UTC)

func newHost(files ...string) *host {
	h := &host{nodes: map[store.RelPath]*node{}, opened: map[store.RelPath]int{}}
	h.nodes["."] = &node{Entry: Entry{Path: ".", Type: fs.ModeDir, Mode: 0o700, MTime: longAgo, UID: 1000, GID: 1000}}
	for _, f := range files {
		h.put(f, "bytes of "+f)
	}
	return h
}

func (h *host) put(p, data string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.putAt(p, data, longAgo.Add(time.Duration(len(h.nodes))*time.Minute))
}

func (h *host) putAt(p, data string, mtime time.Time) {
	for up := path.Dir(p); up != "."; up = path.Dir(up) {
		if h.nodes[store.RelPath(up)] == nil {
			h.nodes[store.RelPath(up)] = &node{Entry: Entry{Path: store.RelPath(up), Type: fs.ModeDir, Mode: 0o750, MTime: longAgo, UID: 1000, GID: 1000}}
		}
	}
	e := Entry{Path: store.RelPath(p), Mode: 0o640, Size: int64(len(data)), MTime: mtime.Truncate(time.Second), UID: 1000, GID: 1000}
	h.nodes[e.Path] = &node{Entry: e, data: []byte(data)}
}

func (h *host) link(p, target string) {
	h.put(p, "")
	n := h.nodes[store.RelPath(p)]
	n.Type, n.Mode, n.Link = fs.ModeSymlink, 0o777, target
}

func (h *host) remove(p string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for q := range h.nodes {
		if q == store.RelPath(p) || strings.HasPrefix(string(q), p+"/") {
			delete(h.nodes, q)
		}
	}
}

func (h *host) call(ctx context.Context, op string, p store.RelPath) error {
	h.mu.Lock()
	h.calls++
	n := h.calls
	if op == "open" {
		h.opened[p]++
	}
	h.mu.Unlock()
	if h.hook != nil {
		if err := h.hook(h, op, p, n); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (h *host) List(ctx context.Context, paths []store.RelPath, yield func(Entry) error) error {
	if err := h.call(ctx, "list", "."); err != nil {
		return err
	}
	h.mu.Lock()
	var out []Entry
	for _, p := range slices.Sorted(maps.Keys(h.nodes)) {
		if n := h.nodes[p]; beneath(paths, p) {
			e := n.Entry
			if n.denied && n.Type == fs.ModeDir {
				e.Err = "permission denied"
			}
			out = append(out, e)
		}
	}
	out = append(out, h.extra...)
	h.mu.Unlock()
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i, e := range out {
		if i == len(out)/2 {
			if err := h.call(ctx, "listing", "."); err != nil {
				return err
			}
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) Lstat(ctx context.Context, p store.RelPath) (Entry, error) {
	if err := h.call(ctx, "lstat", p); err != nil {
		return Entry{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nodes[p]; n != nil {
		return n.Entry, nil
	}
	return Entry{}, fmt.Errorf("lstat: %w", fs.ErrNotExist)
}

type hostFile struct {
	h   *host
	ctx context.Context
	p   store.RelPath
	off int
}

func (h *host) Open(ctx context.Context, p store.RelPath) (io.ReadCloser, error) {
	if err := h.call(ctx, "open", p); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.nodes[p]
	switch {
	case n == nil:
		return nil, fs.ErrNotExist
	case n.denied:
		return nil, fs.ErrPermission
	case n.Type != 0:
		return nil, errors.New("not a regular file")
	}
	return &hostFile{h, ctx, p, 0}, nil
}

func (f *hostFile) Read(b []byte) (int, error) {
	if f.h.reading != nil {
		f.h.reading(f.h, f.p, f.off)
	}
	if err := f.h.call(f.ctx, "read", f.p); err != nil {
		return 0, err
	}
	f.h.mu.Lock()
	defer f.h.mu.Unlock()
	n := f.h.nodes[f.p]
	if n == nil || f.off >= len(n.data) {
		return 0, io.EOF
	}
	k := copy(b[:min(len(b), 4096)], n.data[f.off:])
	f.off += k
	return k, nil
}

func (f *hostFile) Close() error { return nil }

func (h *host) Sums(ctx context.Context, paths []store.RelPath, yield func(int, [32]byte, error) error) error {
	if err := h.call(ctx, "sums", "."); err != nil {
		return err
	}
	if h.noSums {
		return errors.ErrUnsupported
	}
	for i, p := range paths {
		h.mu.Lock()
		n := h.nodes[p]
		var sum [32]byte
		err := error(fs.ErrNotExist)
		if n != nil && n.denied {
			err = fs.ErrPermission
		} else if n != nil {
			sum, err = sha256.Sum256(n.data), nil
		}
		h.mu.Unlock()
		if err := yield(i, sum, err); err != nil {
			return err
		}
	}
	return nil
}

func newDir(t testing.TB) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func take(t testing.TB, h Source, dst *os.Root, o Options) *Snapshot {
	t.Helper()
	s, err := Take(context.Background(), h, dst, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// same compares a snapshot with the host by walking both on their own: manifest, FS and the files on disk.
func same(t *testing.T, h *host, s *Snapshot) {
	t.Helper()
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	want := map[store.RelPath]*node{}
	for p, n := range h.nodes {
		want[p] = n
	}
	fsys := s.FS()
	locals := map[string]bool{}
	for _, e := range s.Manifest().Entries {
		n := want[e.Path]
		if n == nil {
			t.Errorf("%q is in the snapshot and not on the host", e.Path)
			continue
		}
		delete(want, e.Path)
		if e.Type != n.Type || e.Mode != n.Mode || e.Link != n.Link || !e.MTime.Equal(n.MTime) || e.UID != n.UID {
			t.Errorf("%q: %+v, want %+v", e.Path, e, n.Entry)
		}
		if e.Type != 0 {
			continue
		}
		b, err := fs.ReadFile(fsys, string(e.Path))
		if err != nil || !bytes.Equal(b, n.data) {
			t.Errorf("%q: %d bytes in FS, want %d, %v", e.Path, len(b), len(n.data), err)
		}
		if b, err := s.root.ReadFile(filePath(&e)); err != nil || !bytes.Equal(b, n.data) {
			t.Errorf("%q: %d bytes on disk, want %d, %v", e.Path, len(b), len(n.data), err)
		}
		if info, err := s.root.Lstat(filePath(&e)); err == nil && (info.Mode() != 0o600 || info.ModTime().Unix() != e.MTime.Unix()) {
			t.Errorf("%q: local mode %v, time %v", e.Path, info.Mode(), info.ModTime())
		}
		if locals[filePath(&e)] {
			t.Errorf("%q: local name %q is there twice", e.Path, e.local())
		}
		locals[filePath(&e)] = true
	}
	for p := range want {
		t.Errorf("%q is on the host and not in the snapshot", p)
	}
	known := map[string]bool{manifestName: true}
	for n := range locals {
		known[n] = true
	}
	for _, e := range s.Manifest().Earlier {
		known[path.Join(beforeDir, e.local())] = true
	}
	err := filepath.WalkDir(s.root.Name(), func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(s.root.Name(), name)
		if err == nil && !d.IsDir() && !known[filepath.ToSlash(rel)] {
			t.Errorf("stray local file %q", rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// damage makes a host with random hostile names and contents.
func randomHost(r *rand.Rand, n int) *host {
	h := newHost()
	parts := []string{"a", "A", "b", "dovecot.index", "cur", "1234.M5:2,S", "&APw-", "ü", "u\u0308", "\xff\xfe", "x\ny", "%41", "%", "con", "CON.txt", "end.", "end ",
		"~", "a%~2", "incoming", "manifest.json", "files", strings.Repeat("l", 255), strings.Repeat("\xfe", 200), "..x", ".", "a\\b", "\x1b[31m", "-rf", "*", " ", "before"}
	pick := func() string {
		for {
			if p := parts[r.IntN(len(parts))]; p != "." {
				return p
			}
		}
	}
	for range n {
		var p []string
		for range 1 + r.IntN(4) {
			p = append(p, pick())
		}
		name := strings.Join(p, "/")
		ok := h.nodes[store.RelPath(name)] == nil
		for _, up := range upwards(name) {
			if n := h.nodes[store.RelPath(up)]; n != nil && n.Type != fs.ModeDir {
				ok = false
			}
		}
		if !ok {
			continue
		}
		switch r.IntN(12) {
		case 0:
			h.link(name, pick())
		case 1:
			h.put(name, "")
			nd := h.nodes[store.RelPath(name)]
			nd.Type, nd.Size, nd.data = fs.ModeDir, 0, nil
		case 2:
			h.put(name, "")
			h.nodes[store.RelPath(name)].Type = fs.ModeNamedPipe
		default:
			b := make([]byte, r.IntN(20000))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			h.put(name, string(b))
		}
	}
	return h
}

func upwards(p string) []string {
	var up []string
	for d := path.Dir(p); d != "."; d = path.Dir(d) {
		up = append(up, d)
	}
	return up
}
