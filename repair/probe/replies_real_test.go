//go:build unix

package probe

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/realhost"
)

// ownFile gives a file of the test to the store's owner.
func (s *store) ownFile(path string) {
	s.t.Helper()
	if os.Getuid() == 0 {
		if err := os.Lchown(path, mailUID, mailUID); err != nil {
			s.t.Fatal(err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// doveadm runs the administrator's tool on the store.
func (s *store) doveadm(args ...string) {
	s.t.Helper()
	cmd := exec.Command("doveadm", append([]string{"-c", "/dev/null", "-o", "mail_location=sdbox:" + s.root, "-o", "first_valid_uid=1", "-o", "namespace=inbox",
		"-o", "namespace/inbox/inbox=yes", "-o", "log_path=/dev/stderr"}, args...)...)
	cmd.Env, cmd.Dir = []string{"USER=probe", "HOME=" + s.root, "PATH=/usr/bin:/bin"}, "/"
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: mailUID, Gid: mailUID}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// lookAt looks at INBOX of a store, with the default answer to messages that cannot be read: hanging up.
func (s *store) lookAt(more ...string) *Looked {
	s.t.Helper()
	dial, _ := s.dialer(append([]string{"imap_fetch_failure=disconnect-immediately"}, more...)...)
	got, err := LookAt(s.t.Context(), dial, []string{"INBOX"}, LookOptions{Pause: -1})
	must(s.t, err)
	return got
}

// raw has an imap process of the store answer commands as they stand.
func (s *store) raw(commands []string, more ...string) (lines []string) {
	s.t.Helper()
	p, _ := s.start(more...)
	c := newSession(s.t, p)
	for _, cmd := range commands {
		lines = append(lines, c.do(cmd)...)
	}
	return lines
}

// told wants a line to be there that is explained as a class.
func told(t *testing.T, lines []string, text string, class imap.Class, whose imap.Whose) {
	t.Helper()
	for _, l := range lines {
		if strings.Contains(l, text) {
			if x := imap.ExplainReply(l); x.Class != class || x.Whose != whose || x.Next == "" {
				t.Errorf("%q is explained as %+v", l, x)
			}
			return
		}
	}
	t.Errorf("Dovecot did not say %q, but %q", text, lines)
}

// heard wants an answer of a class among those of a look, and if it is not empty a log line of another.
func heard(t *testing.T, got *Looked, class imap.Class, whose imap.Whose, log imap.Class) {
	t.Helper()
	if r, ok := got.Class(class); !ok || r.Whose != whose || r.Next == "" || got.Healthy() {
		t.Errorf("%s is explained as %+v in %+v", class, r, got)
	} else {
		t.Logf("the server: %s", r.Text)
	}
	if log == "" {
		return
	}
	if r, ok := got.Class(log); !ok || r.Next == "" {
		t.Errorf("the log does not tell of %s: %+v", log, got)
	} else {
		t.Logf("its log: %s", r.Text)
	}
}

func TestRealDovecotsRepliesAreExplained(t *testing.T) {
	const message = "From: a@example.org\r\nSubject: x\r\n\r\ntext\r\n"
	literal := func(s string) string { return fmt.Sprintf("{%d+}\r\n%s", len(s), s) }
	t.Run("server bug at a mailbox", func(t *testing.T) {
		s := newStore(t, "sdbox")
		s.fill()
		log := s.files("dovecot.index.log")
		for _, f := range log {
			must(t, os.Chmod(f, 0))
		}
		heard(t, s.lookAt(), imap.ClassInternal, imap.WhoseMailbox, imap.ClassPermission)
	})
	t.Run("fetch failed", func(t *testing.T) {
		s := newStore(t, "sdbox")
		s.fill()
		must(t, os.Truncate(s.files("u.12")[0], 4000))
		got := s.lookAt()
		heard(t, got, imap.ClassUnreadable, imap.WhoseMessage, imap.ClassMessageFile)
		if r := got.Mailboxes[0].Result(imap.LookBody); len(r.Suspects) == 0 || r.Suspects[0] != 12 {
			t.Errorf("suspects %v", r.Suspects)
		}
		s = newStore(t, "maildir")
		s.fill()
		must(t, os.Truncate(s.files("*.*")[len(s.files("*.*"))-1], 100))
		got = s.lookAt("imap_fetch_failure=no-after") // a tagged NO instead
		heard(t, got, imap.ClassInternal, imap.WhoseMessage, imap.ClassCachedSize)
	})
	t.Run("closed without a word", func(t *testing.T) {
		s := newStore(t, "sdbox")
		s.fill()
		f, err := os.OpenFile(s.files("u.12")[0], os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString(strings.Repeat("\xa5", 60))
		must(t, err)
		must(t, f.Close())
		heard(t, s.lookAt(), imap.ClassClosed, imap.WhoseMessage, imap.ClassCrash)
	})
	t.Run("session inconsistent", func(t *testing.T) {
		s := newStore(t, "sdbox")
		s.fill()
		p, _ := s.start()
		c := newSession(t, p)
		c.do("SELECT INBOX")
		s.doveadm("force-resync", "INBOX") // Dovecot makes the index anew beneath the session
		lines := c.do("NOOP")
		lines = append(lines, c.do("FETCH 1:* FLAGS")...)
		told(t, lines, "session state is inconsistent", imap.ClassInconsistent, imap.WhoseMailbox)
	})
	t.Run("uidvalidity changed", func(t *testing.T) {
		s := newStore(t, "sdbox")
		s.fill()
		p, _ := s.start()
		c := newSession(t, p)
		c.do("SELECT INBOX")
		s.doveadm("mailbox", "update", "--uid-validity", "99", "INBOX")
		lines := c.do("NOOP")
		told(t, append(lines, c.do("CHECK")...), "UIDVALIDITY changed", imap.ClassUIDValidity, imap.WhoseMailbox)
	})
	t.Run("quota", func(t *testing.T) {
		s := newStore(t, "maildir")
		lines := s.raw([]string{"APPEND INBOX " + literal(strings.Repeat(message, 500))}, "mail_plugins=quota", "plugin/quota=count:User quota",
			"plugin/quota_rule=*:storage=1K", "plugin/quota_vsizes=yes")
		told(t, lines, "Quota exceeded", imap.ClassQuota, imap.WhoseAccount)
	})
	t.Run("in use: lock", func(t *testing.T) {
		s := newStore(t, "mbox")
		s.raw([]string{"CREATE x", "APPEND x " + literal(message)})
		must(t, os.WriteFile(filepath.Join(s.root, "x.lock"), nil, 0o600))
		s.ownFile(filepath.Join(s.root, "x.lock"))
		lines := s.raw([]string{"APPEND x " + literal(message)}, "mbox_lock_timeout=1s", "mbox_write_locks=dotlock", "mbox_read_locks=dotlock", "mbox_dotlock_change_timeout=1h")
		told(t, lines, "Timeout while waiting for lock", imap.ClassLock, imap.WhoseMailbox)
	})
	t.Run("limit", func(t *testing.T) {
		s := newStore(t, "mdbox")
		commands := []string{"APPEND INBOX " + literal(message), "SELECT INBOX"}
		for range 16 {
			commands = append(commands, "UID COPY 1:* INBOX", "NOOP")
		}
		told(t, s.raw(commands), "copied too many times", imap.ClassLimit, imap.WhoseMessage)
	})
	t.Run("stray file", func(t *testing.T) {
		s := newStore(t, "mbox")
		must(t, os.WriteFile(filepath.Join(s.root, "procmail.log"), []byte("no mail at all\n"), 0o600))
		s.ownFile(filepath.Join(s.root, "procmail.log"))
		told(t, s.raw([]string{"SELECT procmail.log"}), "valid mbox", imap.ClassStrayFile, imap.WhoseMailbox)
	})
	t.Run("permission", func(t *testing.T) {
		s := newStore(t, "mbox")
		s.raw([]string{"CREATE x"})
		must(t, os.Chmod(s.root, 0o500))
		lines := s.raw([]string{"SUBSCRIBE x"})
		must(t, os.Chmod(s.root, 0))
		lines = append(lines, s.raw([]string{"EXAMINE x"})...)
		must(t, os.Chmod(s.root, 0o700))
		told(t, lines, "No permission to modify", imap.ClassPermission, imap.WhoseAccount)
		told(t, lines, "Permission denied", imap.ClassPermission, imap.WhoseAccount)
	})
	t.Run("mailbox missing", func(t *testing.T) {
		s := newStore(t, "maildir")
		s.fill()
		lines := s.raw([]string{"STATUS Gone (MESSAGES)", "EXAMINE Gone", "SELECT INBOX", "COPY 1 Gone"})
		told(t, lines[:2], "Mailbox doesn't exist", imap.ClassMissing, imap.WhoseMailbox)
		told(t, lines, "[TRYCREATE]", imap.ClassMissing, imap.WhoseMailbox)
	})
	t.Run("already expunged", func(t *testing.T) {
		s := newStore(t, "sdbox")
		s.fill()
		p, _ := s.start()
		a := newSession(t, p)
		a.do("SELECT INBOX")
		s.raw([]string{"SELECT INBOX", `STORE 3 +FLAGS.SILENT \Deleted`, "EXPUNGE"})
		told(t, a.do("FETCH 1:5 BODY.PEEK[]"), "[EXPUNGEISSUED]", imap.ClassExpunged, imap.WhoseClient)
	})
	t.Run("mime", func(t *testing.T) {
		s := newStore(t, "maildir")
		odd := "Subject: x\r\nContent-Transfer-Encoding: x-own\r\n\r\ntext\r\n"
		broken := "Subject: x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!?\r\n"
		lines := s.raw([]string{"APPEND INBOX " + literal(odd), "APPEND INBOX " + literal(broken), "SELECT INBOX", "FETCH 1 BINARY.PEEK[1]", "FETCH 2 BINARY.PEEK[1]"})
		told(t, lines, "[UNKNOWN-CTE]", imap.ClassMIME, imap.WhoseMessage)
		told(t, lines, "[PARSE]", imap.ClassMIME, imap.WhoseMessage)
	})
	t.Run("goodbye", func(t *testing.T) {
		s := newStore(t, "maildir")
		p, _ := s.start()
		c := newSession(t, p)
		c.do("SELECT INBOX")
		must(t, syscall.Kill(p.pid, syscall.SIGTERM))
		var lines []string
		for len(lines) == 0 || strings.HasPrefix(lines[len(lines)-1], "OK") {
			lines = append(lines, c.do("NOOP")...)
		}
		told(t, lines, "Server shutting down", imap.ClassBye, imap.WhoseNone)
		var bad []string
		for range 25 {
			bad = append(bad, "NONSENSE")
		}
		lines = s.raw(bad)
		told(t, lines, "Too many invalid", imap.ClassMisunderstood, imap.WhoseClient)
		told(t, lines[:1], "BAD", imap.ClassMisunderstood, imap.WhoseClient)
	})
}

// TestRealLoginsAreExplained has the real login process refuse, or fail to hand on, each in its own way.
func TestRealLoginsAreExplained(t *testing.T) {
	dir, err := os.MkdirTemp("", "users")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	users := filepath.Join(dir, "users")
	homes := filepath.Join(dir, "homes")
	must(t, os.WriteFile(users, []byte("told@example.org:{PLAIN}x::::::nologin=y reason=Invoice_unpaid\n"+
		"homeless@example.org:{PLAIN}x::::::\nnobody@example.org:{PLAIN}x::::::\n"), 0o644))
	must(t, os.WriteFile(homes, []byte("nobody@example.org:::::::\n"), 0o644)) // without a user number
	h := remotetest.Real(t, remotetest.Options{NoCanaries: true, Options: realhost.Options{Layout: "maildir", NoSSHD: true, MaxUserIP: 2, Extra: `
auth_failure_delay = 0
service anvil {
 unix_listener anvil-auth-penalty {
  mode = 0
 }
}
passdb {
 driver = passwd-file
 args = username_format=%u ` + users + `
}
passdb {
 driver = checkpassword
 username_filter = *@other.example
 args = /nonexistent
}
userdb {
 driver = passwd-file
 args = username_format=%u ` + homes + `
}`}})
	login := func(user, password string) []string {
		conn, err := net.Dial("tcp", h.IMAP())
		must(t, err)
		return newSession(t, conn).do(fmt.Sprintf("LOGIN %q %q", user, password))
	}
	t.Run("authentication failed", func(t *testing.T) {
		told(t, login(h.Account(), "wrong"), "Authentication failed", imap.ClassPassword, imap.WhoseAccount)
	})
	t.Run("account refused", func(t *testing.T) {
		told(t, login("told@example.org", "x"), "Invoice_unpaid", imap.ClassAccount, imap.WhoseAccount)
	})
	t.Run("internal login failure", func(t *testing.T) {
		lines := login("homeless@example.org", "x")
		if len(lines) > 0 {
			told(t, lines, "Internal error occurred", imap.ClassUnavailable, imap.WhoseHost)
			return
		}
		// Dovecot often hangs up before it has said so.
		client, err := imap.Connect(t.Context(), imap.Config{Addr: h.IMAP(), Security: imap.None})
		must(t, err)
		defer client.Close()
		if x := imap.Explain(client.Login(t.Context(), "homeless@example.org", "x")); x.Class != imap.ClassClosed && x.Class != imap.ClassUnavailable || x.Whose != imap.WhoseHost {
			t.Errorf("explained as %+v", x)
		}
	})
	t.Run("internal error after login", func(t *testing.T) {
		conn, err := net.Dial("tcp", h.IMAP())
		must(t, err)
		c := newSession(t, conn)
		lines := c.do(`LOGIN nobody@example.org x`)
		told(t, lines, "initialization failed", imap.ClassInternal, imap.WhoseAccount)
		told(t, append(lines, c.do("NOOP")...), "BYE Internal error occurred", imap.ClassInternal, imap.WhoseAccount)
	})
	t.Run("temporary failure", func(t *testing.T) {
		told(t, login("nobody@other.example", "x"), "Temporary authentication failure", imap.ClassUnavailable, imap.WhoseHost)
	})
	t.Run("connection limit", func(t *testing.T) {
		for range 2 {
			if lines := login(h.Account(), h.Password()); !strings.Contains(lines[len(lines)-1], "OK") {
				t.Fatal(lines)
			}
		}
		told(t, login(h.Account(), h.Password()), "Maximum number of connections", imap.ClassConnectionLimit, imap.WhoseClient)
	})
}
