package snapshot

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/repair/store"
)

// small makes lists be sorted and worked on in parts of a few entries.
func small(t *testing.T) {
	part, portion := sortPart, portionSize
	t.Cleanup(func() { sortPart, portionSize = part, portion })
	sortPart, portionSize = 5, 3
}

// TestCopiesInSmallPortionsAreTheSame takes the tests of copying with portions of a few files.
func TestCopiesInSmallPortionsAreTheSame(t *testing.T) {
	small(t)
	for name, test := range map[string]func(*testing.T){
		"hostile names": TestTakeCopiesTreesOfHostileNames, "bulk": TestTakeInBulkIsTheHost,
		"resumed": TestTakeIsResumedAfterAFaultAtEachCall, "resumed often": TestEveryNthCallMayFailUntilTheCopyIsDone,
		"resumed and changed": TestResumeDownloadsOnlyWhatIsMissing, "changing": TestTakeCopiesAgainWhatChangedMeanwhile,
		"proof": TestFileThatChangesAfterItsProofIsSeen, "linked": TestUnchangedFilesAreLinkedAndNeverDownloaded,
		"grown": TestGrownFileIsFetchedFromItsOldEnd, "refresh": TestRefreshTakesWhatChangedAndKeepsWhatWas,
		"refresh failed": TestRefreshFailedAtAnyCallLeavesTheSnapshotAsItWas, "within a second": TestChangeWithinOneSecondAndSizeIsSeen,
		"hostile lists": TestHostileListsNeverLeadOutside, "recent": TestRecentFilesAreFetchedAgainWhereTheHostCannotHash,
	} {
		t.Run(name, test)
	}
}

