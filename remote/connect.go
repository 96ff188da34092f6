package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// connect goes the whole way to the host. When it ends the login after too many attempts, one more connection goes on with the
// keys that were not yet offered.
func (h *Host) connect(ctx context.Context, ask Asker) (*link, error) {
	l, err := h.connectOnce(ctx, ask)
	if err != nil && errors.Is(err, errTooMany) && ctx.Err() == nil {
		h.log.Info("the host wants no more keys on this connection, trying the rest on another")
		l, err = h.connectOnce(ctx, ask)
	}
	return l, err
}

// connectAgain makes a lost connection anew, without asking anybody. The line may need a moment to come back.
func (h *Host) connectAgain(ctx context.Context) (*link, error) {
	for _, wait := range []time.Duration{time.Second, 4 * time.Second, 0} {
		l, err := h.connect(ctx, nil)
		if err == nil || wait == 0 || errors.Is(err, ErrAuth) || errors.Is(err, ErrHostKey) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
	return nil, ErrDisconnected
}

func (h *Host) connectOnce(ctx context.Context, ask Asker) (*link, error) {
	var clients []*ssh.Client
	var key string
	fail := func(err error) (*link, error) {
		for i := len(clients) - 1; i >= 0; i-- {
			go clients[i].Close()
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	for i := range h.route {
		p := &h.route[i]
		conn, err := h.reach(ctx, p, clients)
		if err != nil {
			return fail(fmt.Errorf("connect to %s: %w", Safe(p.addr()), err))
		}
		client, fingerprint, err := h.login(ctx, conn, p, ask)
		if err != nil {
			return fail(err)
		}
		clients, key = append(clients, client), fingerprint
	}
	last := len(clients) - 1
	var jumps []io.Closer
	for _, c := range clients[:last] {
		jumps = append(jumps, c)
	}
	p := &h.route[last]
	l := newLink(clients[last], p.addr(), key, jumps)
	if h.cfg.sftpTimeout > 0 {
		l.sftpTimeout = h.cfg.sftpTimeout
	}
	go l.keepAlive(p.alive, p.aliveMax)
	return l, nil
}

// reach makes the connection one hop's SSH will run over.
func (h *Host) reach(ctx context.Context, p *hop, before []*ssh.Client) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("no answer in %v: %w", p.timeout, os.ErrDeadlineExceeded))
	defer cancel()
	var conn net.Conn
	var err error
	switch {
	case len(before) > 0:
		conn, err = before[len(before)-1].DialContext(ctx, "tcp", p.addr())
	case p.command != "":
		return startProxy(p)
	case h.cfg.Dial != nil:
		conn, err = h.cfg.Dial(ctx, "tcp", p.addr())
	default:
		conn, err = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", p.addr())
	}
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

// errTooMany: the host ended the login, but not every key was offered.
var errTooMany = errors.New("too many attempts on one connection")

// login runs the handshake over conn, which it closes when that does not succeed.
func (h *Host) login(ctx context.Context, conn net.Conn, p *hop, ask Asker) (*ssh.Client, string, error) {
	clock := newPatience(p.timeout, func() { conn.Close() })
	defer clock.stop()
	pause := func() func() {
		h.creds.asked.Store(true)
		return clock.pause()
	}
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	defer unhook()

	warn := func(s string) { h.log.Warn(s) }
	known := readKnownHosts(append(append([]string{}, p.known...), p.globalKnown...), warn)
	keys := &keyCheck{hop: p, known: known, ask: ask, warn: warn, accepted: &h.creds.accepted, pause: pause, newKeys: h.cfg.AcceptNew}
	agent := openAgent(ctx, p.agentSocket(), warn)
	defer agent.close()
	ring, err := p.keyRing(agent)
	if err != nil {
		conn.Close()
		return nil, "", err
	}
	line := &watchedConn{Conn: conn}
	a := &login{ctx: ctx, line: line, hop: p, cfg: &h.cfg, creds: h.creds, ask: ask, pause: pause, ring: ring}

	var keyErr error
	var fingerprint string
	cfg := &ssh.ClientConfig{
		User:              p.user,
		HostKeyAlgorithms: p.hostKeyAlgorithms(known),
		AuthCallback:      a.method,
		BannerCallback: func(text string) error {
			h.log.Debug("banner", "text", safeText(text, 1000, false))
			return nil
		},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			fingerprint = ssh.FingerprintSHA256(key)
			keyErr = keys.check(ctx, key)
			return keyErr
		},
	}
	secure, insecure := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	cfg.Ciphers = choose(p.algorithms["Ciphers"], secure.Ciphers, insecure.Ciphers)
	cfg.KeyExchanges = choose(p.algorithms["KexAlgorithms"], secure.KeyExchanges, insecure.KeyExchanges)
	cfg.MACs = choose(p.algorithms["MACs"], secure.MACs, insecure.MACs)

	c, chans, reqs, err := ssh.NewClientConn(line, p.addr(), cfg)
	switch {
	case err == nil && clock.stop():
		a.done()
		return ssh.NewClient(c, chans, reqs), fingerprint, nil
	case err == nil: // the clock ran out in the last moment
		c.Close()
		fallthrough
	default:
		conn.Close()
		err = h.loginError(ctx, p, a, keyErr, clock, err)
		if c, ok := conn.(*proxyConn); ok && ctx.Err() == nil && c.said() != "" {
			err = fmt.Errorf("%w; its ProxyCommand says: %s", err, c.said())
		}
		return nil, "", err
	}
}

func (h *Host) loginError(ctx context.Context, p *hop, a *login, keyErr error, clock *patience, err error) error {
	var broken *net.OpError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case keyErr != nil:
		return fmt.Errorf("connect to %s: %w", Safe(p.addr()), keyErr)
	case clock.expired():
		return fmt.Errorf("connect to %s: the host did not finish the handshake in %v: %w", Safe(p.addr()), p.timeout, os.ErrDeadlineExceeded)
	case a.began && tooMany(err) && a.next < len(a.ring):
		return errors.Join(errTooMany, a.explain(err))
	case a.began && a.stop == nil && (errors.As(err, &broken) || ended(err) && a.refused == 0):
		// The line broke, and nothing was refused. A host that hangs up after attempts it refused has refused the login.
		return fmt.Errorf("connect to %s: %w while logging in: %s", Safe(p.addr()), ErrDisconnected, whyEnded(err))
	case a.began:
		return a.explain(err)
	case errors.Is(err, io.EOF), errors.As(err, &broken):
		return fmt.Errorf("connect to %s: the host closed the connection before the handshake; it may be refusing this address for a while", Safe(p.addr()))
	}
	return fmt.Errorf("connect to %s: %s", Safe(p.addr()), Safe(err.Error()))
}

