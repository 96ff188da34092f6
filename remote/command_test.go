//go:build !windows

package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestRunSeesThroughNoiseOfEveryLoginShell(t *testing.T) {
	for _, shell := range loginShells {
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			f := startFake(t, &fakeHost{shell: atHome(t, shell), noise: "Welcome!\nYou have mail.\n\x1b[31mred\x1b[0m no newline at the end"})
			h := dial(t, f.config(t))
			if !h.Info().Shell {
				t.Fatal("no shell found")
			}
			in := bytes.Repeat([]byte{0, 1, '\n', 0xff}, 100_000)
			out, err := h.run(t.Context(), "cat; printf end", bytes.NewReader(in))
			if err != nil {
				t.Fatal(err)
			}
			if want := string(in) + "end"; string(out) != want {
				t.Errorf("got %d bytes back, want %d", len(out), len(want))
			}
			_, err = h.run(t.Context(), "echo it broke >&2; exit 3", nil)
			var exit *ExitError
			if !errors.As(err, &exit) || exit.Status != 3 || exit.Stderr != "it broke" {
				t.Errorf("got %v, want status 3 and what it wrote", err)
			}
		})
	}
}

func TestRunRefusesTooMuchOutput(t *testing.T) {
	h := dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}).config(t))
	_, err := h.run(t.Context(), "exec cat /dev/zero", nil)
	if err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Fatalf("got %v, want the limit named", err)
	}
	if out, err := h.run(t.Context(), "echo still there", nil); err != nil || string(out) != "still there\n" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

func TestRunRefusesNULAndLongScripts(t *testing.T) {
	h := dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}).config(t))
	if _, err := h.run(t.Context(), "echo a\x00b", nil); err == nil {
		t.Error("a NUL was taken")
	}
	if _, err := h.run(t.Context(), "echo "+strings.Repeat("x", lineLimit), nil); err == nil {
		t.Error("a script past the limit was taken")
	}
	long := strings.Repeat("x", lineLimit-8<<10)
	if out, err := h.run(t.Context(), "echo "+long, nil); err != nil || string(out) != long+"\n" {
		t.Errorf("a script just within the limit: %d bytes, %v", len(out), err)
	}
}

func TestCancelEndsACommandAtOnce(t *testing.T) {
	h := dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}).config(t))
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := h.run(ctx, "sleep 20", nil)
	if !errors.Is(err, context.Canceled) || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	ctx, cancel = context.WithCancel(t.Context())
	_, stdout, stderr, wait, stop, err := h.start(ctx, "echo one; sleep 20")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	go io.Copy(io.Discard, stderr)
	buf := make([]byte, 4)
	if _, err := io.ReadFull(stdout, buf); err != nil || string(buf) != "one\n" {
		t.Fatalf("got %q, %v", buf, err)
	}
	began = time.Now()
	cancel()
	if _, err := io.ReadAll(stdout); !errors.Is(err, context.Canceled) {
		t.Errorf("reading on gives %v", err)
	}
	if err := wait(); !errors.Is(err, context.Canceled) || time.Since(began) > 10*time.Second {
		t.Errorf("wait gives %v after %v", err, time.Since(began))
	}
}

func TestStartStreamsBothWays(t *testing.T) {
	f := startFake(t, &fakeHost{shell: []string{"tcsh", "-c"}, noise: "motd\n"})
	if _, err := exec.LookPath("tcsh"); err != nil {
		f.shell[0] = "/bin/sh"
	}
	h := dial(t, f.config(t))
	stdin, stdout, stderr, wait, _, err := h.start(t.Context(), `while read -r l; do echo "<$l>"; done; echo bye >&2; exit 4`)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan string)
	go func() {
		b, _ := io.ReadAll(stderr)
		errs <- string(b)
	}()
	for _, l := range []string{"a", "b c", `\x`} {
		io.WriteString(stdin, l+"\n")
		buf := make([]byte, len(l)+3)
		if _, err := io.ReadFull(stdout, buf); err != nil || string(buf) != "<"+l+">\n" {
			t.Fatalf("got %q, %v", buf, err)
		}
	}
	stdin.Close()
	if rest, err := io.ReadAll(stdout); err != nil || len(rest) != 0 {
		t.Errorf("at the end %q, %v", rest, err)
	}
	if got := <-errs; !strings.HasSuffix(got, "bye\n") {
		t.Errorf("stderr is %q", got)
	}
	var exit *ExitError
	if err := wait(); !errors.As(err, &exit) || exit.Status != 4 {
		t.Errorf("ended with %v, want status 4", err)
	}
}

func TestHostsWithoutAShellAreNoticed(t *testing.T) {
	tests := []struct {
		name string
		host *fakeHost
	}{
		{"commands are refused", &fakeHost{}},
		{"nologin", &fakeHost{exec: func(_ string, ch ssh.Channel) bool {
			io.WriteString(ch, "This account is currently not available.\n")
			ch.SendRequest("exit-status", false, []byte{0, 0, 0, 1})
			return true
		}}},
		{"rssh that repeats the command", &fakeHost{exec: func(line string, ch ssh.Channel) bool {
			io.WriteString(ch, "This account is restricted by rssh.\nYou tried: "+line+"\n")
			ch.SendRequest("exit-status", false, []byte{0, 0, 0, 1})
			return true
		}}},
		{"internal-sftp in place of the command", &fakeHost{exec: func(_ string, ch ssh.Channel) bool {
			io.Copy(io.Discard, ch)
			ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
			return true
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := dial(t, startFake(t, tt.host).config(t))
			info := h.Info()
			if info.Shell || info.UID != -1 || info.OS != "" || info.HashTool != "" {
				t.Errorf("got %+v, want no shell", info)
			}
			if info.Home == "" {
				t.Error("no home directory")
			}
			if _, err := h.run(t.Context(), "true", nil); !errors.Is(err, ErrNoShell) {
				t.Errorf("run gives %v", err)
			}
			if _, _, _, _, _, err := h.start(t.Context(), "true"); !errors.Is(err, ErrNoShell) {
				t.Errorf("start gives %v", err)
			}
			err := h.Sums(t.Context(), "/", []string{"x"}, nil)
			if !errors.Is(err, ErrNoShell) || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("sums give %v", err)
			}
		})
	}
}

func TestHostWithoutSFTPIsAnError(t *testing.T) {
	_, err := Dial(t.Context(), startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}, noSFTP: true}).config(t))
	if !errors.Is(err, ErrNoSFTP) {
		t.Fatalf("got %v, want ErrNoSFTP", err)
	}
}

func TestInfoTellsOfTheHost(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	real := filepath.Join(t.TempDir(), "real")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, home); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	key := newKey(t)
	h := dial(t, startFake(t, &fakeHost{shell: []string{"/bin/sh", "-c"}}, key).config(t))
	i := h.Info()
	want := Info{
		Target: "alice@fake.test", Addr: "fake.test:22", User: "alice", UID: os.Getuid(), GID: os.Getgid(), Home: real, HomeLink: home, Shell: true,
		OS: i.OS, Fingerprint: ssh.FingerprintSHA256(key.PublicKey()), HashTool: i.HashTool,
		Server: i.Server, Dovecot: i.Dovecot,
	}
	if !strings.HasPrefix(i.Server, "SSH-2.0-") {
		t.Errorf("the server calls itself %q", i.Server)
	}
	if hashTools[i.HashTool].files == "" {
		t.Errorf("hash tool %q", i.HashTool)
	}
	if i != want {
		t.Errorf("got %+v\nwant %+v", i, want)
	}
	if i.OS == "" {
		t.Error("no operating system")
	}
}
