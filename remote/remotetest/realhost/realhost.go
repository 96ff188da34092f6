// Package realhost makes a small shared host of the real OpenSSH and the real Dovecot 2.3 installed on this machine, for
// tests and for demo --real: a login with a home of its own, an account in one of the layouts, an sshd and a Dovecot that
// listen on loopback only. All of it lies in one temporary directory and ends with [Host.Close], or when the process that
// started it dies.
//
// As root the login is an unused number, known by name to its own processes alone (libnss-wrapper), so nothing is added
// to the machine. Without root the login is the calling user, under a name and a home of its own.
package realhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// ErrMissing: a part the host is made of is not installed, or cannot run here.
var ErrMissing = errors.New("not available on this machine")

// Options say what the host is like. The zero value is an mdbox account with everything there is.
type Options struct {
	Layout    string   // mdbox (default), sdbox, maildir
	LayoutFS  bool     // Maildir with LAYOUT=fs instead of Maildir++
	AtMaildir bool     // Maildir: the first account's is ~/Maildir, not ~/mail/DOMAIN/USER
	Accounts  []string // default anna@example.org
	HomeLink  bool     // the login's home is a symbolic link

	NoDovecot  bool
	NoTitles   bool   // verbose_proctitle=no
	MaxUserIP  int    // mail_max_userip_connections; default 10
	RotateLogs bool   // rotate index logs after a few kilobytes instead of after days
	Extra      string // more lines of dovecot.conf, at its end

	NoSSHD      bool
	LoginShell  string // default /bin/sh
	Noise       string // printed by the start file of the login's shell (bash, tcsh, fish)
	SFTPOnly    bool   // ForceCommand internal-sftp
	NoSFTP      bool   // no SFTP subsystem
	MaxSessions int    // default 10
	Banner      string // shown before login
	ExtraSSHD   string // more lines of sshd_config, before all others

	Logf func(format string, args ...any) // hears of starts, ends and sshd's complaints; nil for silence
}

// Host is a running host.
type Host struct {
	opt       Options
	dir       string // everything is in here
	user      string
	uid, gid  int
	home      string // as the login gives it
	accounts  []string
	password  string
	mark      string // in the environment of every process of the host
	nss       string
	unlock    func()
	dovecot   *dovecot
	sshd      *sshd
	closeOnce sync.Once
	closeErr  error
}

