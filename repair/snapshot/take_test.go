package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"dovemend/repair/store"
)

func TestTakeCopiesTreesOfHostileNames(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 1))
		h := randomHost(r, 60)
		h.noSums = seed%3 == 0
		s := take(t, h, newDir(t), Options{Root: "/m", Verify: []string{"", "auto", "full", "listing"}[seed%4]})
		same(t, h, s)
		again, err := Open(s.root)
		if err != nil {
			t.Fatal(err)
		}
		if again.Digest() != s.Digest() || len(Compare(again.Manifest().Entries, s.Manifest().Entries)) > 0 {
			t.Errorf("seed %d: the manifest reads back differently", seed)
		}
		same(t, h, again)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestTakeSaysHowItVerified(t *testing.T) {
	for _, tt := range []struct {
		verify string
		noSums bool
		want   string
	}{{"", false, "hash"}, {"auto", true, "listing"}, {"full", false, "reread"}, {"full", true, "reread"}, {"listing", false, "listing"}} {
		h := newHost("a/b", "c")
		h.noSums = tt.noSums
		if got := take(t, h, newDir(t), Options{Verify: tt.verify}).Manifest().Verified; got != tt.want {
			t.Errorf("verify %q, host hashes %t: %q, want %q", tt.verify, !tt.noSums, got, tt.want)
		}
	}
	if _, err := Take(context.Background(), newHost(), newDir(t), Options{Verify: "maybe"}); err == nil {
		t.Error("an unknown way to verify was taken")
	}
}

func TestTakeCopiesAgainWhatChangedMeanwhile(t *testing.T) {
	for _, sums := range []bool{true, false} {
		h := newHost("steady", "dir/log", "dir/gone", "dir/swapped")
		h.noSums = !sums
		var once atomic.Bool
		h.hook = func(h *host, op string, p store.RelPath, n int) error {
			if op == "read" && p == "steady" && once.CompareAndSwap(false, true) {
				h.put("dir/log", "a longer text than it was before")
				h.remove("dir/gone")
				h.remove("dir/swapped")
				h.put("dir/swapped/now a directory", "x")
				h.put("new/file", "y")
			}
			return nil
		}
		s := take(t, h, newDir(t), Options{Parallel: 1})
		same(t, h, s)
		if s.Stats().Torn != 0 {
			t.Errorf("%+v", s.Stats())
		}
	}
}

func TestFileThatNeverHoldsStillIsTorn(t *testing.T) {
	h := newHost("log", "calm")
	n := 0
	h.reading = func(h *host, p store.RelPath, off int) {
		if p == "log" && off == 0 {
			h.mu.Lock()
			n++
			h.putAt("log", strings.Repeat("x", 100+n), time.Now())
			h.mu.Unlock()
		}
	}
	s := take(t, h, newDir(t), Options{})
	e, _ := s.Entry("log")
	if !e.Torn || !e.hasBytes() {
		t.Errorf("%+v", e)
	}
	if calm, _ := s.Entry("calm"); calm.Torn {
		t.Error("the calm file is torn too")
	}
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if h.opened["log"] > 60 {
		t.Errorf("the file was opened %d times", h.opened["log"])
	}
}

func TestChangeWithinOneSecondAndSizeIsSeen(t *testing.T) {
	for _, sums := range []bool{true, false} {
		h := newHost()
		now := time.Now()
		h.putAt("f", "first", now)
		h.noSums = !sums
		var once atomic.Bool
		h.hook = func(h *host, op string, p store.RelPath, n int) error {
			if op == "list" && n > 1 && once.CompareAndSwap(false, true) {
				h.mu.Lock()
				h.putAt("f", "other", now)
				h.mu.Unlock()
			}
			return nil
		}
		s := take(t, h, newDir(t), Options{})
		same(t, h, s)
	}
}

func TestFileThatGrowsForEverEndsTheReading(t *testing.T) {
	h := newHost("f")
	h.reading = func(h *host, p store.RelPath, off int) {
		h.mu.Lock()
		h.nodes[p].data = append(h.nodes[p].data, make([]byte, 8192)...) // and its size stays as listed
		h.mu.Unlock()
	}
	s := take(t, h, newDir(t), Options{})
	e, _ := s.Entry("f")
	if !e.Torn || e.Size > overhang+100 {
		t.Errorf("%+v", e)
	}
}

