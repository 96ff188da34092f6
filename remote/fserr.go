package remote

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/pkg/sftp"
)

// Status codes of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7) that say more than "failure".
const (
	statusNoSuchFile = 2
	statusPermission = 3
	statusBadMessage = 5
	statusNoConn     = 6
	statusConnLost   = 7
	statusOpUnsupp   = 8
)

// statusError is what an SFTP server answered, with its text made safe.
type statusError struct {
	text string
	kind error // fs.ErrNotExist, fs.ErrPermission, errors.ErrUnsupported, ErrDisconnected, or nil
}

func (e *statusError) Error() string { return e.text }
func (e *statusError) Unwrap() error { return e.kind }

// plainError turns an error of the SFTP library into one that is safe to print and can be branched on. The text of a
// plain "failure" says what it may stand for: SFTP version 3 has no code for a full disk or an exceeded quota.
func plainError(err error) error {
	var status *sftp.StatusError
	if !errors.As(err, &status) {
		return err
	}
	return plainStatus(status.Code, Safe(strings.TrimPrefix(status.Error(), "sftp: ")))
}

func plainStatus(code uint32, text string) error {
	switch code {
	case statusNoSuchFile:
		return &statusError{text: "no such file or directory", kind: fs.ErrNotExist}
	case statusPermission:
		return &statusError{text: "permission denied", kind: fs.ErrPermission}
	case statusNoConn, statusConnLost:
		return &statusError{text: "connection lost: " + text, kind: ErrDisconnected}
	case statusOpUnsupp:
		return &statusError{text: "not supported by the host's SFTP server", kind: errors.ErrUnsupported}
	case statusBadMessage:
		return &statusError{text: "the host's SFTP server refuses the request: " + text}
	}
	return &statusError{text: "the host's SFTP server answers " + text}
}

// fsError gives err its operation and path. An error that carries both already is left alone.
func fsError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var have *fs.PathError
	if errors.As(err, &have) {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: plainError(err)}
}
