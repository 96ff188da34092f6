//go:build linux || darwin

package sshhost

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// canRun says whether this system can run commands for a login.
const canRun = true

// ownGroup makes cmd start in a process group of its own.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// systemPath is where commands are looked for, as sshd's default is.
const systemPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

// command prepares a login's command, run in a process group of its own that is killed with the session.
func (h *Host) command(ctx context.Context, kind, line string, ch ssh.Channel) (func() int, func(string)) {
	var mu sync.Mutex
	group := 0 // of the running command; 0 before it runs and after it was waited for
	kill := func(sig syscall.Signal) {
		mu.Lock()
		defer mu.Unlock()
		if group > 0 {
			syscall.Kill(-group, sig)
		}
	}
	run := func() int {
		cmd := &exec.Cmd{
			Path:        h.opt.Shell,
			Args:        []string{"-" + filepath.Base(h.opt.Shell)},
			Dir:         h.opt.Home,
			Env:         h.environment(),
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		}
		if kind == "exec" {
			cmd.Args = []string{filepath.Base(h.opt.Shell), "-c", line}
		}
		if h.opt.Motd != "" {
			io.WriteString(ch, h.opt.Motd)
		}
		// The pipes are ours, not exec's: a command that leaves children behind, or never reads, must not hold up the end.
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return 255
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return 255
		}
		stderr, err := cmd.StderrPipe()
		if err != nil {
			return 255
		}
		mu.Lock()
		err = cmd.Start()
		if err == nil {
			group = cmd.Process.Pid
		}
		mu.Unlock()
		if err != nil {
			io.WriteString(ch.Stderr(), err.Error()+"\n")
			return 127
		}
		stop := context.AfterFunc(ctx, func() { kill(syscall.SIGKILL) })
		defer stop()
		go func() { // ends with the channel, at the latest when the session is over
			io.Copy(stdin, ch)
			stdin.Close()
		}()
		var output sync.WaitGroup
		output.Go(func() { io.Copy(ch, stdout) })
		output.Go(func() { io.Copy(ch.Stderr(), stderr) })
		done := make(chan struct{})
		go func() { output.Wait(); close(done) }()
		select {
		case <-done:
		case <-ctx.Done():
			kill(syscall.SIGKILL)
			select {
			case <-done:
			case <-time.After(2 * time.Second): // a child that left the group holds the pipe
			}
		}
		err = cmd.Wait()
		kill(syscall.SIGKILL) // what the command left behind in its group
		mu.Lock()
		group = 0
		mu.Unlock()
		ch.CloseWrite()
		var exit *exec.ExitError
		switch {
		case err == nil:
			return 0
		case errors.As(err, &exit) && exit.ExitCode() >= 0:
			return exit.ExitCode()
		}
		return 255
	}
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP}
	return run, func(name string) {
		if s, ok := signals[name]; ok {
			kill(s)
		}
	}
}

// environment is what a command sees: nothing of the calling process but its temporary directory.
func (h *Host) environment() []string {
	path := append([]string{h.private}, h.opt.PathDirs...)
	env := []string{
		"USER=" + h.opt.User,
		"LOGNAME=" + h.opt.User,
		"HOME=" + h.opt.Home,
		"SHELL=" + h.opt.Shell,
		"PATH=" + strings.Join(append(path, systemPath), ":"),
		"LANG=C.UTF-8",
	}
	if t := os.Getenv("TMPDIR"); t != "" {
		env = append(env, "TMPDIR="+t)
	}
	return append(env, h.opt.Env...)
}