func TestLyingSizesAreTornOrRefused(t *testing.T) {
	h := newHost("short", "negative", "huge")
	h.nodes["short"].Size = 1000
	h.nodes["negative"].Size = -5
	dst := newDir(t)
	h.nodes["huge"].Size = 1 << 62
	var space *NoSpaceError
	if _, err := Take(context.Background(), h, dst, Options{}); !errors.As(err, &space) || space.Need < 1<<62 || space.Have <= 0 {
		t.Errorf("huge: %v", err)
	}
	h.remove("huge")
	s := take(t, h, dst, Options{})
	if e, _ := s.Entry("short"); !e.Torn || e.Size != int64(len("bytes of short")) {
		t.Errorf("%+v", e)
	}
	m := s.Manifest()
	if len(m.Refused) != 1 || m.Refused[0].Path != "negative" || !m.Incomplete {
		t.Errorf("refused %+v", m.Refused)
	}
}

func TestHostileListsNeverLeadOutside(t *testing.T) {
	h := newHost("good", "dir/file")
	h.link("out", "/etc")
	h.link("up", "../..")
	bad := []store.RelPath{"/etc/passwd", "../escape", "a/../../escape", "..", "", "a//b", "a/./b", "a/", "out/passwd", "good/beneath", "up/x", "nul\x00name", "dir", "good", store.RelPath(strings.Repeat("a/", 100) + "x"), store.RelPath(strings.Repeat("y", 5000)), "."}
	for _, p := range bad {
		h.extra = append(h.extra, Entry{Path: p, Size: 4, MTime: longAgo})
	}
	parent := t.TempDir()
	os.Mkdir(parent+"/run", 0o700)
	os.WriteFile(parent+"/canary", []byte("sings"), 0o600)
	dst, err := os.OpenRoot(parent + "/run")
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	s := take(t, h, dst, Options{})
	m := s.Manifest()
	if len(m.Refused) != len(bad) || !m.Incomplete {
		t.Errorf("%d refused, want %d: %.2000q", len(m.Refused), len(bad), m.Refused)
	}
	if b, err := fs.ReadFile(s.FS(), "dir/file"); err != nil || string(b) != "bytes of dir/file" {
		t.Errorf("%q, %v", b, err)
	}
	left, _ := os.ReadDir(parent)
	if len(left) != 2 {
		t.Errorf("beside the snapshot: %v", left)
	}
	for _, e := range m.Entries {
		if !cleanPath(string(e.Path)) {
			t.Errorf("entry %q", e.Path)
		}
	}
}

