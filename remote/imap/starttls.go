package imap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
)

// maxPlainLines bounds what a server may say before TLS.
const maxPlainLines = 100

// startTLS takes the greeting and asks for TLS. It reads byte by byte, never past the line that agrees: what somebody on
// the way puts behind it goes into the handshake and breaks it, instead of being taken for the server's words.
func startTLS(ctx context.Context, conn net.Conn) error {
	timed, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	unhook := context.AfterFunc(timed, func() { conn.Close() })
	defer unhook()
	fail := func(err error) error {
		switch {
		case ctx.Err() != nil:
			return &Error{Op: "STARTTLS", Type: TypeStopped, Err: ctx.Err()}
		case timed.Err() != nil:
			return &Error{Op: "STARTTLS", Type: TypeTimeout, Text: "no answer in " + dialTimeout.String(), Err: timed.Err()}
		case errors.Is(err, errLongLine):
			return &Error{Op: "STARTTLS", Type: TypeLimit, Text: err.Error()}
		}
		return &Error{Op: "STARTTLS", Type: TypeClosed, Err: err}
	}
	line, err := plainLine(conn)
	if err != nil {
		return fail(err)
	}
	greeting, ok := parseStatus(line)
	if !ok || greeting.tag != "*" {
		return &Error{Op: "STARTTLS", Type: TypeProtocol, Text: "the greeting is not IMAP", Raw: clean(string(bytes.TrimSpace(line)))}
	}
	if greeting.typ != "OK" { // BYE, or PREAUTH, which nobody may believe without encryption
		return greeting.asError("STARTTLS")
	}
	if _, err := io.WriteString(conn, "S1 STARTTLS\r\n"); err != nil {
		return fail(err)
	}
	for range maxPlainLines {
		if line, err = plainLine(conn); err != nil {
			return fail(err)
		}
		s, ok := parseStatus(line)
		switch {
		case !ok:
		case s.tag == "S1" && s.typ == "OK":
			return nil
		case s.tag == "S1":
			e := s.asError("STARTTLS")
			e.Err = errNoTLS
			return e
		case s.typ == TypeBye:
			return s.asError("STARTTLS")
		}
	}
	return &Error{Op: "STARTTLS", Type: TypeLimit, Text: "the server talks on without answering"}
}

var (
	errNoTLS    = errors.New("the server offers no STARTTLS")
	errLongLine = errors.New("a line of more than 8 KiB before TLS")
)

// plainLine reads one line, without a byte past its end.
func plainLine(r io.Reader) ([]byte, error) {
	var line []byte
	var b [1]byte
	for len(line) < 8<<10 {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		if line = append(line, b[0]); b[0] == '\n' {
			return line, nil
		}
	}
	return nil, errLongLine
}

// asError tells a status that is not OK.
func (s status) asError(op string) *Error {
	e := &Error{Op: op, Type: s.typ, Code: s.code, Text: s.text, Raw: s.raw}
	if s.typ != TypeNo && s.typ != TypeBad && s.typ != TypeBye {
		e.Type, e.Text = TypeProtocol, "the server greets with "+s.typ+" before the connection is encrypted"
	}
	return e
}
