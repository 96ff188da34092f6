// Package sshhost is an SSH and SFTP host inside the calling process, for the demo and for tests. It serves the directories
// of the local machine to one login, over a loopback port, and behaves as OpenSSH's server does where that matters to
// dovemend: RealPath resolves symbolic links, Rename refuses an existing target, Remove does not remove directories, and
// the extensions posix-rename, fsync, hardlink and statvfs are there.
//
// It is no server for strangers: it listens on loopback only, forwards to loopback only, and ends every command it
// started when it is closed.
package sshhost

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Options say what kind of host this is. The zero value of each field but Home is a sensible one.
type Options struct {
	User           string          // login name; default "web1"
	Home           string          // the login's home: an existing directory of this machine
	Password       string          // "" for no login by password
	Interactive    bool            // the password is asked for by keyboard-interactive instead
	AuthorizedKeys []ssh.PublicKey // keys that may log in
	HostKeys       []ssh.Signer    // default: one fresh ed25519 key

	Shell     string   // the login shell, run as Shell -c COMMAND; default /bin/sh
	NoShell   bool     // commands print "This service allows sftp connections only." and exit 1
	ForceSFTP bool     // commands start the SFTP server, as OpenSSH's ForceCommand internal-sftp does
	NoSFTP    bool     // the SFTP subsystem is refused
	NoForward bool     // direct-tcpip is refused
	Env       []string // more environment of commands, NAME=value
	PathDirs  []string // put before the rest of PATH

	Banner      string // shown before login
	Motd        string // printed on standard output before each command's own, as chatty shell start files do
	MaxSessions int    // sessions at once on one connection; default 10, as OpenSSH's
	CutAfter    int64  // cut all connections once this many bytes in all were sent to clients; 0 for never

	// Dial connects direct-tcpip channels. By default only loopback addresses can be reached.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Fault may make an SFTP request fail: a syscall.Errno becomes the status OpenSSH would send. op is the name of the
	// request ("open", "write", "rename", …).
	Fault func(op, path string) error
	// Logf hears of logins, requests and errors; nil for silence.
	Logf func(format string, args ...any)
}

// Host is a running embedded host.
type Host struct {
	opt      Options
	listener net.Listener
	config   *ssh.ServerConfig
	private  string // directory for the ps shim and the process table

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	sent   atomic.Int64
	cutAt  atomic.Int64

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	logins int

	procs processTable
}

// Start starts a host on a free loopback port.
func Start(o Options) (*Host, error) {
	if o.User == "" {
		o.User = "web1"
	}
	if o.Shell == "" {
		o.Shell = "/bin/sh"
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = 10
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	home, err := filepath.Abs(o.Home)
	if err != nil {
		return nil, fmt.Errorf("find home: %w", err)
	}
	if st, err := os.Stat(home); err != nil {
		return nil, fmt.Errorf("find home: %w", err)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("home %s is not a directory", home)
	}
	o.Home = home
	if len(o.HostKeys) == 0 {
		key, err := NewKey()
		if err != nil {
			return nil, err
		}
		o.HostKeys = []ssh.Signer{key}
	}

	h := &Host{opt: o, conns: make(map[net.Conn]struct{})}
	h.config = h.serverConfig()
	h.cutAt.Store(o.CutAfter)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if err := h.preparePS(); err != nil {
		return nil, err
	}
	h.listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on loopback: %w", err), os.RemoveAll(h.private))
	}
	h.wg.Go(h.accept)
	return h, nil
}

// NewKey makes a fresh ed25519 key, for a host or a login.
func NewKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return signer, nil
}

// Addr is the loopback address the host listens on, "127.0.0.1:port".
func (h *Host) Addr() string { return h.listener.Addr().String() }

// User is the login's name.
func (h *Host) User() string { return h.opt.User }

// Home is the login's home directory.
func (h *Host) Home() string { return h.opt.Home }

// HostKey is the host's first public key.
func (h *Host) HostKey() ssh.PublicKey { return h.opt.HostKeys[0].PublicKey() }

// KnownHostsLine is the host's entry in a known_hosts file, without a line end.
func (h *Host) KnownHostsLine() string {
	return knownhosts.Line([]string{h.Addr()}, h.HostKey())
}

// Logins is how many logins succeeded so far.
func (h *Host) Logins() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logins
}

// Dial connects to the host whatever address is asked for, so that a made-up host name can lead here.
func (h *Host) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", h.Addr())
}

// CutConnections cuts all present connections at once, without a goodbye. New ones are accepted.
func (h *Host) CutConnections() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		c.Close()
	}
}

// CutAfter cuts all connections once n more bytes in all were sent to clients; 0 disarms it.
func (h *Host) CutAfter(n int64) {
	if n > 0 {
		n += h.sent.Load()
	}
	h.cutAt.Store(n)
}

// Close ends connections, commands and spawned processes, waits for all of them and frees the port. It may be called twice.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	err := h.listener.Close()
	h.cancel()
	h.CutConnections()
	h.endProcesses()
	h.wg.Wait()
	return errors.Join(err, os.RemoveAll(h.private))
}
