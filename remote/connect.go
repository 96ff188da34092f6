package remote

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

type hop struct{ user, addr string }

type creds struct{}

func newCreds() *creds { return &creds{} }

func resolveRoute(cfg Config) ([]hop, error) {
	t, err := parseTarget(cfg.Target)
	if err != nil {
		return nil, err
	}
	port := t.port
	if port == "" {
		port = "22"
	}
	return []hop{{t.user, net.JoinHostPort(t.name, port)}}, nil
}

func (h *Host) connectAgain(ctx context.Context) (*link, error) { return h.connect(ctx, nil) }

func (h *Host) connect(ctx context.Context, ask Asker) (*link, error) {
	p := h.route[0]
	check, err := knownhosts.New(h.cfg.KnownHosts...)
	if err != nil {
		return nil, err
	}
	dial := h.cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, "tcp", p.addr)
	if err != nil {
		return nil, err
	}
	auth := []ssh.AuthMethod{}
	if h.cfg.Password != nil {
		auth = append(auth, ssh.PasswordCallback(func() (string, error) { return h.cfg.Password(ctx) }))
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var key string
	c, chans, reqs, err := ssh.NewClientConn(conn, p.addr, &ssh.ClientConfig{User: p.user, Auth: auth, HostKeyCallback: func(n string, a net.Addr, k ssh.PublicKey) error {
		key = ssh.FingerprintSHA256(k)
		return check(n, a, k)
	}})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", p.addr, err)
	}
	return newLink(ssh.NewClient(c, chans, reqs), p.addr, key, nil), nil
}
