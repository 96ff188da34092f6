package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/crypto/ssh"
)

// keyFileLimit bounds a private key file, in bytes.
const keyFileLimit = 1 << 20

// candidate is one key that can be offered to the host.
type candidate struct {
	name   string        // safe to print: file, or "agent key …"
	public ssh.PublicKey // nil for an old encrypted key file without its .pub
	signer ssh.Signer    // nil until a file is decrypted
	file   string        // private key file, "" for an agent's key
	why    string        // why it cannot be used, "" where it can
}

// keyRing finds the keys to offer to one hop, in OpenSSH's order: keys of the agent that the identity files name, in the files' order;
// the agent's other keys, unless IdentitiesOnly; then the files the agent does not hold.
func (p *hop) keyRing(held agentKeys) ([]candidate, error) {
	var files []candidate
	for i, name := range p.identities {
		c, err := readIdentity(name)
		switch {
		case err == nil:
			files = append(files, c)
		case i < p.explicit:
			return nil, fmt.Errorf("%w: identity %w", ErrAuth, err)
		case p.chosen && !errors.Is(err, fs.ErrNotExist):
			files = append(files, candidate{name: Safe(name), why: Safe(err.Error())})
		}
	}
	used := make([]bool, len(held.signers))
	var ring, rest []candidate
	for _, f := range files {
		found := false
		for i, s := range held.signers {
			if f.public != nil && bytes.Equal(s.PublicKey().Marshal(), f.public.Marshal()) {
				if found = true; !used[i] {
					ring = append(ring, candidate{name: f.name + " (agent)", public: s.PublicKey(), signer: s})
				}
				used[i] = true
			} else if cert, ok := s.PublicKey().(*ssh.Certificate); ok && f.public != nil && sameKey(cert.Key, f.public) && !used[i] {
				ring = append(ring, candidate{name: f.name + " (certificate, agent)", public: cert, signer: s})
				used[i] = true
			}
		}
		if !found {
			rest = append(rest, f)
		}
	}
	if !p.onlyThese {
		for i, s := range held.signers {
			if !used[i] {
				ring = append(ring, candidate{name: "agent key " + ssh.FingerprintSHA256(s.PublicKey()), public: s.PublicKey(), signer: s})
			}
		}
	}
	return p.withCertificates(append(ring, rest...)), nil
}

// withCertificates puts before each key the certificates for it: KEY-cert.pub and those of CertificateFile.
func (p *hop) withCertificates(ring []candidate) []candidate {
	var all []candidate
	for _, c := range ring {
		names := p.certificates
		if c.file != "" {
			names = append([]string{c.file + "-cert.pub"}, names...)
		}
		for _, name := range names {
			pub, err := readPublic(name)
			cert, ok := pub.(*ssh.Certificate)
			if err == nil && ok && c.public != nil && sameKey(cert.Key, c.public) {
				all = append(all, candidate{name: Safe(name), public: cert, signer: c.signer, file: c.file})
			}
		}
		all = append(all, c)
	}
	return all
}

// readIdentity looks at a private key file as far as that needs no passphrase. A public key file stands for the agent's key.
func readIdentity(name string) (candidate, error) {
	c := candidate{name: Safe(name), file: name}
	text, err := readKeyFile(name)
	pub, pubErr := readPublic(name + ".pub")
	if err != nil {
		if pubErr == nil && errors.Is(err, fs.ErrNotExist) { // the private half may be in the agent
			c.public, c.file, c.why = pub, "", "its private key is not here, nor in the agent"
			return c, nil
		}
		return c, err
	}
	if pub, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
		c.public, c.file, c.why = pub, "", "it is a public key, and the agent does not hold its private key"
		return c, nil
	}
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		c.signer, c.public = signer, signer.PublicKey()
	case errors.As(err, &locked):
		if c.public = locked.PublicKey; c.public == nil && pubErr == nil {
			c.public = pub
		}
	default:
		if pubErr == nil {
			c.public = pub
		}
		c.why = "it cannot be read: " + Safe(err.Error())
	}
	return c, nil
}

// readKeyFile reads a private key file. As OpenSSH does it refuses one that others can read.
func readKeyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	text, err := io.ReadAll(io.LimitReader(f, keyFileLimit))
	if err != nil {
		return nil, err
	}
	private := bytes.Contains(text, []byte("PRIVATE KEY-----"))
	if private && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("other users can read this private key, so it is not used (chmod 600 puts that right)")}
	}
	return text, nil
}

func readPublic(name string) (ssh.PublicKey, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, keyFileLimit))
	if err != nil {
		return nil, err
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(text)
	return pub, err
}

// lockedSigner is a key file that is decrypted when the host has said it would accept the key: a passphrase is not asked for in
// vain.
type lockedSigner struct {
	public ssh.PublicKey
	unlock func() (ssh.Signer, error)
}

func (s *lockedSigner) PublicKey() ssh.PublicKey { return s.public }

func (s *lockedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	signer, err := s.unlock()
	if err != nil {
		return nil, err
	}
	return signer.Sign(rand, data)
}

func (s *lockedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := s.unlock()
	if err != nil {
		return nil, err
	}
	if as, ok := signer.(ssh.AlgorithmSigner); ok {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}

// errNoPassphrase: the key could not be decrypted; the next one is tried.
var errNoPassphrase = errors.New("no passphrase for the key")

// decrypt asks for the passphrase of a key file, three times at most.
func (a *login) decrypt(ctx context.Context, file string) (ssh.Signer, error) {
	if s := a.creds.unlocked(file); s != nil {
		return s, nil
	}
	if a.ask == nil {
		a.note(file, "it needs a passphrase, and nobody can be asked")
		return nil, errNoPassphrase
	}
	text, err := readKeyFile(file)
	if err != nil {
		return nil, err
	}
	prompt := "Passphrase for the key " + Safe(file)
	for try := range 3 {
		if try > 0 {
			prompt = "That was not it. Passphrase for the key " + Safe(file)
		}
		phrase, err := a.secret(ctx, prompt)
		if err != nil {
			return nil, err
		}
		if phrase == "" { // an empty answer means: not this key
			break
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(text, []byte(phrase))
		if err == nil {
			a.creds.keep(file, signer)
			return signer, nil
		}
	}
	a.note(file, "the passphrase was not right")
	return nil, errNoPassphrase
}
