package imap

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Budgets of commands, in bytes of answer without message bodies.
const (
	smallAnswer = 1 << 20
	listAnswer  = 32 << 20
	perNumber   = 12      // of a UID in SORT
	perMessage  = 4 << 10 // of a message in FETCH: its flags
)

// Client is one connection to a server. Its methods may not be called concurrently. After an error for which [Ended]
// is true every further command fails; make a new connection then.
type Client struct {
	lib      *imapclient.Client
	w        *wire
	in       bool // logged in
	tried    bool // a login was tried
	greeting string
	count    int  // messages in the mailbox examined, as far as the server's word is taken
	tags     int  // given out by newTag
	noGUID   bool // the server refused X-GUID

	notes []Notice
}

// Notice is something the server said besides its answers, safe to print.
type Notice struct {
	Op, Type, Code, Text string
	Raw                  string // the whole line, without a tag of ours
}

// do runs one command and turns what went wrong into an [*Error].
func (c *Client) do(ctx context.Context, op string, budget int64, run func() error, want ...string) error {
	if err := ctx.Err(); err != nil {
		return &Error{Op: op, Type: TypeStopped, Err: err}
	}
	end := c.w.begin(ctx, budget, want...)
	err := run()
	end()
	c.w.mu.Lock()
	for _, s := range c.w.scan.notices {
		if len(c.notes) < maxNotices {
			c.notes = append(c.notes, Notice{Op: op, Type: s.typ, Code: s.code, Text: s.text, Raw: s.raw})
		}
	}
	// A command that was done may still have something to say.
	if t := c.w.scan.tagged; err == nil && (t.code == "EXPUNGEISSUED" || strings.Contains(t.raw, "[THROTTLED]")) && len(c.notes) < maxNotices {
		c.notes = append(c.notes, Notice{Op: op, Type: t.typ, Code: t.code, Text: t.text, Raw: t.raw})
	}
	c.w.mu.Unlock()
	if err == nil {
		return nil
	}
	return c.failure(op, err)
}

// failure says what really happened: the library tells a hang-up, its cause and a reply it cannot read much alike.
func (c *Client) failure(op string, err error) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	s := &c.w.scan
	e := &Error{Op: op, UID: s.uid, Partial: s.partial && s.uid != 0}
	var limit *limitError
	var ours *Error
	var reply *goimap.Error
	switch {
	case errors.As(err, &ours):
		return err
	case errors.As(err, &reply) && reply.Type != goimap.StatusResponseTypeBye:
		e.Type, e.Code, e.Text = string(reply.Type), clean(string(reply.Code), s.secrets...), clean(reply.Text, s.secrets...)
		if s.tagged.typ == e.Type {
			e.Code, e.Text, e.Raw = s.tagged.code, s.tagged.text, s.tagged.raw
		}
	case errors.As(c.w.err, &limit):
		e.Type, e.Text, e.Err = TypeLimit, "server sends "+limit.text, limit
	case errors.Is(c.w.err, errSilence):
		e.Type, e.Text, e.Err = TypeTimeout, "no byte in "+c.w.silence.Round(time.Second).String(), context.DeadlineExceeded
	case c.w.err != nil && !errors.Is(c.w.err, net.ErrClosed):
		e.Type, e.Err = TypeStopped, c.w.err
	case s.bye.typ != "":
		e.Type, e.Code, e.Text, e.Raw = TypeBye, s.bye.code, s.bye.text, s.bye.raw
	case isParse(err):
		e.Type, e.Text = TypeProtocol, "server sends what is not IMAP: "+clean(firstLine(err.Error()), s.secrets...)
	case c.w.readErr != nil:
		e.Type, e.Err = TypeClosed, c.w.readErr
	default:
		e.Type, e.Err = TypeClosed, errors.New(clean(firstLine(err.Error()), s.secrets...))
	}
	return e
}

// greet takes the greeting.
func (c *Client) greet(ctx context.Context) error {
	err := c.do(ctx, "connect", smallAnswer, c.lib.WaitGreeting)
	if err != nil {
		c.Close()
		return err
	}
	c.in = c.lib.State() == goimap.ConnStateAuthenticated
	c.w.mu.Lock()
	c.greeting = c.w.scan.first.text
	if c.greeting == encrypted {
		c.greeting = ""
	}
	c.w.mu.Unlock()
	return nil
}

// encrypted stands for the greeting of a server once the connection is encrypted: after STARTTLS there is no second one.
const encrypted = "connection is encrypted"

// Greeting is how the server has greeted, without its list of capabilities, safe to print: mostly it tells the name of the
// program. "" with STARTTLS, where the greeting comes from before the encryption.
func (c *Client) Greeting() string { return c.greeting }

// Preauthenticated reports whether the connection is logged in.
func (c *Client) Preauthenticated() bool { return c.in && !c.tried }

// Login logs in, once: a second try is refused, because hosts ban addresses that fail repeatedly. It uses AUTHENTICATE
// PLAIN where the server offers it, else LOGIN.
func (c *Client) Login(ctx context.Context, user, password string) error {
	if c.in {
		return nil
	}
	if c.tried {
		return &Error{Op: "LOGIN", Type: TypeRefused, Text: "a login was already tried on this connection"}
	}
	c.tried = true
	c.w.mu.Lock()
	c.w.scan.secrets = []string{password, base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))}
	c.w.mu.Unlock()
	err := c.do(ctx, "LOGIN", smallAnswer, func() error {
		caps := c.lib.Caps()
		switch {
		case caps.Has(goimap.AuthCap("PLAIN")):
			return c.lib.Authenticate(&plain{user: user, password: password})
		case caps.Has(goimap.CapLoginDisabled):
			return &Error{Op: "LOGIN", Type: TypeRefused, Code: "PRIVACYREQUIRED", Text: "the server takes no password on this connection"}
		}
		return c.lib.Login(user, password).Wait()
	})
	c.in = err == nil
	return err
}

// plain is the SASL mechanism PLAIN (RFC 4616).
type plain struct{ user, password string }

func (p *plain) Start() (mech string, first []byte, err error) {
	return "PLAIN", []byte("\x00" + p.user + "\x00" + p.password), nil
}

func (p *plain) Next([]byte) ([]byte, error) {
	return nil, errors.New("server asks on after PLAIN has said all")
}

// Notices gives what the server said besides its answers so far, at most 64, and forgets it.
func (c *Client) Notices() []Notice {
	n := c.notes
	c.notes = nil
	return n
}

// Logout says goodbye and closes the connection. The server's own goodbye is no error.
func (c *Client) Logout(ctx context.Context) error {
	defer c.Close()
	err := c.do(ctx, "LOGOUT", smallAnswer, func() error { return c.lib.Logout().Wait() })
	var e *Error
	if errors.As(err, &e) && e.Type == TypeBye && e.Code == "" {
		return nil
	}
	return err
}

// Close ends the connection, waiting at most five seconds for the stream beneath to close.
func (c *Client) Close() error {
	c.w.Close()
	select {
	case <-c.w.shut:
	case <-time.After(5 * time.Second):
	}
	return nil
}

// isParse says whether the library gave up because it could not read an answer; it tells that in words only.
func isParse(err error) bool {
	text := err.Error()
	if strings.Contains(text, io.ErrUnexpectedEOF.Error()) {
		return false
	}
	for _, part := range []string{"in response", "in continue-req", "in STATUS", "imapwire:", "panic reading response"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// firstLine drops the stack trace which the library adds to a panic of its own.
func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
