package realhost

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long Dovecot may take to end before it is killed.
const stopGrace = 5 * time.Second

// dovecot is a running Dovecot: its master process and where it listens.
type dovecot struct {
	host        *Host
	cmd         *exec.Cmd
	done        chan struct{} // closed when the master has ended
	config, log string
	imap, imaps string
	output      bytes.Buffer // of the master, until it logs for itself; read after done only
}

// startDovecot starts Dovecot on free ports, and again on others where somebody else was faster.
func startDovecot(ctx context.Context, h *Host) (*dovecot, error) {
	program, err := findDovecot()
	if err != nil {
		return nil, err
	}
	base := filepath.Join(h.dir, "d") // owned by who runs the master; short, for unix sockets
	for _, dir := range []string{base, filepath.Join(base, "run"), filepath.Join(base, "state")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := writeCertificate(filepath.Join(base, "cert.pem"), filepath.Join(base, "key.pem")); err != nil {
		return nil, err
	}
	if err := h.writeUsers(filepath.Join(base, "users")); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		d := &dovecot{host: h, config: filepath.Join(base, "dovecot.conf"), log: filepath.Join(base, "dovecot.log"), done: make(chan struct{})}
		ports, err := freePorts(2)
		if err != nil {
			return nil, err
		}
		d.imap, d.imaps = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
		text, err := h.dovecotConfig(base, ports)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(d.config, []byte(text), 0o644); err != nil {
			return nil, err
		}
		err = d.start(ctx, program)
		if err == nil {
			h.opt.Logf("dovecot %d serves %s", d.cmd.Process.Pid, d.imap)
			return d, nil
		}
		if log := d.readLog(); try == 3 || !strings.Contains(log, "Address already in use") {
			return nil, fmt.Errorf("%w\n%s", err, log)
		}
	}
}

func (d *dovecot) start(ctx context.Context, program string) error {
	d.cmd = &exec.Cmd{Path: program, Args: []string{program, "-F", "-c", d.config}, Dir: d.host.dir,
		Env:    []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", markEnv + "=" + d.host.mark},
		Stdout: &d.output, Stderr: &d.output, WaitDelay: time.Second}
	// SIGTERM lets the master end its children, which have other owners.
	if err := start(d.cmd, syscall.SIGTERM, os.Getuid(), os.Getgid()); err != nil {
		return err
	}
	ownHosts.set(d.cmd.Process.Pid, true)
	go func() {
		d.cmd.Wait()
		close(d.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := greeting(ctx, d.imap)
		if err == nil {
			return nil
		}
		select {
		case <-d.done:
			ownHosts.set(d.cmd.Process.Pid, false)
			return errors.New("it ended at once")
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no greeting: %w", err), d.stop())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// greeting waits until an IMAP server greets.
func greeting(ctx context.Context, addr string) error {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if t, ok := ctx.Deadline(); ok {
		c.SetDeadline(t)
	}
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "* OK [CAPABILITY") { // before it may come "Waiting for authentication process"
			return nil
		}
	}
}

// stop ends the master and with it all of its children.
func (d *dovecot) stop() error {
	pid := d.cmd.Process.Pid
	defer ownHosts.set(pid, false)
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(stopGrace):
		d.host.opt.Logf("dovecot %d is killed", pid)
	}
	killGroup(pid, syscall.SIGKILL) // all of Dovecot's processes stay in their master's group
	select {
	case <-d.done:
		return nil
	case <-time.After(stopGrace):
		return fmt.Errorf("dovecot %d does not end", pid)
	}
}

func (d *dovecot) readLog() string {
	b, err := os.ReadFile(d.log)
	if err != nil {
		b = nil
	}
	select {
	case <-d.done:
		b = append(b, d.output.Bytes()...)
	default:
	}
	return string(b)
}

// writeUsers writes the accounts with their password and their place.
func (h *Host) writeUsers(path string) error {
	var b strings.Builder
	for _, a := range h.accounts {
		location := h.opt.Layout + ":" + h.MailRoot(a)
		if h.opt.Layout == "maildir" && h.opt.LayoutFS {
			location += ":LAYOUT=fs"
		}
		fmt.Fprintf(&b, "%s:{PLAIN}%s:%d:%d::%s::userdb_mail=%s\n", a, h.password, h.uid, h.gid, h.home, location)
		if err := h.makeDir(filepath.Dir(h.MailRoot(a)), 0o750); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// dovecotConfig is the configuration, with all that would go to the system's directories kept in base.
func (h *Host) dovecotConfig(base string, ports []int) (string, error) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("base_dir = %s/run\nstate_dir = %s/state\nlog_path = %s/dovecot.log", base, base, base)
	line("protocols = imap\nlisten = 127.0.0.1")
	line("ssl = yes\nssl_cert = <%s/cert.pem\nssl_key = <%s/key.pem\nssl_dh =", base, base)
	line("import_environment = TZ %s", markEnv)
	line("disable_plaintext_auth = yes") // loopback counts as secure, so this tests nothing away
	line("auth_failure_delay = 1 secs\nfirst_valid_uid = 1\nmail_plugins =\nmail_fsync = never")
	line("mail_max_userip_connections = %d", h.opt.MaxUserIP)
	line("verbose_proctitle = %s", map[bool]string{true: "no", false: "yes"}[h.opt.NoTitles])
	line("passdb {\n driver = passwd-file\n args = username_format=%%u %s/users\n}", base)
	line("userdb {\n driver = passwd-file\n args = username_format=%%u %s/users\n}", base)
	line("namespace inbox {\n inbox = yes\n}")
	line("service imap-login {\n inet_listener imap {\n  address = 127.0.0.1\n  port = %d\n }\n inet_listener imaps {\n  address = 127.0.0.1\n  port = %d\n  ssl = yes\n }\n}", ports[0], ports[1])
	if os.Getuid() != 0 {
		u, err := user.LookupId(strconv.Itoa(os.Getuid()))
		if err != nil {
			return "", fmt.Errorf("this user has no name, which Dovecot needs without root: %w: %w", err, ErrMissing)
		}
		g, err := user.LookupGroupId(u.Gid)
		if err != nil {
			return "", fmt.Errorf("this user's group has no name: %w: %w", err, ErrMissing)
		}
		line("default_internal_user = %s\ndefault_internal_group = %s\ndefault_login_user = %s", u.Username, g.Name, u.Username)
		for _, service := range []string{"anvil", "imap-login", "imap-urlauth-login", "ipc", "old-stats", "director", "stats"} {
			line("service %s {\n chroot =\n}", service)
		}
	}
	if h.opt.RotateLogs {
		line("mail_index_log_rotate_min_size = 2k\nmail_index_log_rotate_max_size = 4k\nmail_index_log_rotate_min_age = 1 secs\nmail_index_log2_max_age = 2 days")
	}
	line("%s", h.opt.Extra)
	return b.String(), nil
}

// freePorts finds loopback ports that nobody listens on now.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
