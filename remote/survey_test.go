//go:build !windows

package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// surveyTree has in it what a search for mail meets.
func surveyTree(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"vol1/anna/mail/cur", "vol1/anna/mail/.Sent/new", "vol1/anna/a b/it's\n[x]*", "vol2/anna/deep/er/and/deeper", "vol2/bert", "home/anna"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"vol1/anna/mail/cur/1:2,S", "vol1/anna/mail/dovecot-uidlist", "vol1/anna/a b/it's\n[x]*/\xff: 1 2", "vol2/anna/deep/er/and/deeper/x", "home/anna/y"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("../../vol1/anna", filepath.Join(dir, "home/anna/link")), os.Symlink("nowhere", filepath.Join(dir, "vol3"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wantSame compares what two views tell of everything beneath dir, and of what is not there.
func wantSame(t *testing.T, got, want *FS, dir string) {
	t.Helper()
	tell := func(f *FS, name string) string {
		at, err := f.Lstat(name)
		if err != nil {
			return fmt.Sprint(errors.Is(err, fs.ErrNotExist), err)
		}
		s := fmt.Sprintf("%q %v %d %v %v", at.Name(), at.Mode(), at.Size()*int64(1&^b2i(at.IsDir())), at.ModTime().Unix(), *at.Sys().(*Stat))
		list, err := f.ReadDir(name)
		if !at.IsDir() {
			to, err := f.ReadLink(name)
			return s + to + fmt.Sprint(err != nil)
		}
		for _, e := range list {
			s += fmt.Sprintf(" %q %v", e.Name(), e.Type())
		}
		return s + fmt.Sprint(err)
	}
	n := 0
	err := fs.WalkDir(os.DirFS("/"), dir[1:], func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		n++
		for _, name := range []string{p, p + ".gone", p + "/gone"} {
			if a, b := tell(got, name), tell(want, name); a != b {
				t.Errorf("%q: surveyed\n%s\nit is\n%s", name, a, b)
			}
		}
		return nil
	})
	if err != nil || n < 20 {
		t.Fatal(n, err)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestSurveyTellsWhatSFTPTells(t *testing.T) {
	dir := surveyTree(t)
	h := dialReal(t, "")
	s := Survey{Places: []string{dir + "/home/anna", dir + "/vol*/anna", dir + "/home*/anna", dir + "/home*/carl", dir + "/none/anna", "/no*ne/anna"}, Depth: 4, Prune: []string{"cur", "new"}}
	f := h.Surveyed(t.Context(), s)
	for _, p := range []string{"home/anna", "vol1/anna/mail", "vol1/anna/a b/it's\n[x]*", "vol2/anna/deep/er/and", ""} {
		if _, ok := f.known.list(filepath.Join(dir, p)[1:]); !ok {
			t.Errorf("%q was not looked into", p)
		}
	}
	for _, p := range []string{"vol1/anna/mail/cur", "vol2/bert", "vol2/anna/deep/er/and/deeper", "home"} {
		if _, ok := f.known.list(filepath.Join(dir, p)[1:]); ok {
			t.Errorf("%q was looked into", p)
		}
	}
	for name, want := range map[string]bool{dir + "/none": true, dir + "/none/anna": true, dir + "/home/carl": true, dir + "/home/anna/link/mail": false, dir + "/home/anna": false} {
		if _, err, ok := f.known.lstat(name[1:]); (ok && errors.Is(err, fs.ErrNotExist)) != want {
			t.Errorf("%q is told missing: %t", name, !want)
		}
	}
	wantSame(t, f, h.FS(t.Context()), dir)
}

// TestSurveyCutShort: what was not seen is asked for by itself.
func TestSurveyCutShort(t *testing.T) {
	dir := surveyTree(t)
	h := dialReal(t, "")
	entries, text := surveyEntries, surveyText
	defer func() { surveyEntries, surveyText = entries, text }()
	try := func() {
		f := h.Surveyed(t.Context(), Survey{Places: []string{dir}, Depth: 9})
		if f.known == nil {
			t.Fatal("no survey")
		}
		wantSame(t, f, h.FS(t.Context()), dir)
	}
	for surveyEntries = range 40 {
		try()
	}
	surveyEntries = entries
	for _, surveyText = range []int{0, 100, 300, 1000} {
		try()
	}
}

// TestSurveyOfAHostThatNeverEnds: what tells the same for ever is not listened to for ever, and fills no memory.
func TestSurveyOfAHostThatNeverEnds(t *testing.T) {
	dir := surveyTree(t)
	for _, prefix := range []string{"0/9", "missing"} {
		find := fmt.Sprintf("\ncase \"$*\" in */dev/null*) printf c; exit 0;; esac\nexec 2>/dev/null\nwhile printf '%s:f 600 1 1 0 0 1\\0./no\\0\\0'; do :; done\n", prefix)
		h := pathHost(t, map[string]string{"find": find})
		f := h.Surveyed(t.Context(), Survey{Places: []string{dir}, Depth: 9})
		if f.known == nil || f.known.taken < 2 || f.known.taken > surveyEntries+1 || len(f.known.at)+len(f.known.missing) > 10 {
			t.Errorf("%s: %+v", prefix, f.known)
		}
		if list, err := f.ReadDir(dir[1:]); err != nil || len(list) != 4 {
			t.Errorf("%v, %v", list, err)
		}
	}
}

// TestSurveyOfAHostThatLies: what cannot be a directory's listing leaves no trace.
func TestSurveyOfAHostThatLies(t *testing.T) {
	dir := surveyTree(t)
	for _, path := range []string{"./../etc/passwd", "/etc/passwd", "./a//b", "", "./a/../../b"} {
		find := fmt.Sprintf("\ncase \"$*\" in */dev/null*) printf c; exit 0;; esac\nprintf '0/9:f 600 1 1 0 0 1\\0%%s\\0\\0' %s\n", quote(path))
		h := pathHost(t, map[string]string{"find": find})
		f := h.Surveyed(t.Context(), Survey{Places: []string{dir}, Depth: 9})
		if f.known != nil {
			t.Errorf("%q was believed", path)
		}
		if list, err := f.ReadDir(dir[1:]); err != nil || len(list) != 4 {
			t.Errorf("%v, %v", list, err)
		}
	}
}

// TestSurveyNeedsAFind: without one, and where the find fails, the files are those of FS.
func TestSurveyNeedsAFind(t *testing.T) {
	dir := surveyTree(t)
	for _, find := range []string{absent, "\nexit 1\n", "\ncase \"$*\" in */dev/null*) printf c; exit 0;; esac\nexit 1\n"} {
		h := pathHost(t, map[string]string{"find": find})
		f := h.Surveyed(t.Context(), Survey{Places: []string{dir}, Depth: 9})
		if f.known != nil {
			t.Errorf("%q: %d", find, len(f.known.at))
		}
		if list, err := f.ReadDir(dir[1:]); err != nil || len(list) != 4 {
			t.Errorf("%v, %v", list, err)
		}
	}
}

func TestSurveyTakesNoPlaceThatIsNone(t *testing.T) {
	for _, p := range []string{"home/anna", "..", "/", "", "/a\x00b"} {
		if script, err := (Survey{Places: []string{p}, Depth: 1}).script(); err == nil {
			t.Errorf("%q: %s", p, script)
		}
	}
}
