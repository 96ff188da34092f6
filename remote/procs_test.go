//go:build linux

package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// localHost runs scripts on this machine, where the tests' own processes are.
type localHost struct {
	shell []string // default sh
	path  string   // put before PATH
}

func (h localHost) run(ctx context.Context, script string) ([]byte, error) {
	shell := h.shell
	if shell == nil {
		shell = []string{"sh"}
	}
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:len(shell):len(shell)], "-c", script)...)
	cmd.Env = append(os.Environ(), "COLUMNS=40")
	if h.path != "" {
		cmd.Env = append(cmd.Env, "PATH="+h.path+":"+os.Getenv("PATH"))
	}
	return cmd.Output()
}

func (h localHost) listing(ctx context.Context) (listing, error) { return list(ctx, h.run) }

func (h localHost) signalAll(ctx context.Context, list []Process, sig Signal) ([]error, error) {
	return signalAll(ctx, h.run, list, sig)
}

// pretender starts processes under any program name and title. All are its own children.
type pretender struct {
	t   *testing.T
	dir string
	tag string // in every account's name, so that this test's processes are known among others
	mu  sync.Mutex
	end bool
}

func newPretender(t *testing.T) *pretender {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} { // for tests as another user
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := &pretender{t: t, dir: dir, tag: fmt.Sprintf("t%d", rand.Uint64())}
	t.Cleanup(func() { p.mu.Lock(); p.end = true; p.mu.Unlock() })
	return p
}

// title is a verbose title of this test.
func (p *pretender) title(service string) string {
	return fmt.Sprintf("dovecot/%s [%s@example.org 192.0.2.7 IDLE]", service, p.tag)
}

// start runs a copy of sleep named comm with a title; respawn starts another when it ends.
func (p *pretender) start(comm, title string, attr *syscall.SysProcAttr, respawn bool) *exec.Cmd {
	p.t.Helper()
	bin := filepath.Join(p.dir, comm)
	if _, err := os.Stat(bin); err != nil {
		b, err := os.ReadFile("/bin/sleep")
		if err == nil {
			err = os.MkdirAll(filepath.Dir(bin), 0o755)
		}
		if err == nil {
			err = os.WriteFile(bin, b, 0o755)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	cmd := &exec.Cmd{Path: bin, Args: []string{title, "120"}, SysProcAttr: attr}
	p.spawn(cmd, respawn)
	return cmd
}

func (p *pretender) spawn(cmd *exec.Cmd, respawn bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end {
		return
	}
	if err := cmd.Start(); err != nil {
		p.t.Error(err)
		return
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
		if respawn {
			time.Sleep(100 * time.Millisecond)
			p.spawn(&exec.Cmd{Path: cmd.Path, Args: cmd.Args}, true)
		}
	}()
	p.t.Cleanup(func() { cmd.Process.Kill(); <-done })
}

func (p *pretender) mine(proc Process) bool { return strings.Contains(proc.Title, p.tag) }

// alive says whether a child still runs.
func alive(cmd *exec.Cmd) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// shells are the shells a host's sh may be; psDirs are directories whose ps stands for a kind of host.
func shells() map[string][]string {
	all := map[string][]string{"sh": {"sh"}}
	for name, cmd := range map[string][]string{"dash": {"dash"}, "bash": {"bash"}, "bash --posix": {"bash", "--posix"}, "busybox": {"busybox", "sh"}, "ksh": {"ksh"}, "zsh": {"zsh", "--emulate", "sh"}, "mksh": {"mksh"}} {
		if _, err := exec.LookPath(cmd[0]); err == nil {
			all[name] = cmd
		}
	}
	return all
}

func psDirs(t *testing.T) map[string]string {
	t.Helper()
	dirs := map[string]string{"procps": ""}
	for name, script := range map[string]string{
		"none":       "exit 127",
		"busybox":    `exec busybox ps "$@"`,
		"tiny":       `case $1 in -*) echo "ps: invalid option" >&2; exit 1;; esac; exec busybox ps "$@"`, // busybox without FEATURE_PS_LONG
		"truncating": `exec busybox ps "$@" | cut -c1-40`,
	} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ps"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := exec.LookPath("busybox"); err == nil || name == "none" {
			dirs[name] = dir
		}
	}
	return dirs
}

