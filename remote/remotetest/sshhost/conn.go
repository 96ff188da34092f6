package sshhost

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// loginGrace is how long a client may take to log in, as OpenSSH's LoginGraceTime.
const loginGrace = 2 * time.Minute

func (h *Host) serverConfig() *ssh.ServerConfig {
	c := &ssh.ServerConfig{ServerVersion: "SSH-2.0-OpenSSH_9.2p1 dovemend-embedded"}
	for _, k := range h.opt.HostKeys {
		c.AddHostKey(k)
	}
	if h.opt.Banner != "" {
		c.BannerCallback = func(ssh.ConnMetadata) string { return h.opt.Banner }
	}
	right := func(m ssh.ConnMetadata, password string) error {
		user := subtle.ConstantTimeCompare([]byte(m.User()), []byte(h.opt.User))
		pass := subtle.ConstantTimeCompare([]byte(password), []byte(h.opt.Password))
		if user&pass != 1 {
			return errors.New("permission denied")
		}
		return nil
	}
	switch {
	case h.opt.Password == "":
	case h.opt.Interactive:
		c.KeyboardInteractiveCallback = func(m ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			a, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil {
				return nil, err
			}
			if len(a) != 1 {
				return nil, errors.New("permission denied")
			}
			return nil, right(m, a[0])
		}
	default:
		c.PasswordCallback = func(m ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) { return nil, right(m, string(p)) }
	}
	c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, k := range h.opt.AuthorizedKeys {
			if m.User() == h.opt.User && subtle.ConstantTimeCompare(k.Marshal(), key.Marshal()) == 1 {
				return nil, nil
			}
		}
		return nil, errors.New("permission denied")
	}
	return c
}

func (h *Host) accept() {
	for {
		c, err := h.listener.Accept()
		if err != nil {
			return
		}
		counted := &countedConn{Conn: c, host: h}
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			c.Close()
			return
		}
		h.conns[counted] = struct{}{}
		h.mu.Unlock()
		h.wg.Go(func() {
			defer func() {
				h.mu.Lock()
				delete(h.conns, counted)
				h.mu.Unlock()
				counted.Close()
			}()
			if err := h.serve(counted); err != nil {
				h.opt.Logf("connection: %v", err)
			}
		})
	}
}

// countedConn counts what is sent and cuts where Options.CutAfter says.
type countedConn struct {
	net.Conn
	host *Host
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if sent, at := c.host.sent.Add(int64(n)), c.host.cutAt.Load(); at > 0 && sent >= at {
		c.host.cutAt.CompareAndSwap(at, 0)
		c.host.CutConnections()
	}
	return n, err
}

func (h *Host) serve(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(loginGrace)); err != nil {
		return err
	}
	conn, channels, requests, err := ssh.NewServerConn(c, h.config)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	defer conn.Close()
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	h.mu.Lock()
	h.logins++
	h.mu.Unlock()
	h.opt.Logf("login of %s", conn.User())

	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for r := range requests { // keepalive@openssh.com and the like: OpenSSH answers failure to what it does not know
			if r.WantReply {
				r.Reply(false, nil)
			}
		}
	})
	slots := make(chan struct{}, h.opt.MaxSessions)
	for nc := range channels {
		switch nc.ChannelType() {
		case "session":
			select {
			case slots <- struct{}{}:
			default:
				nc.Reject(ssh.ResourceShortage, "open failed") // OpenSSH's answer beyond MaxSessions
				continue
			}
			wg.Go(func() {
				defer func() { <-slots }()
				h.session(ctx, nc)
			})
		case "direct-tcpip":
			wg.Go(func() { h.forward(ctx, nc) })
		default:
			nc.Reject(ssh.UnknownChannelType, "unknown channel type")
		}
	}
	return nil
}

// forward serves one direct-tcpip channel (RFC 4254, 7.2).
func (h *Host) forward(ctx context.Context, nc ssh.NewChannel) {
	var m struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &m); err != nil || m.Port > 65535 {
		nc.Reject(ssh.ConnectionFailed, "bad request")
		return
	}
	if h.opt.NoForward {
		nc.Reject(ssh.Prohibited, "open failed")
		return
	}
	dial := h.opt.Dial
	if dial == nil {
		dial = dialLoopback
	}
	addr := net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port)))
	to, err := dial(ctx, "tcp", addr)
	if err != nil {
		h.opt.Logf("forward to %q: %v", addr, err)
		nc.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	defer to.Close()
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	stop := context.AfterFunc(ctx, func() { to.Close(); ch.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(to, ch)
		if t, ok := to.(interface{ CloseWrite() error }); ok {
			t.CloseWrite()
		}
	})
	wg.Go(func() {
		io.Copy(ch, to)
		ch.CloseWrite()
	})
	wg.Wait()
}

// dialLoopback connects to this machine only.
func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s is not a loopback address", name)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}
