//go:build !windows

package remote

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestPasswordOfTheConfigurationIsGivenOnce(t *testing.T) {
	calls := 0
	cfg := func(t *testing.T, f *fakeHost, pw string) Config {
		c := f.config(t)
		calls = 0
		c.Password = func(context.Context) (string, error) { calls++; return pw, nil }
		return c
	}
	t.Run("right", func(t *testing.T) {
		dial(t, cfg(t, startFake(t, &fakeHost{}), "right"))
		if calls != 1 {
			t.Errorf("asked for %d times", calls)
		}
	})
	t.Run("wrong", func(t *testing.T) {
		tries := 0
		f := &fakeHost{}
		f.server.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
			tries++
			return nil, errors.New("wrong")
		}
		f.server.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			tries++
			_, err := ask("", "", []string{"Password: "}, []bool{false})
			return nil, errors.Join(errors.New("wrong"), err)
		}
		_, err := Dial(t.Context(), cfg(t, startFake(t, f), "wrong"))
		if !errors.Is(err, ErrAuth) || calls != 1 || tries != 1 {
			t.Errorf("%v after %d calls and %d tries", err, calls, tries)
		}
		wantContains(t, err.Error(), "alice", "password", "keyboard-interactive", "the password given")
		if strings.Contains(err.Error(), "wrong") {
			t.Errorf("the password is in %q", err)
		}
	})
	t.Run("only keyboard-interactive", func(t *testing.T) {
		f := &fakeHost{}
		f.server.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			a, err := ask("PAM", "", []string{"Password: ", "Verification code: "}, []bool{false, false})
			if err != nil || a[0] != "right" || a[1] != "123456" {
				return nil, errors.New("wrong")
			}
			return nil, nil
		}
		c := cfg(t, startFake(t, f), "right")
		ask := &asker{secrets: []string{"123456"}}
		c.Ask = ask
		dial(t, c)
		if calls != 1 || len(ask.prompts) != 1 {
			t.Errorf("%d calls, asked %q", calls, ask.prompts)
		}
		wantContains(t, ask.prompts[0], "Verification code")
	})
	t.Run("not to be had", func(t *testing.T) {
		c := startFake(t, &fakeHost{}).config(t)
		no := errors.New("command not found")
		c.Password = func(context.Context) (string, error) { return "", no }
		if _, err := Dial(t.Context(), c); !errors.Is(err, ErrAuth) || !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPersonIsAskedThreeTimes(t *testing.T) {
	c := startFake(t, &fakeHost{}).config(t)
	c.Password = nil
	ask := &asker{secrets: []string{"a", "b", "right"}}
	c.Ask = ask
	dial(t, c)
	if len(ask.prompts) != 3 || !strings.Contains(ask.prompts[0], "alice@fake.test") {
		t.Errorf("asked %q", ask.prompts)
	}
	ask = &asker{secrets: []string{"a", "b", "c", "right"}}
	c.Ask = ask
	_, err := Dial(t.Context(), c)
	if !errors.Is(err, ErrAuth) || len(ask.prompts) != 3 {
		t.Errorf("%v after %q", err, ask.prompts)
	}
	c.Ask = &asker{secrets: []string{""}}
	if _, err := Dial(t.Context(), c); !errors.Is(err, ErrAuth) {
		t.Errorf("an empty answer gives %v", err)
	}
	c.Ask = nil
	_, err = Dial(t.Context(), c)
	if !errors.Is(err, ErrAuth) {
		t.Fatalf("without a terminal: %v", err)
	}
	wantContains(t, err.Error(), "nobody can be asked")
}

func TestKeyboardInteractiveIsAskedAndMadeSafe(t *testing.T) {
	f := &fakeHost{}
	f.server.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		a, err := ask("\x1b[2Jevil", "Look\nhere", []string{"Colour? ", "Secret:\a "}, []bool{true, false})
		if err != nil || a[0] != "blue" || a[1] != "s3" {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}
	c := startFake(t, f).config(t)
	ask := &asker{lines: []string{"blue"}, secrets: []string{"s3"}}
	c.Password, c.Ask = nil, ask
	dial(t, c)
	text := strings.Join(ask.prompts, "|")
	wantContains(t, text, "Colour?", "Secret", `\x1b[2Jevil`, "Look\nhere")
	if strings.ContainsAny(text, "\x1b\a") {
		t.Errorf("%q reaches the terminal", text)
	}
}

func TestTypedPasswordServesWhenConnectingAgain(t *testing.T) {
	for _, tt := range []struct {
		name      string
		questions []string
		ok        bool
	}{{"a password alone", []string{"Password: "}, true}, {"a code with it", []string{"Password: ", "Code: "}, false}} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeHost{}
			f.server.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				a, err := ask("", "", tt.questions, make([]bool, len(tt.questions)))
				if err != nil || a[0] != "right" {
					return nil, errors.New("wrong")
				}
				return nil, nil
			}
			c := startFake(t, f).config(t)
			c.Password, c.Ask = nil, &asker{secrets: []string{"right", "123"}}
			h := dial(t, c)
			f.cut()
			waitFor(t, func() bool { _, err := h.current(); return err != nil })
			if _, err := h.RealPath(t.Context(), "/"); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEndlessQuestionsEnd(t *testing.T) {
	f := &fakeHost{}
	f.server.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		for {
			if _, err := ask("", "", []string{"again?"}, []bool{true}); err != nil {
				return nil, err
			}
		}
	}
	c := startFake(t, f).config(t)
	c.Password, c.Ask = nil, &asker{lines: slices.Repeat([]string{"yes"}, 1000)}
	if _, err := Dial(t.Context(), c); !errors.Is(err, ErrAuth) {
		t.Errorf("got %v", err)
	}
}

// keyHost takes one public key and notes all that were offered.
func keyHost(t *testing.T, right string, offered *[]string) *fakeHost {
	f := &fakeHost{}
	f.server.MaxAuthTries = -1
	f.server.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
		if n := len(*offered); n == 0 || (*offered)[n-1] != line {
			*offered = append(*offered, line)
		}
		if strings.HasPrefix(right, line) {
			return nil, nil
		}
		return nil, errors.New("no")
	}
	return startFake(t, f)
}

