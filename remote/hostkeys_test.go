//go:build !windows

package remote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// knownLine is a line of known_hosts for a key.
func knownLine(hosts string, k ssh.PublicKey) string {
	return hosts + " " + string(ssh.MarshalAuthorizedKey(k))
}

func writeKnown(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// otherKeys gives an ECDSA and an RSA host key.
func otherKeys(t *testing.T) (ec, rs ssh.Signer) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if ec, err = ssh.NewSignerFromKey(k); err != nil {
		t.Fatal(err)
	}
	if rs, err = ssh.NewSignerFromKey(r); err != nil {
		t.Fatal(err)
	}
	return ec, rs
}

func TestKnownHostsDecideAsOpenSSHDoes(t *testing.T) {
	key, other := newKey(t), newKey(t)
	ec, rs := otherKeys(t)
	pub, otherPub := key.PublicKey(), other.PublicKey()
	hashed := keygenHash(t, knownLine("fake.test", pub))
	for _, tt := range []struct {
		name   string
		target string
		keys   []ssh.Signer // of the host
		known  []string
		reason HostKeyReason // "" is accepted
	}{
		{"plain", "a@fake.test", []ssh.Signer{key}, []string{knownLine("fake.test", pub)}, ""},
		{"name in capitals", "a@FAKE.test", []ssh.Signer{key}, []string{knownLine("Fake.Test", pub)}, ""},
		{"one of several names", "a@fake.test", []ssh.Signer{key}, []string{knownLine("x,fake.test,192.0.2.1", pub)}, ""},
		{"hashed by ssh-keygen -H", "a@fake.test", []ssh.Signer{key}, []string{hashed}, ""},
		{"hashed by x/crypto", "a@fake.test:2222", []ssh.Signer{key}, []string{knownLine(knownhosts.HashHostname("[fake.test]:2222"), pub)}, ""},
		{"with port", "a@fake.test:2222", []ssh.Signer{key}, []string{knownLine("[fake.test]:2222", pub)}, ""},
		{"known without the port", "a@fake.test:2222", []ssh.Signer{key}, []string{knownLine("fake.test", pub)}, ""},
		{"another key without the port", "a@fake.test:2222", []ssh.Signer{key}, []string{knownLine("fake.test", otherPub)}, HostKeyUnknown},
		{"IPv6", "a@[2001:db8::1]", []ssh.Signer{key}, []string{knownLine("2001:db8::1", pub)}, ""},
		{"IPv6 with port", "a@[2001:db8::1]:2222", []ssh.Signer{key}, []string{knownLine("[2001:db8::1]:2222", pub)}, ""},
		{"wildcard", "a@fake.test", []ssh.Signer{key}, []string{knownLine("*.test", pub)}, ""},
		{"negated wildcard", "a@fake.test", []ssh.Signer{key}, []string{knownLine("*.test,!fake.test", pub)}, HostKeyUnknown},
		{"unknown", "a@fake.test", []ssh.Signer{key}, []string{knownLine("else.test", pub)}, HostKeyUnknown},
		{"no file at all", "a@fake.test", []ssh.Signer{key}, nil, HostKeyUnknown},
		{"changed", "a@fake.test", []ssh.Signer{key}, []string{"# comment\n", knownLine("fake.test", otherPub)}, HostKeyChanged},
		{"one of two is right", "a@fake.test", []ssh.Signer{key}, []string{knownLine("fake.test", otherPub), knownLine("fake.test", pub)}, ""},
		{"revoked", "a@fake.test", []ssh.Signer{key}, []string{knownLine("fake.test", pub), "@revoked " + knownLine("*", pub)}, HostKeyRevoked},
		{"malformed lines around", "a@fake.test", []ssh.Signer{key}, []string{"fake.test ssh-ed25519\n", "garbage\n", "x ssh-ed25519 AAAA\n", "fake.test ssh-rsa !!!\n", "|1|bad ssh-rsa x\n", "@what x y z\n", knownLine("fake.test", pub)}, ""},
		{"known by a later type", "a@fake.test", []ssh.Signer{key, ec, rs}, []string{knownLine("fake.test", ec.PublicKey())}, ""},
		{"known by its RSA key", "a@fake.test", []ssh.Signer{key, ec, rs}, []string{knownLine("fake.test", rs.PublicKey())}, ""},
		{"known by a type it no longer has", "a@fake.test", []ssh.Signer{ec}, []string{knownLine("fake.test", pub)}, HostKeyChanged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t, &fakeHost{}, tt.keys...)
			c := f.config(t)
			c.Target, c.AcceptNew = tt.target, false
			c.KnownHosts = []string{filepath.Join(t.TempDir(), "missing"), writeKnown(t, tt.known...)}
			h, err := Dial(t.Context(), c)
			if tt.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				h.Close()
				return
			}
			var ke *HostKeyError
			if !errors.Is(err, ErrHostKey) || !errors.As(err, &ke) || ke.Reason != tt.reason {
				t.Fatalf("got %v, want %s", err, tt.reason)
			}
			wantContains(t, err.Error(), ke.Fingerprint, ke.Host)
			if tt.reason == HostKeyChanged {
				wantContains(t, err.Error(), ssh.FingerprintSHA256(ke.known(t)), fmt.Sprintf("%s:%d", c.KnownHosts[1], ke.Known[0].Line), "ssh-keygen -R")
			}
			if _, err := os.Stat(c.KnownHosts[0]); err == nil {
				t.Error("a refused key was remembered")
			}
		})
	}
}