func randomText(r *rand.Rand, most int) string {
	b := make([]byte, r.IntN(most+1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// randomEntries are sorted and have different paths.
func randomEntries(r *rand.Rand, n int) []Entry {
	var entries []Entry
	for i := range n {
		e := Entry{Path: store.RelPath(fmt.Sprintf("%c/%s-%d", 'a'+r.IntN(3), strings.ReplaceAll(randomText(r, 3), "/", "_"), i)), Mode: fs.FileMode(r.IntN(0o1000)),
			Size: r.Int64() >> r.IntN(64), MTime: time.Unix(r.Int64N(1<<33)-1<<32, r.Int64N(1e9)).UTC(), UID: r.IntN(3) - 1, GID: r.IntN(1 << 31), Inode: r.Uint64() >> r.IntN(64)}
		switch r.IntN(4) {
		case 0:
			e.Type, e.Link, e.MTime = fs.ModeSymlink, randomText(r, 9000), time.Time{}
		case 1:
			e.Type, e.Mode = fs.ModeDir, e.Mode|fs.ModeSetgid|fs.ModeSticky
		case 2:
			e.SHA256, e.Torn, e.proved, e.fresh = strings.Repeat("0a", 32), r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
		case 3:
			e.Err, e.Local = randomText(r, 300), randomText(r, 9)
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, byPath)
	return entries
}

func TestRollGivesWhatWasWritten(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newTestCopier(t)
		want := randomEntries(r, r.IntN(3*rollBlock))
		roll, err := c.rollOf(cursorOf(want))
		if err != nil {
			t.Fatal(err)
		}
		same := func(got []Entry, want []Entry) {
			t.Helper()
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: %d entries, want %d:\n%+v\n%+v", seed, len(got), len(want), got, want)
			}
		}
		got, err := all(roll.cursor())
		if err != nil {
			t.Fatal(err)
		}
		same(got, want)
		// Some are changed, some are gone.
		var left []Entry
		var places, there []int
		var some []Entry
		for i := range want {
			e := want[i]
			switch r.IntN(5) {
			case 0:
				roll.set(i, nil)
				if at, _, err := roll.find(e.Path); at >= 0 || err != nil {
					t.Fatalf("%q is gone, and found at %d, %v", e.Path, at, err)
				}
				places = append(places, i)
				continue
			case 1:
				e.Torn, e.Err = true, "changed"
				roll.set(i, &e)
			}
			left = append(left, e)
			if at, f, err := roll.find(e.Path); at != i || err != nil || !reflect.DeepEqual(f, e) {
				t.Fatalf("%q is found at %d of %d, %v", e.Path, at, i, err)
			}
			if r.IntN(3) == 0 {
				places, there, some = append(places, i), append(there, i), append(some, e)
			}
		}
		if at, _, err := roll.find("b/none"); at >= 0 || err != nil {
			t.Fatalf("found at %d, %v", at, err)
		}
		if got, err = all(roll.cursor()); err != nil {
			t.Fatal(err)
		}
		same(got, left)
		at, got, err := roll.pick(places)
		if err != nil || !slices.Equal(at, there) {
			t.Fatalf("picked %v, want %v, %v", at, there, err)
		}
		same(got, some)
		c.closeRolls()
		if left, err := fs.ReadDir(c.dst.FS(), incomingDir); err != nil || len(left) > 0 {
			t.Errorf("%v, %v", left, err)
		}
	}
}

func newTestCopier(t testing.TB) *copier {
	t.Helper()
	c := newCopier(newDir(t), nil, nil)
	if err := prepare(c.dst); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRollThatIsCutOffIsAnError(t *testing.T) {
	c := newTestCopier(t)
	roll, err := c.rollOf(cursorOf(randomEntries(rand.New(rand.NewPCG(1, 1)), 100)))
	if err != nil {
		t.Fatal(err)
	}
	if err := roll.f.Truncate(roll.size / 2); err != nil {
		t.Fatal(err)
	}
	if got, err := all(roll.cursor()); err == nil {
		t.Errorf("%d entries and no error", len(got))
	}
}

// TestListIsATreeInOrder compares what becomes of a hostile list with the plain way to say it.
// TestUnreadableListOfWhatIsToBeSyncedIsAnError: a copy whose list cannot be read must not pass for one that is on the disk.
func TestUnreadableListOfWhatIsToBeSyncedIsAnError(t *testing.T) {
	c := newTestCopier(t)
	w, err := c.newRoll()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := w.add(&Entry{Path: store.RelPath(fmt.Sprintf("f%03d", i)), fresh: true, SHA256: strings.Repeat("0", 64)}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := w.done()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.f.Truncate(r.size / 2); err != nil {
		t.Fatal(err)
	}
	var listErr error
	n := 0
	for range (&work{copier: c, orig: r}).unsynced(&listErr) {
		n++
	}
	if listErr == nil || n < 10 {
		t.Errorf("%d files, %v", n, listErr)
	}
}

func TestListIsATreeInOrder(t *testing.T) {
	small(t)
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		c := newTestCopier(t)
		types := map[store.RelPath]fs.FileMode{}
		h := &host{nodes: map[store.RelPath]*node{}}
		for range r.IntN(60) {
			parts := make([]string, 1+r.IntN(3))
			for i := range parts {
				parts[i] = []string{"a", "a-", "a.b", "ab", "b"}[r.IntN(5)]
			}
			e := Entry{Path: store.RelPath(strings.Join(parts, "/")), Type: []fs.FileMode{0, fs.ModeDir, fs.ModeDir, fs.ModeSymlink}[r.IntN(4)], MTime: longAgo}
			h.extra = append(h.extra, e)
			if was, ok := types[e.Path]; !ok || was != fs.ModeDir {
				types[e.Path] = e.Type
			}
		}
		var want []store.RelPath
		for p := range types {
			ok := true
			for up := path.Dir(string(p)); up != "."; up = path.Dir(up) {
				if typ, there := types[store.RelPath(up)]; there && typ != fs.ModeDir {
					ok = false
				}
			}
			if ok {
				want = append(want, p)
			}
		}
		slices.Sort(want)
		l, err := c.list(t.Context(), h, []store.RelPath{"."})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := all(l.cursor)
		if err != nil {
			t.Fatal(err)
		}
		var got []store.RelPath
		for _, e := range entries {
			got = append(got, e.Path)
			if (e.Type == fs.ModeDir) != (types[e.Path] == fs.ModeDir) {
				t.Errorf("seed %d: %q is %v, want %v", seed, e.Path, e.Type, types[e.Path])
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %q\nwant %q\nrefused %q", seed, got, want, l.refused)
		}
		l.close()
		c.closeRolls()
	}
}
