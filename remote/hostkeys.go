package remote

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyError says why a host's key was not accepted. It is an [ErrHostKey]. Its texts are safe to print.
type HostKeyError struct {
	Host        string // as known_hosts names it
	Type        string // of the key the host showed
	Fingerprint string // of that key, "SHA256:…"
	Reason      HostKeyReason
	Known       []KnownHostKey // what is on file for the host; for a revoked key, the line that revokes it
	SaveTo      string         // the known_hosts file that keys are added to
	Detail      string         // for a certificate, what is wrong with it
}

// HostKeyReason is why a host's key was not accepted.
type HostKeyReason string

const (
	HostKeyUnknown     HostKeyReason = "unknown"     // never seen, and nobody accepted it
	HostKeyChanged     HostKeyReason = "changed"     // another key is on file
	HostKeyRevoked     HostKeyReason = "revoked"     // marked as revoked
	HostKeyCertificate HostKeyReason = "certificate" // a host certificate that is not valid
)

// KnownHostKey is a key on file for a host.
type KnownHostKey struct {
	Type, Fingerprint string
	File              string
	Line              int
}

func (e *HostKeyError) Unwrap() error { return ErrHostKey }

func (e *HostKeyError) Error() string {
	shown := fmt.Sprintf("it shows %s %s", e.Type, e.Fingerprint)
	var known []string
	for _, k := range e.Known {
		known = append(known, fmt.Sprintf("%s %s (%s:%d)", k.Type, k.Fingerprint, k.File, k.Line))
	}
	switch e.Reason {
	case HostKeyChanged:
		return fmt.Sprintf("%v: the key of %s has changed: known is %s, now %s; either the host was set up anew, or someone stands between and could read everything. "+
			"Ask the hosting company for the fingerprint, and only if it is the new one remove the old line with: ssh-keygen -R %s -f %s",
			ErrHostKey, e.Host, strings.Join(known, ", "), shown, shellWord(e.Host), shellWord(e.Known[0].File))
	case HostKeyRevoked:
		return fmt.Sprintf("%v: the key of %s is revoked: %s; revoked by %s", ErrHostKey, e.Host, shown, strings.Join(known, ", "))
	case HostKeyCertificate:
		return fmt.Sprintf("%v: the certificate of %s is not valid: %s; %s", ErrHostKey, e.Host, e.Detail, shown)
	}
	return fmt.Sprintf("%v: %s is not known here: %s", ErrHostKey, e.Host, shown)
}

func shellWord(s string) string {
	if strings.ContainsAny(s, " []*?'\"\\$&;|<>(){}!") {
		return quote(s)
	}
	return s
}

// keyCheck decides about the key of one hop.
type keyCheck struct {
	hop   *hop
	known []knownKey
	ask   Asker
	warn  func(string)
	// accepted remembers, for the life of the Host, which key was accepted for a name.
	accepted *acceptedKeys
	pause    func() func() // stops the clock while a person is asked
	newKeys  bool          // Config.AcceptNew
}

// check accepts or refuses key as OpenSSH does with the same files, but for one thing: a host known by keys of another type
// only is taken as changed, not as new.
func (c *keyCheck) check(ctx context.Context, key ssh.PublicKey) error {
	name := c.hop.keyName()
	if c.accepted.has(name, key) { // rekeying, or connecting again
		return nil
	}
	if err := c.decide(ctx, name, key); err != nil {
		return err
	}
	c.accepted.add(name, key)
	return nil
}