// known reads the key the error tells of from its file.
func (e *HostKeyError) known(t *testing.T) ssh.PublicKey {
	t.Helper()
	text, err := os.ReadFile(e.Known[0].File)
	if err != nil {
		t.Fatal(err)
	}
	k, ok, err := parseKnownHost(strings.Split(string(text), "\n")[e.Known[0].Line-1])
	if !ok || err != nil {
		t.Fatal(err)
	}
	return k.key
}

// keygenHash has ssh-keygen hash the names of a known_hosts line.
func keygenHash(t *testing.T, line string) string {
	t.Helper()
	file := writeKnown(t, line)
	keygen(t, "-q", "-H", "-f", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "|1|") {
		t.Fatalf("not hashed: %q", text)
	}
	return string(text)
}

func TestChangedKeyIsRefusedWhateverIsAccepted(t *testing.T) {
	key, other := newKey(t), newKey(t)
	f := startFake(t, &fakeHost{}, key)
	c := f.config(t)
	c.KnownHosts = []string{writeKnown(t, knownLine("fake.test", other.PublicKey()))}
	before, _ := os.ReadFile(c.KnownHosts[0])
	ask := &asker{trust: true}
	c.AcceptNew, c.Ask = true, ask
	_, err := Dial(t.Context(), c)
	if !errors.Is(err, ErrHostKey) || len(ask.keys) != 0 {
		t.Errorf("%v, asked %v", err, ask.keys)
	}
	if after, _ := os.ReadFile(c.KnownHosts[0]); string(after) != string(before) {
		t.Error("the file was changed")
	}
}

