package realhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// markEnv carries a host's mark in the environment of its processes.
const markEnv = "DOVEMEND_TEST_HOST"

// starter starts processes on a thread that never ends, because Linux sends the parent's death signal when the thread
// that started a process ends.
var starter = sync.OnceValue(func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

// start starts cmd as a leader of a process group of its own; it gets sig when this process dies however that is.
func start(cmd *exec.Cmd, sig syscall.Signal, uid, gid int) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: sig}
	if uid != os.Getuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	done := make(chan error)
	starter() <- func() { done <- cmd.Start() }
	return <-done
}

// killGroup signals the process group that start made for a process.
func killGroup(leader int, sig syscall.Signal) {
	if leader > 1 {
		syscall.Kill(-leader, sig)
	}
}

// process is what is known of a running process.
type process struct {
	pid, group int
	dovecot    bool
	zombie     bool
}

// processesOf lists the processes of a user.
func processesOf(uid int) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var l []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		st, err := os.Stat("/proc/" + e.Name())
		if err != nil || int(st.Sys().(*syscall.Stat_t).Uid) != uid {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		end := bytes.LastIndexByte(stat, ')')
		f := strings.Fields(string(stat[end+1:]))
		if end < 0 || len(f) < 3 {
			continue
		}
		group, _ := strconv.Atoi(f[2])
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		l = append(l, process{pid: pid, group: group, dovecot: bytes.HasPrefix(cmdline, []byte("dovecot/")), zombie: f[0] == "Z"})
	}
	return l, nil
}

// endLeftovers kills what a login's commands have left behind: processes that carry the host's mark in their environment.
func (h *Host) endLeftovers() error {
	if h.uid == 0 || h.mark == "" {
		return nil
	}
	mark := []byte(markEnv + "=" + h.mark)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		all, err := processesOf(h.uid)
		if err != nil {
			return fmt.Errorf("look for leftover processes: %w", err)
		}
		var left []int
		for _, p := range all {
			env, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
			if err == nil && !p.zombie && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return bytes.Equal(v, mark) }) {
				left = append(left, p.pid)
				syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes %v do not end", left)
		}
	}
}

// groups are the process groups of this program's own Dovecots.
type groups struct {
	mu sync.Mutex
	m  map[int]bool
}

var ownHosts = groups{m: make(map[int]bool)}

func (g *groups) set(group int, there bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if there {
		g.m[group] = true
	} else {
		delete(g.m, group)
	}
}

func (g *groups) has(group int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.m[group]
}

// locks counts the hosts of this program that share the lock.
var locks struct {
	mu    sync.Mutex
	held  net.Listener
	count int
}

// lock takes a lock that other programs wait for; hosts of one program share it. It is a name in Linux's abstract socket
// namespace, which leaves no file and ends with the program.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	locks.mu.Lock()
	defer locks.mu.Unlock()
	for locks.count == 0 {
		l, err := net.Listen("unix", "@"+name)
		if err == nil {
			locks.held = l
			break
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	locks.count++
	return func() {
		locks.mu.Lock()
		defer locks.mu.Unlock()
		if locks.count--; locks.count == 0 {
			locks.held.Close()
		}
	}, nil
}
