package realhost

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func begin(t *testing.T, o Options) *Host {
	t.Helper()
	if testing.Verbose() {
		o.Logf = t.Logf
	}
	h, err := Start(t.Context(), o)
	if errors.Is(err, ErrMissing) && os.Getenv("DOVEMEND_TEST_REQUIRE") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(h.Dir()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the host's directory is left: %v", err)
		}
		if os.Getuid() != 0 {
			return
		}
		l, err := processesOf(h.UID())
		if err != nil {
			t.Error(err)
		}
		for _, p := range l {
			if !p.zombie { // those have ended, and wait for init to notice
				t.Errorf("a process is left: %+v", p)
			}
		}
	})
	return h
}

func dial(t *testing.T, h *Host) *ssh.Client {
	t.Helper()
	b, err := os.ReadFile(h.IdentityFile())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	known, err := knownhosts.New(h.KnownHostsFile())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", h.Addr(), &ssh.ClientConfig{User: h.User(), Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: known})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func command(t *testing.T, c *ssh.Client, line string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := s.CombinedOutput(line)
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return string(b)
}

// talk sends IMAP commands and gives all answers.
func talk(t *testing.T, c net.Conn, commands ...string) string {
	t.Helper()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	var all strings.Builder
	for i, line := range append([]string{""}, commands...) {
		end := "* OK [CAPABILITY"
		if i > 0 {
			end = fmt.Sprintf("a%d ", i)
			fmt.Fprintf(c, "%s%s\r\n", end, line)
		}
		for {
			answer, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("after %q: %v", line, err)
			}
			all.WriteString(answer)
			if strings.HasPrefix(answer, end) {
				break
			}
		}
	}
	return all.String()
}

func TestLayoutsServeIMAPByProcessesOfTheLogin(t *testing.T) {
	for _, o := range []Options{
		{Layout: "mdbox", RotateLogs: true},
		{Layout: "sdbox", HomeLink: true, NoTitles: true},
		{Layout: "maildir"},
		{Layout: "maildir", AtMaildir: true, LayoutFS: true},
	} {
		t.Run(fmt.Sprintf("%s-%v", o.Layout, o.LayoutFS), func(t *testing.T) {
			h := begin(t, o)
			plain, err := net.Dial("tcp", h.IMAPAddr())
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			login := fmt.Sprintf("LOGIN %s %q", h.Account(), h.Password())
			if got := talk(t, plain, login, "CREATE Sent", "SELECT INBOX"); !strings.Contains(got, "a3 OK [READ-WRITE]") {
				t.Errorf("IMAP: %s", got)
			}
			pem, err := os.ReadFile(h.CAFile())
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(pem)
			secure, err := tls.Dial("tcp", h.IMAPSAddr(), &tls.Config{RootCAs: pool})
			if err != nil {
				t.Fatal(err)
			}
			defer secure.Close()
			if got := talk(t, secure, login, "SELECT Sent"); !strings.Contains(got, "a2 OK [READ-WRITE]") {
				t.Errorf("IMAP over TLS: %s", got)
			}

			c := dial(t, h)
			out := command(t, c, `ps -u "$USER" -o uid=,comm=,args=; pwd; cat /proc/loadavg >/dev/null`)
			if n := strings.Count(out, " dovecot/imap [") + strings.Count(out, " dovecot/imap\n"); n != 2 {
				t.Errorf("%d imap processes, want 2: %s", n, out)
			}
			if got := strings.Contains(out, "["+h.Account()+" 127.0.0.1"); got == o.NoTitles {
				t.Errorf("titles tell the account: %v: %s", got, out)
			}
			if !strings.Contains(out, strconv.Itoa(h.UID())) {
				t.Errorf("not owned by %d: %s", h.UID(), out)
			}
			f, err := sftp.NewClient(c)
			if err != nil {
				t.Fatal(err)
			}
			if wd, err := f.Getwd(); err != nil || o.HomeLink == (wd == h.Home()) || !strings.HasPrefix(h.MailRoot(""), wd+"/") {
				t.Errorf("SFTP begins in %q, %v; home is %q, mail in %q", wd, err, h.Home(), h.MailRoot(""))
			}
			st, err := f.Lstat(h.MailRoot(""))
			if err != nil || !st.IsDir() || int(st.Sys().(*sftp.FileStat).UID) != h.UID() {
				t.Errorf("mail root: %v, %v", st, err)
			}
			if b, err := h.Doveadm(t.Context(), "mailbox", "list", "-u", h.Account()); err != nil || !strings.Contains(string(b), "Sent") {
				t.Errorf("doveadm: %q, %v", b, err)
			}
			if log := h.DovecotLog(); strings.Contains(log, "Error") || strings.Contains(log, "Warning") {
				t.Errorf("log: %s", log)
			}
			// SIGTERM of the own user ends its imap processes at once.
			command(t, c, `ps -u "$USER" -o pid=,comm= | while read p c; do [ "$c" = imap ] && kill $p; done; true`)
			plain.SetDeadline(time.Now().Add(10 * time.Second))
			if line, err := bufio.NewReader(plain).ReadString('\n'); !strings.Contains(line, "BYE") {
				t.Errorf("after SIGTERM: %q, %v", line, err)
			}
		})
	}
}

