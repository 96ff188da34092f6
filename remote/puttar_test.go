//go:build linux

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// newFiles are n small files for one folder, of all sizes, modes and times, and their bytes.
func newFiles(t *testing.T, r *Root, n int) (files []NewFile, bodies [][]byte) {
	t.Helper()
	modes := []fs.FileMode{0o640, 0, 0o600, 0o444, 0o666, 0o2640}
	for i := range n {
		bodies = append(bodies, randomBytes(i*41, uint64(i)))
		f := NewFile{
			Temp: writable(t, r, fmt.Sprintf("%s.dovemend-%d", inbox, i), ClassTemp), To: writable(t, r, fmt.Sprintf("%su.%d", inbox, i), ClassMailboxFile),
			Size: int64(i * 41), Attr: Attr{Mode: modes[i%len(modes)], MTime: time.Unix(1_589_500_000+int64(i), 999)},
		}
		if i%7 == 0 {
			f.Attr.MTime = time.Time{}
		}
		files = append(files, f)
	}
	return files, bodies
}

// putAll puts the files and gives how often the bytes of each were asked for.
func putAll(ctx context.Context, r *Root, files []NewFile, bodies [][]byte) (opened, done map[int]int, failed map[int]error, err error) {
	opened, done, failed = map[int]int{}, map[int]int{}, map[int]error{}
	var mu sync.Mutex
	err = r.PutEach(ctx, files, func(i int) (io.ReadCloser, error) {
		mu.Lock()
		defer mu.Unlock()
		opened[i]++
		return io.NopCloser(bytes.NewReader(bodies[i])), nil
	}, func(i int, err error) {
		if err != nil {
			failed[i] = err
		} else {
			done[i]++
		}
	})
	return opened, done, failed, err
}

// wantPut checks that all files are there as they should be, and no temporary one.
func wantPut(t *testing.T, r *Root, files []NewFile, bodies [][]byte) {
	t.Helper()
	for i, f := range files {
		name := filepath.Join(r.dir, f.To.Rel())
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, bodies[i]) {
			t.Errorf("%s: %d bytes, want %d: %v", f.To.Rel(), len(got), len(bodies[i]), err)
			continue
		}
		at, err := os.Stat(name)
		if err != nil || at.Mode() != f.Attr.mode() {
			t.Errorf("%s: mode %v, want %v: %v", f.To.Rel(), at.Mode(), f.Attr.mode(), err)
		}
		if want := f.Attr.MTime; want.IsZero() && time.Since(at.ModTime()) > time.Minute || !want.IsZero() && at.ModTime().Unix() != want.Unix() {
			t.Errorf("%s: time %v, want %v", f.To.Rel(), at.ModTime(), want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, inbox, ".dovemend-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestPutByEveryTar(t *testing.T) {
	for name, programs := range map[string]map[string]string{
		"gnu":     {"tar": "", "sync": ""},
		"bsd":     {"tar": "bsdtar", "sync": ""},
		"busybox": {"tar": "exec /usr/bin/busybox tar \"$@\"\n", "sync": "exec /usr/bin/busybox sync\n", "xargs": "exec /usr/bin/busybox xargs \"$@\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := programs["xargs"]; !ok {
				programs["xargs"] = ""
			}
			r := accountOf(t, pathHost(t, programs))
			files, bodies := newFiles(t, r, 300)
			files, bodies = files[4:], bodies[4:] // u.1 to u.3 are there
			opened, done, _, err := putAll(t.Context(), r, files, bodies)
			if err != nil || len(done) != len(files) {
				t.Fatalf("%d of %d done: %v", len(done), len(files), err)
			}
			wantPut(t, r, files, bodies)
			for i, n := range opened {
				if n != 1 {
					t.Errorf("%s was read %d times: tar has not made it", files[i].To.Rel(), n)
				}
			}
		})
	}
}

