package sshhost

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) {
	MaybeChild()
	os.Exit(m.Run())
}

func start(t *testing.T, o Options) *Host {
	t.Helper()
	if o.Home == "" {
		home, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		o.Home = home
	}
	if o.Password == "" {
		o.Password = "open sesame"
	}
	if testing.Verbose() {
		o.Logf = t.Logf
	}
	h, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func login(t *testing.T, h *Host, auth ...ssh.AuthMethod) *ssh.Client {
	t.Helper()
	c, err := tryLogin(h, auth...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func tryLogin(h *Host, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	if len(auth) == 0 {
		auth = []ssh.AuthMethod{ssh.Password(h.opt.Password)}
	}
	return ssh.Dial("tcp", h.Addr(), &ssh.ClientConfig{User: h.User(), Auth: auth, HostKeyCallback: ssh.FixedHostKey(h.HostKey()), Timeout: 10 * time.Second})
}

func run(t *testing.T, c *ssh.Client, line string) (string, error) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Output(line)
	return string(out), err
}

func needShell(t *testing.T) {
	if !canRun {
		t.Skip("no POSIX shell on " + runtime.GOOS)
	}
}

func TestLoginTakesRightPasswordAndKeyOnly(t *testing.T) {
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, Options{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}})
	login(t, h)
	login(t, h, ssh.PublicKeys(other, key))
	for name, auth := range map[string]ssh.AuthMethod{"password": ssh.Password("x"), "key": ssh.PublicKeys(other), "no password": ssh.Password("")} {
		if c, err := tryLogin(h, auth); err == nil {
			c.Close()
			t.Errorf("login with a wrong %s was taken", name)
		}
	}
	eventually(t, "two logins are counted", func() bool { return h.Logins() == 2 })
}

func TestKeyboardInteractiveAsksForThePassword(t *testing.T) {
	h := start(t, Options{Interactive: true})
	ask := func(_, _ string, q []string, echo []bool) ([]string, error) {
		if len(q) == 0 {
			return nil, nil
		}
		if len(q) != 1 || echo[0] {
			t.Errorf("asked %q, echo %v", q, echo)
		}
		return []string{"open sesame"}, nil
	}
	login(t, h, ssh.KeyboardInteractive(ask))
}

func TestCommandsRunInHomeWithExitStatusAndMotd(t *testing.T) {
	needShell(t)
	h := start(t, Options{Motd: "Welcome!\n"})
	c := login(t, h)
	out, err := run(t, c, `pwd; echo "$HOME" "$USER"; exit 7`)
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		t.Errorf("exit: %v, want status 7", err)
	}
	if want := "Welcome!\n" + h.Home() + "\n" + h.Home() + " web1\n"; out != want {
		t.Errorf("output %q, want %q", out, want)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	s.Stdin = strings.NewReader(strings.Repeat("mail\n", 100000))
	b, err := s.Output("cat")
	if want := "Welcome!\n" + strings.Repeat("mail\n", 100000); err != nil || string(b) != want {
		t.Errorf("cat gave %d bytes and %v, want %d", len(b), err, len(want))
	}
}

func TestCommandsEndWithTheChannel(t *testing.T) {
	needShell(t)
	h := start(t, Options{})
	pidFile := filepath.Join(h.Home(), "pid")
	for _, how := range []string{"session", "connection", "host"} {
		t.Run(how, func(t *testing.T) {
			os.Remove(pidFile)
			c := login(t, h)
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Start("sleep 300 & echo $! > pid.new; mv pid.new pid; wait"); err != nil {
				t.Fatal(err)
			}
			var pid int
			eventually(t, "the command runs", func() bool {
				b, _ := os.ReadFile(pidFile)
				pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
				return pid > 0
			})
			switch how {
			case "session":
				s.Close()
			case "connection":
				h.CutConnections()
			case "host":
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the command's child is gone", func() bool { return gone(pid) })
		})
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("after 10 s still not so: %s", what)
}

// gone says whether a process has ended; an orphan may stay a zombie where nothing reaps it.
func gone(pid int) bool {
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, rest, _ := strings.Cut(string(b), ") ")
		return strings.HasPrefix(rest, "Z")
	}
	p, err := os.FindProcess(pid)
	return err != nil || p.Signal(syscall.Signal(0)) != nil
}

func TestSFTPOnlyHostsRunNoCommands(t *testing.T) {
	for _, o := range []Options{{NoShell: true}, {ForceSFTP: true}} {
		h := start(t, o)
		c := login(t, h)
		if out, err := run(t, c, "echo shell-$((1+1))"); strings.Contains(out, "shell-2") {
			t.Errorf("%+v ran a command: %q, %v", o, out, err)
		}
		f, err := sftp.NewClient(c)
		if err != nil {
			t.Fatal(err)
		}
		if wd, err := f.RealPath("."); err != nil || wd != h.Home() {
			t.Errorf("RealPath(.) = %q, %v, want %q", wd, err, h.Home())
		}
	}
}

func TestNoSFTPRefusesTheSubsystem(t *testing.T) {
	h := start(t, Options{NoSFTP: true})
	if f, err := sftp.NewClient(login(t, h)); err == nil {
		f.Close()
		t.Error("SFTP started")
	}
}

func TestMaxSessionsRefusesOneMore(t *testing.T) {
	h := start(t, Options{MaxSessions: 2})
	c := login(t, h)
	for range 2 {
		if _, err := c.NewSession(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a third session was opened")
	}
}

func TestForwardReachesLoopbackOnly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	h := start(t, Options{})
	c := login(t, h)
	conn, err := c.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "hello")
	conn.(interface{ CloseWrite() error }).CloseWrite()
	if b, err := io.ReadAll(conn); err != nil || string(b) != "hello" {
		t.Errorf("echo %q, %v", b, err)
	}
	if conn, err := c.Dial("tcp", "192.0.2.1:25"); err == nil {
		conn.Close()
		t.Error("an outside address was dialled")
	}
}

func TestCutAfterCutsAllConnections(t *testing.T) {
	h := start(t, Options{})
	if err := os.WriteFile(filepath.Join(h.Home(), "big"), make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := login(t, h)
	f, err := sftp.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	big, err := f.Open("big")
	if err != nil {
		t.Fatal(err)
	}
	h.CutAfter(1 << 20)
	if n, err := io.Copy(io.Discard, big); err == nil || n > 2<<20 {
		t.Errorf("read %d bytes with error %v, want a cut near 1 MiB", n, err)
	}
	login(t, h)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	home := t.TempDir()
	h, err := Start(Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	pid, err := h.Spawn(ProcessOptions{IgnoreTERM: true, Respawn: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if !gone(pid) {
		t.Errorf("process %d lives on", pid)
	}
	if _, err := os.Stat(h.private); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("private directory: %v", err)
	}
	if _, err := h.Dial(context.Background(), "tcp", "mail.example.org:22"); err == nil {
		t.Error("the port is still open")
	}
	if err := h.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
