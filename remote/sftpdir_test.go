//go:build !windows

package remote

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// aheadHost has one directory of so many pieces, of three names each. Of every one but the last it gives a piece only when the next is asked
// for too.
func aheadHost(t *testing.T, server string, pieces int) *fakeHost {
	f := &fakeHost{}
	f.server.ServerVersion = server
	f.sftp = func(ch io.ReadWriteCloser) {
		given := 0
		var back []byte
		rawSFTP(ch, func(kind byte, id uint32, _ []byte) [][]byte {
			switch kind {
			case fxpOpendir:
				given, back = 0, nil
				return [][]byte{reply(fxpHandle, id, str("h"))}
			case fxpReaddir:
				answers := [][]byte{}
				if back != nil {
					answers, back = append(answers, back), nil
				}
				if given++; given > pieces {
					return append(answers, status(id, 1, "EOF"))
				}
				back = names(id, fmt.Sprint(given, "a"), fmt.Sprint(given, "b"), fmt.Sprint(given, "c"))
				return answers
			}
			return [][]byte{status(id, 0, "")}
		})
	}
	return startFake(t, f)
}

// TestDirectoriesAreListedAhead: a piece is asked for before the one before it has come.
func TestDirectoriesAreListedAhead(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 30, 200} {
		h := dial(t, aheadHost(t, servers[1], n).config(t))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for range 2 {
			entries, err := h.FS(ctx).ReadDir("x")
			if err != nil || len(entries) != 3*n {
				t.Errorf("%d pieces: %d entries, %v", n, len(entries), err)
			}
		}
		if tap := h.now.tap; tap.own.ahead != 0 {
			t.Errorf("%d pieces: %d are held to be asked for still", n, tap.own.ahead)
		}
	}
}

// TestAnotherSFTPServerIsNotAskedAhead: it may answer in another order.
func TestAnotherSFTPServerIsNotAskedAhead(t *testing.T) {
	h := dial(t, aheadHost(t, servers[0], 2).config(t))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if entries, err := h.FS(ctx).ReadDir("x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestListingAheadGivesTheErrorsOfTheLibrary(t *testing.T) {
	for _, tt := range []struct {
		name string
		open func(id uint32) []byte
		read func(id uint32) []byte
		want error
		says string
	}{
		{"not there", func(id uint32) []byte { return status(id, 2, "no") }, nil, fs.ErrNotExist, "no such file"},
		{"not allowed", func(id uint32) []byte { return status(id, 3, "no") }, nil, fs.ErrPermission, "denied"},
		{"a failure", func(id uint32) []byte { return status(id, 4, "no\a") }, nil, nil, `answers "no\a" (SSH_FX_FAILURE)`},
		{"a failure in the middle", nil, func(id uint32) []byte { return status(id, 4, "no\a") }, nil, `answers "no\a" (SSH_FX_FAILURE)`},
		{"no answer to it", func(id uint32) []byte { return reply(105, id, attrs(0o644, 1)) }, nil, ErrDisconnected, "does not answer what it was asked"},
		{"no handle", func(id uint32) []byte { return reply(fxpHandle, id, []byte{0, 0, 0, 9}) }, nil, ErrDisconnected, "does not answer what it was asked"},
		{"no answer to the second", nil, func(id uint32) []byte { return reply(fxpData, id, str("x")) }, ErrDisconnected, "does not answer what it was asked"},
		{"a list that is cut short", nil, func(id uint32) []byte { return reply(fxpName, id, []byte{0, 0, 0, 2}, str("a")) }, ErrDisconnected, "cut short"},
		{"a packet past all bounds", nil, func(id uint32) []byte { return reply(fxpName, id, make([]byte, maxAnswer)) }, ErrDisconnected, "a packet of"},
	} {
		f := &fakeHost{}
		f.server.ServerVersion = servers[1]
		f.sftp = func(ch io.ReadWriteCloser) {
			rawSFTP(ch, func(kind byte, id uint32, _ []byte) [][]byte {
				switch {
				case kind == fxpOpendir && tt.open != nil:
					return [][]byte{tt.open(id)}
				case kind == fxpOpendir:
					return [][]byte{reply(fxpHandle, id, str("h"))}
				case kind == fxpReaddir:
					return [][]byte{tt.read(id)}
				}
				return [][]byte{status(id, 0, "")}
			})
		}
		_, err := dial(t, startFake(t, f).config(t)).FS(t.Context()).ReadDir("x")
		if err == nil || !strings.Contains(err.Error(), tt.says) || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestListingAheadEndsWithTheConnection: nobody waits for an answer that cannot come.
func TestListingAheadEndsWithTheConnection(t *testing.T) {
	r, w := io.Pipe()
	tap := newSFTPTap(r, &slowWriter{}, func(error) {}, func(error) {})
	done := make(chan error)
	go func() {
		_, err := tap.readDir(t.Context(), "/x")
		done <- err
	}()
	go io.Copy(io.Discard, tap)
	w.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-done; !errors.Is(err, sftp.ErrSSHFxConnectionLost) {
		t.Errorf("got %v", err)
	}
	if _, err := tap.readDir(t.Context(), "/x"); !errors.Is(err, sftp.ErrSSHFxConnectionLost) {
		t.Errorf("afterwards: %v", err)
	}
}

// TestOwnRequestsGoBetweenThoseOfTheLibrary: none cuts one of the library's in two.
func TestOwnRequestsGoBetweenThoseOfTheLibrary(t *testing.T) {
	var out keptWriter
	tap := newSFTPTap(nil, &out, func(error) {}, func(error) {})
	theirs := append([]byte{0, 0, 0, 20, 6, 0, 0, 0, 1}, make([]byte, 15)...)
	tap.Write(theirs[:7])
	if _, err := tap.ask(fxpOpendir, "/x", true); err != nil {
		t.Fatal(err)
	}
	tap.Write(theirs[7:])
	if _, err := tap.ask(fxpClose, "h", false); err != nil {
		t.Fatal(err)
	}
	var kinds []byte
	out.settled(t, 24+15+14)
	for left := out.bytes(); len(left) > 4; {
		kinds = append(kinds, left[4])
		left = left[4+binary.BigEndian.Uint32(left):]
	}
	if !bytes.Equal(kinds, []byte{6, fxpOpendir, fxpClose}) {
		t.Errorf("%d are sent: %x", kinds, out.bytes())
	}
}

// keptWriter keeps what is written.
type keptWriter struct {
	mu  sync.Mutex
	all []byte
}

func (w *keptWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, p...)
	return len(p), nil
}

func (w *keptWriter) Close() error { return nil }

func (w *keptWriter) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

func (w *keptWriter) settled(t *testing.T, n int) {
	for deadline := time.Now().Add(10 * time.Second); len(w.bytes()) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are written, not %d", len(w.bytes()), n)
		}
	}
}