// TestPutTrustsNoTar: whatever the host's tar does, each file is what it should be in the end.
func TestPutTrustsNoTar(t *testing.T) {
	real := "/usr/bin/env PATH=/usr/bin:/bin "
	for name, c := range map[string]struct {
		tar    string
		useful bool // of what it made, something could be used
	}{
		"refuses options":    {tar: "echo 'tar: unknown option' >&2; exit 64\n"},
		"is not there":       {tar: "exec /nonexistent/tar\n"},
		"makes nothing":      {tar: "cat >/dev/null\n"},
		"reads nothing":      {tar: "exit 0\n"},
		"fails at its end":   {tar: real + "tar \"$@\"\nexit 2\n", useful: true},
		"breaks off":         {tar: "head -c 200000 | " + real + "tar \"$@\"\n", useful: true},
		"changes a byte":     {tar: real + "tar \"$@\"\nfor f in ./.dovemend-*0; do printf x >>$f; done\n", useful: true},
		"makes other bytes":  {tar: "cat >/dev/null; for i in 5 6 7 8 9; do echo other >.dovemend-$i; done\n"},
		"sets another mode":  {tar: real + "tar \"$@\"\n" + real + "chmod 0644 .dovemend-*\n", useful: true},
		"sets another time":  {tar: real + "tar \"$@\"\n" + real + "touch .dovemend-*\n", useful: true},
		"makes links":        {tar: real + "tar \"$@\"\nfor f in .dovemend-*1; do " + real + "mv $f .hidden$f; " + real + "ln -s .hidden$f $f; done\n", useful: true},
		"makes directories":  {tar: "cat >/dev/null; " + real + "mkdir .dovemend-50\n"},
		"prints much":        {tar: real + "tar \"$@\"\ni=0; while [ $i -lt 20000 ]; do echo warning warning warning; i=$((i+1)); done >&2\n", useful: true},
		"prints much to say": {tar: real + "tar \"$@\"\ni=0; while [ $i -lt 20000 ]; do echo warning warning warning; i=$((i+1)); done\n", useful: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.tar = "[ \"$1\" = -x ] || exit 1 # it is asked for more at login\n" + c.tar
			h := pathHost(t, map[string]string{"tar": c.tar, "xargs": "", "sync": "", "head": ""})
			r := accountOf(t, h)
			files, bodies := newFiles(t, r, 300)
			files, bodies = files[4:], bodies[4:]
			opened, done, failed, err := putAll(t.Context(), r, files, bodies)
			if name == "makes links" || name == "makes directories" {
				var refused *GuardError
				if !errors.As(err, &refused) {
					t.Fatalf("%d failed: %v, want a refusal of the guard", len(failed), err)
				}
				return
			}
			if err != nil || len(done) != len(files) {
				t.Fatalf("%d of %d done: %v", len(done), len(files), err)
			}
			wantPut(t, r, files, bodies)
			if h.bulk.noLay.Load() == c.useful {
				t.Errorf("it is to be used again: %v, want %v", !h.bulk.noLay.Load(), c.useful)
			}
			once := 0
			for _, n := range opened {
				if n == 1 {
					once++
				}
			}
			if strings.HasPrefix(name, "prints") && once != len(files) {
				t.Errorf("%d of %d were made by tar", once, len(files))
			}
		})
	}
}

// TestPutByTarTrustsNoFailedSync: what may not have reached the host's disk is written again.
func TestPutByTarTrustsNoFailedSync(t *testing.T) {
	for sync, times := range map[string]int{"exit 1\n": 2, "exit 0\n": 1, absent: 1} {
		r := accountOf(t, pathHost(t, map[string]string{"tar": "", "xargs": "", "sync": sync}))
		files, bodies := newFiles(t, r, 200)
		files, bodies = files[4:], bodies[4:]
		opened, _, _, err := putAll(t.Context(), r, files, bodies)
		if err != nil {
			t.Fatal(err)
		}
		wantPut(t, r, files, bodies)
		for i, n := range opened {
			if n != times {
				t.Errorf("sync %q: %s was read %d times, want %d", sync, files[i].To.Rel(), n, times)
			}
		}
	}
}

// TestPutByTarFollowsNoLink: neither a link in the place of a file, nor one in the place of the directory, leads anything elsewhere.
func TestPutByTarFollowsNoLink(t *testing.T) {
	programs := map[string]string{"tar": "", "xargs": "", "sync": ""}
	t.Run("file", func(t *testing.T) {
		r := accountOf(t, pathHost(t, programs))
		files, bodies := newFiles(t, r, 200)
		files, bodies = files[4:], bodies[4:]
		victim := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, filepath.Join(r.dir, files[100].Temp.Rel())); err != nil {
			t.Fatal(err)
		}
		_, done, failed, err := putAll(t.Context(), r, files, bodies)
		if !errors.Is(err, ErrGuard) || failed[100] == nil || done[100] > 0 {
			t.Errorf("put through a link: %v", err)
		}
		if got, _ := os.ReadFile(victim); string(got) != "mine" {
			t.Errorf("what the link leads to holds %q", got)
		}
	})
	t.Run("directory", func(t *testing.T) {
		h := pathHost(t, programs)
		r := accountOf(t, h)
		files, bodies := newFiles(t, r, 200)
		elsewhere := t.TempDir()
		dir := filepath.Join(r.dir, strings.TrimSuffix(inbox, "/"))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(elsewhere, dir); err != nil {
			t.Fatal(err)
		}
		_, done, _, err := putAll(t.Context(), r, files, bodies)
		if !errors.Is(err, ErrGuard) || len(done) > 0 {
			t.Errorf("%d put through a link: %v", len(done), err)
		}
		// Neither does the script by itself, without the guard before it.
		a := &archive{files: files, todo: []int{5, 6, 7}, sums: map[int][32]byte{}, sizes: map[int]int64{}, open: func(int) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("x")), nil
		}}
		err = r.link.stream(t.Context(), fmt.Sprintf(layScript, quote(dir)), a.write, func(string) error { return nil })
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Status != 1 {
			t.Errorf("the script in a linked directory: %v, want status 1", err)
		}
		if left, _ := os.ReadDir(elsewhere); len(left) > 0 {
			t.Errorf("%d files lie elsewhere", len(left))
		}
	})
}

