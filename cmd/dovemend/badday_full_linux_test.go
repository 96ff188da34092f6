package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/sshhost"
)

// ended gives how a process ended, and checks what it said.
func (d *badDay) ended(cmd *exec.Cmd) outcome {
	d.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		d.t.Fatal(err)
	}
	o := outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	o.wellSaid(d.t, []string{"dovemend", "(process)"})
	return o
}

// TestFullLocalDiskDuringTheCopy stands for a full disk with a limit of a file's size, which needs no root.
func TestFullLocalDiskDuringTheCopy(t *testing.T) {
	d := newBadDay(t, "mdbox", 0, remotetest.EmbeddedOptions{})
	before := d.tree()
	cmd := d.process("backup")
	cmd.Args = append([]string{"sh", "-c", `ulimit -f 2048 && exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	d.ended(cmd).check(t, 1, "no space left on the local disk", "next: make room on this computer, .*--state-dir")
	d.same("after the full disk", before)
	d.want(0, "backup", nil, "Copied")
}

// TestFullLocalDiskDuringTheJournal lets the journal not grow any more while the host is changed: the run stops, and can
// be finished or taken back.
func TestFullLocalDiskDuringTheJournal(t *testing.T) {
	for _, then := range []string{"resume", "undo"} {
		t.Run(then, func(t *testing.T) {
			var pid atomic.Int64
			var once sync.Once
			var d *badDay
			d = newBadDay(t, "sdbox", 60, remotetest.EmbeddedOptions{Options: sshhost.Options{Fault: func(op, path string) error {
				if op == "remove" && strings.HasSuffix(path, "u.7") && pid.Load() > 0 {
					once.Do(func() { d.fill(int(pid.Load())) })
				}
				return nil
			}}})
			before := d.tree()
			cmd := d.process("repair", clearIt...)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid.Store(int64(cmd.Process.Pid))
			_ = cmd.Wait() // its exit code is looked at below
			o := outcome{code: cmd.ProcessState.ExitCode(), stderr: errs.String()}
			o.wellSaid(t, []string{"dovemend", "repair"})
			o.check(t, 6, "write journal: .*file too large", "next: make room on this computer, then: dovemend resume --run")
			d.want(0, then, nil, "Verified")
			if then == "resume" {
				d.want(0, "undo", nil, "Verified")
			}
			d.same("in the end", before)
		})
	}
}

// fill lets no file of a process grow beyond the journal as it is now.
func (d *badDay) fill(pid int) {
	all, err := filepath.Glob(filepath.Join(d.state, "runs", "*", "journal.jsonl"))
	if err != nil || len(all) != 1 {
		d.t.Errorf("journals %q: %v", all, err)
		return
	}
	info, err := os.Stat(all[0])
	if err != nil {
		d.t.Error(err)
		return
	}
	limit := unix.Rlimit{Cur: uint64(info.Size()), Max: uint64(info.Size())}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		d.t.Error(err)
	}
}
