//go:build unix

package salvage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dovemend/repair/snapshot"
)

const (
	childDir   = "DOVEMEND_SALVAGE_TEST_DIR" // makes the test program write messages there, as Format says
	childLimit = "DOVEMEND_SALVAGE_TEST_LIMIT"
	crashed    = 300 // messages
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child writes messages as a program of its own, which can be killed, or run out of space.
func child(dir string) int {
	format, dir, _ := strings.Cut(dir, ":")
	if os.Getenv(childLimit) != "" {
		signal.Ignore(syscall.SIGXFSZ) // as dovemend does
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20 << 10, Max: 20 << 10}); err != nil {
			fmt.Println(err)
			return 3
		}
	}
	batchFiles = 20
	root, err := os.OpenRoot(dir)
	if err == nil {
		_, err = Write(context.Background(), root, generated(crashed, 2000), Options{Format: Format(format)})
	}
	var full *snapshot.NoSpaceError
	switch {
	case errors.As(err, &full):
		fmt.Println(err)
		return 2
	case err != nil:
		fmt.Println(err)
		return 1
	}
	return 0
}

func runChild(t *testing.T, ctx context.Context, format Format, dir string, env ...string) (string, int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(append(os.Environ(), childDir+"="+string(format)+":"+dir), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestARunThatIsKilledLeavesNoHalfFileAndIsFinishedByTheNext(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for _, format := range allFormats {
		t.Run(string(format), func(t *testing.T) {
			whole := t.TempDir()
			start := time.Now()
			if out, code := runChild(t, t.Context(), format, whole); code != 0 {
				t.Fatal(code, out)
			}
			took := time.Since(start)
			want := contents(t, whole)
			dir, kills := t.TempDir(), 0
			for range 8 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.Int64N(int64(took))))
				out, code := runChild(t, ctx, format, dir)
				cancel()
				if code > 0 {
					t.Fatal(code, out)
				}
				if code < 0 {
					kills++
				}
				for name, text := range contents(t, dir) {
					switch {
					case strings.HasPrefix(name, stagingDir+"/"):
					case name == stateName:
						if !strings.HasPrefix(want[name], text) {
							t.Errorf("%s is %q", name, text)
						}
					case want[name] != text:
						t.Errorf("%s is %q, want %q", name, text, want[name])
					}
				}
			}
			if out, code := runChild(t, t.Context(), format, dir); code != 0 {
				t.Fatal(code, out)
			}
			if got := contents(t, dir); !mapsEqual(got, want) {
				t.Errorf("%d files, want %d", len(got), len(want))
			}
			t.Logf("killed %d times", kills)
			if kills == 0 {
				t.Error("it was never killed")
			}
		})
	}
}

func TestAFullDiskIsToldAndLeavesNoHalfFile(t *testing.T) {
	for _, format := range allFormats {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			out, code := runChild(t, t.Context(), format, dir, childLimit+"=1")
			if code != 2 || !strings.Contains(out, "no space left on the local disk") {
				t.Errorf("%d: %s", code, out)
			}
			for name := range contents(t, dir) {
				if strings.HasPrefix(name, stagingDir) || filepath.Base(name) == "index.json" {
					t.Errorf("%s is left", name)
				}
			}
			sum := write(t, dir, collect(generated(crashed, 2000)), Options{Format: format})
			if len(sum.Foreign) > 0 {
				t.Errorf("%+v", sum)
			}
		})
	}
}

func collect(seq func(func(*Message, error) bool)) (list []*Message) {
	for m := range seq {
		list = append(list, m)
	}
	return list
}