// TestPutByTarNeverOverwrites: neither what stands at a destination, nor, by tar, what stands at a temporary name.
func TestPutByTarNeverOverwrites(t *testing.T) {
	r := accountOf(t, pathHost(t, map[string]string{"tar": "", "xargs": "", "sync": ""}))
	files, bodies := newFiles(t, r, 300) // u.1 to u.3 are there
	writeFile(t, r, files[200].Temp.Rel(), "of an interrupted run")
	writeFile(t, r, files[201].Temp.Rel(), string(bodies[201]))
	_, done, failed, err := putAll(t.Context(), r, files, bodies)
	if !errors.Is(err, fs.ErrExist) || len(failed) == 0 {
		t.Errorf("put onto files: %v, want fs.ErrExist", err)
	}
	for i := range 3 {
		wantFile(t, r, fmt.Sprintf("%su.%d", inbox, i+1), "x")
		if done[i+1] > 0 {
			t.Errorf("u.%d is said to be done", i+1)
		}
	}
	for i := range files {
		if done[i]+min(1, len(fmt.Sprint(failed[i]))) == 0 {
			t.Errorf("%d was told of neither way", i)
		}
	}
	// Once more for those that are not done: what is left of the first time is in nobody's way.
	var rest []NewFile
	var restBodies [][]byte
	for i, f := range files {
		if done[i] == 0 && (i < 1 || i > 3) {
			rest, restBodies = append(rest, f), append(restBodies, bodies[i])
		}
	}
	if len(rest) > 0 {
		if _, _, _, err := putAll(t.Context(), r, rest, restBodies); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		os.Remove(filepath.Join(r.dir, files[i+1].Temp.Rel()))
	}
	wantPut(t, r, append(files[:1:1], files[4:]...), append(bodies[:1:1], bodies[4:]...))
}

func TestPutByTarEndsWithContext(t *testing.T) {
	h := pathHost(t, map[string]string{"tar": "case \"$1\" in -x) exec sleep 60;; esac\nexit 1\n", "xargs": ""})
	r := accountOf(t, h)
	files, bodies := newFiles(t, r, 200)
	files, bodies = files[4:], bodies[4:]
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	began := time.Now()
	_, done, _, err := putAll(ctx, r, files, bodies)
	if !errors.Is(err, context.Canceled) || len(done) > 0 || time.Since(began) > 30*time.Second {
		t.Errorf("after %v: %d done, %v", time.Since(began), len(done), err)
	}
	if h.bulk.noLay.Load() {
		t.Error("an interruption counts against the host's tar")
	}
}

// TestPutByTarLeavesOut what cannot be read here, or is larger than was said, to SFTP, which tells of it.
func TestPutByTarLeavesOut(t *testing.T) {
	r := accountOf(t, pathHost(t, map[string]string{"tar": "", "xargs": "", "sync": ""}))
	files, bodies := newFiles(t, r, 200)
	files, bodies = files[4:], bodies[4:]
	bodies[50] = randomBytes(layMost+1, 1)
	bodies[51] = randomBytes(layMost, 2)
	files[100].Attr.MTime = time.Unix(-5, 0)
	opened, _, _, err := putAll(t.Context(), r, files[:100], bodies[:100])
	if err != nil || opened[50] != 2 || opened[51] != 1 {
		t.Errorf("read %d and %d times: %v", opened[50], opened[51], err)
	}
	wantPut(t, r, files[:100], bodies[:100])
	if _, _, failed, err := putAll(t.Context(), r, files[100:], bodies[100:]); err == nil || failed[0] == nil || !strings.Contains(failed[0].Error(), "SFTP cannot set the time") {
		t.Errorf("a file of before 1970: %v", err)
	}
}
