package remote

import (
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// creds is what logging in has learnt, kept in memory for connecting again: nobody is asked twice, and what a host refused is
// not offered to it again. It is never logged nor printed.
type creds struct {
	mu       sync.Mutex
	signers  map[string]ssh.Signer // decrypted key files
	refused  map[string]bool       // hop and fingerprint
	secrets  map[string]string     // hop to the password it accepted
	used     bool                  // Config.Password was called
	touch    bool                  // the key that was accepted wants a person's touch each time
	asked    atomic.Bool           // a person was asked something, or one's answers were given again
	accepted acceptedKeys
}

func newCreds() *creds {
	return &creds{signers: map[string]ssh.Signer{}, refused: map[string]bool{}, secrets: map[string]string{}}
}

func (c *creds) setTouch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touch = true
}

// wantsTouch says whether each login has a person touch a security key.
func (c *creds) wantsTouch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.touch
}

func (c *creds) unlocked(file string) ssh.Signer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signers[file]
}

func (c *creds) keep(file string, s ssh.Signer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signers[file] = s
}

func (c *creds) refuse(hop string, key ssh.PublicKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[hop+" "+string(key.Marshal())] = true
}

func (c *creds) wasRefused(hop string, key ssh.PublicKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused[hop+" "+string(key.Marshal())]
}

func (c *creds) secret(hop string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.secrets[hop]
	return s, ok
}

// setSecret keeps a password, or with "" forgets it.
func (c *creds) setSecret(hop, s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s == "" {
		delete(c.secrets, hop)
		return
	}
	c.secrets[hop] = s
}

// takePassword says once, and never again, that Config.Password may be called.
func (c *creds) takePassword() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.used
	c.used = true
	return first
}

// acceptedKeys are the host keys accepted while this program runs.
type acceptedKeys struct {
	mu   sync.Mutex
	keys map[string][]byte
}

func (a *acceptedKeys) has(name string, key ssh.PublicKey) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return string(a.keys[name]) == string(key.Marshal())
}

func (a *acceptedKeys) add(name string, key ssh.PublicKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys == nil {
		a.keys = map[string][]byte{}
	}
	a.keys[name] = key.Marshal()
}