func TestConnectionLimitIsEnforced(t *testing.T) {
	h := begin(t, Options{NoSSHD: true, MaxUserIP: 1})
	login := fmt.Sprintf("LOGIN %s %q", h.Account(), h.Password())
	for i, want := range []string{"a1 OK", "mail_max_userip_connections=1"} {
		c, err := net.Dial("tcp", h.IMAPAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := talk(t, c, login); !strings.Contains(got, want) {
			t.Errorf("login %d: %s", i, got)
		}
	}
}

func TestShellsAndRestrictedLogins(t *testing.T) {
	for _, o := range []Options{
		{LoginShell: "/bin/tcsh", Noise: "Welcome to tcsh", Banner: "Authorised use only\n"},
		{LoginShell: "/usr/bin/fish", Noise: "Welcome to fish"},
		{LoginShell: "/bin/bash", Noise: "Welcome to bash"},
		{SFTPOnly: true}, {NoSFTP: true, MaxSessions: 1},
	} {
		t.Run(fmt.Sprintf("%s sftp-only=%v no-sftp=%v", o.LoginShell, o.SFTPOnly, o.NoSFTP), func(t *testing.T) {
			if _, err := os.Stat(o.LoginShell); o.LoginShell != "" && err != nil {
				t.Skip(err)
			}
			o.NoDovecot = true
			h := begin(t, o)
			c := dial(t, h)
			f, err := sftp.NewClient(c)
			if (err == nil) == (o.NoSFTP || o.Noise != "" && err != nil) {
				t.Errorf("SFTP: %v", err)
			}
			if err == nil {
				f.Close()
			}
			if o.SFTPOnly {
				return
			}
			if got, want := command(t, dial(t, h), `sh -c 'echo "$0 is POSIX"; echo $HOME'`), "sh is POSIX\n"+h.Home()+"\n"; !strings.HasSuffix(got, want) || o.Noise != "" && !strings.Contains(got, o.Noise) {
				t.Errorf("command printed %q", got)
			}
			if o.MaxSessions == 1 {
				c := dial(t, h) // on the old connection the last session may still be ending
				if _, err := c.NewSession(); err != nil {
					t.Errorf("first session: %v", err)
				}
				if _, err := c.NewSession(); err == nil {
					t.Error("a second session was opened")
				}
			}
		})
	}
}

func TestCutEndsConnectionsAndTheirProcesses(t *testing.T) {
	h := begin(t, Options{NoDovecot: true})
	c := dial(t, h)
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("sleep 300 & sleep 300"); err != nil {
		t.Fatal(err)
	}
	h.Cut()
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection lives on")
	}
	dial(t, h)
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // 0700 beneath: as root no login could get in
	if os.Getuid() != 0 {
		t.Skip("without root the login is the calling user")
	}
	parent := os.Getenv("TMPDIR")
	if err := os.Chmod(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(context.Background(), Options{})
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "set TMPDIR") {
		t.Errorf("Start in a closed directory: %v", err)
	}
	if l, err := os.ReadDir(parent); err != nil || len(l) > 0 {
		t.Errorf("left in TMPDIR: %v, %v", l, err)
	}
}
