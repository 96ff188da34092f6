package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dovemend/repair/store"
)

// diskFS is the local disk in the place of a host.
type diskFS struct {
	fs.FS
	fail func(op, name string) error
}

func (d diskFS) err(op, name string) error {
	if d.fail != nil {
		if err := d.fail(op, name); err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
	return nil
}

func (d diskFS) Lstat(name string) (fs.FileInfo, error) {
	if err := d.err("lstat", name); err != nil {
		return nil, err
	}
	return fs.Lstat(d.FS, name)
}

func (d diskFS) ReadLink(name string) (string, error) { return fs.ReadLink(d.FS, name) }

func (d diskFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := d.err("readdir", name); err != nil {
		return nil, err
	}
	return fs.ReadDir(d.FS, name)
}

func (d diskFS) OpenListed(name string, _ fs.FileInfo) (fs.File, error) { return d.Open(name) }

func diskSource(dir string, fail func(op, name string) error) *hostSource {
	return &hostSource{
		fs:   func(context.Context) hostFS { return diskFS{os.DirFS("/"), fail} },
		root: strings.Trim(filepath.ToSlash(dir), "/"),
		sums: func(context.Context, []string, func(int, [32]byte, error) error) error { return errors.ErrUnsupported },
	}
}

func maildirOnDisk(t testing.TB, messages int) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		name := filepath.Join(dir, fmt.Sprintf("box%02d", i%20), "cur", fmt.Sprintf("%d.M%dP1.host", i, i))
		if i < 20 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(name, []byte(strings.Repeat(fmt.Sprintln("line of message", i), 100)), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, longAgo, longAgo); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTakeOfARealTreeEqualsIt(t *testing.T) {
	dir := maildirOnDisk(t, 100)
	os.Mkdir(filepath.Join(dir, "dovemend-aside"), 0o700)
	if err := os.Symlink("/etc", filepath.Join(dir, "etc")); err != nil {
		t.Skip(err)
	}
	s := take(t, diskSource(dir, nil), newDir(t), Options{Paths: []store.RelPath{".", "not there"}})
	n := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, name)
		e, ok := s.Entry(store.RelPath(filepath.ToSlash(rel)))
		if rel == asideDir {
			if ok {
				t.Error("the aside directory is in the snapshot")
			}
			return fs.SkipDir
		}
		n++
		info, _ := d.Info()
		if !ok || e.Type != info.Mode().Type() || e.Mode != info.Mode().Perm() {
			t.Errorf("%s: %+v, %v", rel, e, ok)
		}
		if d.Type().IsRegular() {
			want, _ := os.ReadFile(name)
			got, err := fs.ReadFile(s.FS(), filepath.ToSlash(rel))
			if err != nil || string(got) != string(want) {
				t.Errorf("%s: other bytes, %v", rel, err)
			}
		}
		return err
	})
	if err != nil || n != len(s.Manifest().Entries) {
		t.Errorf("%d entries, and %d on disk; %v", len(s.Manifest().Entries), n, err)
	}
	if e, _ := s.Entry("etc"); e.Link != "/etc" {
		t.Errorf("%+v", e)
	}
}

func TestListOfAHostTellsTheDirectoryFromTheConnection(t *testing.T) {
	dir := maildirOnDisk(t, 40)
	inside := func(name, sub string) bool { return strings.HasSuffix(name, sub) }
	s := take(t, diskSource(dir, func(op, name string) error {
		if op == "readdir" && inside(name, "box03") {
			return fs.ErrPermission
		}
		if op == "readdir" && inside(name, "box04") {
			return errors.New("input/output error")
		}
		return nil
	}), newDir(t), Options{})
	for _, p := range []store.RelPath{"box03", "box04"} {
		if e, ok := s.Entry(p); !ok || e.Err == "" || e.Type != fs.ModeDir {
			t.Errorf("%s: %+v", p, e)
		}
	}
	if _, ok := s.Entry("box05/cur/5.M5P1.host"); !ok {
		t.Error("the rest is missing")
	}
	lost := errors.New("connection lost")
	for n := range 30 {
		var mu sync.Mutex
		left := n
		_, err := Take(context.Background(), diskSource(dir, func(op, name string) error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left < 0 {
				return lost
			}
			return nil
		}), newDir(t), Options{})
		if !errors.Is(err, lost) {
			t.Fatalf("after %d calls: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Take(ctx, diskSource(dir, nil), newDir(t), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestListReadsManyDirectoriesAtOnce(t *testing.T) {
	dir := maildirOnDisk(t, 40)
	var mu sync.Mutex
	now, most := 0, 0
	src := diskSource(dir, func(op, name string) error {
		if op != "readdir" {
			return nil
		}
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return nil
	})
	var paths []string
	if err := src.List(context.Background(), []store.RelPath{"."}, func(e Entry) error {
		paths = append(paths, string(e.Path))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if most < 8 || most > listParallel {
		t.Errorf("%d directories were read at once", most)
	}
	slices.Sort(paths)
	if len(paths) != 1+20+20+40 || len(slices.Compact(paths)) != 81 {
		t.Errorf("%d entries", len(paths))
	}
}

func BenchmarkTake(b *testing.B) {
	dir := maildirOnDisk(b, 10000)
	previous := take(b, diskSource(dir, nil), newDir(b), Options{Root: "/m", Verify: "listing"})
	for _, linked := range []bool{false, true} {
		b.Run(map[bool]string{false: "first", true: "unchanged"}[linked], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				dst := newDir(b)
				b.StartTimer()
				o := Options{Root: "/m", Verify: "listing"}
				if linked {
					o.Previous = []*Stored{&previous.Stored}
				}
				s := take(b, diskSource(dir, nil), dst, o)
				if linked && s.Stats().Linked != 10000 {
					b.Fatalf("%+v", s.Stats())
				}
			}
		})
	}
}