func TestProcessesFindsDovecotAndNothingElse(t *testing.T) {
	p := newPretender(t)
	want := map[int]string{}
	for _, service := range services {
		want[p.start(service, p.title(service), nil, false).Process.Pid] = service
	}
	bare := p.start("imap", "dovecot/imap", nil, false).Process.Pid
	path := p.start("usr/lib/dovecot/imap", filepath.Join(p.dir, "usr/lib/dovecot/imap"), nil, false).Process.Pid
	name := p.start("usr/lib/dovecot/imap", "imap", nil, false).Process.Pid
	decoys := []*exec.Cmd{
		p.start("imap-login", "dovecot/imap-login", nil, false),
		p.start("auth", "dovecot/auth", nil, false),
		p.start("log", "dovecot/log", nil, false),
		p.start("vim", "dovecot/imap", nil, false), // calls itself so, but is not
		p.start("imap", "vim", nil, false),
		p.start("imap", "imap", nil, false), // somebody's own program of that name
		p.start("x) S 1 1 1", "dovecot/imap", nil, false),
		p.start("imap\nx", "dovecot/imap", nil, false),
		{Path: "/bin/sh", Args: []string{"vim", "-c", "sleep 120 & wait; :", "dovecot/imap"}},
		{Path: "/bin/sh", Args: []string{"grep", "-c", "sleep 120 & wait; :", "-i", "dovecot/imap"}},
		{Path: "/bin/sh", Args: []string{"dovemend", "-c", "sleep 120 & wait; :", "\ndovecot/imap"}},
	}
	for _, d := range decoys {
		if d.Process == nil {
			d.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			p.spawn(d, false)
			t.Cleanup(func() { syscall.Kill(-d.Process.Pid, syscall.SIGKILL) })
		}
	}
	if os.Getuid() == 0 {
		decoys = append(decoys, p.start("imap", p.title("imap"), &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, false))
	}
	for ps, dir := range psDirs(t) {
		for sh, cmd := range shells() {
			l, err := localHost{cmd, dir}.listing(context.Background())
			if err != nil {
				t.Errorf("ps %s, shell %s: %v", ps, sh, err)
				continue
			}
			got := map[int]Process{}
			for _, proc := range l.processes {
				got[proc.PID] = proc
			}
			for pid, service := range want {
				proc := got[pid]
				if proc.Service != service || proc.UID != os.Getuid() || proc.Title != p.title(service) || proc.Account != p.tag+"@example.org" || proc.Client != "192.0.2.7" || proc.Command != "IDLE" {
					t.Errorf("ps %s, shell %s: %s is %+v", ps, sh, service, proc)
				}
			}
			for _, pid := range []int{bare, path, name} {
				if got[pid].Service != "imap" {
					t.Errorf("ps %s, shell %s: %d is %+v", ps, sh, pid, got[pid])
				}
			}
			for _, d := range decoys {
				if proc, ok := got[d.Process.Pid]; ok {
					t.Errorf("ps %s, shell %s: decoy %q taken for %+v", ps, sh, d.Args, proc)
				}
			}
			if l.hidden {
				t.Errorf("ps %s, shell %s: hidden", ps, sh)
			}
		}
	}
}