func TestUnreadableFilesAreNamedAndTheRestIsCopied(t *testing.T) {
	h := newHost("open", "closed", "dir/x")
	h.nodes["closed"].denied = true
	h.nodes["dir"].denied = true
	h.put("broken", "disk error")
	h.hook = func(h *host, op string, p store.RelPath, n int) error {
		if op == "read" && p == "broken" {
			return errors.New("input/output error\x1b[2J")
		}
		return nil
	}
	s := take(t, h, newDir(t), Options{})
	if !s.Manifest().Incomplete || s.Stats().Missing != 3 {
		t.Errorf("incomplete %t, %+v", s.Manifest().Incomplete, s.Stats())
	}
	for _, p := range []string{"closed", "broken", "dir"} {
		if e, ok := s.Entry(store.RelPath(p)); !ok || e.Err == "" {
			t.Errorf("%s: %+v", p, e)
		}
		if _, err := s.FS().Open(p); err == nil {
			t.Errorf("%s opens", p)
		}
	}
	if b, err := fs.ReadFile(s.FS(), "open"); err != nil || string(b) != "bytes of open" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestRecentFilesAreFetchedAgainWhereTheHostCannotHash(t *testing.T) {
	h := newHost("old")
	h.noSums = true
	h.mu.Lock()
	now := time.Now()
	h.putAt("fresh", "first", now)
	h.mu.Unlock()
	first := take(t, h, newDir(t), Options{Root: "/m"})
	h.mu.Lock()
	h.putAt("fresh", "other", now) // the same size and second
	h.mu.Unlock()
	second := take(t, h, newDir(t), Options{Root: "/m", Previous: []*Stored{&first.Stored}})
	same(t, h, second)
	if st := second.Stats(); st.Linked != 1 {
		t.Errorf("%+v", st)
	}
}

func TestTakeOfSomePathsCopiesThoseAlone(t *testing.T) {
	h := newHost("mailboxes/INBOX/dbox-Mails/dovecot.index", "mailboxes/Other/dbox-Mails/dovecot.index", "storage/m.1", "dovemend-aside/r/x", "subscriptions")
	a := store.Account{Layout: store.MDBox, Mailboxes: []store.Mailbox{{Name: "INBOX", Dir: "mailboxes/INBOX/dbox-Mails"}}}
	s := take(t, h, newDir(t), Options{Paths: Paths(a, a.Mailboxes, false)})
	var got []string
	for _, e := range s.Manifest().Entries {
		if e.Type == 0 {
			got = append(got, string(e.Path))
		}
	}
	if want := []string{"mailboxes/INBOX/dbox-Mails/dovecot.index", "storage/m.1", "subscriptions"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := fstest.TestFS(s.FS(), got...); err != nil {
		t.Error(err)
	}
	whole := take(t, h, newDir(t), Options{Paths: Paths(a, nil, true)})
	if _, ok := whole.Entry("dovemend-aside/r/x"); ok {
		t.Error("what was set aside was copied")
	}
	if s := take(t, h, newDir(t), Options{Paths: []store.RelPath{"dovemend-aside"}}); s.Stats().Files != 1 {
		t.Error("what was set aside cannot be copied when asked for")
	}
	for _, p := range []store.RelPath{"..", "/", "", "a/../b"} {
		if _, err := Take(context.Background(), h, newDir(t), Options{Paths: []store.RelPath{p}}); err == nil {
			t.Errorf("path %q was taken", p)
		}
	}
}

func TestPathsForMaildirLeavesSubMailboxesOut(t *testing.T) {
	plus := store.Account{Layout: store.Maildir}
	paths := Paths(plus, []store.Mailbox{{Name: "INBOX", Dir: "."}, {Name: "A", Dir: ".A"}}, false)
	for _, want := range []store.RelPath{"cur", "new", "dovecot-uidlist", ".A", "subscriptions"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%q lacks %q", paths, want)
		}
	}
	if beneath(paths, ".B/cur/1") || beneath(paths, ".A.B/cur/1") {
		t.Errorf("%q holds another mailbox", paths)
	}
	paths = Paths(store.Account{Layout: store.Maildir, FSLayout: true}, []store.Mailbox{{Name: "A", Dir: "A"}}, false)
	if !beneath(paths, "A/cur/1") || beneath(paths, "A/B/cur/1") {
		t.Errorf("%q", paths)
	}
}

func TestTakeRefusesADirectoryInUse(t *testing.T) {
	h := newHost("a")
	s := take(t, h, newDir(t), Options{Root: "/m"})
	if _, err := Take(context.Background(), h, s.root, Options{Root: "/m"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("complete: %v", err)
	}
	dst := newDir(t)
	h.hook = func(*host, string, store.RelPath, int) error { return errors.New("no") }
	if _, err := Take(context.Background(), h, dst, Options{Root: "/m"}); err == nil {
		t.Fatal("no error")
	}
	h.hook = nil
	if _, err := Take(context.Background(), h, dst, Options{Root: "/else"}); !errors.Is(err, ErrOtherPartial) {
		t.Errorf("other: %v", err)
	}
	if _, err := Open(dst); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of an interrupted one: %v", err)
	}
	same(t, h, take(t, h, dst, Options{Root: "/m"}))
}

func TestManyMessagesOfATakeAreCounted(t *testing.T) {
	h := newHost()
	for i := range 50 {
		h.put(fmt.Sprintf("cur/%d", i), strings.Repeat("m", i*100))
	}
	c := &counter{}
	s := take(t, h, newDir(t), Options{Reporter: c})
	if c.files.Load() != 50 || c.bytes.Load() != s.Stats().Bytes || c.totalFiles.Load() != 50 || c.totalBytes.Load() != s.Stats().Bytes {
		t.Errorf("reported %d of %d files, %d of %d bytes; %+v", c.files.Load(), c.totalFiles.Load(), c.bytes.Load(), c.totalBytes.Load(), s.Stats())
	}
}

type counter struct{ files, bytes, totalFiles, totalBytes atomic.Int64 }

func (c *counter) Total(files int, bytes int64) {
	c.totalFiles.Store(int64(files))
	c.totalBytes.Store(bytes)
}
func (c *counter) Advance(files int, bytes int64) {
	c.files.Add(int64(files))
	c.bytes.Add(bytes)
}
func (c *counter) Note(string) {}

func TestDirectoriesAndFilesAreForTheUserAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes on Windows")
	}
	s := take(t, newHost("a/b/c"), newDir(t), Options{})
	for _, dir := range []string{"files", "files/a", "files/a/b"} {
		if i, err := s.root.Lstat(dir); err != nil || i.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, i.Mode(), err)
		}
	}
	if i, err := s.root.Lstat(path.Join("files", "a/b/c")); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", i.Mode(), err)
	}
}

func TestListingOfEndlesslyLongNamesIsCutOff(t *testing.T) {
	defer func(n int64) { maxListedText = n }(maxListedText)
	maxListedText = 9_500
	h := newHost()
	for i := range 10 {
		h.link(fmt.Sprintf("link%d", i), strings.Repeat("x", 900))
	}
	if _, err := Take(context.Background(), h, newDir(t), Options{}); err != nil {
		t.Fatalf("9 KB of text: %v", err)
	}
	h.link("one more", strings.Repeat("x", 900))
	if _, err := Take(context.Background(), h, newDir(t), Options{}); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v", err)
	}
}
