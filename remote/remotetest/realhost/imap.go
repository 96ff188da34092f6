package realhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// IMAPAddr is where IMAP is served in the clear and with STARTTLS; "" without Dovecot.
func (h *Host) IMAPAddr() string {
	if h.dovecot == nil {
		return ""
	}
	return h.dovecot.imap
}

// IMAPSAddr is where IMAP is served over TLS; "" without Dovecot.
func (h *Host) IMAPSAddr() string {
	if h.dovecot == nil {
		return ""
	}
	return h.dovecot.imaps
}

// CAFile is a PEM file with the certificate to trust for localhost and 127.0.0.1.
func (h *Host) CAFile() string { return filepath.Join(h.dir, "d", "cert.pem") }

// DovecotConfig is the file doveadm and the imap program take with -c.
func (h *Host) DovecotConfig() string { return filepath.Join(h.dir, "d", "dovecot.conf") }

// DovecotLog is all that Dovecot has logged so far.
func (h *Host) DovecotLog() string {
	if h.dovecot == nil {
		return ""
	}
	return h.dovecot.readLog()
}

// DovecotLogFile is where that is; "" without Dovecot.
func (h *Host) DovecotLogFile() string {
	if h.dovecot == nil {
		return ""
	}
	return h.dovecot.log
}

// Doveadm runs doveadm as the administrator of this host and gives its output.
func (h *Host) Doveadm(ctx context.Context, args ...string) ([]byte, error) {
	if h.dovecot == nil {
		return nil, errors.New("doveadm: this host has no Dovecot")
	}
	program, err := findProgram("doveadm", "dovecot-core")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"-c", h.dovecot.config}, args...)...)
	cmd.Dir = h.dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("doveadm %q: %w: %s", args, err, bytes.TrimSpace(errOut.Bytes()))
	}
	return out.Bytes(), nil
}
