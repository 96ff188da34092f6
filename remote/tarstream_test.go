//go:build !windows

package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tars of many tests read the whole list first.
func init() { stallTime = 300 * time.Millisecond }

// manyFiles are more files than a tar is told of before the first has come, one of them larger than all that, and at their end some that are
// not there any more.
func manyFiles(t *testing.T) (dir string, files map[string][]byte, wanted []Wanted) {
	t.Helper()
	dir, files = t.TempDir(), map[string][]byte{}
	for i := range 1500 {
		name := fmt.Sprintf("f%04d", i)
		files[name] = randomBytes(3000+i, uint64(i))
		if i == 150 {
			files[name] = randomBytes(5<<20+3, 7)
		}
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o640); err != nil {
			t.Fatal(err)
		}
		wanted = append(wanted, Wanted{name, int64(len(files[name]))})
		if i%5 == 0 || i > 1100 {
			wanted = append(wanted, Wanted{name + ".gone", 4000})
		}
	}
	return dir, files, wanted
}

// tarLog is a tar that notes each start in a file.
func tarLog(t *testing.T, script string) (program string, started func() int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "started")
	program = "echo start >>" + file + "\n" + script + "\n"
	return program, func() int {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), "start")
	}
}

func TestOneTarBringsManyFiles(t *testing.T) {
	was := stallTime
	stallTime = time.Minute
	t.Cleanup(func() { stallTime = was })
	dir, files, wanted := manyFiles(t)
	script, started := tarLog(t, "exec /usr/bin/tar \"$@\"")
	h := pathHost(t, map[string]string{"tar": script}, func(_ *fakeHost, c *Config) { c.Connections, c.Compress = 2, CompressOff })
	if h.bulk.tar != "gnu" {
		needProgram(t, "GNU tar")
	}
	looked := started()
	came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
	if err != nil || len(out.Notes) > 0 || h.bulk.tarEager.Load() {
		t.Fatalf("%v, told %q", err, out.Notes)
	}
	wantFiles(t, came, files)
	// Each stream needs one; what is missing on the host can cost a stream the end of its list.
	if n := started() - looked; n > 2*2*streamsPerLink {
		t.Errorf("%d tars were started", n)
	}
}

func TestTarThatWantsTheWholeListFirst(t *testing.T) {
	dir, files, wanted := manyFiles(t)
	list := filepath.Join(t.TempDir(), "list")
	script, _ := tarLog(t, "cat >"+list+".$$; /usr/bin/tar \"$@\" <"+list+".$$")
	h := pathHost(t, map[string]string{"tar": script, "cat": ""}, func(_ *fakeHost, c *Config) { c.Connections, c.Compress = 1, CompressOff })
	if h.bulk.tar != "gnu" {
		needProgram(t, "GNU tar")
	}
	came, out, err := fetchAll(t, t.Context(), h, dir, wanted)
	if err != nil || len(out.Notes) > 0 || !h.bulk.tarEager.Load() {
		t.Fatalf("%v, told %q, known for what it is: %t", err, out.Notes, h.bulk.tarEager.Load())
	}
	wantFiles(t, came, files)
}
