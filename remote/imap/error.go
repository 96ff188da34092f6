package imap

import (
	"errors"
	"fmt"
	"strings"

	"dovemend/remote"
)

// The values of [Error].Type besides the server's own NO and BAD.
const (
	TypeNo       = "NO"        // the server refused the command
	TypeBad      = "BAD"       // the server did not understand the command
	TypeBye      = "BYE"       // the server said why it hangs up
	TypeClosed   = "CLOSED"    // the connection ended without a word
	TypeTimeout  = "TIMEOUT"   // the server stayed silent too long
	TypeLimit    = "LIMIT"     // the server sent more than can be an honest answer
	TypeProtocol = "PROTOCOL"  // the server sent what is not IMAP
	TypeTLS      = "TLS"       // no trusted encrypted connection could be made
	TypeDial     = "DIAL"      // the server could not be reached
	TypeRefused  = "REFUSED"   // we ourselves did not do it: not safe, or not possible here
	TypeStopped  = "CANCELLED" // the caller's context ended
)

// Error is how every failure of this package is told. Its texts come from the server and are safe to print.
type Error struct {
	Op      string // the command, "EXAMINE", or "connect"
	Type    string // one of the Type constants
	Code    string // response code in upper case, without brackets: "SERVERBUG"; "" without one
	Text    string // the human-readable text
	Raw     string // the whole status line as sent, without our tag, at most some 500 bytes; "" where there was none
	UID     uint32 // the UID which the server named last in this command; 0 for none
	Partial bool   // that message's own data did not come to its end: it is the suspect
	Err     error  // what lies beneath; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch e.Type {
	case TypeNo, TypeBad, TypeBye:
		fmt.Fprintf(&b, ": server answers %s", e.Type)
		if e.Code != "" {
			fmt.Fprintf(&b, " [%s]", e.Code)
		}
		if e.Text != "" {
			fmt.Fprintf(&b, " %s", e.Text)
		}
	case TypeClosed:
		b.WriteString(": server closed the connection without a word")
	case TypeTimeout:
		b.WriteString(": server stays silent")
		if e.Text != "" {
			b.WriteString(" (" + e.Text + ")")
		}
	default:
		if e.Text != "" {
			b.WriteString(": " + e.Text)
		} else if e.Err != nil {
			b.WriteString(": " + remote.Safe(e.Err.Error()))
		}
	}
	if e.UID != 0 {
		fmt.Fprintf(&b, " (last message named: UID %d)", e.UID)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Ended reports whether err means that the connection is gone, so that another one is needed to go on.
func Ended(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Type {
	case TypeBye, TypeClosed, TypeTimeout, TypeLimit, TypeProtocol:
		return true
	}
	return false
}

// status is one status response of the server, taken apart. Its fields are safe to print.
type status struct {
	tag, typ, code, text, raw string
}

// parseStatus takes "* NO [CODE args] text" or "T1 NO text" apart; ok is false for any other line. secrets are blanked.
func parseStatus(line []byte, secrets ...string) (s status, ok bool) {
	raw := strings.TrimRight(string(line), "\r\n ")
	tag, rest, _ := strings.Cut(raw, " ")
	typ, text, _ := strings.Cut(rest, " ")
	typ = strings.ToUpper(typ)
	switch typ {
	case "OK", TypeNo, TypeBad, TypeBye, "PREAUTH":
	default:
		return status{}, false
	}
	if strings.HasPrefix(text, "[") {
		code, after, found := strings.Cut(text[1:], "]")
		if found {
			word, _, _ := strings.Cut(code, " ")
			s.code = clean(strings.ToUpper(word), secrets...)
			text = strings.TrimPrefix(after, " ")
		}
	}
	s.tag, s.typ, s.text, s.raw = clean(tag, secrets...), typ, clean(text, secrets...), clean(strings.TrimPrefix(raw, tag+" "), secrets...)
	if tag == "*" {
		s.raw = "* " + s.raw
	}
	return s, true
}

// clean makes a text of the server safe to print and blanks secrets in it.
func clean(text string, secrets ...string) string {
	for _, secret := range secrets {
		if len(secret) >= 3 {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return remote.Safe(text)
}
