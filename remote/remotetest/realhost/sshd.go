package realhost

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshd listens on loopback and gives each connection to an OpenSSH sshd of its own (sshd -i), run as the login.
type sshd struct {
	host     *Host
	program  string
	config   string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[*net.TCPConn]*exec.Cmd
}

func startSSHD(h *Host) (*sshd, error) {
	program, err := findProgram("sshd", "openssh-server")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(h.dir, "s")
	s := &sshd{host: h, program: program, config: filepath.Join(dir, "sshd_config"), conns: make(map[*net.TCPConn]*exec.Cmd)}
	hostKey, err := h.writeKey(filepath.Join(dir, "host_key"))
	if err != nil {
		return nil, err
	}
	loginKey, err := h.writeKey(filepath.Join(dir, "identity"))
	if err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	files := map[string]string{
		"passwd":          fmt.Sprintf("%s:x:%d:%d::%s:%s\n", h.user, h.uid, h.gid, h.home, h.opt.LoginShell),
		"group":           fmt.Sprintf("%s:x:%d:\n", h.user, h.gid),
		"authorized_keys": string(ssh.MarshalAuthorizedKey(loginKey)),
		"known_hosts":     knownhosts.Line([]string{s.listener.Addr().String()}, hostKey) + "\n",
		"sshd_config":     h.sshdConfig(dir),
		"banner":          h.opt.Banner,
	}
	for name, text := range files {
		if err := h.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			s.listener.Close()
			return nil, err
		}
	}
	s.wg.Go(s.accept)
	h.opt.Logf("sshd serves %s", s.listener.Addr())
	return s, nil
}

// writeKey makes a key file of the login's and gives its public half.
func (h *Host) writeKey(path string) (ssh.PublicKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return signer.PublicKey(), h.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

func (h *Host) nssEnv() []string {
	dir := filepath.Join(h.dir, "s")
	return []string{"LD_PRELOAD=" + h.nss, "NSS_WRAPPER_PASSWD=" + filepath.Join(dir, "passwd"), "NSS_WRAPPER_GROUP=" + filepath.Join(dir, "group")}
}

func (h *Host) sshdConfig(dir string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", h.opt.ExtraSSHD)
	line("HostKey %s/host_key\nAuthorizedKeysFile %s/authorized_keys", dir, dir)
	line("StrictModes no\nUsePAM no\nPidFile none\nPrintMotd no\nUseDNS no")
	line("PasswordAuthentication no\nKbdInteractiveAuthentication no")
	// Commands know the login's name as sshd does, and carry the host's mark so that none is left behind.
	line("SetEnv %s %s=%s", strings.Join(h.nssEnv(), " "), markEnv, h.mark)
	if h.opt.MaxSessions > 0 {
		line("MaxSessions %d", h.opt.MaxSessions)
	}
	if h.opt.Banner != "" {
		line("Banner %s/banner", dir)
	}
	if !h.opt.NoSFTP {
		line("Subsystem sftp internal-sftp")
	}
	if h.opt.SFTPOnly {
		line("ForceCommand internal-sftp")
	}
	return b.String()
}

func (s *sshd) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		tcp := c.(*net.TCPConn)
		if err := s.serve(tcp); err != nil {
			s.host.opt.Logf("sshd: %v", err)
			tcp.Close()
		}
	}
}

func (s *sshd) serve(c *net.TCPConn) error {
	f, err := c.File()
	if err != nil {
		return err
	}
	defer f.Close()
	var complaints bytes.Buffer
	cmd := &exec.Cmd{Path: s.program, Args: []string{s.program, "-i", "-e", "-f", s.config}, Dir: s.host.dir,
		Env:   append(s.host.nssEnv(), "PATH=/usr/local/bin:/usr/bin:/bin", markEnv+"="+s.host.mark),
		Stdin: f, Stdout: f, Stderr: &complaints, WaitDelay: time.Second}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if err := start(cmd, syscall.SIGHUP, s.host.uid, s.host.gid); err != nil {
		return err
	}
	s.conns[c] = cmd
	s.wg.Go(func() {
		cmd.Wait()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		c.Close()
		for l := range strings.Lines(complaints.String()) {
			s.host.opt.Logf("sshd: %s", strings.TrimRight(l, "\r\n"))
		}
	})
	return nil
}

// cut shuts all connections down beneath their sshd, which ends by that.
func (s *sshd) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.CloseRead()
		c.CloseWrite()
	}
}

func (s *sshd) close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	err := s.listener.Close()
	s.cut()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return err
	case <-time.After(stopGrace):
	}
	s.mu.Lock()
	for _, cmd := range s.conns {
		killGroup(cmd.Process.Pid, syscall.SIGKILL)
	}
	s.mu.Unlock()
	select {
	case <-done:
		return err
	case <-time.After(stopGrace):
		return errors.Join(err, errors.New("sshd does not end"))
	}
}

// Addr is where SSH is served; "" without sshd.
func (h *Host) Addr() string {
	if h.sshd == nil {
		return ""
	}
	return h.sshd.listener.Addr().String()
}

// KnownHostsFile names a file with the host's key.
func (h *Host) KnownHostsFile() string { return filepath.Join(h.dir, "s", "known_hosts") }

// IdentityFile names the private key that may log in; the calling process can read it.
func (h *Host) IdentityFile() string { return filepath.Join(h.dir, "s", "identity") }

// Cut cuts all SSH connections at once. New ones are accepted.
func (h *Host) Cut() {
	if h.sshd != nil {
		h.sshd.cut()
	}
}
