package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dovemend/remote/remotetest/demoaccount"
	"dovemend/remote/remotetest/realhost"
	"dovemend/remote/remotetest/sshhost"
)

// startEmbedded starts the host inside this program, with nothing but what is in it.
func startEmbedded(_ context.Context, k *call, base string) (_ *demoHost, err error) {
	home := filepath.Join(base, "userdata01", "web1")
	d := &demoHost{kind: "embedded", mailRoot: filepath.Join(home, "mail", "example.org", "anna")}
	if err := os.MkdirAll(filepath.Dir(d.mailRoot), 0o750); err != nil {
		return nil, fmt.Errorf("make demo account: %w", err)
	}
	if err := layDemoAccount(d.mailRoot); err != nil {
		return nil, err
	}
	o := sshhost.Options{User: "web1", Home: home}
	key := filepath.Join(base, "identity")
	if err := o.AuthorizeNewKey(key); err != nil {
		return nil, err
	}
	h, err := sshhost.Start(o)
	if err != nil {
		return nil, fmt.Errorf("start demo host: %w", err)
	}
	d.close = func() error {
		return errors.Join(h.Close(), os.Remove(key), os.RemoveAll(filepath.Join(base, "userdata01")))
	}
	// One of them is a mail program that connects again at once.
	for i, o := range []sshhost.ProcessOptions{
		{Title: "dovecot/imap [anna@example.org 192.0.2.17 IDLE]"},
		{Title: "dovecot/imap [anna@example.org 192.0.2.17 SELECT]"},
		{Title: "dovecot/imap [anna@example.org 198.51.100.4 IDLE]", Respawn: 300 * time.Millisecond, Respawns: 1},
	} {
		if _, err := h.Spawn(o); err != nil {
			k.progress.Info(fmt.Sprintf("mail process %d cannot be started on this system: %v", i+1, err))
		}
	}
	known := filepath.Join(base, "known_hosts")
	if err := os.WriteFile(known, []byte(h.KnownHostsLine()+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("write known hosts: %w", err), d.close())
	}
	r := &k.opts.Remote
	r.Target, r.KnownHosts, r.ConfigFile, r.NoAgent = h.User()+"@"+h.Addr(), []string{known}, "none", true
	r.Identities, r.Ask, r.Password = []string{key}, nil, nil
	k.opts.IMAP.Off = true
	return d, nil
}

// startReal starts the OpenSSH server and the Dovecot of this machine.
func startReal(ctx context.Context, k *call, _ string) (_ *demoHost, err error) {
	h, err := realhost.Start(ctx, realhost.Options{})
	if errors.Is(err, realhost.ErrMissing) {
		return nil, &endError{exitError, fmt.Sprintf("the real host cannot be started: %v", err),
			"install openssh-server and dovecot-imapd (Debian's names), or: dovemend demo"}
	}
	if err != nil {
		return nil, fmt.Errorf("start demo host: %w", err)
	}
	d := &demoHost{kind: "real", mailRoot: h.MailRoot(h.Account())}
	var clients []net.Conn
	d.close = func() error {
		for _, c := range clients {
			_ = c.Close()
		}
		return h.Close()
	}
	if err := errors.Join(layDemoAccount(d.mailRoot), h.Adopt(d.mailRoot)); err != nil {
		return nil, errors.Join(err, d.close())
	}
	for range 2 {
		c, err := logIn(ctx, h.IMAPAddr(), demoaccount.Address, h.Password())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("log in to the demo's Dovecot: %w", err), d.close())
		}
		clients = append(clients, c)
	}
	r := &k.opts.Remote
	r.Target, r.KnownHosts, r.ConfigFile, r.NoAgent = h.User()+"@"+h.Addr(), []string{h.KnownHostsFile()}, "none", true
	r.Identities, r.Ask, r.Password = []string{h.IdentityFile()}, nil, nil
	return d, nil
}

// logIn is a mail program that has logged in and looks at no mailbox.
func logIn(ctx context.Context, addr, user, password string) (net.Conn, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if _, err := fmt.Fprintf(c, "a LOGIN %q %q\r\n", user, password); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if answer, ok := strings.CutPrefix(lines.Text(), "a "); ok {
			if !strings.HasPrefix(answer, "OK") {
				return nil, errors.Join(fmt.Errorf("login: %s", answer), c.Close())
			}
			return c, c.SetDeadline(time.Time{})
		}
	}
	return nil, errors.Join(errors.New("login: no answer"), lines.Err(), c.Close())
}
