package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"dovemend/repair/store"
)

// gist is what two snapshots of the same host must have in common.
func gist(s *Snapshot) []string {
	var out []string
	for _, e := range s.Manifest().Entries {
		out = append(out, fmt.Sprintf("%q %q %v %v %d %s %q %t", e.Path, e.Local, e.Type, e.Mode, e.Size, e.SHA256, e.Link, e.Torn))
	}
	return out
}

func TestTakeIsResumedAfterAFaultAtEachCall(t *testing.T) {
	fault := errors.New("connection lost")
	fresh := func() *host {
		h := newHost("a", "b/c", "b/d", "cur/1:2,S", "dovecot.index")
		h.link("l", "a")
		return h
	}
	h := fresh()
	want := gist(take(t, h, newDir(t), Options{Parallel: 2}))
	calls := h.calls
	for n := 1; n <= calls; n++ {
		for _, cancelled := range []bool{false, true} {
			h := fresh()
			ctx, cancel := context.WithCancel(context.Background())
			down := false
			var mu sync.Mutex
			h.hook = func(h *host, op string, p store.RelPath, k int) error {
				mu.Lock()
				defer mu.Unlock()
				if k < n {
					return nil
				}
				if cancelled {
					cancel()
					return nil
				}
				down = true
				return fault
			}
			dst := newDir(t)
			s, err := Take(ctx, h, dst, Options{Parallel: 2})
			cancel()
			if err == nil && !cancelled && down {
				t.Fatalf("call %d: no error", n)
			}
			if err != nil && !errors.Is(err, fault) && !errors.Is(err, context.Canceled) {
				t.Fatalf("call %d: %v", n, err)
			}
			if h.hook = nil; err != nil {
				s = take(t, h, dst, Options{})
			}
			same(t, h, s)
			if got := gist(s); !slices.Equal(got, want) {
				t.Fatalf("call %d: resumed\n%v\nwant\n%v", n, got, want)
			}
		}
	}
}

func TestEveryNthCallMayFailUntilTheCopyIsDone(t *testing.T) {
	for _, every := range []int{7, 13, 29} {
		h := newHost()
		for i := range 40 {
			h.put(fmt.Sprintf("cur/%d", i), "message")
		}
		h.hook = func(h *host, op string, p store.RelPath, k int) error {
			if k%every == 0 {
				return errors.New("connection lost")
			}
			return nil
		}
		dst := newDir(t)
		var s *Snapshot
		var err error
		for try := 0; try < 200 && s == nil; try++ {
			s, err = Take(context.Background(), h, dst, Options{Parallel: 3})
		}
		if s == nil {
			t.Fatalf("every %d: never done: %v", every, err)
		}
		h.hook = nil
		if len(s.Manifest().Earlier) == 0 && !s.Manifest().Incomplete {
			same(t, h, s)
		}
	}
}

func TestResumeDownloadsOnlyWhatIsMissing(t *testing.T) {
	h := newHost()
	for i := range 30 {
		h.put(fmt.Sprintf("cur/%d", i), fmt.Sprint("message ", i))
	}
	h.hook = func(h *host, op string, p store.RelPath, k int) error {
		if p == "cur/25" && op == "open" {
			return errors.New("cut")
		}
		if p == "cur/25" && op == "lstat" {
			return errors.New("cut")
		}
		return nil
	}
	dst := newDir(t)
	if _, err := Take(context.Background(), h, dst, Options{Parallel: 1}); err == nil {
		t.Fatal("no error")
	}
	done := 0
	for range h.opened {
		done++
	}
	if done < 5 {
		t.Fatalf("only %d files were tried before the cut", done)
	}
	h.hook, h.opened = nil, map[store.RelPath]int{}
	// One of the files that were done is damaged on the local disk, another is gone from the host.
	f, err := dst.Open(partialName)
	if err != nil {
		t.Fatal(err)
	}
	var noted []Entry
	_, _, err = readJournal(f, func(e Entry) error { noted = append(noted, e); return nil })
	f.Close()
	if err != nil || len(noted) < 4 {
		t.Fatalf("%d noted, %v", len(noted), err)
	}
	dst.Remove(filePath(&noted[0]))
	dst.WriteFile(filePath(&noted[0]), []byte("damaged!!"), 0o600)
	h.remove(string(noted[1].Path))
	s := take(t, h, dst, Options{})
	same(t, h, s)
	if st := s.Stats(); st.Resumed != len(noted)-2 || st.Fetched != 30-1-st.Resumed {
		t.Errorf("%d noted, %+v", len(noted), st)
	}
	if m := s.Manifest(); len(m.Earlier) != 1 || m.Earlier[0].Path != noted[1].Path {
		t.Errorf("the bytes of the file that is gone were not kept: %+v", m.Earlier)
	}
}

// copyDir copies a snapshot's directory as it is at some moment, as a kill would leave it.
func copyDir(from *os.Root, to *os.Root) error {
	return fs.WalkDir(from.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return nil // it moved under our hands, as it may
		}
		if d.IsDir() {
			return to.MkdirAll(name, 0o700)
		}
		b, err := from.ReadFile(name)
		if err != nil {
			return nil
		}
		if err := to.WriteFile(name, b, 0o600); err != nil {
			return err
		}
		if info, err := d.Info(); err == nil {
			return to.Chtimes(name, info.ModTime(), info.ModTime())
		}
		return nil
	})
}

func TestTakeKilledAtAnyMomentIsResumed(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 9))
		h := randomHost(r, 40)
		dst := newDir(t)
		calls := 20 + r.IntN(150)
		dead := newDir(t)
		var mu sync.Mutex
		copied := false
		h.hook = func(h *host, op string, p store.RelPath, k int) error {
			mu.Lock()
			defer mu.Unlock()
			if k >= calls && !copied {
				copied = true
				return copyDir(dst, dead)
			}
			return nil
		}
		whole := take(t, h, dst, Options{Parallel: 4})
		h.hook = nil
		s, err := Take(context.Background(), h, dead, Options{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		same(t, h, s)
		if !slices.Equal(gist(s), gist(whole)) {
			t.Fatalf("seed %d: resumed otherwise than copied at once", seed)
		}
	}
}
