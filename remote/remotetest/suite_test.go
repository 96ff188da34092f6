package remotetest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovemend/remote"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/demoaccount"
	"dovemend/remote/remotetest/realhost"
	"dovemend/remote/remotetest/sshhost"
)

const inboxIndex = "mailboxes/INBOX/dbox-Mails/dovecot.index"

// suite holds package remote to the same contract on whatever rung the host is. imap opens IMAP sessions, whose processes
// the login owns, and tells how many; nil where there is no shell to see them with.
func suite(t *testing.T, h remotetest.Host, imap func() int) {
	ctx := t.Context()
	host, err := remote.Dial(ctx, remote.Config{Target: "ssh://" + h.User() + "@" + h.Addr(), Identities: []string{h.Identity()},
		KnownHosts: []string{h.KnownHosts()}, ConfigFile: "none", NoAgent: true, DialTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	home, err := filepath.EvalSymlinks(h.Home())
	if err != nil {
		t.Fatal(err)
	}
	if info := host.Info(); info.Home != home || info.User != h.User() || info.Shell != (imap != nil) {
		t.Errorf("info %+v, want home %s, user %s, shell %v", info, home, h.User(), imap != nil)
	}

	files := host.FS(ctx)
	index := filepath.Join(h.MailRoot(), inboxIndex)
	read := func() error {
		want, err := os.ReadFile(index)
		if err != nil {
			t.Fatal(err)
		}
		got, err := fs.ReadFile(files, strings.TrimPrefix(index, "/"))
		if err == nil && !bytes.Equal(got, want) {
			err = fmt.Errorf("read %d bytes, want %d", len(got), len(want))
		}
		return err
	}
	if err := read(); err != nil {
		t.Error(err)
	}
	h.Cut()
	if err := read(); err != nil {
		t.Errorf("reading after a lost connection: %v", err)
	}

	root, err := host.OpenRoot(ctx, h.MailRoot())
	if err != nil {
		t.Fatal(err)
	}
	for _, rel := range []string{"", ".", "..", "/", home, "mailboxes", "mailboxes/..", "../" + filepath.Base(h.MailRoot()), "mailboxes/canary-link", "mailboxes/canary-link/index.html",
		"mailboxes/canary-link-file", "canary-beside.txt", "canary-dir/mailboxes/INBOX/dovecot.index", "storage/m.1", "../canary-account/mailboxes/INBOX/dbox-Mails/dovecot.index",
		"mailboxes/INBOX/../../storage/m.1", "mailboxes/INBOX/dbox-Mails/no-such-file"} {
		for _, class := range []remote.Class{remote.ClassIndex, remote.ClassMailboxFile, remote.ClassFolder, remote.ClassCache} {
			if _, err := root.Guard(ctx, rel, class); err == nil {
				t.Errorf("the guard passed %q as %s", rel, class)
			}
		}
	}
	temp, err := root.GuardWrite(ctx, "mailboxes/INBOX/dbox-Mails/.dovemend-x", remote.ClassTemp)
	if err != nil {
		t.Fatal(err)
	}
	to, err := root.GuardWrite(ctx, inboxIndex, remote.ClassIndexFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Put(ctx, temp, to, strings.NewReader("new"), remote.Attr{Mode: 0o600}); err == nil {
		t.Error("Put overwrote an index")
	}
	if imap != nil {
		processes(t, host, imap)
	}
	path, err := root.Guard(ctx, inboxIndex, remote.ClassIndex)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Remove(ctx, path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(index); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(index)); err != nil || len(entries) != 4 {
		t.Errorf("the folder has %v, %v, want its four other files", entries, err)
	}
}

// processes holds listing and ending of processes to the contract.
func processes(t *testing.T, host *remote.Host, imap func() int) {
	ctx := t.Context()
	want := imap()
	list, err := host.Processes(ctx)
	if err != nil || len(list) != want {
		t.Fatalf("processes %+v, %v, want %d", list, err, want)
	}
	for _, p := range list {
		if p.Service != "imap" || p.Account != "anna@example.org" || p.UID != host.Info().UID {
			t.Errorf("process %+v", p)
		}
	}
	quiet, err := host.Quiesce(ctx, remote.QuiesceOptions{Grace: 5 * time.Second, Settle: 300 * time.Millisecond})
	if err != nil || len(quiet.Ended) != want || !quiet.Stayed {
		t.Errorf("quiesce: %+v, %v", quiet, err)
	}
	if list, err := host.Processes(ctx); err != nil || len(list) != 0 {
		t.Errorf("afterwards %+v, %v", list, err)
	}
}

func TestContractOnEmbeddedHost(t *testing.T) {
	for name, o := range map[string]sshhost.Options{"shell": {Motd: "Welcome\n"}, "no shell": {NoShell: true}, "SFTP forced": {ForceSFTP: true}} {
		t.Run(name, func(t *testing.T) {
			lay := func(root string) error {
				if err := os.Remove(filepath.Join(root, "mailboxes")); err != nil {
					return err
				}
				return demoaccount.Unpack(root)
			}
			h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Options: o, Lay: lay})
			var imap func() int
			if name == "shell" {
				imap = func() int {
					if err := h.SpawnIMAP(2, "dovecot/imap [anna@example.org 192.0.2.7 IDLE]", "dovecot/imap [anna@example.org 192.0.2.8]"); err != nil {
						t.Fatal(err)
					}
					return 2
				}
			}
			suite(t, h, imap)
		})
	}
}

func TestContractOnRealHosts(t *testing.T) {
	for name, o := range map[string]realhost.Options{
		"sh, Dovecot, home is a link": {HomeLink: true},
		"tcsh":                        {NoDovecot: true, LoginShell: "/bin/tcsh", Noise: "Welcome to tcsh"},
		"fish":                        {NoDovecot: true, LoginShell: "/usr/bin/fish", Noise: "Welcome to fish"},
		"SFTP only":                   {NoDovecot: true, SFTPOnly: true, Banner: "Authorised use only\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if o.LoginShell != "" {
				if _, err := os.Stat(o.LoginShell); err != nil {
					t.Skip(err)
				}
			}
			h := remotetest.Real(t, remotetest.Options{Options: o, Lay: demoaccount.Unpack})
			imap := func() int {
				if o.NoDovecot {
					return 0
				}
				return sessions(t, h)
			}
			if o.SFTPOnly {
				imap = nil
			}
			suite(t, h, imap)
		})
	}
}

// sessions opens IMAP sessions that stay, and tells how many.
func sessions(t *testing.T, h remotetest.Host) int {
	for range 2 {
		c, err := net.Dial("tcp", h.IMAP())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "a LOGIN %s %q\r\n", h.Account(), h.Password())
		var got []byte
		for buf := make([]byte, 4096); !bytes.Contains(got, []byte("a OK")); {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("log in: %v after %q", err, got)
			}
			got = append(got, buf[:n]...)
		}
	}
	return 2
}
