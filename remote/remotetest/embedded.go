package remotetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/crypto/ssh"

	"dovemend/remote/remotetest/canary"
	"dovemend/remote/remotetest/sshhost"
)

// EmbeddedOptions of an [Embedded] host. Home, HostKeys and keys that may log in are provided.
type EmbeddedOptions struct {
	sshhost.Options
	Layout     string                      // what the files are; default mdbox
	MailRoot   string                      // beneath the home; default mail/example.org/anna
	Lay        func(mailRoot string) error // lays the account's files; the mail root exists, and its mailboxes/ for dbox
	NoCanaries bool
}

// EmbeddedHost is a host inside the test's own process. It has no IMAP server.
type EmbeddedHost struct {
	*sshhost.Host
	Canaries   *canary.Canaries
	layout     string
	mailRoot   string
	knownHosts string
	identity   string
}

// Embedded starts a host inside the test's own process, with an empty account or the files that Lay lays.
func Embedded(t testing.TB, o EmbeddedOptions) *EmbeddedHost {
	t.Helper()
	if o.Layout == "" {
		o.Layout = "mdbox"
	}
	if o.MailRoot == "" {
		o.MailRoot = filepath.Join("mail", "example.org", "anna")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &EmbeddedHost{layout: o.Layout, knownHosts: filepath.Join(dir, "known_hosts"), identity: filepath.Join(dir, "identity")}
	if o.Home == "" {
		o.Home = filepath.Join(dir, "userdata01", "web1")
	}
	h.mailRoot = filepath.Join(o.Home, o.MailRoot)
	tree := h.mailRoot
	if o.Layout != "maildir" {
		tree = filepath.Join(tree, "mailboxes")
	}
	if err := os.MkdirAll(tree, 0o750); err != nil {
		t.Fatal(err)
	}
	if o.Lay != nil {
		if err := o.Lay(h.mailRoot); err != nil {
			t.Fatal(err)
		}
	}
	if !o.NoCanaries && runtime.GOOS != "windows" {
		home, err := filepath.EvalSymlinks(o.Home)
		if err != nil {
			t.Fatal(err)
		}
		root, err := filepath.EvalSymlinks(h.mailRoot)
		if err != nil {
			t.Fatal(err)
		}
		h.mailRoot = root
		h.Canaries = plant(t, canary.Place{Home: home, MailRoot: root, UID: -1})
	}
	key, err := writeIdentity(h.identity)
	if err != nil {
		t.Fatal(err)
	}
	o.AuthorizedKeys = append(o.AuthorizedKeys, key)
	if h.Host, err = sshhost.Start(o.Options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(h.knownHosts, []byte(h.KnownHostsLine()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// writeIdentity makes a key file and gives its public half.
func writeIdentity(path string) (ssh.PublicKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	return signer.PublicKey(), os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// Account is the account's address.
func (h *EmbeddedHost) Account() string {
	return filepath.Base(h.mailRoot) + "@" + filepath.Base(filepath.Dir(h.mailRoot))
}

// MailRoot is the account's mail root.
func (h *EmbeddedHost) MailRoot() string { return h.mailRoot }

// Layout is what the files are.
func (h *EmbeddedHost) Layout() string { return h.layout }

// LayoutFS is false: files laid here are in the usual place.
func (h *EmbeddedHost) LayoutFS() bool { return false }

// KnownHosts names a file with the host's key.
func (h *EmbeddedHost) KnownHosts() string { return h.knownHosts }

// Identity names the private key that may log in.
func (h *EmbeddedHost) Identity() string { return h.identity }

// IMAP is empty: there is no IMAP server.
func (h *EmbeddedHost) IMAP() string { return "" }

// IMAPS is empty: there is no IMAP server.
func (h *EmbeddedHost) IMAPS() string { return "" }

// CA is empty: there is no IMAP server.
func (h *EmbeddedHost) CA() string { return "" }

// Password is empty: there is no IMAP server.
func (h *EmbeddedHost) Password() string { return "" }

// Cut cuts all SSH connections.
func (h *EmbeddedHost) Cut() { h.CutConnections() }
