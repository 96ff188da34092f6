//go:build unix

package main

import (
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/sshhost"
)

// TestLoginThatIsRefusedNamesWhatWasTried has a wrong password, a wrong key, and a file that is no key.
func TestLoginThatIsRefusedNamesWhatWasTried(t *testing.T) {
	d := newBadDay(t, "maildir", 1, remotetest.EmbeddedOptions{Options: sshhost.Options{Password: "correct horse"}})
	_, private := newKey(t)
	noKey := filepath.Join(t.TempDir(), "nokey")
	if err := os.WriteFile(noKey, []byte("not a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) outcome {
		line := append([]string{"dovemend", "accounts", "--host", d.h.User() + "@" + d.h.Addr(), "--known-hosts", d.h.KnownHosts(),
			"--ssh-config", "none", "--state-dir", d.state, "--no-input"}, args...)
		return d.judged(line, func(p *program) int { return p.run(line) })
	}
	next := "next: ssh .* --identity FILE"
	run("--identity", private).check(t, 5, "login refused", regexp.QuoteMeta(private), next)
	run("--identity", noKey).check(t, 5, "login refused", regexp.QuoteMeta(noKey), next)
	run("--ssh-password-command", "echo wrong").check(t, 5, "login refused", "password", next)
	run().check(t, 5, "login refused", next)
}

// newKey makes a key and a file with it.
func newKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	b, err := os.ReadFile(newBadDay(t, "maildir", 1, remotetest.EmbeddedOptions{NoCanaries: true}).h.Identity())
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(b); block == nil {
		t.Fatal("the key is not PEM")
	}
	s, err := ssh.ParsePrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "otherkey")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, file
}

// TestChangedHostKeyShowsBothFingerprints has another key for the host in known_hosts; no flag makes that acceptable.
func TestChangedHostKeyShowsBothFingerprints(t *testing.T) {
	d := newBadDay(t, "maildir", 1, remotetest.EmbeddedOptions{})
	old, err := sshhost.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Fields(d.h.KnownHostsLine())[0] + " " + string(ssh.MarshalAuthorizedKey(old.PublicKey()))
	if err := os.WriteFile(d.h.KnownHosts(), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--accept-new-host-key"}} {
		o := d.want(5, "accounts", args, "changed", "next: .*ssh-keygen -R")
		for _, key := range []ssh.PublicKey{old.PublicKey(), d.h.HostKey()} {
			if f := ssh.FingerprintSHA256(key); !strings.Contains(o.stderr, f) {
				t.Errorf("the fingerprint %s is not shown:\n%s", f, o.stderr)
			}
		}
	}
	if now, err := os.ReadFile(d.h.KnownHosts()); err != nil || string(now) != line {
		t.Errorf("known_hosts was changed: %q %v", now, err)
	}
}

// TestWithoutAShellAllButProcessesWorks goes through every verb on a login that gives SFTP only.
func TestWithoutAShellAllButProcessesWorks(t *testing.T) {
	for name, o := range map[string]sshhost.Options{"no shell": {NoShell: true}, "forced command": {ForceSFTP: true}} {
		t.Run(name, func(t *testing.T) {
			d := newBadDay(t, "mdbox", 0, remotetest.EmbeddedOptions{Options: o})
			before := d.tree()
			d.want(0, "accounts", nil, "anna@example.org +mdbox")
			d.want(0, "backup", []string{"--all-mailboxes"}, "a second listing; the host cannot compute hashes")
			d.want(1, "processes", nil, "no shell on the host", "next: .*control panel")
			d.want(1, "processes", []string{"--stop"}, "no shell on the host")
			for _, remedy := range [][]string{{"drop-cache"}, {"drop-index", "--accept-loss", "messages,flags,keywords,uids"},
				{"clear", "--confirm", "INBOX", "--accept-loss", "messages,flags,keywords,uids"}} {
				d.want(0, "repair", append([]string{"--apply", "--remedy"}, remedy...), "no shell", "close all mail programs", "Verified")
				if d.tree() == before {
					t.Errorf("%s changed nothing", remedy[0])
				}
				d.want(0, "undo", nil, "Verified")
				d.same("undo of "+remedy[0], before)
			}
		})
	}
}

func TestWithoutSFTPNothingIsBegun(t *testing.T) {
	d := newBadDay(t, "maildir", 1, remotetest.EmbeddedOptions{Options: sshhost.Options{NoSFTP: true}})
	for _, verb := range []string{"accounts", "backup"} {
		d.want(1, verb, nil, "no SFTP on the host", "next: sftp .*ask the hosting company to enable SFTP")
	}
	d.want(1, "repair", clearIt, "no SFTP on the host")
}

// TestUnreadableHome has a home that may not be listed over SFTP, and no command could: what lies deeper can still be named.
func TestUnreadableHome(t *testing.T) {
	var home string
	d := newBadDay(t, "mdbox", 0, remotetest.EmbeddedOptions{Options: sshhost.Options{NoShell: true, Fault: func(op, path string) error {
		if op == "opendir" && path == home {
			return syscall.EACCES
		}
		return nil
	}}})
	home = d.h.Home()
	real, err := filepath.EvalSymlinks(home)
	if err != nil {
		t.Fatal(err)
	}
	home = real
	d.want(1, "accounts", nil, "may not read "+regexp.QuoteMeta(home), "next: dovemend accounts .*--mail-root")
	d.want(2, "backup", nil, "no mail account found", "next: .*--mail-root")
	d.want(0, "accounts", []string{"--mail-root", d.h.MailRoot()}, "anna@example.org")
	d.want(0, "backup", []string{"--mail-root", d.h.MailRoot()}, "Copied")
}

