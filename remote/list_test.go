//go:build !windows

package remote

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func listAll(t *testing.T, h *Host, dir string, paths []string, skip string) (map[string]Listed, error) {
	t.Helper()
	got := map[string]Listed{}
	err := h.List(t.Context(), dir, paths, skip, func(e Listed) error {
		if _, twice := got[e.Path]; twice {
			t.Errorf("%q is listed twice", e.Path)
		}
		got[e.Path] = e
		return nil
	})
	return got, err
}

func TestListTellsWhatLstatTells(t *testing.T) {
	dir, files, _ := fetchTree(t)
	if err := errors.Join(
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600), os.Chmod(filepath.Join(dir, "sub"), 0o2751),
		os.Symlink("any\nthing\xff", filepath.Join(dir, "odd link")),
		os.Mkdir(filepath.Join(dir, "dovemend-aside"), 0o700), os.WriteFile(filepath.Join(dir, "dovemend-aside", "x"), nil, 0o600),
		os.Chtimes(filepath.Join(dir, "one"), time.Time{}, time.Unix(-2, 750_000_000)),
	); err != nil {
		t.Fatal(err)
	}
	t.Run("gnu", func(t *testing.T) { wantListed(t, dialReal(t, ""), dir, len(files), true) })
	for name, programs := range statTools {
		t.Run(name, func(t *testing.T) { wantListed(t, pathHost(t, programs), dir, len(files), false) })
	}
}

// statTools are hosts without GNU find. The BSD one has a find and a stat that know no more than BSD's.
var statTools = map[string]map[string]string{
	"busybox": {"find": "exec /usr/bin/busybox find \"$@\"\n", "stat": "exec /usr/bin/busybox stat \"$@\"\n"},
	"bsd": {
		"find": "case \"$*\" in *-printf*|*-ignore*) exit 1;; esac\nexec /usr/bin/find \"$@\"\n",
		"stat": "[ \"$1 $2\" = '-f %Xp %z %m %u %g %i' ] || exit 1\nshift 2\nexec /usr/bin/stat -c '%f %s %Y %u %g %i' \"$@\"\n",
	},
}

// wantListed compares a host's list with the files. exact is where the list tells fractions of a second and where links lead.
func wantListed(t *testing.T, h *Host, dir string, files int, exact bool) {
	t.Helper()
	got, err := listAll(t, h, dir, []string{"."}, "dovemend-aside")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := "."
		if p != dir {
			rel = strings.TrimPrefix(p, dir+"/")
		}
		if strings.HasPrefix(rel, "dovemend-aside") {
			return nil
		}
		n++
		want, err := os.Lstat(p)
		if err != nil {
			return err
		}
		e, ok := got[rel]
		st := want.Sys().(*syscall.Stat_t)
		when := want.ModTime()
		if !exact {
			when = time.Unix(when.Unix(), 0)
		}
		if !ok || e.Type != want.Mode().Type() || e.Mode != want.Mode()&^fs.ModeType || !e.MTime.Equal(when) || e.Inode != st.Ino ||
			e.Stat != (Stat{int(st.Uid), int(st.Gid)}) || want.Mode().IsRegular() && e.Size != want.Size() || e.Err != nil {
			t.Errorf("%q: listed %t %+v, is %v %v %d", rel, ok, e, want.Mode(), want.ModTime(), st.Ino)
		}
		if exact && want.Mode()&fs.ModeSymlink != 0 {
			if to, err := os.Readlink(p); err != nil || to != e.Target {
				t.Errorf("%q leads to %q, told is %q", rel, to, e.Target)
			}
		}
		return nil
	})
	if err != nil || n != len(got) || n < files {
		t.Errorf("%d entries, %d listed, %v", n, len(got), err)
	}
	some, err := listAll(t, h, dir, []string{"sub", "one", "missing", "link", "-dash"}, "")
	if err != nil || len(some) != 12 || some["sub/deep/er/file"].Size != 4 || some["link"].Type != fs.ModeSymlink {
		t.Errorf("%d entries, %v: %q", len(some), err, slices.Sorted(keys(some)))
	}
	if none, err := listAll(t, h, dir, []string{"missing"}, ""); err != nil || len(none) > 0 {
		t.Errorf("nothing there: %v, %v", none, err)
	}
}

func keys(m map[string]Listed) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestListNamesDirectoriesThatCannotBeRead(t *testing.T) {
	dir, err := os.MkdirTemp("", "list") // not t.TempDir, beneath which an ordinary user sees nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "shut"), 0)); err != nil {
		t.Fatal(err)
	}
	f := &fakeHost{shell: []string{"/bin/sh", "-c"}}
	if os.Getuid() == 0 { // root may read everything
		f.shell = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, f.shell...)
	}
	got, err := listAll(t, dial(t, startFake(t, f).config(t)), dir, []string{"."}, "")
	if err != nil || !errors.Is(got["shut"].Err, fs.ErrPermission) || got["."].Err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestListWithoutItsFind: without GNU find there is no list, and one that breaks off is not asked again.
