//go:build !windows

package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestReadingGoesOnAfterALostConnection(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}})
	c := f.config(t)
	asked := 0
	c.Password = func(context.Context) (string, error) { asked++; return "right", nil }
	h := dial(t, c)
	dir, files := makeTree(t)
	f.cut()
	got, err := h.FS(t.Context()).ReadFile(hostName(filepath.Join(dir, "large")))
	if err != nil || !bytes.Equal(got, files["large"]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	f.cut()
	if out, err := h.query(t.Context(), "cat", []byte("x")); err != nil || string(out) != "x" {
		t.Errorf("query: %q, %v", out, err)
	}
	f.cut()
	if _, err := h.RealPath(t.Context(), "/"); err != nil {
		t.Errorf("real path: %v", err)
	}
	if asked != 1 || f.conns.Load() != 4 {
		t.Errorf("asked for the password %d times over %d connections", asked, f.conns.Load())
	}
}

func TestManyReadersShareOneNewConnection(t *testing.T) {
	f := startFake(t, &fakeHost{})
	h := dial(t, f.config(t))
	dir, files := makeTree(t)
	f.cut()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for name, want := range files {
				got, err := h.FS(t.Context()).ReadFile(hostName(filepath.Join(dir, name)))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
		})
	}
	wg.Wait()
	if n := f.conns.Load(); n != 2 {
		t.Errorf("%d connections were made, want 2", n)
	}
}

func TestOpenFileIsReadOnAfterALostConnection(t *testing.T) {
	f := startFake(t, &fakeHost{})
	h := dial(t, f.config(t))
	dir, files := makeTree(t)
	p := filepath.Join(dir, "large")
	file, err := h.FS(t.Context()).Open(hostName(p))
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1000)
	if _, err := io.ReadFull(file, first); err != nil {
		t.Fatal(err)
	}
	f.cut()
	rest, err := io.ReadAll(file)
	if err != nil || !bytes.Equal(append(first, rest...), files["large"]) {
		t.Errorf("%d bytes, %v", len(first)+len(rest), err)
	}
	f.cut()
	if _, err := file.(io.ReaderAt).ReadAt(first, 0); !errors.Is(err, ErrDisconnected) {
		t.Errorf("a third connection for one file: %v", err)
	}
	file.Close()

	file, err = h.FS(t.Context()).Open(hostName(p))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.ReadFull(file, first); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte("another file now"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.cut()
	if _, err := io.ReadAll(file); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a file that changed meanwhile: %v", err)
	}
}

func TestChangingWorkNeverConnectsAnew(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}})
	h := dial(t, f.config(t))
	f.cut()
	waitFor(t, func() bool { _, err := h.current(); return err != nil })
	if _, err := h.run(t.Context(), "true", nil); !errors.Is(err, ErrDisconnected) {
		t.Errorf("run gives %v", err)
	}
	if _, err := h.OpenRoot(t.Context(), t.TempDir()); !errors.Is(err, ErrDisconnected) {
		t.Errorf("a root gives %v", err)
	}
	if _, _, _, _, _, err := h.start(t.Context(), "true"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("start gives %v", err)
	}
	if _, err := h.DialTCP(t.Context(), "127.0.0.1:1"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("tunnel gives %v", err)
	}
	if n := f.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}

func TestCommandCutOffIsDisconnected(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}})
	h := dial(t, f.config(t))
	before := f.sessions.Load() // of looking around while logging in
	go func() {
		for range 1000 { // until the command is on its way, or in vain
			if time.Sleep(10 * time.Millisecond); f.sessions.Load() > before {
				break
			}
		}
		time.Sleep(100 * time.Millisecond)
		f.cut()
	}()
	if _, err := h.run(t.Context(), "echo part; sleep 10", nil); !errors.Is(err, ErrDisconnected) {
		t.Errorf("got %v", err)
	}
}

func TestHostThatStaysAwayIsGivenUp(t *testing.T) {
	f := startFake(t, &fakeHost{})
	c := f.config(t)
	gone := false
	real := c.Dial
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if gone {
			return nil, errors.New("no route to host")
		}
		return real(ctx, network, addr)
	}
	h := dial(t, c)
	gone = true
	f.cut()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	waitFor(t, func() bool { _, err := h.current(); return err != nil })
	if _, err := h.FS(ctx).Stat("etc"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a short context: %v", err)
	}
	_, err := h.FS(t.Context()).Stat("etc")
	if !errors.Is(err, ErrDisconnected) {
		t.Fatalf("got %v", err)
	}
	wantContains(t, err.Error(), "no route to host")
	began := time.Now()
	if _, err := h.FS(t.Context()).Stat("etc"); !errors.Is(err, ErrDisconnected) || time.Since(began) > 5*time.Second {
		t.Errorf("the next one: %v after %v", err, time.Since(began))
	}
}

