//go:build !windows

package remote

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// toolHost has a PATH with only the given hash tool and xargs, each a script.
func toolHost(t *testing.T, name, script, xargs string) *Host {
	t.Helper()
	bin := t.TempDir()
	for _, tool := range []string{"sh", "id", "uname", "cat", "pwd"} {
		p, err := exec.LookPath(tool)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(p, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range map[string]string{name: script, "xargs": xargs} {
		if name == "" || script == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dial(t, startFake(t, &fakeHost{shell: []string{"/usr/bin/env", "PATH=" + bin, "/bin/sh", "-c"}}).config(t))
}

// tools are the hash tools of the hosts there are; those that are not on this machine are played by what is.
var tools = []struct{ info, name, script string }{
	{"sha256sum", "sha256sum", `exec /usr/bin/sha256sum "$@"`},
	{"sha256sum", "sha256sum", `exec /usr/bin/busybox sha256sum "$@"`},
	{"shasum -a 256", "shasum", `PATH=/usr/bin:/bin; export PATH; exec /usr/bin/shasum "$@"`},
	{"openssl", "openssl", `exec /usr/bin/openssl "$@"`},
	// BSD's: -q prints the sum alone, -r the sum, a space and the name as it is.
	{"sha256 -q", "sha256", `m=$1; shift
if [ $# = 0 ]; then /usr/bin/sha256sum | { read -r s _; echo "$s"; }; exit; fi
for f; do s=$(/usr/bin/sha256sum <"$f") || continue; if [ "$m" = -q ]; then echo "${s%% *}"; else printf '%s %s\n' "${s%% *}" "$f"; fi; done`},
}

func TestSumsAreRightWithEveryTool(t *testing.T) {
	dir := t.TempDir()
	names := []string{"plain", "with space", "-dash", "new\nline", `back\slash`, `\`, "q'uote", `d"q`, "$HOME", "`id`", "*", "caf\xe9", "\x81\x88\xff", "ümläut", "cr\r", "tab\t", " lead", "trail ", "!bang", "%s%n", "sub/deep/file", "empty"}
	for i := range 200 {
		names = append(names, "msg."+strconv.Itoa(i)+":2,S")
	}
	for _, n := range names {
		p := filepath.Join(dir, n)
		os.MkdirAll(filepath.Dir(p), 0o755)
		b := []byte("contents of " + n)
		if n == "empty" {
			b = nil
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600), os.Symlink("plain", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	bad := map[string]error{"missing": fs.ErrNotExist, "miss\ning": fs.ErrNotExist, "fifo": fs.ErrInvalid, "link": fs.ErrInvalid, "sub": fs.ErrInvalid, "../x": fs.ErrInvalid, "/etc/passwd": fs.ErrInvalid, "": fs.ErrInvalid, "a\x00": fs.ErrInvalid, ".": fs.ErrInvalid}
	all := append([]string{}, names...)
	for n := range bad {
		all = append(all, n)
	}
	all = append(all, "plain", "new\nline") // twice
	for _, tool := range tools {
		t.Run(tool.info+" "+tool.script[:min(30, len(tool.script))], func(t *testing.T) {
			for _, x := range []string{"", `exec /usr/bin/xargs "$@"`, `exec /usr/bin/busybox xargs "$@"`} {
				h := toolHost(t, tool.name, tool.script, x)
				if h.bulk.xargs != (x != "") {
					t.Fatal("xargs:", h.bulk.xargs)
				}
				if got := h.Info().HashTool; got != tool.info {
					t.Skipf("the tool is not on this machine (%q found)", got)
				}
				given := make([]int, len(all))
				err := h.Sums(t.Context(), dir, all, func(i int, sum [32]byte, err error) error {
					n := all[i]
					given[i]++
					if want := bad[n]; want != nil {
						if !errors.Is(err, want) {
							t.Errorf("%q gives %v, want %v", n, err, want)
						}
						return nil
					}
					b := []byte("contents of " + n)
					if n == "empty" {
						b = nil
					}
					if err != nil || sum != sha256.Sum256(b) {
						t.Errorf("%q: %x, %v", n, sum, err)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				for i, n := range given {
					if n != 1 {
						t.Errorf("%q was given %d times", all[i], n)
					}
				}
			}
		})
	}
}

func TestSumsEndWhenToldTo(t *testing.T) {
	dir, files := makeTree(t)
	h := dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}).config(t))
	var names []string
	for n := range files {
		names = append(names, n)
	}
	stop, calls := errors.New("stop"), 0
	err := h.Sums(t.Context(), dir, names, func(int, [32]byte, error) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if err := h.Sums(t.Context(), dir, nil, nil); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	if err := h.Sums(t.Context(), dir+"/missing", []string{"x"}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing folder: %v", err)
	}
	if err := h.Sums(t.Context(), "relative", []string{"x"}, nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("in a relative folder: %v", err)
	}
}

func TestHostWithoutAHashTool(t *testing.T) {
	h := toolHost(t, "", "", "")
	if !h.Info().Shell || h.Info().HashTool != "" {
		t.Fatalf("got %+v", h.Info())
	}
	err := h.Sums(t.Context(), "/", []string{"x"}, nil)
	if !errors.Is(err, ErrNoShell) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestSumsTrustNoLineOfTheHost(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	zero := strings.Repeat("0", 64)
	h := toolHost(t, "sha256sum", `if [ $# = 0 ]; then /usr/bin/sha256sum; exit; fi
echo garbage; echo "`+zero+`  ./other"; echo "`+zero+`"; echo "zz`+zero+`  ./a"; printf '%s  ./a\n' `+strings.Repeat("1", 64)+`; printf '%s  ./a\n' `+zero, "")
	calls := 0
	err := h.Sums(t.Context(), dir, []string{"a"}, func(i int, sum [32]byte, err error) error {
		calls++
		if err != nil || sum[0] != 0x11 {
			t.Errorf("%x, %v", sum, err)
		}
		return nil
	})
	if err != nil || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
