package sshhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Proc is one process as the host's ps shows it.
type Proc struct {
	PID, PPID, UID int
	User           string
	Title          string // all of its arguments, as ps prints them
	Comm           string // the short name
	Start          time.Time
}

// ProcessOptions say what [Host.Spawn] starts.
type ProcessOptions struct {
	// Title is what ps shows of it, as Dovecot's processes set it; default "dovecot/imap".
	Title string
	// Respawn, if not zero, starts another such process that long after one ended, as a mail program that connects again.
	Respawn time.Duration
	// Respawns is how often at most; 0 for no limit.
	Respawns int
	// IgnoreTERM makes it live on after SIGTERM.
	IgnoreTERM bool
}

// processTable holds the running spawned processes; a copy of it lies in the private directory for the ps shim.
type processTable struct {
	mu      sync.Mutex
	ended   bool
	running map[int]*spawned
}

type spawned struct {
	Proc
	cmd *exec.Cmd
}

// SpawnIMAP starts n processes that look like Dovecot's imap processes of this login, with the titles given in turn.
func (h *Host) SpawnIMAP(n int, titles ...string) error {
	for i := range n {
		o := ProcessOptions{}
		if len(titles) > 0 {
			o.Title = titles[i%len(titles)]
		}
		if _, err := h.Spawn(o); err != nil {
			return err
		}
	}
	return nil
}

// Spawn starts one real process with a title of its own and gives its number. It ends by SIGTERM or SIGKILL, with the
// host, or when the calling process dies. The program must call [MaybeChild] first of all.
func (h *Host) Spawn(o ProcessOptions) (pid int, err error) {
	if !hooked {
		return 0, errors.New("spawn process: this program does not call sshhost.MaybeChild")
	}
	if o.Title == "" {
		o.Title = "dovecot/imap"
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("spawn process: %w", err)
	}
	comm, _, _ := strings.Cut(o.Title, " ")
	comm = comm[strings.LastIndex(comm, "/")+1:]
	mode := childWait
	if o.IgnoreTERM {
		mode = childStubborn
	}
	cmd := &exec.Cmd{Path: exe, Args: []string{o.Title}, Env: append(os.Environ(), childEnv+"="+mode, commEnv+"="+comm)}
	ownGroup(cmd) // a Ctrl-C at the terminal is for this program only
	// The child reads its standard input and ends with it, so it ends with this process however that ends.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, fmt.Errorf("spawn process: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("spawn process: %w", err)
	}
	t := &h.procs
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return 0, errors.New("spawn process: host closed")
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("spawn process: %w", err)
	}
	// It says a byte when it is ready: from then on it answers signals as it should.
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		cmd.Process.Kill()
		return 0, errors.Join(fmt.Errorf("spawn process: it did not start: %w", err), cmd.Wait())
	}
	p := Proc{PID: cmd.Process.Pid, PPID: os.Getpid(), UID: os.Getuid(), User: h.opt.User, Title: o.Title, Comm: comm, Start: time.Now()}
	if t.running == nil {
		t.running = make(map[int]*spawned)
	}
	t.running[p.PID] = &spawned{p, cmd}
	err = t.write(h.private)
	h.wg.Go(func() {
		cmd.Wait()
		stdin.Close()
		t.mu.Lock()
		delete(t.running, p.PID)
		if err := t.write(h.private); err != nil {
			h.opt.Logf("process table: %v", err)
		}
		t.mu.Unlock()
		h.respawn(o)
	})
	return p.PID, err
}

// respawn starts the successor of a process that ended, where its options want one.
func (h *Host) respawn(o ProcessOptions) {
	if o.Respawn == 0 {
		return
	}
	if o.Respawns == 1 {
		o.Respawn = 0
	} else if o.Respawns > 1 {
		o.Respawns--
	}
	wait := time.NewTimer(max(o.Respawn, time.Millisecond))
	defer wait.Stop()
	select {
	case <-h.ctx.Done():
	case <-wait.C:
		if _, err := h.Spawn(o); err != nil {
			h.opt.Logf("respawn: %v", err)
		}
	}
}

// Processes are the spawned processes that run now.
func (h *Host) Processes() []Proc {
	h.procs.mu.Lock()
	defer h.procs.mu.Unlock()
	return h.procs.list()
}

// endProcesses kills what was spawned; the host's wait group waits for them.
func (h *Host) endProcesses() {
	h.procs.mu.Lock()
	defer h.procs.mu.Unlock()
	h.procs.ended = true
	for _, s := range h.procs.running {
		s.cmd.Process.Kill()
	}
}

func (t *processTable) list() []Proc {
	var l []Proc
	for _, s := range t.running {
		l = append(l, s.Proc)
	}
	return l
}

// write puts the table where the ps shim reads it, whole at any time.
func (t *processTable) write(dir string) error {
	b, err := json.Marshal(t.list())
	if err != nil {
		return err
	}
	temp := filepath.Join(dir, "table.new")
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, "table"))
}

// preparePS makes the private directory with a ps that shows this host's processes only. Commands of the login find it
// before the system's own, so that nothing else of this machine is ever listed, nor signalled.
func (h *Host) preparePS() (err error) {
	if h.private, err = os.MkdirTemp("", "dovemend-host-"); err != nil {
		return fmt.Errorf("make host directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(h.private))
		}
	}()
	if err := h.procs.write(h.private); err != nil {
		return fmt.Errorf("write process table: %w", err)
	}
	// Without the hook nothing can be spawned: there is never a process to show. The header keeps those who see nothing at
	// all from turning to /proc, which shows all of this machine.
	script := "#!/bin/sh\necho '  PID USER     COMMAND'\n"
	if hooked {
		exe, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find own program: %w", err)
		}
		account := strconv.Itoa(os.Getuid())
		if u, err := user.Current(); err == nil {
			account = u.Username
		}
		// A program built with -race would otherwise wait a second before it exits.
		script = fmt.Sprintf("#!/bin/sh\nGORACE=atexit_sleep_ms=0 %s=%s %s=%s %s=%s exec %s \"$@\"\n", childEnv, childPS,
			tableEnv, quote(filepath.Join(h.private, "table")), commEnv, quote(account), quote(exe))
	}
	if err := os.WriteFile(filepath.Join(h.private, "ps"), []byte(script), 0o700); err != nil {
		return fmt.Errorf("write ps: %w", err)
	}
	return nil
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