func TestAnotherKeyWhenConnectingAgainIsRefused(t *testing.T) {
	one, two := startFake(t, &fakeHost{}), startFake(t, &fakeHost{})
	c := one.config(t)
	addr := one.addr
	c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	h := dial(t, c)
	addr = two.addr
	one.cut()
	waitFor(t, func() bool { _, err := h.current(); return err != nil })
	if _, err := h.FS(t.Context()).Stat("etc"); !errors.Is(err, ErrHostKey) || !errors.Is(err, ErrDisconnected) {
		t.Errorf("got %v", err)
	}
}

func TestUnansweredKeepalivesEndTheConnection(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}})
	c := f.config(t)
	c.KeepAlive = 200 * time.Millisecond // three of them must be longer than a busy machine may stop the test for
	h := dial(t, c)
	time.Sleep(time.Second)
	if _, err := h.run(t.Context(), "true", nil); err != nil {
		t.Fatalf("while they are answered: %v", err)
	}
	f.mute.Store(true)
	began := time.Now()
	_, err := h.run(t.Context(), "sleep 30", nil)
	if !errors.Is(err, ErrDisconnected) || time.Since(began) > 20*time.Second {
		t.Fatalf("%v after %v", err, time.Since(began))
	}
	wantContains(t, err.Error(), "has not answered")
}

func TestCloseEndsEverything(t *testing.T) {
	h := dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}).config(t))
	time.AfterFunc(100*time.Millisecond, func() { h.Close() })
	if _, err := h.run(t.Context(), "sleep 30", nil); !errors.Is(err, ErrDisconnected) {
		t.Errorf("the running command: %v", err)
	}
	if _, err := h.FS(t.Context()).Stat("etc"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("what comes after: %v", err)
	}
}

func TestSumsAndListingsSurviveALostConnection(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}})
	h := dial(t, f.config(t))
	dir, files := makeTree(t)
	seen := map[string]bool{}
	var names []string
	for n := range files {
		names = append(names, n)
	}
	cut := false
	err := h.Sums(t.Context(), dir, names, func(i int, sum [32]byte, err error) error {
		if !cut {
			cut = true
			f.cut()
		}
		if err != nil || seen[names[i]] {
			t.Errorf("%s: %v, seen before: %v", names[i], err, seen[names[i]])
		}
		seen[names[i]] = true
		return nil
	})
	if err != nil || len(seen) != len(files) {
		t.Errorf("%v, %d of %d", err, len(seen), len(files))
	}
}

func TestJumpHostsEachHaveTheirOwnKeyAndLogin(t *testing.T) {
	jumpKey, endKey := newKey(t), newKey(t)
	end := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}, endKey)
	jump := &fakeHost{}
	jump.server.PasswordCallback = func(c ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		if c.User() == "j" && string(p) == "for the jump" {
			return nil, nil
		}
		return nil, fmt.Errorf("password %q", p)
	}
	startFake(t, jump, jumpKey)
	c := jump.config(t)
	c.AcceptNew = false
	c.Target, c.Jump = "alice@"+end.addr, "j@jump.test"
	ask := &asker{secrets: []string{"for the jump"}}
	c.Ask = ask
	host, port, _ := net.SplitHostPort(end.addr)
	c.KnownHosts = []string{writeKnown(t, knownLine("jump.test", jumpKey.PublicKey()), knownLine("["+host+"]:"+port, endKey.PublicKey()))}
	h := dial(t, c)
	if out, err := h.run(t.Context(), "echo far", nil); err != nil || string(out) != "far\n" {
		t.Errorf("%q, %v", out, err)
	}
	if i := h.Info(); i.Fingerprint != ssh.FingerprintSHA256(endKey.PublicKey()) || i.Addr != end.addr {
		t.Errorf("got %+v", i)
	}
	if len(ask.prompts) != 1 || !strings.Contains(ask.prompts[0], "j@jump.test") {
		t.Errorf("asked %q", ask.prompts)
	}
	c.KnownHosts = []string{writeKnown(t, knownLine("jump.test", jumpKey.PublicKey()), knownLine("["+host+"]:"+port, jumpKey.PublicKey()))}
	c.Ask = &asker{secrets: []string{"for the jump"}}
	if _, err := Dial(t.Context(), c); !errors.Is(err, ErrHostKey) {
		t.Errorf("another key behind the jump: %v", err)
	}
	c.KnownHosts = []string{writeKnown(t, knownLine("["+host+"]:"+port, endKey.PublicKey()))}
	if _, err := Dial(t.Context(), c); !errors.Is(err, ErrHostKey) {
		t.Errorf("an unknown jump host: %v", err)
	}
	jump.cut()
	waitFor(t, func() bool { _, err := h.current(); return err != nil })
}