func TestKeysAreOfferedInOrder(t *testing.T) {
	ed, edPub := newIdentity(t, "ed25519", "")
	rsa, rsaPub := newIdentity(t, "rsa", "")
	ec, ecPub := newIdentity(t, "ecdsa", "")
	var offered []string
	c := keyHost(t, ecPub, &offered).config(t)
	c.Identities = []string{rsa, ed, ec}
	dial(t, c)
	want := []string{rsaPub, edPub, ecPub}
	if len(offered) != 3 || !strings.HasPrefix(want[0], offered[0]) || !strings.HasPrefix(want[1], offered[1]) || !strings.HasPrefix(want[2], offered[2]) {
		t.Errorf("offered %q, want %q", offered, want)
	}
	offered = nil
	c = keyHost(t, "none", &offered).config(t)
	c.Identities = []string{rsa, ed}
	_, err := Dial(t.Context(), c)
	if !errors.Is(err, ErrAuth) {
		t.Fatalf("got %v", err)
	}
	wantContains(t, err.Error(), "the host offers publickey", rsa, ed)
	c.Identities = []string{filepath.Join(t.TempDir(), "missing")}
	if _, err := Dial(t.Context(), c); !errors.Is(err, ErrAuth) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing identity gives %v", err)
	}
}

func TestPassphraseIsAskedOnlyForAKeyTheHostWants(t *testing.T) {
	locked, lockedPub := newIdentity(t, "ed25519", "sesame")
	other, _ := newIdentity(t, "ed25519", "other")
	lockedRSA, rsaPub := newIdentity(t, "rsa", "sesame")
	var offered []string
	for _, tt := range []struct {
		name, right string
		answers     []string
		asked       int
		ok          bool
	}{
		{"right at once", lockedPub, []string{"sesame"}, 1, true},
		{"right the third time", lockedPub, []string{"a", "b", "sesame"}, 3, true},
		{"never right", lockedPub, []string{"a", "b", "c", "sesame"}, 3, false},
		{"rsa", rsaPub, []string{"sesame"}, 1, true},
		{"given up", lockedPub, []string{""}, 1, false},
		{"not wanted", "none", []string{"sesame"}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := keyHost(t, tt.right, &offered).config(t)
			ask := &asker{secrets: tt.answers}
			c.Identities, c.Ask = []string{other, locked, lockedRSA}, ask
			h, err := Dial(t.Context(), c)
			if (err == nil) != tt.ok || len(ask.prompts) != tt.asked {
				t.Errorf("%v after %q", err, ask.prompts)
			}
			if err == nil {
				h.Close()
			} else if !errors.Is(err, ErrAuth) {
				t.Errorf("%v is not ErrAuth", err)
			}
		})
	}
	c := keyHost(t, lockedPub, &offered).config(t)
	c.Identities = []string{locked}
	_, err := Dial(t.Context(), c)
	if !errors.Is(err, ErrAuth) {
		t.Fatalf("got %v", err)
	}
	wantContains(t, err.Error(), "needs a passphrase")
}

