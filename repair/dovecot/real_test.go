//go:build unix

package dovecot

import (
	"bytes"
	"encoding/json"
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

// realStore is an account on a real Dovecot, without a server: doveadm and imap are run on a private configuration.
type realStore struct {
	t      testing.TB
	layout string
	dir    string // holds dovecot.conf
	root   string // the mail root
	cred   *syscall.Credential
	jail   string // a directory with a Debian of its own, whose Dovecot is used; "" for the one installed
}

// jail is DOVEMEND_TEST_DOVECOT24: a directory into which a Debian 13 with dovecot-imapd was put (debootstrap), to run these
// tests against Dovecot 2.4 as root.
func jail() string { return os.Getenv("DOVEMEND_TEST_DOVECOT24") }

// inside is a path as the Dovecot in use sees it.
func (s *realStore) inside(path string) string { return strings.TrimPrefix(path, s.jail) }

// needDovecot skips the test where Dovecot is not installed, or fails it where DOVEMEND_TEST_REQUIRE says so.
func needDovecot(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("doveadm"); err != nil {
		if slices.Contains(strings.Split(os.Getenv("DOVEMEND_TEST_REQUIRE"), ","), "dovecot") {
			t.Fatal("Dovecot is required and not installed")
		}
		t.Skip("Dovecot is not installed")
	}
}

func newRealStore(t testing.TB, layout, settings string) *realStore {
	t.Helper()
	needDovecot(t)
	parent := ""
	if jail() != "" {
		parent = filepath.Join(jail(), "tmp")
	}
	dir, err := os.MkdirTemp(parent, "dovemend-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &realStore{t: t, layout: layout, dir: dir, root: filepath.Join(dir, "mail"), jail: jail()}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
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
	location := fmt.Sprintf("mail_location = %s:%s/mail\nmail_save_crlf = no\ndefault_internal_user = %s", layout, s.inside(dir), me.Username)
	if s.jail != "" {
		location = fmt.Sprintf("mail_driver = %s\nmail_path = %s/mail", layout, s.inside(dir))
		settings = strings.ReplaceAll(settings, "mail_index_log_rotate_min_age = 0", "mail_index_log_rotate_min_age = 1s") // 0 is refused
	}
	conf := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/log
mail_home = %[1]s
%[2]s
mail_uid = %[3]s
mail_gid = %[4]s
first_valid_uid = 1
first_valid_gid = 1
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
`, s.inside(dir), location, me.Username, group, settings)
	if s.jail != "" {
		conf = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n" + conf
	}
	if err := os.WriteFile(filepath.Join(dir, "dovecot.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	s.own()
	return s
}

// own gives everything to the user Dovecot runs as.
func (s *realStore) own() {
	if s.cred == nil {
		return
	}
	err := filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, int(s.cred.Uid), int(s.cred.Gid))
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// run runs doveadm and returns its standard output, its standard error and whether it succeeded.
func (s *realStore) run(stdin string, args ...string) (string, string, bool) {
	var out bytes.Buffer
	errs, ok := s.pipe(strings.NewReader(stdin), &out, args...)
	return out.String(), errs, ok
}

func (s *realStore) pipe(stdin io.Reader, stdout io.Writer, args ...string) (string, bool) {
	if s.jail != "" {
		args = inNew(args)
	}
	args = append([]string{"-c", s.inside(filepath.Join(s.dir, "dovecot.conf")), "-o", "log_path=/dev/stderr"}, args...)
	cmd := exec.Command("doveadm", args...)
	if s.jail != "" {
		cmd = &exec.Cmd{Path: "/usr/bin/doveadm", Args: append([]string{"doveadm"}, args...)}
	}
	cmd.Dir = s.inside(s.dir)
	cmd.Env = append(os.Environ(), "USER="+s.layout, "HOME="+s.inside(s.dir))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Chroot: s.jail}
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &errs
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	return errs.String(), err == nil
}

// inNew is a command of doveadm as 2.4 wants it: one that works on mail must say that no user is to be looked up.
func inNew(args []string) []string {
	at := 0
	if args[0] == "-f" {
		at = 2
	}
	switch args[at] {
	case "exec", "dump":
		return args
	case "mailbox":
		at++
	}
	return slices.Insert(slices.Clone(args), at+1, "--no-userdb-lookup")
}

// awaited keeps what is written to it and tells when it holds a text.
type awaited struct {
	buf  bytes.Buffer // not embedded: its ReadFrom would go past Write
	text string
	done chan struct{}
}

func (a *awaited) Write(b []byte) (int, error) {
	from := max(0, a.buf.Len()-len(a.text))
	a.buf.Write(b)
	if a.text != "" && bytes.Contains(a.buf.Bytes()[from:], []byte(a.text)) {
		a.text = ""
		close(a.done)
	}
	return len(b), nil
}

func (s *realStore) doveadm(args ...string) string {
	s.t.Helper()
	out, errs, ok := s.run("", args...)
	if !ok {
		s.t.Fatalf("doveadm %q: %s", args, errs)
	}
	return out
}

// imap sends commands in one session and fails the test if one is not answered with OK.
func (s *realStore) imap(commands ...string) {
	s.t.Helper()
	var in strings.Builder
	for i, c := range commands {
		fmt.Fprintf(&in, "a%d %s\r\n", i, c)
	}
	// Dovecot drops the connection when LOGOUT comes before it could write its answers.
	got := &awaited{text: fmt.Sprintf("\r\na%d ", len(commands)-1), done: make(chan struct{})}
	r, w := io.Pipe()
	go func() {
		io.WriteString(w, in.String())
		select {
		case <-got.done:
		case <-time.After(time.Minute):
		}
		io.WriteString(w, "z LOGOUT\r\n")
		w.Close()
	}()
	errs, _ := s.pipe(r, got, "exec", "imap")
	r.Close()
	out := got.buf.String()
	for i, c := range commands {
		if !strings.Contains(out, fmt.Sprintf("\r\na%d OK", i)) {
			s.t.Fatalf("imap %.60q: not OK\n%.2000s\n%s", c, out, errs)
		}
	}
}

func appendCommand(mailbox, flags, date, message string) string {
	return fmt.Sprintf("APPEND %s (%s) %q {%d+}\r\n%s", mailbox, flags, date, len(message), message)
}

// message is a mail that differs from all others, in size too.
func message(n int) string {
	body := strings.Repeat(fmt.Sprintf("line %d of this message\r\n", n), n%17)
	if n%5 == 0 {
		body += "ends without a line feed"
	}
	if n%11 == 0 {
		body = ""
	}
	return fmt.Sprintf("From: someone@example.org\r\nTo: user@example.org\r\nSubject: message %d\r\nMessage-ID: <m%d@example.org>\r\n"+
		"Date: Mon, 02 Jan 2023 10:%02d:00 +0000\r\n\r\n%s", n, n, n%60, body)
}

// fill makes a store with all that mailboxes live through: flags, keywords, expunges, copies, moves, other folders.
func (s *realStore) fill(n int) {
	s.t.Helper()
	var c []string
	for _, m := range []string{"Archive/2020", "J&AOQ-nner", "Work"} {
		c = append(c, "CREATE "+m, "SUBSCRIBE "+m)
	}
	for i := 1; i <= n; i++ {
		flags := []string{``, `\Seen`, `\Seen \Answered`, `\Flagged Work`, `\Draft $Forwarded`, `\Seen Work NonJunk`}[i%6]
		c = append(c, appendCommand("INBOX", flags, fmt.Sprintf("%02d-Feb-2021 08:%02d:07 +0100", i%27+1, i%60), message(i)))
	}
	s.imap(c...)
	third := n / 3
	s.imap("SELECT INBOX",
		fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Seen)", third, third+5),
		fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Deleted)", 2, 5),
		"EXPUNGE",
		fmt.Sprintf("UID COPY %d:%d Work", third, third+9),
		fmt.Sprintf("UID MOVE %d:%d Archive/2020", 2*third, 2*third+4),
		fmt.Sprintf("UID STORE %d:* -FLAGS (Work)", 2*third+5),
		fmt.Sprintf("UID STORE %d:* +FLAGS (later $Label1 $Label2 $Label3 $Label4 $Label5 $Label6)", n-3),
		"UID SEARCH BODY line", "UID FETCH 1:* (RFC822.SIZE ENVELOPE)")
	s.imap("SELECT Archive/2020", `STORE 1:2 +FLAGS (\Flagged Done)`, `STORE 3 +FLAGS (\Deleted)`, "EXPUNGE", "FETCH 1:* (RFC822.SIZE)")
}

// mailboxDir is where a mailbox's index files are.
func (s *realStore) mailboxDir(name string) string {
	if s.layout == "maildir" {
		if name == "INBOX" {
			return s.root
		}
		return filepath.Join(s.root, "."+strings.ReplaceAll(name, "/", "."))
	}
	return filepath.Join(s.root, "mailboxes", name, "dbox-Mails")
}

// files reads the files of an index.
func (s *realStore) files(prefix string) Files {
	s.t.Helper()
	get := func(suffix string) []byte {
		b, err := os.ReadFile(prefix + suffix)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return append([]byte{}, b...)
	}
	return Files{Index: get(""), Backup: get(".backup"), Log: get(".log"), Log2: get(".log.2")}
}

// put writes the files of an index, and removes those that are nil and its cache.
func (s *realStore) put(prefix string, f Files) {
	s.t.Helper()
	os.Remove(prefix + ".cache")
	for suffix, b := range map[string][]byte{"": f.Index, ".backup": f.Backup, ".log": f.Log, ".log.2": f.Log2} {
		os.Remove(prefix + suffix)
		if b != nil {
			if err := os.WriteFile(prefix+suffix, b, 0o600); err != nil {
				s.t.Fatal(err)
			}
			if s.cred != nil { // and no other file: the time of its last change tells when a message was saved
				if err := os.Chown(prefix+suffix, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
}

// fetch returns what doveadm fetch says of a mailbox, one map of fields per message.
func (s *realStore) fetch(mailbox, fields string) ([]map[string]string, string, bool) {
	s.t.Helper()
	out, errs, ok := s.run("", "-f", "json", "fetch", fields, "mailbox", mailbox)
	var rows []map[string]string
	if err := json.Unmarshal([]byte(out), &rows); err != nil && ok && strings.TrimSpace(out) != "" {
		s.t.Fatalf("doveadm fetch: %v: %q", err, out)
	}
	return rows, errs, ok
}

func fetchSummary(rows []map[string]string) []string {
	var out []string
	for _, row := range rows {
		words := strings.Fields(row["flags"])
		slices.Sort(words)
		out = append(out, fmt.Sprintf("%s %s", row["uid"], strings.Join(words, " ")))
	}
	return out
}
