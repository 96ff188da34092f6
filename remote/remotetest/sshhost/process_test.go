package sshhost

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestPSListsOwnSpawnedProcessesOnly(t *testing.T) {
	needShell(t)
	h := start(t, Options{})
	c := login(t, h)
	if out, _ := run(t, c, "ps ax"); strings.Count(out, "\n") > 1 {
		t.Errorf("ps of an idle host lists %q", out)
	}
	if err := h.SpawnIMAP(2, "dovecot/imap [anna@example.org 192.0.2.7 IDLE]", "dovecot/imap"); err != nil {
		t.Fatal(err)
	}
	editor, err := h.Spawn(ProcessOptions{Title: "vim notes-on-dovecot"})
	if err != nil {
		t.Fatal(err)
	}
	uid := strconv.Itoa(os.Getuid())
	for _, line := range []string{"ps -u " + uid + " -o pid= -o uid= -o lstart= -o args=", "ps -ww -u " + uid + " -o pid=,uid=,lstart=,args=", "ps -u web1 -o pid,uid,lstart,args"} {
		out, err := run(t, c, line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if strings.Count(out, "dovecot/imap") != 2 || !strings.Contains(out, "[anna@example.org 192.0.2.7 IDLE]") || !strings.Contains(out, "vim notes") {
			t.Errorf("%s: %s", line, out)
		}
		if got := strings.Contains(out, "PID"); got != strings.Contains(line, "pid,") {
			t.Errorf("%s: header: %v", line, got)
		}
	}
	out, err := run(t, c, "ps ax -o pid= -o user= -o comm=; ps -p "+strconv.Itoa(editor)+" -o args=; ps -u nobody-here -o pid=")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 1 || strings.Count(out, "imap") != 2 || !strings.HasSuffix(out, "vim notes-on-dovecot\n") {
		t.Errorf("ps ax: %q, %v", out, err)
	}
	if _, err := run(t, c, "ps -o nonsense="); err == nil {
		t.Error("ps took an unknown field")
	}
	if runtime.GOOS == "linux" {
		for _, p := range h.Processes() {
			b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/cmdline")
			if got := string(bytes.TrimRight(b, "\x00")); err != nil || got != p.Title {
				t.Errorf("cmdline of %d is %q, want %q (%v)", p.PID, got, p.Title, err)
			}
			if b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/comm"); err != nil || strings.TrimSpace(string(b)) != p.Comm {
				t.Errorf("comm of %d is %q, want %q (%v)", p.PID, b, p.Comm, err)
			}
		}
	}
}

func TestSpawnedProcessesEndBySignalAndComeBackIfWanted(t *testing.T) {
	needShell(t)
	h := start(t, Options{})
	c := login(t, h)
	gentle, err := h.Spawn(ProcessOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stubborn, err := h.Spawn(ProcessOptions{IgnoreTERM: true})
	if err != nil {
		t.Fatal(err)
	}
	pids := func() (l []int) {
		for _, p := range h.Processes() {
			l = append(l, p.PID)
		}
		return l
	}
	if _, err := run(t, c, "kill -TERM "+strconv.Itoa(gentle)+" "+strconv.Itoa(stubborn)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gentle process ended", func() bool { return !slices.Contains(pids(), gentle) })
	time.Sleep(100 * time.Millisecond)
	if !slices.Contains(pids(), stubborn) {
		t.Error("the stubborn process ended by SIGTERM")
	}
	if _, err := run(t, c, "kill -KILL "+strconv.Itoa(stubborn)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stubborn process ended", func() bool { return len(pids()) == 0 })

	again, err := h.Spawn(ProcessOptions{Respawn: 10 * time.Millisecond, Respawns: 1})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		eventually(t, "a process runs", func() bool { return len(pids()) == 1 })
		if p := pids()[0]; round == 1 && p == again {
			t.Errorf("process %d is the one that was ended", p)
		} else if _, err := run(t, c, "kill "+strconv.Itoa(p)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it ended", func() bool { return len(pids()) == 0 || pids()[0] != again })
	}
	time.Sleep(100 * time.Millisecond)
	if n := len(pids()); n != 0 {
		t.Errorf("%d processes after the last respawn", n)
	}
}