func (c *keyCheck) decide(ctx context.Context, name string, key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		if handled, err := c.certificate(name, cert); handled {
			return err
		}
		key = cert.Key // no authority of ours: its plain key may be known
	}
	fail := &HostKeyError{Host: Safe(name), Type: Safe(key.Type()), Fingerprint: ssh.FingerprintSHA256(key), Reason: HostKeyUnknown, SaveTo: c.saveTo()}
	for _, k := range c.known {
		if k.marker == "@revoked" && sameKey(k.key, key) {
			fail.Reason, fail.Known = HostKeyRevoked, []KnownHostKey{k.public()}
			return fail
		}
	}
	for _, k := range c.known {
		if k.marker != "" || !k.covers(name) {
			continue
		}
		if sameKey(k.key, key) {
			return nil
		}
		fail.Known = append(fail.Known, k.public())
	}
	if len(fail.Known) > 0 {
		fail.Reason = HostKeyChanged
		return fail
	}
	if bare := c.hop.host; c.hop.hostKeyAlias == "" && bare != name { // another port of a host known by this key
		for _, k := range c.known {
			if k.marker == "" && k.covers(bare) && sameKey(k.key, key) {
				return nil
			}
		}
	}
	return c.unknown(ctx, name, key, fail)
}

// certificate checks a host certificate; handled is false when no authority is on file for the host.
func (c *keyCheck) certificate(name string, cert *ssh.Certificate) (handled bool, err error) {
	fail := &HostKeyError{Host: Safe(name), Type: Safe(cert.Type()), Fingerprint: ssh.FingerprintSHA256(cert.Key), Reason: HostKeyCertificate, SaveTo: c.saveTo()}
	trusted := false
	for _, k := range c.known {
		if k.marker == "@revoked" && (sameKey(k.key, cert.SignatureKey) || sameKey(k.key, cert.Key)) {
			fail.Reason, fail.Known = HostKeyRevoked, []KnownHostKey{k.public()}
			return true, fail
		}
		trusted = trusted || k.marker == "@cert-authority" && sameKey(k.key, cert.SignatureKey) && k.covers(name)
	}
	if !trusted {
		return false, nil
	}
	principal := c.hop.hostKeyAlias
	if principal == "" {
		principal = c.hop.host
	}
	if cert.CertType != ssh.HostCert {
		fail.Detail = "it is not made for hosts"
		return true, fail
	}
	if err := (&ssh.CertChecker{Clock: time.Now}).CheckCert(principal, cert); err != nil {
		fail.Detail = Safe(strings.TrimPrefix(err.Error(), "ssh: "))
		return true, fail
	}
	return true, nil
}

// unknown asks about a key never seen before, or decides by the settings, and remembers an accepted one on file.
func (c *keyCheck) unknown(ctx context.Context, name string, key ssh.PublicKey, fail *HostKeyError) error {
	switch {
	case c.newKeys, c.hop.strict == "accept-new", c.hop.strict == "no":
	case c.hop.strict == "yes" || c.ask == nil:
		return fail
	default:
		resume := c.pause()
		ok, err := c.ask.HostKey(ctx, HostKeyQuestion{Host: fail.Host, Type: fail.Type, Fingerprint: fail.Fingerprint})
		resume()
		if err != nil {
			return fmt.Errorf("%w: ask: %w", fail, err)
		}
		if !ok {
			return fail
		}
	}
	if err := saveHostKey(c.saveTo(), name, key, c.hop.hashKnown); err != nil {
		c.warn(fmt.Sprintf("the host key of %s is accepted, but could not be remembered: %s", Safe(name), Safe(err.Error())))
	}
	return nil
}

func (c *keyCheck) saveTo() string {
	if len(c.hop.known) == 0 {
		return ""
	}
	return c.hop.known[0]
}

func (k *knownKey) public() KnownHostKey {
	return KnownHostKey{Type: Safe(k.key.Type()), Fingerprint: ssh.FingerprintSHA256(k.key), File: Safe(k.file), Line: k.line}
}

// saveHostKey adds a line to a known_hosts file, which it makes if need be, its directory too.
func saveHostKey(file, name string, key ssh.PublicKey, hash bool) error {
	if file == "" {
		return fmt.Errorf("no known_hosts file is named")
	}
	if hash {
		name = knownhosts.HashHostname(name)
	}
	line := name + " " + strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n") + "\n"
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil // /dev/null: the user wants none kept
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if end, err := f.Seek(0, 2); err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Close()
}