func TestUnknownKeyIsAskedAboutAndRemembered(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	key := newKey(t)
	f := startFake(t, &fakeHost{}, key)
	c := f.config(t)
	dir := filepath.Join(t.TempDir(), "new", ".ssh")
	c.Target, c.AcceptNew, c.KnownHosts = "a@fake.test:2222", false, []string{filepath.Join(dir, "known_hosts")}

	no := &asker{}
	c.Ask = no
	if _, err := Dial(t.Context(), c); !errors.Is(err, ErrHostKey) {
		t.Fatalf("after a no: %v", err)
	}
	want := HostKeyQuestion{Host: "[fake.test]:2222", Type: "ssh-ed25519", Fingerprint: ssh.FingerprintSHA256(key.PublicKey())}
	if len(no.keys) != 1 || no.keys[0] != want {
		t.Errorf("asked %+v, want %+v", no.keys, want)
	}
	if _, err := os.Stat(c.KnownHosts[0]); err == nil {
		t.Error("a refused key was remembered")
	}
	c.Ask = &asker{trust: true}
	h, err := Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	text, err := os.ReadFile(c.KnownHosts[0])
	if err != nil || string(text) != knownLine("[fake.test]:2222", key.PublicKey()) {
		t.Errorf("remembered %q, %v", text, err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, c.KnownHosts[0]: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
	c.Ask = nil
	dial(t, c) // now known
}

func TestNewKeyIsAddedBehindAnUnfinishedLine(t *testing.T) {
	key := newKey(t)
	c := startFake(t, &fakeHost{}, key).config(t)
	old := strings.TrimSuffix(knownLine("else.test", newKey(t).PublicKey()), "\n")
	c.KnownHosts = []string{writeKnown(t, old)}
	dial(t, c)
	text, err := os.ReadFile(c.KnownHosts[0])
	if want := old + "\n" + knownLine("fake.test", key.PublicKey()); err != nil || string(text) != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

func TestNewKeyIsHashedWhereTheConfigurationSaysSo(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "config")
	file := filepath.Join(dir, "known")
	if err := os.WriteFile(conf, []byte("Host *\n  HashKnownHosts yes\n  StrictHostKeyChecking accept-new\n  UserKnownHostsFile "+file+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startFake(t, &fakeHost{}).config(t)
	c.ConfigFile, c.KnownHosts, c.AcceptNew = conf, nil, false
	dial(t, c)
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "|1|") {
		t.Fatalf("got %q, %v", text, err)
	}
	if out := keygen(t, "-F", "fake.test", "-f", file); !strings.Contains(out, "found") {
		t.Errorf("ssh-keygen does not find it: %q", out)
	}
}

func TestKeyThatCannotBeRememberedIsAcceptedForNow(t *testing.T) {
	c := startFake(t, &fakeHost{}).config(t)
	c.KnownHosts = []string{"/dev/null"}
	dial(t, c)
	c.KnownHosts = []string{"/proc/nowhere/known_hosts"}
	dial(t, c)
}

// certHost serves a host certificate for its key.
func certHost(t *testing.T, ca ssh.Signer, principals []string, from, to time.Time) (*fakeHost, ssh.Signer) {
	t.Helper()
	key := newKey(t)
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: principals, ValidAfter: uint64(from.Unix()), ValidBefore: uint64(to.Unix())}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeHost{}
	f.server.AddHostKey(key)
	return startFake(t, f, signer), key
}

func TestHostCertificatesAreChecked(t *testing.T) {
	ca := newKey(t)
	past, soon := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	authority := "@cert-authority " + knownLine("*.test", ca.PublicKey())
	for _, tt := range []struct {
		name       string
		principals []string
		to         time.Time
		known      func(key ssh.PublicKey) []string
		reason     HostKeyReason
	}{
		{"good", []string{"fake.test"}, soon, func(ssh.PublicKey) []string { return []string{authority} }, ""},
		{"for another host", []string{"else.test"}, soon, func(ssh.PublicKey) []string { return []string{authority} }, HostKeyCertificate},
		{"run out", []string{"fake.test"}, past.Add(time.Minute), func(ssh.PublicKey) []string { return []string{authority} }, HostKeyCertificate},
		{"authority revoked", []string{"fake.test"}, soon, func(ssh.PublicKey) []string {
			return []string{authority, "@revoked " + knownLine("*", ca.PublicKey())}
		}, HostKeyRevoked},
		{"of an authority for other hosts, key known", []string{"fake.test"}, soon, func(k ssh.PublicKey) []string {
			return []string{"@cert-authority " + knownLine("*.example", ca.PublicKey()), knownLine("fake.test", k)}
		}, ""},
		{"nothing known", []string{"fake.test"}, soon, func(ssh.PublicKey) []string { return nil }, HostKeyUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, key := certHost(t, ca, tt.principals, past, tt.to)
			c := f.config(t)
			c.AcceptNew = false
			c.KnownHosts = []string{writeKnown(t, tt.known(key.PublicKey())...)}
			h, err := Dial(t.Context(), c)
			if err == nil {
				h.Close()
			}
			var ke *HostKeyError
			if tt.reason == "" && err != nil || tt.reason != "" && (!errors.As(err, &ke) || ke.Reason != tt.reason) {
				t.Errorf("got %v, want %q", err, tt.reason)
			}
		})
	}
}

func TestRealSSHDKeyIsComparedByAKnownType(t *testing.T) {
	id, pub := newIdentity(t, "ed25519", "")
	s := startSSHD(t, "", pub)
	ec, err := os.ReadFile(filepath.Join(s.dir, "host_ecdsa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(s.addr)
	c := s.config(id)
	c.AcceptNew = false
	c.KnownHosts = []string{writeKnown(t, "["+host+"]:"+port+" "+string(ec))}
	dial(t, c)
}
