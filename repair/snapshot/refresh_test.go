package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"dovemend/repair/store"
)

func kinds(changes []Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, string(c.Kind)+" "+string(c.Path))
	}
	return out
}

func TestRefreshTakesWhatChangedAndKeepsWhatWas(t *testing.T) {
	h := newHost("same", "index", "gone", "dir/in", "attr")
	s := take(t, h, newDir(t), Options{})
	h.put("index", "another index")
	h.remove("gone")
	h.remove("dir")
	h.put("dir", "now a file")
	h.put("new/file", "x")
	h.nodes["attr"].Mode = 0o600
	changed, err := s.Refresh(context.Background(), h, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"attr attr", "content dir", "gone dir/in", "gone gone", "content index", "added new", "added new/file"}
	if got := kinds(changed); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	same(t, h, s)
	earlier := map[store.RelPath]string{}
	for _, e := range s.Manifest().Earlier {
		f, err := s.Earlier(e)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(f)
		f.Close()
		earlier[e.Path] = string(b)
	}
	if len(earlier) != 3 || earlier["index"] != "bytes of index" || earlier["gone"] != "bytes of gone" || earlier["dir/in"] != "bytes of dir/in" {
		t.Errorf("earlier %q", earlier)
	}
	again, err := Open(s.root)
	if err != nil || again.Digest() != s.Digest() {
		t.Fatalf("%v", err)
	}
	same(t, h, again)
	if changed, err := s.Refresh(context.Background(), h, Options{}); err != nil || len(changed) > 0 {
		t.Errorf("nothing changed, and Refresh says %q, %v", kinds(changed), err)
	}
}

