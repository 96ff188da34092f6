package remotetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest/canary"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
)

// Options of a [Real] host.
type Options struct {
	realhost.Options
	Fill       *fill.Shape                 // fill the account at once
	Lay        func(mailRoot string) error // or lay its files, which then belong to the login; the mail root does not exist yet
	NoCanaries bool                        // plant none (for tests that compare the whole tree with something else)
}

// RealHost is a host of the real OpenSSH and Dovecot.
type RealHost struct {
	*realhost.Host
	Truth    *fill.Truth // where Options.Fill is given
	Canaries *canary.Canaries
	layoutFS bool
	rotate   bool
}

// Real starts a host of the real OpenSSH and, unless Options.NoDovecot, the real Dovecot. The test is skipped where they
// are not installed. The account's mail root exists from the start, as on a host where mail has come.
func Real(t testing.TB, o Options) *RealHost {
	t.Helper()
	var parts []string
	if !o.NoSSHD {
		parts = append(parts, "sshd")
	}
	if !o.NoDovecot {
		parts = append(parts, "dovecot")
	}
	if missing := realhost.Missing(o.Options); len(missing) > 0 {
		need(t, parts, "a part of the real host is missing: "+strings.Join(missing, "; "))
	}
	// A start may have to wait for another program's host; the end of the test's context must not take the host down early.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	host, err := realhost.Start(ctx, o.Options)
	if errors.Is(err, realhost.ErrMissing) {
		need(t, parts, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	h := &RealHost{Host: host, layoutFS: o.LayoutFS, rotate: o.RotateLogs}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of Dovecot:\n%s", tail(host.DovecotLog(), 8000))
		}
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	if o.Fill != nil {
		h.Truth = Fill(t, h, *o.Fill)
	}
	if o.Lay != nil {
		if err := o.Lay(h.MailRoot()); err != nil {
			t.Fatal(err)
		}
		if err := h.Adopt(filepath.Join(h.Dir(), "userdata01")); err != nil {
			t.Fatal(err)
		}
	}
	if !o.NoCanaries {
		if err := h.makeMailRoot(); err != nil {
			t.Fatal(err)
		}
		home, err := filepath.EvalSymlinks(h.Home())
		if err != nil {
			t.Fatal(err)
		}
		h.Canaries = plant(t, canary.Place{Home: home, MailRoot: h.MailRoot(), UID: h.UID(), GID: h.GID()})
	}
	return h
}

// makeMailRoot makes the account's directories where no mail has come yet.
func (h *RealHost) makeMailRoot() error {
	marker := "mailboxes/.exists"
	if h.Layout() == "maildir" {
		marker = ".exists"
	}
	marker = filepath.Join(h.MailRoot(), marker)
	if err := h.WriteFile(marker, nil, 0o600); err != nil {
		return err
	}
	return os.Remove(marker)
}

// MailRoot is the first account's mail root.
func (h *RealHost) MailRoot() string { return h.Host.MailRoot("") }

// MailRootOf is another account's mail root.
func (h *RealHost) MailRootOf(account string) string { return h.Host.MailRoot(account) }

// LayoutFS says whether a Maildir has its mailboxes as plain directories.
func (h *RealHost) LayoutFS() bool { return h.layoutFS }

// KnownHosts names a file with the host's key.
func (h *RealHost) KnownHosts() string { return h.KnownHostsFile() }

// Identity names the private key that may log in.
func (h *RealHost) Identity() string { return h.IdentityFile() }

// IMAP is where IMAP is served in the clear and with STARTTLS.
func (h *RealHost) IMAP() string { return h.IMAPAddr() }

// IMAPS is where IMAP is served over TLS.
func (h *RealHost) IMAPS() string { return h.IMAPSAddr() }

// CA names a file with the certificate to trust.
func (h *RealHost) CA() string { return h.CAFile() }

// Doveadm runs doveadm as the host's administrator.
func (h *RealHost) Doveadm(t testing.TB, args ...string) string {
	t.Helper()
	b, err := h.Host.Doveadm(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