func find(t *testing.T, h localHost, pid int) Process {
	t.Helper()
	l, err := h.listing(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.processes {
		if p.PID == pid {
			return p
		}
	}
	t.Fatalf("process %d is not listed", pid)
	return Process{}
}

func TestSignalChecksStartTimeAndOwner(t *testing.T) {
	p := newPretender(t)
	for sh, shell := range shells() {
		h := localHost{shell: shell}
		cmd := p.start("imap", p.title("imap"), nil, false)
		proc := find(t, h, cmd.Process.Pid)
		for name, edit := range map[string]func(*Process){
			"start time": func(x *Process) { x.Start = strings.Replace(x.Start, "proc ", "proc 1", 1) },
			"boot":       func(x *Process) { x.Start = x.Start[:len(x.Start)-1] + "z" },
			"owner":      func(x *Process) { x.UID++ },
			"token":      func(x *Process) { x.Start = "x" },
			"ps token":   func(x *Process) { x.Start = "ps Mon Nov 23 09:01:02 2026" },
			"quotes":     func(x *Process) { x.Start = "proc '; kill -9 " + fmt.Sprint(x.PID) + "; '" },
		} {
			other := proc
			edit(&other)
			errs, err := h.signalAll(context.Background(), []Process{other}, SIGKILL)
			if err != nil || !errors.Is(errs[0], ErrProcessGone) {
				t.Errorf("shell %s, other %s: %v %v, want ErrProcessGone", sh, name, errs, err)
			}
		}
		time.Sleep(20 * time.Millisecond)
		if !alive(cmd) {
			t.Fatalf("shell %s: another process was signalled", sh)
		}
		errs, err := h.signalAll(context.Background(), []Process{proc}, SIGTERM)
		if err != nil || errs[0] != nil {
			t.Errorf("shell %s: %v %v", sh, errs, err)
		}
		for end := time.Now().Add(5 * time.Second); alive(cmd) && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if alive(cmd) {
			t.Errorf("shell %s: still alive", sh)
		}
		if errs, err := h.signalAll(context.Background(), []Process{proc}, SIGTERM); err != nil || !errors.Is(errs[0], ErrProcessGone) {
			t.Errorf("shell %s, ended: %v %v, want ErrProcessGone", sh, errs, err)
		}
	}
}

// TestSignalByPSLine signals by the token of a host without /proc.
func TestSignalByPSLine(t *testing.T) {
	p := newPretender(t)
	cmd := p.start("imap", p.title("imap"), nil, false)
	out, err := exec.Command("sh", "-c", fmt.Sprintf("LC_ALL=C ps -p %d -o lstart=", cmd.Process.Pid)).Output()
	if err != nil {
		t.Skip("no procps")
	}
	proc := Process{PID: cmd.Process.Pid, UID: os.Getuid(), Start: "ps " + strings.Join(strings.Fields(string(out)), " ")}
	if errs, err := (localHost{}).signalAll(context.Background(), []Process{proc}, SIGTERM); err != nil || errs[0] != nil {
		t.Errorf("%v %v", errs, err)
	}
}

func TestSignalRefusesWhatIsNoProcess(t *testing.T) {
	ran := func(ctx context.Context, script string) ([]byte, error) {
		if strings.Contains(script, "\none ") {
			t.Errorf("ran: %s", script[len(signalScript):])
		}
		return []byte("end\n"), nil
	}
	for _, p := range []Process{
		{PID: 0, UID: 1000, Start: "proc 1 x"}, {PID: 1, UID: 1000, Start: "proc 1 x"}, {PID: -1, UID: 1000, Start: "proc 1 x"},
		{PID: -4711, UID: 1000, Start: "proc 1 x"}, {PID: 1 << 31, UID: 1000, Start: "proc 1 x"}, {PID: 4711, UID: 1000}, {PID: 4711, UID: -1, Start: "proc 1 x"}, {},
	} {
		errs, err := signalAll(context.Background(), ran, []Process{p}, SIGTERM)
		if err != nil || errs[0] == nil {
			t.Errorf("%+v: %v %v", p, errs, err)
		}
	}
	if _, err := signalAll(context.Background(), ran, []Process{{PID: 4711, UID: 1, Start: "proc 1 x"}}, "STOP"); err == nil {
		t.Error("another signal was sent")
	}
}

func TestSignalSaysDeniedForOthersProcesses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs two users")
	}
	// What this user may not signal is not even tried: the owner differs.
	p := newPretender(t)
	cmd := p.start("imap", p.title("imap"), nil, false)
	proc := find(t, localHost{}, cmd.Process.Pid)
	h := localHost{shell: []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh"}}
	errs, err := h.signalAll(context.Background(), []Process{proc}, SIGKILL)
	if err != nil || !errors.Is(errs[0], ErrProcessGone) && !errors.Is(errs[0], fs.ErrPermission) {
		t.Errorf("%v %v", errs, err)
	}
	if !alive(cmd) {
		t.Error("signalled across users")
	}
}