func TestRefreshFetchesAgainWhatIsDamagedOnTheLocalDisk(t *testing.T) {
	for _, verify := range []string{"", "listing"} {
		h := newHost("flipped", "short", "lost", "whole")
		first := take(t, h, newDir(t), Options{})
		s := take(t, h, newDir(t), Options{Previous: []*Stored{&first.Stored}})
		write := func(s *Snapshot, name, data string) {
			f, err := s.root.OpenFile("files/"+name, os.O_WRONLY|os.O_TRUNC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString(data); err != nil {
				t.Fatal(err)
			}
		}
		write(first, "flipped", "BYTES of flipped") // the same file as in s, where links can be made
		write(s, "flipped", "BYTES of flipped")
		write(s, "short", "bytes")
		if err := s.root.Remove("files/lost"); err != nil {
			t.Fatal(err)
		}
		changed, err := s.Refresh(context.Background(), h, Options{Verify: verify, Paths: []store.RelPath{"flipped", "short", "lost", "whole"}})
		want := []string{"content flipped", "content lost", "content short"}
		if got := kinds(changed); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		same(t, h, s)
		if err := s.Check(context.Background()); err != nil {
			t.Error(err)
		}
		if b, err := first.root.ReadFile("files/flipped"); err != nil || string(b) != "BYTES of flipped" {
			t.Errorf("the older snapshot's file was written to: %q, %v", b, err)
		}
	}
}

func TestRefreshSeesByHashWhatAListingDoesNotShow(t *testing.T) {
	h := newHost("a", "b")
	s := take(t, h, newDir(t), Options{})
	h.nodes["a"].data = []byte("BYTES OF A")
	h.nodes["b"].data = []byte("BYTES OF B")
	changed, err := s.Refresh(context.Background(), h, Options{Paths: []store.RelPath{"a"}})
	if got := kinds(changed); err != nil || !slices.Equal(got, []string{"content a"}) {
		t.Errorf("%q, %v", got, err)
	}
	changed, err = s.Refresh(context.Background(), h, Options{Verify: "full"})
	if got := kinds(changed); err != nil || !slices.Equal(got, []string{"content b"}) {
		t.Errorf("%q, %v", got, err)
	}
	same(t, h, s)
}

func TestRefreshCuresTornAndUnreadable(t *testing.T) {
	h := newHost("torn", "closed")
	h.nodes["torn"].Size = 3
	h.nodes["closed"].denied = true
	s := take(t, h, newDir(t), Options{})
	if s.Stats().Torn != 1 || s.Stats().Missing != 1 {
		t.Fatalf("%+v", s.Stats())
	}
	h.nodes["torn"].Size = int64(len(h.nodes["torn"].data))
	h.nodes["closed"].denied = false
	if _, err := s.Refresh(context.Background(), h, Options{}); err != nil {
		t.Fatal(err)
	}
	same(t, h, s)
	if s.Stats().Torn != 0 || s.Stats().Missing != 0 || s.Manifest().Incomplete {
		t.Errorf("%+v", s.Stats())
	}
}

func TestRefreshFailedAtAnyCallLeavesTheSnapshotAsItWas(t *testing.T) {
	for n := 1; n < 40; n++ {
		h := newHost("a", "b", "c/d")
		s := take(t, h, newDir(t), Options{})
		before := s.Digest()
		h.put("a", "A")
		h.remove("b")
		h.put("e", "E")
		start := h.calls
		h.hook = func(h *host, op string, p store.RelPath, k int) error {
			if k-start >= n {
				return errors.New("connection lost")
			}
			return nil
		}
		_, err := s.Refresh(context.Background(), h, Options{Parallel: 1})
		h.hook = nil
		again, e := Open(s.root)
		if e != nil {
			t.Fatal(e)
		}
		if err == nil {
			same(t, h, again)
			return
		}
		if again.Digest() != before {
			t.Fatalf("call %d: another snapshot after %v", n, err)
		}
		if err := again.Check(context.Background()); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		if _, err := again.Refresh(context.Background(), h, Options{}); err != nil {
			t.Fatal(err)
		}
		same(t, h, again)
	}
	t.Fatal("never done")
}

// TestRefreshKilledWhilePuttingIntoPlace cuts the last stage after each of its moves, twice over.
func TestRefreshKilledWhilePuttingIntoPlaceIsFinishedByOpen(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 5))
		h := randomHost(r, 25)
		dst := newDir(t)
		s := take(t, h, dst, Options{})
		other := randomHost(r, 25)
		other.nodes["."] = h.nodes["."]
		w := &work{copier: newCopier(dst, other, nil), o: Options{Parallel: 2, Paths: []store.RelPath{"."}}}
		next := s.m
		w.m, w.names = &next, newNaming(false)
		if err := prepare(dst); err != nil {
			t.Fatal(err)
		}
		defer w.closeRolls()
		var err error
		if w.orig, err = w.rollOf(cursorOf(s.m.Entries)); err != nil {
			t.Fatal(err)
		}
		w.list = w.orig
		if err := w.settle(context.Background(), true); err != nil {
			t.Fatal(err)
		}
		moves, err := w.moves(true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writeFile(dst, nextName, func(out io.Writer) (string, error) { return next.write(out, w.list.cursor()) }); err != nil {
			t.Fatal(err)
		}
		if _, err := writeFile(dst, finishName, func(out io.Writer) (string, error) {
			return "", json.NewEncoder(out).Encode(moves)
		}); err != nil {
			t.Fatal(err)
		}
		cut := r.IntN(len(moves) + 1)
		for range 2 { // made in part, then once more from the start: each move may be made again
			for _, m := range moves[:cut] {
				if err := m.make(dst); err != nil {
					t.Fatal(err)
				}
			}
		}
		again, err := Open(dst)
		if err != nil {
			t.Fatalf("seed %d, cut %d: %v", seed, cut, err)
		}
		if err := clearIncoming(dst); err != nil {
			t.Fatal(err)
		}
		same(t, other, again)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	s := take(t, newHost("a", "b"), newDir(t), Options{})
	if err := s.root.WriteFile("files/a", []byte("BYTES OF A"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(context.Background()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "files/a") || strings.Contains(err.Error(), "files/b") {
		t.Errorf("%v", err)
	}
}

func TestFSFollowsLinksWithinTheCopyOnly(t *testing.T) {
	h := newHost("dir/file")
	h.link("in", "dir")
	h.link("out", "../../etc")
	h.link("abs", "/etc")
	h.link("loop", "loop")
	fsys := take(t, h, newDir(t), Options{}).FS()
	if b, err := fs.ReadFile(fsys, "in/file"); err != nil || string(b) != "bytes of dir/file" {
		t.Errorf("%q, %v", b, err)
	}
	for _, p := range []string{"out", "abs/passwd", "loop", "../x", "/dir", "dir/file/x"} {
		if _, err := fsys.Open(p); err == nil {
			t.Errorf("%s opens", p)
		}
	}
	if to, err := fsys.ReadLink("abs"); err != nil || to != "/etc" {
		t.Errorf("%q, %v", to, err)
	}
	if i, err := fsys.Lstat("loop"); err != nil || i.Mode().Type() != fs.ModeSymlink {
		t.Errorf("%v, %v", i, err)
	}
	if err := fstest.TestFS(take(t, newHost("a/b/c", "d"), newDir(t), Options{}).FS(), "a/b/c", "d"); err != nil {
		t.Error(err)
	}
}

func TestPortableNamesAreHoldableEverywhere(t *testing.T) {
	for text, want := range map[string]string{"Entwürfe": "Entwürfe", "": "%", ".": "%2E", "..": ".%2E", "a/b": "a%2Fb", "con": "%63on", "a\x1b[2J": "a%1B[2J", "50%": "50%25",
		strings.Repeat("x", 100): strings.Repeat("x", 100)} {
		if got := PortableName(text, 100); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	long := strings.Repeat("é", 200)
	if got := PortableName(long, 100); len(got) > 100 || !strings.HasPrefix(got, "éé") || got == PortableName(long+"x", 100) {
		t.Errorf("got %q", got)
	}
}

func TestLocalNamesAreDistinctAndHoldable(t *testing.T) {
	hard := []store.RelPath{"a", "A", "dir/x", "DIR/x", "Dir/X", "con", "CON.txt", "aux.", "x.", "x ", "a:b", "a%3Ab", "%", "%25", "a%~2", "ü", "u\u0308", "\xff", "\x00x", "n\nl", "~1",
		store.RelPath(strings.Repeat("é", 127)), store.RelPath(strings.Repeat("é", 127) + "x"), store.RelPath(strings.Repeat("\xff", 255)), store.RelPath(strings.Repeat("A", 255)), store.RelPath(strings.Repeat("a", 255))}
	for _, n := range []*naming{newNaming(false), newNaming(true), {windows: true, fold: true, dirs: map[store.RelPath]string{".": "."}, taken: map[string]store.RelPath{}}} {
		seen := map[string]store.RelPath{}
		for _, p := range hard {
			local := n.file(p)
			key := local
			if n.fold {
				key = strings.ToLower(local)
			}
			if q, ok := seen[key]; ok {
				t.Errorf("windows %t, fold %t: %q and %q are both %q", n.windows, n.fold, p, q, local)
			}
			seen[key] = p
			for c := range strings.SplitSeq(local, "/") {
				if len(c) > maxComponent || c == "" || strings.ContainsAny(c, "\x00\n") || n.windows && (strings.ContainsAny(c, `<>:"|?*\`) || strings.HasSuffix(c, ".") || strings.HasSuffix(c, " ") || reservedOnWindows(c)) {
					t.Errorf("windows %t: %q becomes %q", n.windows, p, c)
				}
			}
			if again := n.file(p); n.fold && again != local {
				t.Errorf("%q is %q, then %q", p, local, again)
			}
		}
	}
	if got := newNaming(false).file("mailboxes/INBOX/dbox-Mails/1234.M5P6.host,S=7:2,S"); got != "mailboxes/INBOX/dbox-Mails/1234.M5P6.host,S=7:2,S" {
		t.Errorf("an ordinary name became %q", got)
	}
}