// TestMailRootsThatAreNone names directories as mail root that are none, or lead elsewhere.
func TestMailRootsThatAreNone(t *testing.T) {
	d := newBadDay(t, "sdbox", 3, remotetest.EmbeddedOptions{})
	elsewhere := t.TempDir()
	if err := os.MkdirAll(filepath.Join(elsewhere, "photos"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(d.h.Home(), "link")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(d.h.MailRoot(), inboxFolder, "u.1")
	before := d.tree()
	for _, c := range []struct {
		root string
		code int
		says string
	}{
		{"", 2, "is empty"},
		{"mail", 2, "must be absolute"},
		{"..", 2, "must not hold"},
		{d.h.MailRoot() + "/../anna", 2, "must not hold"},
		{"~/mail", 2, "not expanded"},
		{"/", 2, "never a mail root"},
		{"/./", 2, "never a mail root"},
		{d.h.Home(), 2, "no mailboxes/ directory and no Maildir there"},
		{elsewhere, 2, "no mailboxes/ directory and no Maildir there"},
		{link, 2, "no mailboxes/ directory and no Maildir there"},
		{d.h.MailRoot() + "/nothing", 2, "there is no such directory on the host"},
		{file, 2, "it is not a directory"},
	} {
		for _, verb := range []string{"backup", "repair"} {
			args := []string{"--mail-root", c.root}
			if verb == "repair" {
				args = append(args, clearIt...)
			}
			d.want(c.code, verb, args, c.says, "next: .*dovemend accounts")
		}
	}
	d.same("after all of them", before)
	// A path into the account will do.
	d.want(0, "backup", []string{"--mail-root", d.h.MailRoot() + "/mailboxes"}, "Copied 6 files")
}

// TestAccountThatIsNotUnderMailboxesLosesNothing clears a Maildir: nothing is removed, all is set aside.
func TestAccountThatIsNotUnderMailboxesLosesNothing(t *testing.T) {
	d := newBadDay(t, "maildir", 5, remotetest.EmbeddedOptions{})
	before := d.tree()
	d.want(0, "repair", clearIt, "nothing is removed, everything is set aside", "Verified")
	kept, err := filepath.Glob(filepath.Join(d.h.MailRoot(), "dovemend-aside", "*", "cur.aside", "*"))
	if err != nil || len(kept) != 5 {
		t.Errorf("%d messages were set aside (%v)", len(kept), err)
	}
	d.want(0, "undo", nil, "Verified")
	d.same("undone", before)
}

// TestUnknownMailboxSuggestsNearOnes misspells names.
func TestUnknownMailboxSuggestsNearOnes(t *testing.T) {
	d := newBadDay(t, "mdbox", 0, remotetest.EmbeddedOptions{})
	d.want(2, "backup", []string{"--mailbox", "INBXO"}, `no mailbox "INBXO"; did you mean "INBOX"`, "next: .*--mailbox INBOX")
	d.want(2, "repair", append([]string{"--mailbox", "Archve"}, clearIt[:2]...), `did you mean .*"Archive"`, "next: .*--mailbox Archive")
	d.want(2, "backup", []string{"--mailbox", "../../etc"}, "no mailbox", "next: dovemend accounts")
	if all := d.runs(); len(all) != 0 {
		t.Errorf("%d runs were begun", len(all))
	}
}

// TestStubbornProcesses have processes that ignore SIGTERM, and one that comes back again and again.
func TestStubbornProcesses(t *testing.T) {
	d := newBadDay(t, "sdbox", 5, remotetest.EmbeddedOptions{})
	d.engine.grace = 300 * time.Millisecond
	before := d.tree()
	for range 2 {
		if _, err := d.h.Spawn(sshhost.ProcessOptions{IgnoreTERM: true}); err != nil {
			t.Fatal(err)
		}
	}
	d.want(0, "repair", clearIt, "2 processes ended", "Verified")
	if left := d.h.Processes(); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	d.want(0, "undo", nil)
	d.same("undone", before)

	title := "dovecot/imap [anna@example.org 192.0.2.7 IDLE]"
	if _, err := d.h.Spawn(sshhost.ProcessOptions{Title: title, Respawn: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	again := "keep coming back .imap of anna@example.org from 192.0.2.7.; close that mail program"
	d.want(0, "repair", clearIt, again, "Verified")
	d.want(0, "undo", nil, again, "Verified")
	d.same("undone", before)
	d.want(3, "processes", []string{"--stop"}, "keep coming back", "next: close the mail programs")
}

// TestSilentHostEndsWithAWord connects to something that never answers.
func TestSilentHostEndsWithAWord(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	line := []string{"dovemend", "accounts", "--host", "web1@" + l.Addr().String(), "--ssh-config", "none", "--no-input", "--state-dir", t.TempDir()}
	l.Close() // nobody listens any more
	d := &badDay{t: t}
	d.judged(line, func(p *program) int { return p.run(line) }).check(t, 1, "refused", "next: .*ssh")
}