// Start makes a host and starts it. The error is an [ErrMissing] where something is not installed.
func Start(ctx context.Context, o Options) (_ *Host, err error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("real host on %s: %w", runtime.GOOS, ErrMissing)
	}
	if o.Layout == "" {
		o.Layout = "mdbox"
	}
	switch o.Layout {
	case "mdbox", "sdbox", "maildir":
	default:
		return nil, fmt.Errorf("layout %q: unknown", o.Layout)
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	if len(o.Accounts) == 0 {
		o.Accounts = []string{"anna@example.org"}
	}
	if o.LoginShell == "" {
		o.LoginShell = "/bin/sh"
	}
	if o.MaxUserIP == 0 {
		o.MaxUserIP = 10
	}
	h := &Host{opt: o, accounts: o.Accounts, user: "web1", password: "correct horse"}
	if h.mark, err = randomName(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if err := h.prepare(ctx); err != nil {
		return nil, err
	}
	if !o.NoDovecot {
		if h.dovecot, err = startDovecot(ctx, h); err != nil {
			return nil, fmt.Errorf("start dovecot: %w", err)
		}
	}
	if !o.NoSSHD {
		if h.sshd, err = startSSHD(h); err != nil {
			return nil, fmt.Errorf("start sshd: %w", err)
		}
	}
	return h, nil
}

// prepare makes the directory tree, chooses the login and its home.
func (h *Host) prepare(ctx context.Context) (err error) {
	if h.dir, err = os.MkdirTemp("", "dm-"); err != nil { // short: unix sockets lie beneath it
		return fmt.Errorf("make host directory: %w", err)
	}
	if h.dir, err = filepath.EvalSymlinks(h.dir); err != nil {
		return fmt.Errorf("make host directory: %w", err)
	}
	if err := os.Chmod(h.dir, 0o711); err != nil {
		return fmt.Errorf("make host directory: %w", err)
	}
	if err := reachable(h.dir); err != nil {
		return err
	}
	if err := h.chooseLogin(ctx); err != nil {
		return err
	}
	real := filepath.Join(h.dir, "userdata01", h.user)
	h.home = real
	if err := h.makeDir(filepath.Join(real, "mail"), 0o750); err != nil {
		return err
	}
	if h.opt.HomeLink {
		h.home = filepath.Join(h.dir, "home", h.user)
		if err := os.Mkdir(filepath.Dir(h.home), 0o755); err != nil {
			return fmt.Errorf("make home: %w", err)
		}
		if err := os.Symlink(real, h.home); err != nil {
			return fmt.Errorf("make home: %w", err)
		}
	}
	return h.shellNoise(real)
}

// makeDir makes a directory and its missing parents beneath the host's own, all owned by the login.
func (h *Host) makeDir(path string, mode os.FileMode) error {
	if _, err := os.Stat(path); err == nil || path == h.dir {
		return err
	}
	if err := h.makeDir(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.Chown(path, h.uid, h.gid); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return nil
}

// WriteFile writes a file of the login's, beneath the host's directory, making its parents.
func (h *Host) WriteFile(path string, data []byte, mode os.FileMode) error {
	if err := h.makeDir(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := os.Chown(path, h.uid, h.gid); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}

// Adopt gives a directory beneath the host's own, and all in it, to the login: for files that a test laid there itself.
func (h *Host) Adopt(dir string) error {
	if err := h.makeDir(dir, 0o750); err != nil {
		return err
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, h.uid, h.gid)
	})
	if err != nil {
		return fmt.Errorf("give files to the login: %w", err)
	}
	return nil
}

// shellNoise makes the login's shell print Options.Noise in its start files, as those of careless users do.
func (h *Host) shellNoise(home string) error {
	if h.opt.Noise == "" {
		return nil
	}
	line := []byte("echo " + quote(h.opt.Noise) + "\n")
	for _, f := range []string{".bashrc", ".tcshrc", ".config/fish/config.fish"} {
		if err := h.WriteFile(filepath.Join(home, f), line, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every process of the host, waits until they are gone and removes its directory. It may be called twice.
func (h *Host) Close() error {
	h.closeOnce.Do(func() {
		var errs []error
		if h.sshd != nil {
			errs = append(errs, h.sshd.close())
		}
		if h.dovecot != nil {
			errs = append(errs, h.dovecot.stop())
		}
		errs = append(errs, h.endLeftovers())
		if h.dir != "" {
			errs = append(errs, os.RemoveAll(h.dir))
		}
		if h.unlock != nil {
			h.unlock()
		}
		h.closeErr = errors.Join(errs...)
	})
	return h.closeErr
}

// Dir is the host's directory, in which all of its files are.
func (h *Host) Dir() string { return h.dir }

// User is the login's name.
func (h *Host) User() string { return h.user }

// UID and GID are the login's numbers.
func (h *Host) UID() int { return h.uid }

// GID is the login's group.
func (h *Host) GID() int { return h.gid }

// Home is the login's home as the host gives it; a symbolic link with Options.HomeLink.
func (h *Host) Home() string { return h.home }

// Layout is mdbox, sdbox or maildir.
func (h *Host) Layout() string { return h.opt.Layout }

// Account is the first account's address.
func (h *Host) Account() string { return h.accounts[0] }

// Accounts are the addresses of all accounts.
func (h *Host) Accounts() []string { return h.accounts }

// Password is every account's password for IMAP.
func (h *Host) Password() string { return h.password }

// MailRoot is the storage directory of an account, with symbolic links resolved; "" for the first account.
func (h *Host) MailRoot(account string) string {
	if account == "" {
		account = h.Account()
	}
	home := filepath.Join(h.dir, "userdata01", h.user)
	if h.opt.AtMaildir && account == h.Account() {
		return filepath.Join(home, "Maildir")
	}
	name, domain, _ := strings.Cut(account, "@")
	return filepath.Join(home, "mail", domain, name)
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