func TestQuiesceEndsPoliteAndStubbornProcesses(t *testing.T) {
	p := newPretender(t)
	polite := p.start("imap", p.title("imap"), nil, false)
	signal.Ignore(syscall.SIGTERM) // inherited by what is started now
	stubborn := p.start("pop3", p.title("pop3"), nil, false)
	heed := make(chan os.Signal, 1) // signal.Reset would leave it ignored, by this process and all it starts from now on
	signal.Notify(heed, syscall.SIGTERM)
	signal.Stop(heed)
	spared := p.start("imap", "dovecot/imap", nil, false)
	var events []string
	q, err := quiesce(context.Background(), localHost{}, QuiesceOptions{
		Grace: 2 * time.Second, Settle: 300 * time.Millisecond, Only: p.mine,
		Event: func(what string, proc Process) { events = append(events, what+" "+proc.Service) },
	})
	if err != nil || !q.Stayed || len(q.Ended) != 2 || len(q.Back) != 0 {
		t.Errorf("%+v %v", q, err)
	}
	if alive(polite) || alive(stubborn) || !alive(spared) {
		t.Errorf("alive: polite %v, stubborn %v, spared %v", alive(polite), alive(stubborn), alive(spared))
	}
	got := strings.Join(events, ", ")
	if !strings.Contains(got, "gone imap") || !strings.Contains(got, "kill pop3, gone pop3") || strings.Contains(got, "kill imap") {
		t.Errorf("events: %s", got)
	}
}

func TestQuiesceTellsWhoKeepsComingBack(t *testing.T) {
	p := newPretender(t)
	p.start("imap", p.title("imap"), nil, true)
	news := 0
	q, err := quiesce(context.Background(), localHost{}, QuiesceOptions{
		Grace: 5 * time.Second, Settle: 5 * time.Second, Tries: 3, Only: p.mine,
		Event: func(what string, _ Process) {
			if what == "new" {
				news++
			}
		},
	})
	if err != nil || q.Stayed || len(q.Ended) != 3 || len(q.Back) != 1 || q.Back[0].Account != p.tag+"@example.org" || news != 3 {
		t.Errorf("%+v, %d new, %v", q, news, err)
	}
}

// TestProcessesTellsOfHidepid mounts /proc as some shared hosts do. Dovecot's processes, which have changed their user after
// they were started, are then hidden from that user; here a program its user may not read has the same effect.
func TestProcessesTellsOfHidepid(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	shell := []string{"unshare", "-m", "sh", "-c", `mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups sh "$@"`, "sh"}
	h := localHost{shell: shell}
	if _, err := h.run(context.Background(), "exit 0"); err != nil {
		t.Skipf("cannot mount /proc here: %v", err) // not in a container, nor in a chroot
	}
	p := newPretender(t)
	bin := filepath.Join(p.dir, "imap")
	p.start("imap", "dovecot/imap", nil, false)
	if err := os.Chmod(bin, 0o711); err != nil {
		t.Fatal(err)
	}
	p.start("imap", p.title("imap"), &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, false)
	l, err := h.listing(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !l.hidden || slices.ContainsFunc(l.processes, p.mine) { // others may run a Dovecot as this user
		t.Errorf("hidden %v, processes %v", l.hidden, l.processes)
	}
	open := localHost{shell: []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh"}}
	if l, err = open.listing(context.Background()); err != nil || l.hidden || !slices.ContainsFunc(l.processes, p.mine) {
		t.Errorf("where it is not hidden: hidden %v, processes %v, %v", l.hidden, l.processes, err)
	}
}
