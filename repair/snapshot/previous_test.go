package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/repair/store"
)

func TestUnchangedFilesAreLinkedAndNeverDownloaded(t *testing.T) {
	h := newHost("a", "dir/b", "dir/c", "changed", "torn away")
	h.mu.Lock()
	h.putAt("fresh", "changed just now", time.Now())
	h.mu.Unlock()
	first := take(t, h, newDir(t), Options{Root: "/m"})
	h.put("changed", "CHANGED")
	h.put("added", "new")
	h.opened = map[store.RelPath]int{}
	second := take(t, h, newDir(t), Options{Root: "/m", Previous: []*Stored{&first.Stored}})
	same(t, h, second)
	if st := second.Stats(); st.Linked != 5 || st.Fetched != 2 {
		t.Errorf("%+v", st)
	}
	for _, p := range []store.RelPath{"a", "dir/b", "dir/c", "fresh"} {
		if h.opened[p] > 0 {
			t.Errorf("%q was downloaded again", p)
		}
		e1, _ := first.Entry(p)
		e2, _ := second.Entry(p)
		i1, _ := first.root.Lstat(filePath(&e1))
		i2, _ := second.root.Lstat(filePath(&e2))
		if !os.SameFile(i1, i2) {
			t.Errorf("%q is not a hard link", p)
		}
	}
	// Nothing that happens to the second may reach the first.
	h.put("a", "A, changed")
	if _, err := second.Refresh(context.Background(), h, Options{}); err != nil {
		t.Fatal(err)
	}
	same(t, h, second)
	if err := first.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestCopiesInPlaceOfLinksAreSynced: what cannot be linked is copied, and counts as new on the disk.
func TestCopiesInPlaceOfLinksAreSynced(t *testing.T) {
	h := newHost("a", "dir/b")
	first := take(t, h, newDir(t), Options{Root: "/m"})
	link = func(*heldDir, string, *heldDir, string) error { return errors.ErrUnsupported }
	t.Cleanup(func() { link = linkAcross })
	dst := newDir(t)
	tk := &taking{copier: newCopier(dst, h, nil), o: Options{Root: "/m", Previous: []*Stored{&first.Stored}}, made: map[string]bool{filesDir: true},
		older: map[store.RelPath]before{}, noted: map[string]bool{}}
	defer tk.closeRolls()
	tk.m = Manifest{Root: "/m", Paths: []store.RelPath{"."}}
	if err := prepare(dst); err != nil {
		t.Fatal(err)
	}
	tk.names = newNaming(false)
	copied, err := tk.copyAll(t.Context(), &sorter{c: tk.copier})
	if err != nil {
		t.Fatal(err)
	}
	w := &work{copier: tk.copier, orig: copied}
	synced := slices.Collect(w.unsynced(&err))
	for _, name := range []string{"files/a", "files/dir/b"} {
		if !slices.Contains(synced, name) {
			t.Errorf("%s is not brought to the disk: %q", name, synced)
		}
	}
	if err != nil || tk.stats.Linked != 2 {
		t.Errorf("%v, %+v", err, tk.stats)
	}
}

func TestPreviousOfOtherAccountOrDamagedIsNotLinked(t *testing.T) {
	h := newHost("a", "b")
	first := take(t, h, newDir(t), Options{Root: "/m"})
	if s := take(t, h, newDir(t), Options{Root: "/other", Previous: []*Stored{&first.Stored}}); s.Stats().Linked != 0 {
		t.Error("linked from another account")
	}
	first.root.Remove("files/a")
	first.root.WriteFile("files/b", []byte("x"), 0o600)
	s := take(t, h, newDir(t), Options{Root: "/m", Previous: []*Stored{&first.Stored}})
	same(t, h, s)
	if s.Stats().Linked != 0 {
		t.Errorf("%+v", s.Stats())
	}
}

// TestPreviousWithADamagedListIsNotTrusted: what its list tells before the damage is taken, all else is fetched, and it is said.
func TestPreviousWithADamagedListIsNotTrusted(t *testing.T) {
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("dir/%02d", i))
	}
	h := newHost(names...)
	for name, damage := range map[string]func([]byte) []byte{
		"cut off":      func(b []byte) []byte { return b[:len(b)/2] },
		"overwritten":  func(b []byte) []byte { copy(b[len(b)/2:], bytes.Repeat([]byte{0}, 200)); return b },
		"out of order": func(b []byte) []byte { return bytes.Replace(b, []byte("dir/30"), []byte("dir/10"), 1) },
	} {
		first := take(t, h, newDir(t), Options{Root: "/m"})
		b, err := first.root.ReadFile(manifestName)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.root.WriteFile(manifestName, damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		p := &progressed{}
		second := take(t, h, newDir(t), Options{Root: "/m", Previous: []*Stored{&first.Stored}, Reporter: p})
		same(t, h, second)
		if st := second.Stats(); st.Linked == 0 || st.Fetched == 0 || st.Linked+st.Fetched != len(names) {
			t.Errorf("%s: %+v", name, st)
		}
		if said := strings.Join(p.notes, "\n"); strings.Count(said, "the list of an earlier copy cannot be read") != 1 {
			t.Errorf("%s: it says %q", name, said)
		}
		if err := second.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
