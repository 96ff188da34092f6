//go:build unix

package inspect

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// realStore is an account on a real Dovecot without a server, as package dovecot's tests have it: doveadm and imap are run
// on a private configuration.
type realStore struct {
	t    *testing.T
	dir  string // holds dovecot.conf
	root string // the mail root
	cred *syscall.Credential
}

func newRealStore(t *testing.T, layout, settings string) *realStore {
	t.Helper()
	if _, err := exec.LookPath("doveadm"); err != nil {
		if slices.Contains(strings.Split(os.Getenv("DOVEMEND_TEST_REQUIRE"), ","), "dovecot") {
			t.Fatal("Dovecot is required and not installed")
		}
		t.Skip("Dovecot is not installed")
	}
	dir, err := os.MkdirTemp("", "dovemend-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &realStore{t: t, dir: dir, root: filepath.Join(dir, "mail")}
	if me.Uid == "0" { // doveadm refuses to touch root's mail
		if me, err = user.Lookup("nobody"); err != nil {
			t.Skip("no user nobody")
		}
		uid, _ := strconv.Atoi(me.Uid)
		gid, _ := strconv.Atoi(me.Gid)
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	group := "nogroup"
	if g, err := user.LookupGroupId(me.Gid); err == nil {
		group = g.Name
	}
	conf := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
mail_home = %[1]s
mail_location = %[2]s:%[1]s/mail
mail_uid = %[3]s
mail_gid = %[4]s
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = %[3]s
default_login_user = %[3]s
default_internal_group = %[4]s
ssl = no
protocols =
stats_writer_socket_path =
mail_fsync = never
namespace inbox {
  inbox = yes
  separator = /
}
%[5]s
`, dir, layout, me.Username, group, settings)
	if err := os.WriteFile(filepath.Join(dir, "dovecot.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	if s.cred != nil {
		if err := os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *realStore) pipe(stdin io.Reader, stdout io.Writer, args ...string) error {
	cmd := exec.Command("doveadm", append([]string{"-c", filepath.Join(s.dir, "dovecot.conf"), "-o", "log_path=/dev/stderr"}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "USER=somebody", "HOME="+s.dir, "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("doveadm %q: %w: %s", args, err, errs.Bytes())
	}
	return nil
}

func (s *realStore) doveadm(args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	if err := s.pipe(strings.NewReader(""), &out, args...); err != nil {
		s.t.Fatal(err)
	}
	return out.String()
}

// imap sends commands in one session and fails the test if one is not answered with OK.
func (s *realStore) imap(commands ...string) {
	s.t.Helper()
	var out bytes.Buffer
	r, w := io.Pipe()
	done := make(chan error, 1)
	answers := &lines{to: &out, answered: make(chan string, 2*len(commands)+2)}
	go func() { done <- s.pipe(r, answers, "exec", "imap"); r.Close() }()
	for i, c := range commands {
		fmt.Fprintf(w, "a%d %s\r\n", i, c)
		want := fmt.Sprintf("a%d ", i)
		for ok := false; !ok; {
			select {
			case line := <-answers.answered:
				if ok = strings.HasPrefix(line, want); ok && !strings.HasPrefix(line, want+"OK") {
					s.t.Fatalf("imap %.60q: %s", c, line)
				}
			case err := <-done:
				s.t.Fatalf("imap ended at %.60q: %v\n%s", c, err, out.Bytes())
			case <-time.After(time.Minute):
				s.t.Fatalf("imap %.60q: no answer\n%s", c, out.Bytes())
			}
		}
	}
	io.WriteString(w, "z LOGOUT\r\n")
	w.Close()
	<-done
}

// lines keeps what is written to it, and passes tagged answers on.
type lines struct {
	to       *bytes.Buffer
	answered chan string
	part     []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.to.Write(b)
	l.part = append(l.part, b...)
	for {
		line, rest, ok := bytes.Cut(l.part, []byte("\r\n"))
		if !ok {
			return len(b), nil
		}
		if bytes.HasPrefix(line, []byte("a")) {
			l.answered <- string(line)
		}
		l.part = rest
	}
}

// realMessage is a mail that differs from all others; some have parts in each other.
func realMessage(n int) string {
	head := fmt.Sprintf("From: =?utf-8?q?J=C3=B6rg?= <someone@example.org>\r\nTo: user@example.org\r\nSubject: message %d\r\n folded\r\n"+
		"Message-ID: <m%d@example.org>\r\nDate: Mon, 02 Jan 2023 10:%02d:00 +0130\r\n", n, n, n%60)
	body := strings.Repeat(fmt.Sprintf("line %d of this message\r\n", n), n%17)
	if n%4 != 0 {
		return head + "\r\n" + body
	}
	return head + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\nContent-Type: text/plain\r\n\r\n" + body +
		"\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n" +
		"--y\r\n\r\none\r\n--y\r\nContent-Type: text/html\r\n\r\n<b>two</b>\r\n--y--\r\n\r\n--x--\r\n"
}

// fill makes an account with all that mailboxes live through.
func (s *realStore) fill(n int) {
	s.t.Helper()
	c := []string{"ENABLE CONDSTORE"}
	for _, m := range []string{"Archive/2020", "J&AOQ-nner", "Work"} {
		c = append(c, "CREATE "+m, "SUBSCRIBE "+m)
	}
	for i := 1; i <= n; i++ {
		flags := []string{``, `\Seen`, `\Seen \Answered`, `\Flagged Work`, `\Draft $Forwarded`, `\Seen Work NonJunk`}[i%6]
		m := realMessage(i)
		c = append(c, fmt.Sprintf("APPEND INBOX (%s) \"%02d-Feb-2021 08:%02d:07 +0100\" {%d+}\r\n%s", flags, i%27+1, i%60, len(m), m))
	}
	third := n / 3
	c = append(c, "SELECT INBOX",
		fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Seen)", third, third+5), fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Deleted)", 2, 5), "EXPUNGE",
		fmt.Sprintf("UID COPY %d:%d Work", third, third+9), fmt.Sprintf("UID MOVE %d:%d Archive/2020", 2*third, 2*third+4),
		fmt.Sprintf("UID STORE %d:* -FLAGS (Work)", 2*third+5), fmt.Sprintf("UID STORE %d FLAGS (\\Seen x)", third),
		fmt.Sprintf("UID STORE %d:* +FLAGS (later $Label1 $Label2 $Label3 $Label4 $Label5 $Label6)", n-3),
		"UID SEARCH BODY line", "UID FETCH 1:* (RFC822.SIZE ENVELOPE BODYSTRUCTURE INTERNALDATE)", "UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (LIST-ID)] PREVIEW)",
		"UNSELECT", "SELECT Archive/2020", `STORE 1:2 +FLAGS (\Flagged Done)`, `STORE 3 +FLAGS (\Deleted)`, "EXPUNGE", "FETCH 1:* (RFC822.SIZE)",
		"UNSELECT", "CREATE Old", "RENAME Old Older", "DELETE Older", "UNSUBSCRIBE Work", "SUBSCRIBE Work", "STATUS Work (MESSAGES)", "STATUS INBOX (MESSAGES)")
	s.imap(c...)
	s.doveadm("mailbox", "metadata", "set", "INBOX", "/private/comment", "a test")
	s.doveadm("mailbox", "metadata", "unset", "INBOX", "/private/comment")
	s.doveadm("mailbox", "status", "all", "*")
}
