package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/probe"
	"dovemend/repair/store"
)

// Look is one way to see an account over IMAP. Its method Dial is a [probe.Dialer].
type Look struct {
	How  string // "preauth", "tls", "starttls", "none"; with " through SSH" where it goes that way
	User string // the login by password; "" for preauth
	Addr string // HOST:PORT of the server; "" for preauth

	Greeting string // how the server has greeted, safe to print; "" where it said nothing of itself

	first  *imap.Client // made to see that it can be done; given out by the first Dial
	dial   func(ctx context.Context) (*imap.Client, error)
	stderr func(from int64) (lines []byte, next int64) // what the host's imap process has logged; nil where that cannot be seen
}

// Dial makes a logged-in connection; only one may be open at a time.
func (l *Look) Dial(ctx context.Context) (*probe.Conn, error) {
	c := l.first
	if l.first = nil; c == nil {
		var err error
		if c, err = l.dial(ctx); err != nil {
			return nil, err
		}
	}
	return &probe.Conn{Client: c, Stderr: l.stderr}, nil
}

// Close ends the first connection where nobody asked for it.
func (l *Look) Close() error {
	if l.first == nil {
		return nil
	}
	err := l.first.Close()
	l.first = nil
	return err
}

// NoLookError says why an account cannot be looked at over IMAP.
type NoLookError struct {
	Why []string // of each way that was tried, safe to print
	Err error    // why the last connection failed; nil where none was tried
}

func (e *NoLookError) Error() string { return strings.Join(e.Why, "; ") }

func (e *NoLookError) Unwrap() error { return e.Err }

// Seer is what looking at an account over IMAP needs. Without a host there is only the login by password, at IMAP.Addr.
type Seer struct {
	IMAP    IMAPOptions
	Host    *remote.Host // nil without a connection to the host
	Account store.Account
	Log     *slog.Logger
}

// Look finds a way to look at the account: the host's own imap process where it can be started, else a login with the
// password. It has connected once when it returns, so that the way is known to work; close it. Its error is a
// [NoLookError], or that of ctx.
func (s Seer) Look(ctx context.Context) (*Look, error) {
	if s.IMAP.Off {
		return nil, &NoLookError{Why: []string{"that is switched off (--imap off)"}}
	}
	none := &NoLookError{}
	for _, try := range []func() (*Look, string){s.preauth, s.login} {
		l, why := try()
		if l == nil {
			none.Why = append(none.Why, why)
			continue
		}
		c, err := l.dial(ctx)
		if err == nil {
			l.first, l.Greeting = c, c.Greeting()
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		s.Log.Info("no look over IMAP", "way", l.How, "error", err)
		none.Why, none.Err = append(none.Why, l.How+": "+lookFailure(err)), err
	}
	return nil, none
}

// LookByLogin is [Seer.Look] with the password only, as mail programs look. It does not connect.
func (s Seer) LookByLogin() (*Look, error) {
	l, why := s.login()
	if l == nil || s.IMAP.Off {
		return nil, &NoLookError{Why: []string{why}}
	}
	return l, nil
}

// LookByLogin is [Seer.LookByLogin] at an account of this host.
func (s *Session) LookByLogin(a store.Account) (*Look, error) {
	return Seer{IMAP: s.o.IMAP, Host: s.host, Account: a, Log: s.log}.LookByLogin()
}

// Look finds a way to look at an account over IMAP.
func (s *Session) Look(ctx context.Context, a store.Account) (*Look, error) {
	return Seer{IMAP: s.o.IMAP, Host: s.host, Account: a, Log: s.log}.Look(ctx)
}

// lookFailure explains why connecting failed.
func lookFailure(err error) string {
	var e *imap.Error
	if !errors.As(err, &e) {
		return remote.Safe(err.Error())
	}
	x := imap.Explain(err)
	return remote.Safe(err.Error()) + " (" + x.Meaning + " " + x.Next + ")"
}

func (s Seer) preauth() (*Look, string) {
	if s.Host == nil {
		return nil, "the host's own imap program needs a connection to the host (--host)"
	}
	if !s.IMAP.Preauth {
		return nil, "the host's own imap program was not to be used"
	}
	if !s.Host.Info().Shell {
		return nil, "the host's own imap program needs a shell, and this login has none"
	}
	l := &Look{How: "preauth"}
	l.dial = func(ctx context.Context) (*imap.Client, error) {
		session, err := s.Host.StartIMAP(ctx, remote.IMAPSpec{Layout: string(s.Account.Layout), MailRoot: string(s.Account.Root),
			LayoutFS: s.Account.Layout == store.Maildir && s.Account.FSLayout})
		if err != nil {
			return nil, err
		}
		l.stderr = session.Stderr
		return imap.Preauth(ctx, session, s.IMAP.Timeout)
	}
	return l, ""
}

func (s Seer) login() (*Look, string) {
	o := s.IMAP
	if o.Password == nil {
		return nil, "no IMAP password was given (--imap-password-command)"
	}
	user := cmp.Or(o.User, s.Account.Address)
	if user == "" {
		return nil, "the IMAP user is not known (--imap-user)"
	}
	addr := o.Addr
	if addr == "" {
		if s.Host == nil {
			return nil, "the IMAP server is not known (--imap)"
		}
		host, _, err := net.SplitHostPort(s.Host.Info().Addr)
		if err != nil {
			return nil, "the IMAP server is not known (--imap)"
		}
		addr = net.JoinHostPort(host, "993")
	}
	cfg := imap.Config{Addr: addr, Security: o.TLS, CAFile: o.CAFile, Timeout: o.Timeout}
	l := &Look{How: cmp.Or(o.TLS, imap.TLS), User: user, Addr: addr}
	if o.ThroughSSH {
		if s.Host == nil {
			return nil, "to connect from the host's side there must be a connection to the host (--host)"
		}
		cfg.Dial = s.Host.DialTCP
		l.How += " through SSH"
	}
	ask := sync.OnceValues(o.Password) // a broken mailbox may need many connections, and a person may be asked
	l.dial = func(ctx context.Context) (*imap.Client, error) {
		password, err := ask()
		if err != nil {
			return nil, fmt.Errorf("get the IMAP password: %w", err)
		}
		c, err := imap.Connect(ctx, cfg)
		if err != nil {
			return nil, err
		}
		if err := c.Login(ctx, user, password); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return c, nil
	}
	return l, ""
}