// TestOpenSSHListsAheadWhatIsThere: large and small directories at one time, beside files that are read.
func TestOpenSSHListsAheadWhatIsThere(t *testing.T) {
	id, pub := newIdentity(t, "ed25519", "")
	h := dial(t, startSSHD(t, "", pub).config(id))
	if _, own := h.now.sftpc.HasExtension("fsync@openssh.com"); !own {
		t.Fatal("it is not asked ahead")
	}
	root := t.TempDir()
	var wg sync.WaitGroup
	sizes := []int{0, 1, 99, 100, 101, 199, 200, 201, 3000}
	for _, files := range sizes {
		n := files
		dir := filepath.Join(root, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range files {
			name := filepath.Join(dir, fmt.Sprintf("%d \xff\n%d", i, n))
			if i%50 == 7 {
				if err := os.Symlink("nowhere", name); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(name, bytes.Repeat([]byte("x"), i), 0o640); err != nil {
				t.Fatal(err)
			}
		}
	}
	fsys := h.FS(t.Context())
	for _, n := range sizes {
		wg.Go(func() {
			dir := filepath.Join(root, fmt.Sprint(n))
			want, err := os.ReadDir(dir)
			if err != nil {
				t.Error(err)
			}
			got, err := fsys.ReadDir(dir[1:])
			if err != nil || len(got) != len(want) {
				t.Errorf("%d: %d entries, want %d: %v", n, len(got), len(want), err)
				return
			}
			for i := range want {
				w, err := want[i].Info()
				if err != nil {
					t.Error(err)
					continue
				}
				g, err := got[i].Info()
				if err != nil || g.Name() != w.Name() || g.Mode() != w.Mode() || g.Size() != w.Size() || g.ModTime().Unix() != w.ModTime().Unix() || g.Sys().(*Stat).UID != os.Getuid() {
					t.Errorf("%d: got %v %v, want %v: %v", n, g, g.Sys(), w, err)
				}
				if i < 20 && w.Mode().IsRegular() {
					if b, err := fs.ReadFile(fsys, filepath.Join(dir, w.Name())[1:]); err != nil || int64(len(b)) != w.Size() {
						t.Errorf("%q: %d bytes, %v", w.Name(), len(b), err)
					}
				}
			}
		})
	}
	wg.Wait()
}
