//go:build unix

// Package doveadm gives tests an account on a real Dovecot without a server: doveadm and imap run on a private configuration, in a
// temporary directory. It is for what is in files; where processes matter there is realhost.
package doveadm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
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

// Account is an account of a test. Its directory is removed when the test ends.
type Account struct {
	Dir  string // holds dovecot.conf; its mail is beneath it
	t    testing.TB
	cred *syscall.Credential // that Dovecot runs with; nil for our own
	jail string              // a directory with a Debian of its own, whose Dovecot is used; "" for the one installed
}

// Jail is DOVEMEND_TEST_DOVECOT24: a directory into which a Debian 13 with dovecot-imapd was put (debootstrap). Tests that run as
// root then use its Dovecot 2.4 instead of the one installed.
func Jail() string { return os.Getenv("DOVEMEND_TEST_DOVECOT24") }

// New makes an account with its mail at a location in the syntax of mail_location of Dovecot 2.3, in which %s is the account's
// directory, and with further lines of configuration. The test is skipped where Dovecot is not installed, or fails where
// DOVEMEND_TEST_REQUIRE asks for it.
func New(t testing.TB, location, settings string) *Account {
	t.Helper()
	a := &Account{t: t, jail: Jail()}
	if _, err := exec.LookPath("doveadm"); err != nil && a.jail == "" {
		if slices.Contains(strings.Split(os.Getenv("DOVEMEND_TEST_REQUIRE"), ","), "dovecot") {
			t.Fatal("Dovecot is required and not installed")
		}
		t.Skip("Dovecot is not installed")
	}
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
		a.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	group := "nogroup"
	if g, err := user.LookupGroupId(me.Gid); err == nil {
		group = g.Name
	}
	a.makeDir()
	location = strings.ReplaceAll(location, "%s", a.inside(a.Dir))
	where := fmt.Sprintf("mail_location = %s\nmail_save_crlf = no\ndefault_internal_user = %s", location, me.Username)
	first := ""
	if a.jail != "" {
		driver, path, _ := strings.Cut(location, ":")
		where = fmt.Sprintf("mail_driver = %s\nmail_path = %s", driver, path)
		first = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
		settings = strings.ReplaceAll(settings, "mail_index_log_rotate_min_age = 0", "mail_index_log_rotate_min_age = 1s") // 0 is refused
	}
	conf := fmt.Sprintf(`%[6]sbase_dir = %[1]s/run
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
`, a.inside(a.Dir), where, me.Username, group, settings, first)
	if err := os.WriteFile(a.conf(), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	a.Own()
	return a
}

func (a *Account) makeDir() {
	parent := ""
	if a.jail != "" {
		parent = filepath.Join(a.jail, "tmp")
	}
	dir, err := os.MkdirTemp(parent, "dovemend-")
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { os.RemoveAll(dir) })
	a.Dir = dir
}

func (a *Account) conf() string { return filepath.Join(a.Dir, "dovecot.conf") }

// inside is a path as the Dovecot in use sees it.
func (a *Account) inside(path string) string { return strings.TrimPrefix(path, a.jail) }

// Clone copies the account, for damaging it.
func (a *Account) Clone() *Account {
	a.t.Helper()
	c := *a
	c.makeDir()
	if out, err := exec.Command("cp", "-a", a.Dir+"/.", c.Dir).CombinedOutput(); err != nil {
		a.t.Fatalf("cp: %v: %s", err, out)
	}
	b, err := os.ReadFile(c.conf())
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(c.conf(), bytes.ReplaceAll(b, []byte(a.inside(a.Dir)), []byte(c.inside(c.Dir))), 0o644); err != nil {
		a.t.Fatal(err)
	}
	c.Own()
	return &c
}

// Own gives everything to the user Dovecot runs as.
func (a *Account) Own() {
	a.t.Helper()
	err := filepath.WalkDir(a.Dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return a.Chown(path)
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

// Chown gives one file to the user Dovecot runs as. Giving a file away that is theirs already changes its ctime, by which Dovecot
// tells when a message was saved.
func (a *Account) Chown(path string) error {
	if a.cred == nil {
		return nil
	}
	return os.Lchown(path, int(a.cred.Uid), int(a.cred.Gid))
}

// Run runs doveadm and returns its standard output, its standard error and whether it succeeded.
func (a *Account) Run(stdin string, args ...string) (out, errs string, ok bool) {
	var b bytes.Buffer
	errs, ok = a.pipe(strings.NewReader(stdin), &b, args...)
	return b.String(), errs, ok
}

func (a *Account) pipe(stdin io.Reader, stdout io.Writer, args ...string) (string, bool) {
	if a.jail != "" {
		args = inNew(args)
	}
	args = append([]string{"-c", a.inside(a.conf()), "-o", "log_path=/dev/stderr"}, args...)
	cmd := exec.Command("doveadm", args...)
	if a.jail != "" {
		cmd = &exec.Cmd{Path: "/usr/bin/doveadm", Args: append([]string{"doveadm"}, args...)}
	}
	cmd.Dir = a.inside(a.Dir)
	cmd.Env = append(os.Environ(), "USER=somebody", "HOME="+a.inside(a.Dir), "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.cred, Chroot: a.jail}
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

// Doveadm runs doveadm and returns its standard output; that it fails is fatal.
func (a *Account) Doveadm(args ...string) string {
	a.t.Helper()
	out, errs, ok := a.Run("", args...)
	if !ok {
		a.t.Fatalf("doveadm %q: %s", args, errs)
	}
	return out
}

// Fetch returns what doveadm fetch says of a mailbox, one map of fields per message; its standard error, and whether it succeeded.
func (a *Account) Fetch(mailbox, fields string) (rows []map[string]string, errs string, ok bool) {
	a.t.Helper()
	out, errs, ok := a.Run("", "-f", "json", "fetch", fields, "mailbox", mailbox)
	if err := json.Unmarshal([]byte(out), &rows); err != nil && ok && strings.TrimSpace(out) != "" {
		a.t.Fatalf("doveadm fetch: %v: %q", err, out)
	}
	return rows, errs, ok
}

// IMAP sends commands in one session, each when the one before was answered, and fails the test if one is not answered with OK.
func (a *Account) IMAP(commands ...string) {
	a.t.Helper()
	var out bytes.Buffer
	var errs string
	r, w := io.Pipe()
	done := make(chan bool, 1)
	answers := &lines{to: &out, answered: make(chan string, 2*len(commands)+2)}
	go func() {
		var ok bool
		errs, ok = a.pipe(r, answers, "exec", "imap")
		r.Close()
		done <- ok
	}()
	for i, c := range commands {
		fmt.Fprintf(w, "a%d %s\r\n", i, c)
		want := fmt.Sprintf("a%d ", i)
		for ok := false; !ok; {
			select {
			case line := <-answers.answered:
				if ok = strings.HasPrefix(line, want); ok && !strings.HasPrefix(line, want+"OK") {
					a.t.Fatalf("imap %.60q: %s", c, line)
				}
			case <-done:
				a.t.Fatalf("imap ended at %.60q: %s\n%.2000s", c, errs, out.Bytes())
			case <-time.After(time.Minute):
				a.t.Fatalf("imap %.60q: no answer", c)
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
