//go:build unix

package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/sshhost"
)

// heard collects what a process says, while it says it.
type heard struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.String()
}

// until waits for something to be so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to %s", what)
		}
	}
}

// interrupted starts a process, sends SIGINT once it is where it should be interrupted, and gives how it ended.
func (d *badDay) interrupted(cmd *exec.Cmd, at func(said string) bool, between func(said *heard)) outcome {
	d.t.Helper()
	out, said := &heard{}, &heard{}
	cmd.Stdout, cmd.Stderr = out, said
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended unless the test failed
	until(d.t, "where it is to be interrupted", func() bool { return at(said.String()) })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		d.t.Fatal(err)
	}
	began := time.Now()
	if between != nil {
		between(said)
	}
	_ = cmd.Wait() // the exit code is looked at by the caller
	if took := time.Since(began); took > 30*time.Second {
		d.t.Errorf("it took %v to end", took)
	}
	o := outcome{cmd.ProcessState.ExitCode(), out.String(), said.String()}
	if between == nil {
		o.wellSaid(d.t, []string{"dovemend", "(interrupted)"})
	}
	return o
}

func TestInterruptedWhileConnecting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	d := newBadDay(t, "maildir", 1, remotetest.EmbeddedOptions{})
	cmd := d.process("backup", "--host", "web1@"+silent.Addr().String())
	d.interrupted(cmd, func(said string) bool { return strings.Contains(said, "connecting to") }, nil).
		check(t, 130, "interrupted; nothing on the host was changed", "next: the same command again")
}

func TestInterruptedWhileCopying(t *testing.T) {
	var hold, held atomic.Bool
	var read sync.Map // the files that were read from
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	d := newBadDay(t, "sdbox", 300, remotetest.EmbeddedOptions{Options: sshhost.Options{Fault: func(op, path string) error {
		if op != "read" || !hold.Load() {
			return nil
		}
		read.Store(path, true)
		n := 0
		read.Range(func(_, _ any) bool { n++; return true })
		if n > 250 { // more than are on their way at a time: the first ones are copied
			held.Store(true)
			<-release
		}
		return nil
	}}})
	t.Cleanup(letGo)
	before := d.tree()
	hold.Store(true)
	o := d.interrupted(d.process("repair", append([]string{"--engine", "sftp", "--connections", "1"}, clearIt...)...), func(string) bool { return held.Load() }, nil)
	hold.Store(false)
	letGo()
	o.check(t, 130, "interrupted; nothing on the host was changed", "next: the same command again; what was copied is not copied twice")
	d.same("interrupted", before)
	d.want(0, "repair", clearIt, "going on with the copy", "Verified")
	d.want(0, "undo", nil)
	d.same("undone", before)
}

// TestInterruptedWhileApplying interrupts on a slow host: the step ends, and what is said brings everything to its end.
func TestInterruptedWhileApplying(t *testing.T) {
	for _, then := range []string{"resume", "undo"} {
		t.Run(then, func(t *testing.T) {
			var acting atomic.Bool
			release := make(chan struct{})
			d := newBadDay(t, "sdbox", 30, remotetest.EmbeddedOptions{Options: sshhost.Options{Fault: func(op, path string) error {
				if op == "remove" && strings.HasSuffix(path, "dovecot.index.log") && !acting.Swap(true) {
					<-release
				}
				return nil
			}}})
			before := d.tree()
			o := d.interrupted(d.process("repair", clearIt...), func(string) bool { return acting.Load() }, func(said *heard) {
				defer close(release)
				until(t, "the word about the current step", func() bool { return strings.Contains(said.String(), "stopping after the current step") })
			})
			o.wellSaid(t, []string{"dovemend", "(interrupted)"})
			o.check(t, 130, "stopping after the current step", `stopped after 2 of 33 steps: interrupted`, "next: dovemend resume --run .* finishes it, dovemend undo --run .* takes it back")
			if strings.Contains(o.stderr, "nothing on the host was changed") {
				t.Error("it says that nothing was changed")
			}
			d.want(0, then, nil, "Verified")
			if then == "resume" {
				d.want(0, "undo", nil, "Verified")
			}
			d.same("in the end", before)
		})
	}
}

