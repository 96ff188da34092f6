//go:build !windows

package remote

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// fakeHost is an SSH server in this process, for the nasty cases a real sshd does not offer. Connections reach it over
// loopback by Config.Dial.
type fakeHost struct {
	server   ssh.ServerConfig
	shell    []string                                      // how a command line is run, as in "sh -c"; nil refuses commands
	noise    string                                        // printed before every command
	noSFTP   bool                                          // refuses the SFTP subsystem
	sftp     func(io.ReadWriteCloser)                      // instead of the real files
	accept   func(net.Conn) net.Conn                       // what the server sees of a connection; nil closes it
	exec     func(line string, ch ssh.Channel) (done bool) // before the shell
	mute     atomic.Bool                                   // answers no global request (keepalive)
	hasty    time.Duration                                 // after which it closes a session that nothing was asked in; 0 for never
	sessions atomic.Int32
	conns    atomic.Int32

	addr string
	mu   sync.Mutex
	open []net.Conn
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startFake starts the host and ends it with the test. Without host keys it gets one; without any method of logging in it takes the
// password "right".
func startFake(t testing.TB, f *fakeHost, keys ...ssh.Signer) *fakeHost {
	t.Helper()
	if len(keys) == 0 {
		keys = []ssh.Signer{newKey(t)}
	}
	for _, k := range keys {
		f.server.AddHostKey(k)
	}
	s := &f.server
	if s.PasswordCallback == nil && s.PublicKeyCallback == nil && s.KeyboardInteractiveCallback == nil && !s.NoClientAuth {
		s.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if string(p) == "right" {
				return nil, nil
			}
			return nil, errors.New("wrong")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	t.Cleanup(func() { l.Close(); f.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.conns.Add(1)
			f.mu.Lock()
			f.open = append(f.open, c)
			f.mu.Unlock()
			go f.serve(c)
		}
	}()
	return f
}

// cut ends all connections, as a lost line does.
func (f *fakeHost) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.open {
		c.Close()
	}
	f.open = nil
}

func (f *fakeHost) serve(c net.Conn) {
	defer c.Close()
	if f.accept != nil {
		if c = f.accept(c); c == nil {
			return
		}
	}
	conn, chans, reqs, err := ssh.NewServerConn(c, &f.server)
	if err != nil {
		return
	}
	defer conn.Close()
	go func() {
		for r := range reqs {
			if r.WantReply && !f.mute.Load() {
				r.Reply(false, nil)
			}
		}
	}()
	for n := range chans {
		switch n.ChannelType() {
		case "session":
			if ch, reqs, err := n.Accept(); err == nil {
				f.sessions.Add(1)
				go f.session(ch, reqs)
			}
		case "direct-tcpip":
			var to struct {
				Host  string
				Port  uint32
				From  string
				FPort uint32
			}
			ssh.Unmarshal(n.ExtraData(), &to)
			far, err := net.Dial("tcp", net.JoinHostPort(to.Host, itoa(int(to.Port))))
			if err != nil {
				n.Reject(ssh.ConnectionFailed, "connection refused")
				continue
			}
			if ch, reqs, err := n.Accept(); err == nil {
				go ssh.DiscardRequests(reqs)
				go func() { io.Copy(far, ch); far.Close() }()
				go func() { io.Copy(ch, far); ch.Close() }()
			}
		default:
			n.Reject(ssh.UnknownChannelType, "no")
		}
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func (f *fakeHost) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	unused := time.NewTimer(time.Hour)
	if f.hasty > 0 {
		unused = time.AfterFunc(f.hasty, func() { ch.Close() })
	}
	defer unused.Stop()
	for r := range reqs {
		unused.Stop()
		var arg struct{ S string }
		ssh.Unmarshal(r.Payload, &arg)
		switch {
		case r.Type == "subsystem" && arg.S == "sftp" && !f.noSFTP:
			r.Reply(true, nil)
			go func() {
				defer ch.Close()
				if f.sftp != nil {
					f.sftp(ch)
					return
				}
				if s, err := sftp.NewServer(ch); err == nil {
					s.Serve()
				}
			}()
		case r.Type == "exec" && (f.shell != nil || f.exec != nil):
			r.Reply(true, nil)
			go f.command(arg.S, ch)
		case r.WantReply:
			r.Reply(false, nil)
		}
	}
}

func (f *fakeHost) command(line string, ch ssh.Channel) {
	defer ch.Close()
	io.WriteString(ch, f.noise)
	if f.exec != nil && f.exec(line, ch) {
		return
	}
	status := uint32(0)
	if f.shell != nil {
		cmd := exec.Command(f.shell[0], append(f.shell[1:len(f.shell):len(f.shell)], line)...)
		cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
		in, err := cmd.StdinPipe()
		if err != nil || cmd.Start() != nil {
			return
		}
		go func() { io.Copy(in, ch); in.Close() }()
		cmd.Wait()
		status = uint32(cmd.ProcessState.ExitCode())
	}
	ch.SendRequest("exit-status", false, ssh.Marshal(struct{ S uint32 }{status}))
}

// config is how to reach the host as a stranger with the right password.
func (f *fakeHost) config(t testing.TB) Config {
	return Config{
		Target: "alice@fake.test", ConfigFile: "none", NoAgent: true, AcceptNew: true,
		KnownHosts:  []string{filepath.Join(t.TempDir(), "known_hosts")},
		Password:    func(context.Context) (string, error) { return "right", nil },
		DialTimeout: 10 * time.Second,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, f.addr)
		},
		Log: testLog(t),
	}
}

// dial connects and closes with the test.
func dial(t testing.TB, cfg Config) *Host {
	t.Helper()
	h, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// asker answers from lists and remembers what it was asked.
type asker struct {
	mu      sync.Mutex
	trust   bool
	secrets []string
	lines   []string
	keys    []HostKeyQuestion
	prompts []string
	wait    time.Duration
}

func (a *asker) HostKey(_ context.Context, q HostKeyQuestion) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = append(a.keys, q)
	return a.trust, nil
}

func (a *asker) Secret(_ context.Context, prompt string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	time.Sleep(a.wait)
	a.prompts = append(a.prompts, prompt)
	if len(a.secrets) == 0 {
		return "", errors.New("nobody answers")
	}
	s := a.secrets[0]
	a.secrets = a.secrets[1:]
	return s, nil
}

func (a *asker) Line(_ context.Context, prompt string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prompts = append(a.prompts, prompt)
	if len(a.lines) == 0 {
		return "", errors.New("nobody answers")
	}
	s := a.lines[0]
	a.lines = a.lines[1:]
	return s, nil
}

func wantContains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("missing %q in %q", p, text)
		}
	}
}