func TestKeyThatOthersCanReadIsNotUsed(t *testing.T) {
	id, pub := newIdentity(t, "ed25519", "")
	if err := os.Chmod(id, 0o644); err != nil {
		t.Fatal(err)
	}
	var offered []string
	c := keyHost(t, pub, &offered).config(t)
	c.Identities = []string{id}
	_, err := Dial(t.Context(), c)
	if !errors.Is(err, ErrAuth) || len(offered) != 0 {
		t.Fatalf("%v, offered %q", err, offered)
	}
	wantContains(t, err.Error(), "chmod 600")
}

// startAgent starts a real ssh-agent of our own and loads keys into it.
func startAgent(t *testing.T, keys ...string) {
	t.Helper()
	bin, err := exec.LookPath("ssh-agent")
	if err != nil {
		t.Skip("ssh-agent is not installed")
	}
	dir, err := os.MkdirTemp("", "dm") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := filepath.Join(dir, "agent")
	cmd := exec.Command(bin, "-D", "-a", sock)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 100 {
		if _, err := os.Stat(sock); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Setenv("SSH_AUTH_SOCK", sock)
	for _, k := range keys {
		if out, err := exec.Command("ssh-add", "-q", k).CombinedOutput(); err != nil {
			t.Fatalf("ssh-add: %v: %s", err, out)
		}
	}
}

func TestAgentKeysAreUsed(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	a, aPub := newIdentity(t, "ed25519", "")
	b, bPub := newIdentity(t, "rsa", "")
	startAgent(t, a, b)
	var offered []string
	c := keyHost(t, bPub, &offered).config(t)
	c.NoAgent = false
	dial(t, c)
	if len(offered) != 2 || !strings.HasPrefix(aPub, offered[0]) {
		t.Errorf("offered %q", offered)
	}
	// A named identity narrows the agent down to it, even by its public half alone.
	offered = nil
	c.Identities = []string{b + ".pub"}
	dial(t, c)
	if len(offered) != 1 || !strings.HasPrefix(bPub, offered[0]) {
		t.Errorf("offered %q, want the named key alone", offered)
	}
	offered = nil
	c.Identities, c.NoAgent = nil, true
	if _, err := Dial(t.Context(), c); !errors.Is(err, ErrAuth) || len(offered) != 0 {
		t.Errorf("without the agent: %v, offered %q", err, offered)
	}
}

func TestAgentThatDoesNotAnswerIsLeftOut(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "gone"))
	c := startFake(t, &fakeHost{}).config(t)
	c.NoAgent = false
	dial(t, c)
}

func TestTooManyKeysGoOnWithAnotherConnection(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	var ids []string
	var last string
	for range 8 {
		var id string
		id, last = newIdentity(t, "ed25519", "")
		ids = append(ids, id)
	}
	s := startSSHD(t, "MaxAuthTries 5", last)
	dial(t, s.config(ids...))
	_, other := newIdentity(t, "ed25519", "")
	s = startSSHD(t, "MaxAuthTries 3", other)
	_, err := Dial(t.Context(), s.config(ids...))
	if !errors.Is(err, ErrAuth) {
		t.Fatalf("got %v", err)
	}
	wantContains(t, err.Error(), "too many attempts", "--identity")
}