// TestSecondInterruptEndsAtOnce has a host that does not answer any more while a file is removed.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	var acting atomic.Bool
	release := make(chan struct{})
	d := newBadDay(t, "sdbox", 10, remotetest.EmbeddedOptions{Options: sshhost.Options{Fault: func(op, path string) error {
		if op == "remove" && strings.HasSuffix(path, "dovecot.index.log") && !acting.Swap(true) {
			<-release
		}
		return nil
	}}})
	before := d.tree()
	cmd := d.process("repair", clearIt...)
	o := d.interrupted(cmd, func(string) bool { return acting.Load() }, func(said *heard) {
		until(t, "the word about the current step", func() bool { return strings.Contains(said.String(), "ctrl-C again ends at once") })
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
	})
	o.check(t, 130, "ended at once; the run's journal is kept", "next: dovemend runs")
	close(release)
	until(t, "the removal, which the host does now that it answers again", func() bool {
		_, err := os.Lstat(filepath.Join(d.h.MailRoot(), inboxFolder, "dovecot.index.log"))
		return errors.Is(err, fs.ErrNotExist)
	})
	d.want(0, "undo", nil, "Verified")
	d.same("undone", before)
}

// TestInterruptedAtAQuestionRestoresTheTerminal leaves the wizard at a question, in both of its forms.
func TestInterruptedAtAQuestionRestoresTheTerminal(t *testing.T) {
	for _, name := range []string{"dumb", "xterm"} {
		t.Run(name, func(t *testing.T) {
			d := newBadDay(t, "mdbox", 0, remotetest.EmbeddedOptions{})
			before := d.tree()
			cmd := d.process("wizard")
			for i, a := range cmd.Args {
				if a == "--no-input" {
					cmd.Args = append(cmd.Args[:i], cmd.Args[i+1:]...)
					break
				}
			}
			cmd.Env = append(cmd.Env, "TERM="+name)
			master, slave, err := pty.Open()
			if err != nil {
				t.Skipf("no terminal: %v", err)
			}
			defer master.Close()
			defer slave.Close()
			if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
				t.Fatal(err)
			}
			was, err := term.GetState(int(slave.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			seen := &heard{}
			go func() {
				b := make([]byte, 4096)
				for {
					n, err := master.Read(b)
					_, _ = seen.Write(b[:n]) // never fails
					if err != nil {
						return
					}
				}
			}()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = cmd.Process.Kill() // it has ended unless the test failed
				if t.Failed() {
					t.Logf("on the screen:\n%q", seen.String())
				}
			})
			until(t, "a question", func() bool { return strings.Contains(seen.String(), "Which account") })
			time.Sleep(100 * time.Millisecond) // the form reads the keys now
			if _, err := master.WriteString("\x03"); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-ended:
			case <-time.After(time.Minute):
				_ = cmd.Process.Kill()
				t.Fatalf("it did not end:\n%s", seen.String())
			}
			is, err := term.GetState(int(slave.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			if *is != *was {
				t.Errorf("the terminal is left as %+v, it was %+v", *is, *was)
			}
			until(t, "its last words", func() bool { return strings.Contains(seen.String(), "next: ") })
			if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(seen.String(), "nothing on the host was changed") {
				t.Errorf("exit %d:\n%s", code, seen.String())
			}
			if s := seen.String(); strings.Contains(s, "\x1b[?25l") && strings.LastIndex(s, "\x1b[?25h") < strings.LastIndex(s, "\x1b[?25l") {
				t.Error("the cursor stays hidden")
			}
			d.same("left", before)
		})
	}
}

// TestReaderThatGoesAway has a reader of the result that is gone: what was done is kept, and can be gone on with or taken back.
func TestReaderThatGoesAway(t *testing.T) {
	d := newBadDay(t, "sdbox", 3, remotetest.EmbeddedOptions{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd := d.process("repair", clearIt...)
	cmd.Stdout = w
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	w.Close()
	t.Logf("ended with %v", cmd.ProcessState)
	run := d.runs()[0]
	if run.Resume {
		d.want(0, "resume", nil, "Verified")
	} else if !run.Undo {
		d.want(0, "repair", clearIt)
	}
	d.want(0, "undo", nil)
}