// TestProxyHelper is no test: it is the ProxyCommand of the test below.
func TestProxyHelper(t *testing.T) {
	addr := os.Getenv("DOVEMEND_TEST_PROXY")
	if addr == "" {
		return
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(1)
	}
	go func() { io.Copy(conn, os.Stdin); os.Exit(0) }()
	io.Copy(os.Stdout, conn)
	os.Exit(0)
}

func TestProxyCommandIsUsed(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "config")
	text := "Host far\n  HostName fake.test\n  ProxyCommand env DOVEMEND_TEST_PROXY=" + f.addr + " " + exe + " -test.run=TestProxyHelper # %h %p\n" +
		"Host broken\n  ProxyCommand sh -c 'echo cannot go there >&2; exit 1'\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := f.config(t)
	c.ConfigFile, c.Dial, c.Target = conf, nil, "alice@far"
	h := dial(t, c)
	if out, err := h.run(t.Context(), "echo through", nil); err != nil || string(out) != "through\n" {
		t.Errorf("%q, %v", out, err)
	}
	c.Target = "alice@broken"
	_, err = Dial(t.Context(), c)
	if err == nil {
		t.Fatal("a broken ProxyCommand connects")
	}
	wantContains(t, err.Error(), "cannot go there")
}

func TestTunnelKnowsDeadlinesAndEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	h := dialReal(t, "AllowTcpForwarding yes")
	c, err := h.DialTCP(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "echo"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "echo" {
		t.Errorf("%q, %v", b, err)
	}
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	h.Close()
	if _, err := c.Read(b); err == nil {
		t.Error("it outlives the connection")
	}
	h = dialReal(t, "AllowTcpForwarding no")
	if _, err := h.DialTCP(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), "forbids") {
		t.Errorf("where it is forbidden: %v", err)
	}
	h = dialReal(t, "")
	if _, err := h.DialTCP(t.Context(), "127.0.0.1:1"); err == nil {
		t.Error("nobody listens there")
	}
}

func TestSFTPOnlyAccountOfRealSSHD(t *testing.T) {
	h := dialReal(t, "ForceCommand internal-sftp")
	if i := h.Info(); i.Shell || i.Home == "" || i.UID != -1 {
		t.Errorf("got %+v", i)
	}
	if _, err := h.FS(t.Context()).ReadDir("etc"); err != nil {
		t.Error(err)
	}
	s, err := h.Space(t.Context(), "/")
	if err != nil || s.TotalBytes <= 0 || s.FreeBytes < 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSpaceIsTold(t *testing.T) {
	onBoth(t, func(t *testing.T, h *Host) {
		s, err := h.Space(t.Context(), t.TempDir())
		if err != nil || s.TotalBytes <= 0 || s.FreeBytes < 0 || s.FreeBytes > s.TotalBytes {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := h.Space(t.Context(), "/nowhere/at/all"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of a missing path: %v", err)
		}
	})
}

func TestDFIsReadInItsForms(t *testing.T) {
	for out, want := range map[string][2]int64{
		"Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 100 40 60 40% /\n":                 {100 << 10, 60 << 10},
		"Filesystem 1K-blocks Used Avail Capacity iused ifree %iused Mounted on\n/dev/d 100 40 60 40% 1 2 3% /x": {100 << 10, 60 << 10},
		"head\nmap auto home 0 0 0 100% /home of all\n":                                                          {0, 0},
		"head\n//nas/vol 7 100 140 -40 140% /\n":                                                                 {100 << 10, 0},
		"nothing":                                                                                                {-1, -1},
		"a\nb - - - - c":                                                                                         {-1, -1},
		"a\nb 99999999999999999 1 99999999999999999 1% /":                                                        {-1, -1},
	} {
		total, free := parseDF([]byte(out))
		if total != want[0] || free != want[1] {
			t.Errorf("%q is %d %d, want %v", out, total, free, want)
		}
	}
}

func TestOneSessionAtATimeIsEnoughForFiles(t *testing.T) {
	h := dialReal(t, "MaxSessions 1")
	if !h.Info().Shell {
		t.Error("the shell was not seen")
	}
	if _, err := h.FS(t.Context()).ReadDir("etc"); err != nil {
		t.Error(err)
	}
	if _, err := h.run(t.Context(), "true", nil); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("a second session gives %v", err)
	}
}
