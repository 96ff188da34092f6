package realhost

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// firstUID and uidSpan say where the login's number is looked for as root: below 65536, which is all some containers have,
// and away from where systems put their own.
const firstUID, uidSpan = 40000, 20000

// chooseLogin finds the numbers of the login.
func (h *Host) chooseLogin(ctx context.Context) (err error) {
	if h.nss, err = findNSSWrapper(); err != nil && !h.opt.NoSSHD {
		return err
	}
	h.uid, h.gid = os.Getuid(), os.Getgid()
	if h.uid != 0 {
		if h.opt.NoDovecot {
			return nil
		}
		return h.lockUser(ctx)
	}
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(uidSpan))
		if err != nil {
			return fmt.Errorf("choose login: %w", err)
		}
		id := strconv.FormatInt(firstUID+n.Int64(), 10)
		var noUser user.UnknownUserIdError
		if _, err := user.LookupId(id); !errors.As(err, &noUser) {
			continue
		}
		h.uid = firstUID + int(n.Int64())
		h.gid = h.uid
		if p, err := processesOf(h.uid); err == nil && len(p) == 0 {
			return nil
		}
	}
	return fmt.Errorf("choose login: no free user number found: %w", ErrMissing)
}

// lockUser makes sure that without root, where every host has the same owner, only one program at a time runs a Dovecot
// of that user, and that the user has no Dovecot besides: what tests end are processes of their own host.
func (h *Host) lockUser(ctx context.Context) (err error) {
	if h.unlock, err = lock(ctx, fmt.Sprintf("dovemend-realhost-%d", h.uid)); err != nil {
		return fmt.Errorf("wait for other hosts of this user: %w", err)
	}
	all, err := processesOf(h.uid)
	if err != nil {
		return fmt.Errorf("look for other Dovecots: %w", err)
	}
	for _, p := range all {
		if p.dovecot && !ownHosts.has(p.group) {
			return fmt.Errorf("this user runs another Dovecot (process %d), which tests must not meet: %w", p.pid, ErrMissing)
		}
	}
	return nil
}

// reachable says whether an unprivileged user can get to dir.
func reachable(dir string) error {
	for d := dir; ; d = filepath.Dir(d) {
		st, err := os.Stat(d)
		if err != nil {
			return fmt.Errorf("make host directory: %w", err)
		}
		if st.Mode().Perm()&0o001 == 0 && os.Getuid() == 0 {
			return fmt.Errorf("make host directory: other users cannot get into %s; set TMPDIR to a place they can: %w", d, ErrMissing)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

// findProgram finds a program by name, also where daemons are.
func findProgram(name, debianPackage string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return filepath.Abs(p) // sshd insists on an absolute path of itself
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/usr/local/bin"} {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s (Debian package %s): %w", name, debianPackage, ErrMissing)
}

// findDovecot finds Dovecot's master program, of the series whose configuration is written here.
func findDovecot() (string, error) {
	program, err := findProgram("dovecot", "dovecot-imapd")
	if err != nil {
		return "", err
	}
	if _, err := findProgram("doveadm", "dovecot-core"); err != nil {
		return "", err
	}
	b, err := exec.Command(program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w: %w", program, err, ErrMissing)
	}
	if !bytes.HasPrefix(b, []byte("2.3.")) {
		return "", fmt.Errorf("dovecot 2.3 (here is %s): %w", bytes.TrimSpace(b), ErrMissing)
	}
	return program, nil
}

// findNSSWrapper finds the library that lends the login a name.
func findNSSWrapper() (string, error) {
	for _, pattern := range []string{"/usr/lib/*/libnss_wrapper.so", "/usr/lib64/libnss_wrapper.so", "/usr/lib/libnss_wrapper.so", "/usr/local/lib/libnss_wrapper.so"} {
		if l, err := filepath.Glob(pattern); err == nil && len(l) > 0 {
			return l[0], nil
		}
	}
	return "", fmt.Errorf("libnss_wrapper.so (Debian package libnss-wrapper): %w", ErrMissing)
}

// Missing names the packages that are not installed for a host with these options.
func Missing(o Options) []string {
	var l []string
	add := func(_ string, err error) {
		if err != nil {
			l = append(l, err.Error())
		}
	}
	if !o.NoSSHD {
		add(findProgram("sshd", "openssh-server"))
		add(findNSSWrapper())
	}
	if !o.NoDovecot {
		add(findDovecot())
	}
	return l
}

func randomName() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make random name: %w", err)
	}
	return hex.EncodeToString(b), nil
}