func TestListWithoutItsFind(t *testing.T) {
	dir, _, _ := fetchTree(t)
	stat := statTools["busybox"]["stat"]
	for name, programs := range map[string]map[string]string{
		"nothing": nil, "no find": {"stat": stat}, "no stat": {"find": statTools["busybox"]["find"]}, "a find that runs nothing": {"find": "exit 1\n", "stat": stat},
	} {
		if _, err := listAll(t, pathHost(t, programs), dir, []string{"."}, ""); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	const tried = "case \"$*\" in *-printf*) exit 1;; */dev/null*) exit;; esac\n"
	for name, script := range map[string]string{
		"a failure":           "printf '1\n81a4 5 1 0 0 7\n./one\\0'; exit 1\n",
		"a name too few":      "printf '2\n81a4 5 1 0 0 7\n81a4 5 1 0 0 7\n./one\\0'\n",
		"a fact too few":      "printf '2\n81a4 5 1 0 0 7\n./one\\0./sub\\0'\n",
		"half a name":         "printf '1\n81a4 5 1 0 0 7\n./one'\n",
		"no name":             "printf '1\n81a4 5 1 0 0 7\n'\n",
		"none":                "printf '0\n'\n",
		"far too many":        "printf '99999999\n'; exec yes\n",
		"a long line":         "printf '2\n81a4 5 1 0 0 7%1000s\n' x; exec yes\n",
		"a name from outside": "printf '1\n81a4 5 1 0 0 7\n/etc/passwd\\0'\n",
		"a negative size":     "printf '1\n81a4 -5 1 0 0 7\n./one\\0'\n",
		"few words":           "printf '1\n81a4 5\n./one\\0'\n",
		"no number":           "printf '1\n81a4 5 x 0 0 7\n./one\\0'\n",
		"no end":              "exec cat /dev/zero\n",
	} {
		h := pathHost(t, map[string]string{"find": tried + script, "stat": stat})
		wantBrokenOff(t, h, dir, "-c", name)
	}
	const probed = "case \"$*\" in */dev/null*) printf c; exit;; esac\n"
	for name, script := range map[string]string{
		"a failure":           "printf 'f 600 1 1.5 0 0 7\\0./one\\0\\0'; echo 'find: cannot' >&2; exit 1\n",
		"half an entry":       "printf 'f 600 1 1.5 0 0 7\\0./one'\n",
		"a name from outside": "printf 'f 600 1 1.5 0 0 7\\0/etc/passwd\\0\\0'\n",
		"a negative size":     "printf 'f 600 -1 1.5 0 0 7\\0./one\\0\\0'\n",
		"few words":           "printf 'f 600 1\\0./one\\0\\0'\n",
		"no number":           "printf 'f 600 x 1.5 0 0 7\\0./one\\0\\0'\n",
		"no end":              "exec cat /dev/zero\n",
		"no NUL":              "while :; do printf 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; done\n",
	} {
		h := pathHost(t, map[string]string{"find": probed + script})
		wantBrokenOff(t, h, dir, "gnu", name)
	}
}

// wantBrokenOff demands that a list, made with this tool, breaks off, and is not asked for again.
func wantBrokenOff(t *testing.T, h *Host, dir, tool, name string) {
	t.Helper()
	if h.bulk.find != tool {
		t.Fatalf("%q was found, not %q", h.bulk.find, tool)
	}
	if _, err := listAll(t, h, dir, []string{"."}, ""); !errors.Is(err, ErrListAgain) {
		t.Errorf("%s, %s: %v", tool, name, err)
	}
	if _, err := listAll(t, h, dir, []string{"."}, ""); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%s, %s, asked again: %v", tool, name, err)
	}
}

func TestListStopsForItsTaker(t *testing.T) {
	dir, _, _ := fetchTree(t)
	h := pathHost(t, tarTools[0].programs)
	mine := errors.New("enough")
	if err := h.List(t.Context(), dir, []string{"."}, "", func(Listed) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if got, err := listAll(t, h, dir, []string{"."}, ""); err != nil || len(got) < 100 {
		t.Errorf("afterwards %d, %v", len(got), err)
	}
}

// TestListBrokenOffByALostConnectionIsAskedAgain: that says nothing of the host's find.
func TestListBrokenOffByALostConnectionIsAskedAgain(t *testing.T) {
	dir, _, _ := fetchTree(t)
	var f *fakeHost
	h := pathHost(t, tarTools[0].programs, func(fake *fakeHost, _ *Config) { f = fake })
	err := h.List(t.Context(), dir, []string{"."}, "", func(Listed) error {
		f.cut()
		waitFor(t, func() bool { _, err := h.current(); return err != nil })
		return nil
	})
	if err != nil && (!errors.Is(err, ErrListAgain) || !errors.Is(err, ErrDisconnected)) {
		t.Errorf("cut off: %v", err)
	}
	if got, err := listAll(t, h, dir, []string{"."}, ""); err != nil || len(got) < 300 {
		t.Errorf("asked again: %d entries, %v", len(got), err)
	}
}

func FuzzParseListed(f *testing.F) {
	f.Add("f 600 1 1.5 0 0 7", "./a", "")
	f.Add("!d 40755 4096 -2.75 4294967295 -1 18446744073709551615", ".", "x")
	f.Fuzz(func(t *testing.T, facts, p, to string) {
		e, err := parseListed(facts, p, to)
		if err == nil && (e.Size < 0 || e.Path == "" && p != "./" || strings.HasPrefix(e.Path, "./") && !strings.HasPrefix(p, "././")) {
			t.Errorf("%q %q is %+v", facts, p, e)
		}
	})
}

func FuzzReadStats(f *testing.F) {
	f.Add([]byte("2\n81a4 5 1 0 0 7\n41ed 4096 1.5 -1 4294967295 18446744073709551615\n./a\n\x00.\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = readStats(bufio.NewReaderSize(bytes.NewReader(b), 64<<10), func(_ string, e Listed) error {
			if e.Size < 0 || e.Path == "" && !bytes.Contains(b, []byte("./\x00")) {
				t.Errorf("%q: %+v", b, e)
			}
			return nil
		})
	})
}