// watchedConn remembers why a connection broke. x/crypto takes a line that breaks under an attempt to log in for one that
// was refused, and asks for the next.
type watchedConn struct {
	net.Conn
	mu     sync.Mutex
	broken error
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.note(err)
	return n, err
}

func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.note(err)
	return n, err
}

func (c *watchedConn) note(err error) {
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.broken == nil {
			c.broken = err
		}
	}
}

// lost is why the connection broke, nil while it stands.
func (c *watchedConn) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// ended says whether an error is only that the connection came to its end.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// whyEnded is why a connection ended, in words and safe to print.
func whyEnded(err error) string {
	if ended(err) {
		return "the host closed it"
	}
	return Safe(strings.TrimPrefix(err.Error(), "ssh: handshake failed: "))
}

// patience is a clock which calls a function when it runs out, and stands still while a person is asked.
type patience struct {
	mu      sync.Mutex
	timeout time.Duration
	timer   *time.Timer
	ended   bool
	stopped bool
	out     func()
	asking  int
}

func newPatience(timeout time.Duration, out func()) *patience {
	p := &patience{timeout: timeout, out: out}
	p.timer = time.AfterFunc(timeout, p.fire)
	return p
}

func (p *patience) fire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.asking > 0 || p.ended {
		return
	}
	p.ended = true
	go p.out()
}

// pause stops the clock; what it returns starts it again from the beginning.
func (p *patience) pause() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking++
	p.timer.Stop()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.asking--; p.asking == 0 && !p.stopped {
			p.timer.Reset(p.timeout)
		}
	}
}

// stop ends the clock and says whether it was in time.
func (p *patience) stop() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.timer.Stop()
	return !p.ended
}

func (p *patience) expired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}
