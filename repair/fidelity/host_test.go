package fidelity

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair"
)

// host is a real host on which one damage after another is done to copies of stores.
type host struct {
	*remotetest.RealHost
	label   string
	stores  map[string]*base
	numbers map[string]int // which message a text is, by the text's sum

	session  *repair.Session // dovemend's, kept from repair to repair
	stateDir string
	copies   map[string]string // folders of copies that were made before a damage, by store
}

func options(layout string) realhost.Options {
	if layout == "maildir fs" {
		return realhost.Options{Layout: "maildir", LayoutFS: true}
	}
	return realhost.Options{Layout: layout}
}

// newHost starts a host and makes the stores of its layout. The host runs with Dovecot's own defaults; what has to be made in a way that
// takes days is made on another one.
func newHost(t *testing.T, layout string, wanted map[string]bool) *host {
	t.Helper()
	h := &host{label: layout, RealHost: remotetest.Real(t, remotetest.Options{Options: options(layout), NoCanaries: true}), stateDir: filepath.Join(t.TempDir(), "state")}
	t.Cleanup(func() { h.disconnect(t) })
	h.makeStores(t, wanted)
	return h
}

func (h *host) imap() fill.Target {
	return fill.Target{Addr: h.IMAP(), User: h.Account(), Password: h.Password()}
}

// folder is where a mailbox's index files are, in the mail root.
func (h *host) folder(mailbox string) string { return h.target(mailbox).Folder() }

func (h *host) target(mailbox string) damage.Target {
	return damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout(), LayoutFS: h.LayoutFS(), Mailbox: fill.StorageName(mailbox)}
}

// quiet waits until no process has the mailboxes open any more, and ends those that stay.
func (h *host) quiet(t *testing.T) {
	t.Helper()
	for i := 0; ; i++ {
		n := processes(t, h.UID())
		switch {
		case n == 0:
			return
		case i == 1000:
			t.Fatalf("%d imap processes do not end", n)
		case i%100 == 20:
			_, _ = h.Host.Doveadm(t.Context(), "kick", "*") // it fails where there is nobody to kick
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// copyTree copies a directory with owners, times and hard links.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", "--sparse=always", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// lay puts a saved tree in place of the account's mail.
func (h *host) lay(t *testing.T, saved string) {
	t.Helper()
	h.quiet(t)
	copyTree(t, saved, h.MailRoot())
}

// logSize is where Dovecot's log ends now.
func (h *host) logSize(t *testing.T) int64 {
	t.Helper()
	st, err := os.Stat(h.DovecotLogFile())
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// logFrom is what Dovecot has logged since. Dovecot's processes hand their lines to another one, so they may come late.
func (h *host) logFrom(t *testing.T, at int64) string {
	t.Helper()
	h.quiet(t)
	for size, same := h.logSize(t), 0; same < 3; {
		time.Sleep(4 * time.Millisecond)
		if now := h.logSize(t); now == size {
			same++
		} else {
			size, same = now, 0
		}
	}
	b, err := os.ReadFile(h.DovecotLogFile())
	if err != nil || int64(len(b)) < at {
		t.Fatalf("log of %d bytes, from %d: %v", len(b), at, err)
	}
	return string(b[at:])
}

// resync is what an administrator does.
func (h *host) resync(ctx context.Context) error {
	_, err := h.Host.Doveadm(ctx, "force-resync", "-u", h.Account(), "*")
	return err
}

// emptyFolder is rm -rf * in a directory: what begins with a dot stays.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// version is Dovecot's, as its log begins.
func (h *host) version(t *testing.T) string {
	t.Helper()
	_, rest, ok := strings.Cut(h.DovecotLog(), "Dovecot v")
	version, _, _ := strings.Cut(rest, " ")
	if !ok {
		t.Fatal("Dovecot does not tell its version")
	}
	return version
}
