//go:build unix

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
	"testing"
	"time"
)

// puts are n new files of growing size, some of them large, and their bytes.
func puts(t *testing.T, r *Root, n int) (files []NewFile, bodies [][]byte) {
	t.Helper()
	for i := range n {
		size := i * 37
		if i%100 == 99 {
			size = putChunk + i
		}
		bodies = append(bodies, randomBytes(size, uint64(i)))
		told := int64(size)
		if i%50 == 7 { // who asks may be wrong about it
			told = 3
		}
		files = append(files, NewFile{
			Temp: writable(t, r, fmt.Sprintf("%s.dovemend-%d", inbox, i), ClassTemp), To: writable(t, r, fmt.Sprintf("%su.%d", inbox, i), ClassMailboxFile),
			Size: told, Attr: Attr{Mode: 0o640, MTime: time.Unix(1_589_500_000+int64(i), 0)},
		})
	}
	return files, bodies
}

type closing struct {
	io.Reader
	closed func()
}

func (c closing) Close() error { c.closed(); return nil }

func TestPutEachWritesAll(t *testing.T) {
	r := mailRoot(t, sftpOptions{delay: 10 * time.Millisecond})
	files, bodies := puts(t, r, 500)
	opened := make(chan int, len(files))
	done := map[int]bool{}
	err := r.PutEach(t.Context(), files, func(i int) (io.ReadCloser, error) {
		return closing{iotestReader(string(bodies[i])), func() { opened <- i }}, nil
	}, func(i int, err error) {
		if err != nil || done[i] {
			t.Error(i, err)
		}
		done[i] = true
	})
	if err != nil || len(done) != len(files) || len(opened) != len(files) {
		t.Fatalf("%d done, %d closed: %v", len(done), len(opened), err)
	}
	for i, f := range files {
		name := filepath.Join(r.dir, f.To.Rel())
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, bodies[i]) {
			t.Errorf("%s: %d bytes, want %d: %v", f.To.Rel(), len(got), len(bodies[i]), err)
		}
		if at, err := os.Stat(name); err != nil || at.Mode() != 0o640 || !at.ModTime().Equal(f.Attr.MTime) {
			t.Errorf("%s: %v, %v", f.To.Rel(), at, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, inbox, ".dovemend-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestPutEachStopsAtTheFirstError: nothing is written over, and each file that was begun is told of.
func TestPutEachStopsAtTheFirstError(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	files, bodies := puts(t, r, 600)
	writeFile(t, r, inbox+"u.20", "somebody's")
	broken := errors.New("cannot be read")
	for name, c := range map[string]struct {
		open func(i int) (io.ReadCloser, error)
		want error
	}{
		"taken":      {func(i int) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(bodies[i])), nil }, fs.ErrExist},
		"unreadable": {func(i int) (io.ReadCloser, error) { return nil, broken }, broken},
	} {
		failed, came := 0, 0
		err := r.PutEach(t.Context(), files, c.open, func(i int, err error) {
			if err != nil {
				failed++
				return
			}
			came++
			wantFile(t, r, files[i].To.Rel(), string(bodies[i]))
			os.Remove(filepath.Join(r.dir, files[i].To.Rel()))
		})
		if !errors.Is(err, c.want) || failed == 0 || failed+came > len(files) || came > len(files)-1 {
			t.Errorf("%s: %d failed, %d came: %v", name, failed, came, err)
		}
		wantFile(t, r, inbox+"u.20", "somebody's")
	}
}

func TestPutEachEndsWithContext(t *testing.T) {
	r := mailRoot(t, sftpOptions{delay: 20 * time.Millisecond})
	files, bodies := puts(t, r, 600)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := r.PutEach(ctx, files, func(i int) (io.ReadCloser, error) {
		if i == 100 {
			cancel()
		}
		return io.NopCloser(bytes.NewReader(bodies[i])), nil
	}, func(int, error) {})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRemoveLeavesWhatHasChanged: between the guard's look and the removal a mail program may write.
func TestRemoveLeavesWhatHasChanged(t *testing.T) {
	r := mailRoot(t, sftpOptions{})
	for name, change := range map[string]func(p string) error{
		"longer": func(p string) error { return os.WriteFile(p, []byte("new mail"), 0o600) },
		"newer":  func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(1_600_000_000, 0)) },
		"other": func(p string) error {
			return errors.Join(os.Remove(p), os.WriteFile(p, []byte("other"), 0o600), os.Chtimes(p, time.Time{}, time.Unix(1_600_000_001, 0)))
		},
	} {
		writeFile(t, r, inbox+"u.1", "a mail")
		g := guarded(t, r, inbox+"u.1", ClassMailboxFile)
		if err := change(filepath.Join(r.dir, inbox, "u.1")); err != nil {
			t.Fatal(err)
		}
		if err := r.Remove(t.Context(), g); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "u.1") {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.RemoveEach(t.Context(), []GuardedPath{g}, func(int, error) {}); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(r.dir, inbox, "u.1")); err != nil {
			t.Errorf("%s: it is gone: %v", name, err)
		}
	}
}
