// Package remotetest gives tests a host to work on, on three rungs: an SSH and SFTP host inside the test itself
// ([Embedded]), the real OpenSSH, and the real OpenSSH with the real Dovecot ([Real]). A host is on loopback and in temporary
// directories only, carries canaries that fail the test when touched, and ends with the test, however that ends.
//
// DOVEMEND_TEST_REQUIRE=sshd,dovecot,mbsync,imapfilter,rsync makes a test fail that would be skipped because one of them is not installed.
package remotetest

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/remotetest/canary"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/sshhost"
)

// A copy of the test program may have been started as one of an embedded host's processes.
func init() { sshhost.MaybeChild() }

// Host is what tests need to know of a host, whichever rung it is on.
type Host interface {
	Addr() string       // of SSH, "127.0.0.1:port"
	User() string       // login name
	Home() string       // the login's home; may be a symbolic link
	Account() string    // address of the first account
	MailRoot() string   // of the first account, symbolic links resolved
	Layout() string     // mdbox, sdbox, maildir
	LayoutFS() bool     // Maildir with LAYOUT=fs
	KnownHosts() string // file with the host's key
	Identity() string   // file with the private key that may log in
	IMAP() string       // address of IMAP in the clear and with STARTTLS; "" where there is no Dovecot
	IMAPS() string      // address of IMAP over TLS
	CA() string         // file with the certificate to trust
	Password() string   // for IMAP
	Cut()               // cuts all SSH connections
}

// Programs skips the test where a program is not installed, or fails it where DOVEMEND_TEST_REQUIRE names the program.
func Programs(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			need(t, []string{name}, fmt.Errorf("no %s", name))
		}
	}
}

// need skips the test because a part is missing, or fails it where DOVEMEND_TEST_REQUIRE names the part.
func need(t testing.TB, parts []string, why any) {
	t.Helper()
	for _, required := range strings.Split(os.Getenv("DOVEMEND_TEST_REQUIRE"), ",") {
		if slices.Contains(parts, strings.TrimSpace(required)) {
			t.Fatalf("DOVEMEND_TEST_REQUIRE=%s, but: %v", os.Getenv("DOVEMEND_TEST_REQUIRE"), why)
		}
	}
	t.Skip(why)
}

// plant plants canaries on a host and has the test fail if one is changed at its end.
func plant(t testing.TB, p canary.Place) *canary.Canaries {
	t.Helper()
	c, err := canary.Plant(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Helper()
		changed, err := c.Changed()
		if err != nil {
			t.Error(err)
		}
		for _, text := range changed {
			t.Errorf("canary: %s", text)
		}
	})
	return c
}

// Damage breaks a mailbox of the host's first account: kind is one of damage.Kinds, mailbox a storage name with "/" between
// the levels. It gives the files it changed or removed. Where Dovecot's look at the broken mailbox belongs to the damage, and there is
// a Dovecot, it looks.
func Damage(t testing.TB, h Host, mailbox, kind string, seed uint64) []string {
	t.Helper()
	files, err := damage.Do(damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout(), LayoutFS: h.LayoutFS(), Mailbox: mailbox}, kind, seed)
	if err != nil {
		t.Fatal(err)
	}
	if damage.Looked(kind) && h.IMAP() != "" {
		// This look may fail; what matters is what it leaves on disk.
		_, _ = fill.Read(t.Context(), target(t, h))
	}
	return files
}

// Fill fills the host's first account over IMAP and gives the truth. With logs rotated (Options.RotateLogs of a [Real] host) it goes on until
// every mailbox with mail has a dovecot.index.log.2.
func Fill(t testing.TB, h Host, s fill.Shape) *fill.Truth {
	t.Helper()
	if r, ok := h.(*RealHost); ok && r.rotate && s.MailRoot == "" {
		s.MailRoot = h.MailRoot()
	}
	truth, err := fill.Fill(t.Context(), target(t, h), s)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

// ReadTruth reads the host's first account over IMAP. On a damaged mailbox that may make Dovecot change it.
func ReadTruth(t testing.TB, h Host) *fill.Truth {
	t.Helper()
	truth, err := fill.Read(t.Context(), target(t, h))
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

func target(t testing.TB, h Host) fill.Target {
	t.Helper()
	if h.IMAP() == "" {
		t.Fatal("this host has no IMAP server")
	}
	return fill.Target{Addr: h.IMAP(), User: h.Account(), Password: h.Password()}
}
