package rundir

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestKilledWhileAFileIsReplacedLeavesAWholeOne starts this test binary again, which replaces a file again and again, and is killed
// in the middle of it.
func TestKilledWhileAFileIsReplacedLeavesAWholeOne(t *testing.T) {
	const env = "DOVEMEND_TEST_WRITE_KEPT"
	if state := os.Getenv(env); state != "" {
		for i := 0; ; i++ {
			if err := WriteKept(state, "watch", "x.json", bytes.Repeat([]byte{byte('a' + i%26)}, 1<<20)); err != nil {
				t.Fatal(err)
			}
			os.Stdout.WriteString("written\n")
		}
	}
	state, left := t.TempDir(), 0
	for round := range 12 {
		c := exec.Command(os.Args[0], "-test.run=^TestKilledWhileAFileIsReplaced")
		c.Env = append(os.Environ(), env+"="+state)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for r, n := bufio.NewReader(out), 0; n <= round%3; n++ {
			if line, err := r.ReadString('\n'); err != nil || line != "written\n" {
				t.Fatalf("helper said %q, %v", line, err)
			}
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		c.Wait()
		b, err := ReadKept(state, "watch", "x.json", 1<<20)
		if err != nil || len(b) != 1<<20 || len(bytes.Trim(b, string(b[:1]))) > 0 {
			t.Fatalf("round %d: %d bytes, %v", round, len(b), err)
		}
		temps, err := filepath.Glob(filepath.Join(state, "watch", "*.tmp-*"))
		if err != nil || len(temps) > 1 {
			t.Fatalf("left behind: %q, %v", temps, err)
		}
		left += len(temps)
	}
	t.Logf("%d of 12 rounds left something behind", left)
	if err := WriteKept(state, "watch", "x.json", []byte("end")); err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(state, "watch", "*")); err != nil || len(names) != 1 {
		t.Errorf("there is %q, %v", names, err)
	}
}

func TestKeptFilesAreThereForTheirOwnerOnlyAndBounded(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if _, err := ReadKept(state, "watch", "x.json", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a state directory: %v", err)
	}
	if err := WriteKept(state, "watch", "x.json", []byte("0123456789a")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKept(state, "watch", "x.json", 10); err == nil || !strings.Contains(err.Error(), "more than 10") {
		t.Errorf("11 bytes of 10: %v", err)
	}
	for name, want := range map[string]fs.FileMode{"watch": 0o700, "watch/x.json": 0o600} {
		fi, err := os.Stat(filepath.Join(state, name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != want && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %v", name, fi.Mode())
		}
	}
	if err := WriteKept(state, "watch", "../../x", nil); err == nil {
		t.Error("a name leads out of the state directory")
	}
	if err := os.Mkdir(filepath.Join(state, "watch", "dir.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKept(state, "watch", "dir.json", 10); err == nil {
		t.Error("a directory is read")
	}
	if err := SetAsideKept(state, "watch", "x.json"); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadKept(state, "watch", "x.json.damaged", 100); err != nil || string(b) != "0123456789a" {
		t.Errorf("set aside: %q, %v", b, err)
	}
}
