package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// login is one attempt to log in on one hop: a state machine that x/crypto asks for the next method to try. The order is
// OpenSSH's: public keys, keyboard-interactive, password; but a password given by a command or the environment goes by
// the password method where the host has it, since only there it is plain what the host asks for.
type login struct {
	ctx   context.Context
	line  *watchedConn
	hop   *hop
	cfg   *Config
	creds *creds
	ask   Asker
	pause func() func()

	ring []candidate
	next int

	began    bool
	offered  []string // what the host offered last
	tried    []string // for the error
	current  *attempt
	asked    int  // passwords asked for
	noKbd    bool // keyboard-interactive does not work, or is used up
	stop     error
	partials int
	refused  int // attempts the host has refused
}

// attempt is the method under way.
type attempt struct {
	key    ssh.PublicKey
	secret string // the password given
	quiet  bool   // keyboard-interactive that put no question
	kbd    bool
	typed  []string // what the person answered to the host's questions
}

// errNoMethod ends the handshake when all has been tried.
var errNoMethod = errors.New("no method of logging in is left")

// method is the callback for x/crypto.
func (a *login) method(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	a.began = true
	a.offered = c.AllowedMethods
	if err := a.line.lost(); err != nil {
		return nil, err // the attempt before was not answered
	}
	a.settle(len(c.PartialSuccessMethods))
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	if a.stop != nil {
		return nil, a.stop
	}
	for _, choice := range []func() (ssh.AuthMethod, error){a.publicKey, a.known, a.given, a.keyboard, a.password} {
		m, err := choice()
		if err != nil {
			a.stop = err
			return nil, err
		}
		if m != nil {
			return m, nil
		}
	}
	return nil, errNoMethod
}

// settle draws the lesson of the attempt before: it was refused, unless it counted as a part.
func (a *login) settle(partials int) {
	was := a.current
	a.current = nil
	counted := partials > a.partials
	a.partials = partials
	if was == nil || counted {
		return
	}
	a.refused++
	if was.key != nil {
		a.creds.refuse(a.hop.addr(), was.key)
	}
	if was.secret != "" {
		a.creds.setSecret(a.hop.addr(), "")
	}
	if was.kbd && was.quiet {
		a.noKbd = true
	}
}

// done is called after a login that succeeded: what was given last was right.
func (a *login) done() {
	switch at := a.current; {
	case at == nil:
	case at.key != nil && strings.HasPrefix(at.key.Type(), "sk-"):
		a.creds.setTouch()
	case at.secret != "" && len(at.typed) == 0:
		a.creds.setSecret(a.hop.addr(), at.secret)
	case at.secret == "" && len(at.typed) == 1: // the one hidden question was for the password
		a.creds.setSecret(a.hop.addr(), at.typed[0])
	}
}

func (a *login) offers(method string) bool { return slices.Contains(a.offered, method) }

func (a *login) publicKey() (ssh.AuthMethod, error) {
	if !a.hop.pubkey || !a.offers("publickey") {
		return nil, nil
	}
	for a.next < len(a.ring) {
		c := a.ring[a.next]
		a.next++
		if c.public != nil && a.creds.wasRefused(a.hop.addr(), c.public) {
			a.tried = append(a.tried, c.name)
			continue
		}
		if c.why != "" {
			a.tried = append(a.tried, c.name+" (not used: "+c.why+")")
			continue
		}
		signer, err := a.signer(c)
		if errors.Is(err, errNoPassphrase) {
			continue
		}
		if err != nil {
			return nil, err
		}
		a.tried = append(a.tried, c.name)
		a.current = &attempt{key: signer.PublicKey()}
		return ssh.PublicKeys(signer), nil
	}
	return nil, nil
}

// signer makes a key ready to be offered; an encrypted one is decrypted only when the host wants it, where that is possible.
func (a *login) signer(c candidate) (ssh.Signer, error) {
	if s := a.creds.unlocked(c.file); s != nil && c.signer == nil {
		c.signer = s
	}
	if c.signer == nil && c.public == nil {
		s, err := a.decrypt(a.ctx, c.file)
		if err != nil {
			return nil, err
		}
		c.signer = s
	}
	cert, isCert := c.public.(*ssh.Certificate)
	if c.signer != nil {
		if isCert && !isCertificate(c.signer.PublicKey()) {
			return ssh.NewCertSigner(cert, c.signer)
		}
		return c.signer, nil
	}
	locked := &lockedSigner{public: c.public, unlock: func() (ssh.Signer, error) {
		s, err := a.decrypt(a.ctx, c.file)
		if err != nil && !errors.Is(err, errNoPassphrase) {
			a.stop = err
		}
		return s, err
	}}
	if isCert {
		locked.public = cert.Key
		return ssh.NewCertSigner(cert, locked)
	}
	return locked, nil
}

func isCertificate(k ssh.PublicKey) bool {
	_, ok := k.(*ssh.Certificate)
	return ok
}

// note adds to what the error tells of a key.
func (a *login) note(file, why string) {
	name := Safe(file)
	for i, t := range a.tried {
		if t == name {
			a.tried[i] = name + " (" + why + ")"
			return
		}
	}
	a.tried = append(a.tried, name+" ("+why+")")
}

// explain is the error of a login that did not succeed, with the host's own words where it gave some.
func (a *login) explain(err error) error {
	if a.stop != nil {
		err = a.stop
	}
	var b strings.Builder
	fmt.Fprintf(&b, "user %s at %s: ", Safe(a.hop.user), Safe(a.hop.addr()))
	if len(a.offered) > 0 {
		fmt.Fprintf(&b, "the host offers %s", Safe(strings.Join(a.offered, ", ")))
	} else {
		b.WriteString("the host offers no method at all")
	}
	if len(a.tried) == 0 {
		b.WriteString("; nothing was there to be tried")
	} else {
		fmt.Fprintf(&b, "; tried were %s", strings.Join(a.tried, ", "))
	}
	if a.offers("password") || a.offers("keyboard-interactive") {
		if a.ask == nil && a.cfg.Password == nil {
			b.WriteString("; no password is given and nobody can be asked for one")
		}
	}
	switch {
	case tooMany(err):
		b.WriteString("; the host ended it after too many attempts: name the right key (--identity)")
	case errors.Is(err, errNoMethod):
	case a.stop != nil:
		return fmt.Errorf("%w: %s: %w", ErrAuth, b.String(), a.stop)
	default:
		fmt.Fprintf(&b, "; %s", Safe(strings.TrimPrefix(err.Error(), "ssh: handshake failed: ")))
	}
	return fmt.Errorf("%w: %s", ErrAuth, b.String())
}

// tooMany says whether the host ended the login since it saw too many attempts (OpenSSH's MaxAuthTries).
func tooMany(err error) bool {
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "too many authentication failures")
}