func TestRealSSHDTakesEveryKindOfKey(t *testing.T) {
	for _, typ := range []string{"ed25519", "rsa", "ecdsa"} {
		for _, phrase := range []string{"", "sesame"} {
			id, pub := newIdentity(t, typ, phrase)
			c := startSSHD(t, "", pub).config(id)
			ask := &asker{secrets: []string{"sesame"}}
			c.Ask = ask
			h, err := Dial(t.Context(), c)
			if err != nil {
				t.Errorf("%s %q: %v", typ, phrase, err)
				continue
			}
			h.Close()
			if (phrase != "") != (len(ask.prompts) == 1) {
				t.Errorf("%s %q: asked %q", typ, phrase, ask.prompts)
			}
		}
	}
}

func TestCertificatesAreOffered(t *testing.T) {
	ca, caPub := newIdentity(t, "ed25519", "")
	id, _ := newIdentity(t, "ed25519", "")
	keygen(t, "-q", "-s", ca, "-I", "me", "-n", "root,"+localUser(), id+".pub")
	caFile := filepath.Join(t.TempDir(), "ca.pub")
	if err := os.WriteFile(caFile, []byte(caPub), 0o644); err != nil {
		t.Fatal(err)
	}
	dial(t, startSSHD(t, "TrustedUserCAKeys "+caFile).config(id))
}

func TestOldPEMKeyIsAskedForBeforeItIsOffered(t *testing.T) {
	id := filepath.Join(t.TempDir(), "old")
	keygen(t, "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "sesame", "-f", id)
	pub, err := os.ReadFile(id + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(id + ".pub"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(id)
	if err != nil || !bytes.Contains(text, []byte("RSA PRIVATE KEY")) {
		t.Skip("ssh-keygen makes no PEM keys here")
	}
	c := startSSHD(t, "", string(pub)).config(id)
	ask := &asker{secrets: []string{"sesame"}}
	c.Ask = ask
	dial(t, c)
	if len(ask.prompts) != 1 {
		t.Errorf("asked %q", ask.prompts)
	}
}

func TestTwoMethodsInARow(t *testing.T) {
	id, pub := newIdentity(t, "ed25519", "")
	f := &fakeHost{}
	f.server.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if !strings.HasPrefix(pub, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))) {
			return nil, errors.New("no")
		}
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
			PasswordCallback: func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
				if string(p) == "right" {
					return nil, nil
				}
				return nil, errors.New("no")
			},
		}}
	}
	c := startFake(t, f).config(t)
	c.Identities = []string{id}
	dial(t, c)
}

func TestThinkingTimeIsNotCountedAgainstTheHandshake(t *testing.T) {
	c := startFake(t, &fakeHost{}).config(t)
	c.Password, c.DialTimeout = nil, 500*time.Millisecond
	c.Ask = &asker{secrets: []string{"right"}, wait: time.Second}
	dial(t, c)
}

func TestHangInTheHandshakeEnds(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	f := startFake(t, &fakeHost{accept: func(c net.Conn) net.Conn { <-stop; return nil }})
	c := f.config(t)
	c.DialTimeout = 300 * time.Millisecond
	began := time.Now()
	_, err := Dial(t.Context(), c)
	if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	c.DialTimeout = time.Minute
	began = time.Now()
	if _, err := Dial(ctx, c); !errors.Is(err, context.Canceled) || time.Since(began) > 5*time.Second {
		t.Errorf("cancelled: %v after %v", err, time.Since(began))
	}
}

func TestHostThatClosesAtOnceIsTold(t *testing.T) {
	f := startFake(t, &fakeHost{accept: func(c net.Conn) net.Conn { return nil }})
	_, err := Dial(t.Context(), f.config(t))
	if err == nil || errors.Is(err, ErrAuth) {
		t.Fatalf("got %v", err)
	}
	wantContains(t, err.Error(), "fake.test:22", "closed the connection")
}
