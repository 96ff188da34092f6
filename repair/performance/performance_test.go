//go:build unix

package performance

import (
	"context"
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/realhost"
)

// settings are what the environment asks for.
type settings struct {
	full   bool
	rounds int
	only   *regexp.Regexp
}

func readSettings() settings {
	s := settings{full: os.Getenv("DOVEMEND_PERFORMANCE") == "full", rounds: 1}
	only := os.Getenv("DOVEMEND_PERFORMANCE_ONLY")
	if s.full {
		s.rounds = 5
	} else if only == "" {
		only = "maildir/loopback/(first|changed)"
	}
	s.only = regexp.MustCompile(only)
	if n, err := strconv.Atoi(os.Getenv("DOVEMEND_PERFORMANCE_ROUNDS")); err == nil {
		s.rounds = n
	}
	return s
}

func (s settings) scale() int {
	if s.full {
		return 1
	}
	return 100
}

// TestPerformance measures. It fails where a program fails or a copy is not the account, and for no time.
func TestPerformance(t *testing.T) {
	remotetest.Programs(t, "sshd", "rsync", "tar")
	s := readSettings()
	if s.full {
		remotetest.Programs(t, "rclone", "scp", "lftp")
	}
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
	bin := filepath.Join(t.TempDir(), "dovemend")
	if out, err := exec.Command("go", "build", "-o", bin, "dovemend/cmd/dovemend").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r := &results{rounds: s.rounds}
	for _, c := range corpora {
		t.Run(c.name, func(t *testing.T) { s.corpus(t, c, bin, r) })
		if s.full && os.Getenv("DOVEMEND_PERFORMANCE_WRITE") != "" && !t.Failed() {
			if err := r.write("../../docs/performance.md"); err != nil {
				t.Error(err)
			}
		}
	}
	r.print(t.Output())
}

// corpus measures everything about one account.
func (s settings) corpus(t *testing.T, c corpus, bin string, r *results) {
	account := t
	var shell, sftp *server
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			for _, op := range operations {
				part := c.name + "/" + w.name + "/" + op.name
				if !s.only.MatchString(part) || !slices.Contains(op.corpora, c.name) || !slices.Contains(op.ways, w.name) {
					continue
				}
				t.Run(op.name, func(t *testing.T) {
					srv := &shell
					o := realhost.Options{}
					if op.sftpOnly {
						srv, o = &sftp, realhost.Options{SFTPOnly: true}
					}
					if *srv == nil {
						*srv = startServer(account, c, s.scale(), o)
					}
					s.measure(t, part, op, target{server: *srv, way: w.name, bin: bin}, r)
				})
			}
		})
	}
}

// measure lets all programs of one operation run in turn, round after round; the first round is not counted where there are more.
func (s settings) measure(t *testing.T, part string, op operation, to target, r *results) {
	var err error
	if to.dest, err = os.MkdirTemp("", "perf-"); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(to.dest)
	if op.after != nil {
		defer op.after(to)
	}
	jobs := slices.DeleteFunc(op.jobs(to), func(j job) bool { // where all is measured, all must be there
		program, _, _ := strings.Cut(j.script, " ")
		_, err := exec.LookPath(program)
		return err != nil && !s.full
	})
	aside := func(script string) {
		if f := run(t.Context(), script); f.fail != nil {
			t.Fatal(f.fail)
		}
	}
	for _, j := range jobs {
		if j.once != "" {
			aside(j.once)
		}
	}
	for round := range s.rounds + 1 {
		if s.rounds == 1 && round == 1 {
			break
		}
		if round == 0 && s.rounds > 1 && to.way != "loopback" { // a line needs no warming
			continue
		}
		k := round % len(jobs)
		var want map[string][32]byte
		for _, j := range slices.Concat(jobs[k:], jobs[:k]) {
			if j.rounds > 0 && (round > j.rounds || round == 0 && s.rounds > 1) {
				continue
			}
			if op.before != nil && (want == nil || j.tree == "") {
				if err := op.before(to, round); err != nil {
					t.Fatal(err)
				}
			}
			for _, script := range j.before {
				aside(script)
			}
			if want == nil {
				if want, err = sums(to.root); err != nil {
					t.Fatal(err)
				}
			}
			denied, all := steal()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
			f := run(ctx, j.script)
			cancel()
			denied2, all2 := steal()
			if f.fail != nil {
				t.Fatal(f.fail)
			}
			if j.tree != "" {
				compare(t, j, want)
			}
			if j.check != nil {
				if err := j.check(to); err != nil {
					t.Fatalf("%s: %v", j.program, err)
				}
			}
			if round > 0 || s.rounds == 1 {
				r.add(part, j, round, f, (denied2-denied)/max(all2-all, 1))
			}
			t.Logf("round %d %-28s %6.2f s  cpu %6.2f s  peak %4d MiB", round, j.program, f.wall.Seconds(), f.cpu.Seconds(), f.peak>>20)
			if j.once == "" || !strings.HasPrefix(j.script, to.bin) { // the next copy of dovemend's is made from the last
				os.RemoveAll(to.folder(j.program))
			}
		}
	}
}

// sums hashes all regular files of a tree.
func sums(root string) (map[string][32]byte, error) {
	out := map[string][32]byte{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		out[strings.TrimPrefix(p, root+"/")] = [32]byte(h.Sum(nil))
		return nil
	})
	return out, err
}

// compare checks that a copy is the account.
func compare(t *testing.T, j job, want map[string][32]byte) {
	t.Helper()
	tree := j.tree
	if runs, _ := filepath.Glob(filepath.Join(tree, "runs", "*", "snapshot", "files")); len(runs) > 0 {
		slices.Sort(runs)
		tree = runs[len(runs)-1]
	}
	have, err := sums(tree)
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != len(want) {
		t.Fatalf("%s: %d files, and %d on the host", j.program, len(have), len(want))
	}
	for name, sum := range want {
		if have[name] != sum {
			t.Fatalf("%s: %q differs", j.program, name)
		}
	}
}
