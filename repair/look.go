package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/store"
)

// look is one way to see the account over IMAP.
type look struct {
	how    string // "preauth", "tls", "starttls", "none"; with " through SSH" where it goes that way
	dial   func(ctx context.Context) (*imap.Client, error)
	stderr func() []byte // what the host's imap process has logged; nil where that cannot be seen
}

// errNoLook says why the mailbox cannot be looked at over IMAP.
type errNoLook struct{ why []string }

func (e *errNoLook) Error() string { return strings.Join(e.why, "; ") }

// looking finds a way to look at the account: the host's own imap process where it can be started, else a login with
// the password. It has connected once when it returns; the client is the first for the caller to use.
func (r *Run) looking(ctx context.Context) (*look, *imap.Client, error) {
	o := r.s.o.IMAP
	if o.Off {
		return nil, nil, &errNoLook{[]string{"that is switched off (--imap off)"}}
	}
	none := &errNoLook{}
	for _, try := range []func() (*look, string){r.preauth, r.login} {
		l, why := try()
		if l == nil {
			none.why = append(none.why, why)
			continue
		}
		c, err := l.dial(ctx)
		if err == nil {
			return l, c, nil
		}
		if ctx.Err() != nil {
			return nil, nil, err
		}
		r.log.Info("no look over IMAP", "way", l.how, "error", err)
		none.why = append(none.why, l.how+": "+lookFailure(err))
	}
	return nil, nil, none
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

func (r *Run) preauth() (*look, string) {
	if !r.s.o.IMAP.Preauth {
		return nil, "the host's own imap program was not to be used"
	}
	if !r.s.host.Info().Shell {
		return nil, "the host's own imap program needs a shell, and this login has none"
	}
	l := &look{how: "preauth"}
	l.dial = func(ctx context.Context) (*imap.Client, error) {
		session, err := r.s.host.StartIMAP(ctx, remote.IMAPSpec{Layout: string(r.account.Layout), MailRoot: string(r.account.Root),
			LayoutFS: r.account.Layout == store.Maildir && r.account.FSLayout})
		if err != nil {
			return nil, err
		}
		l.stderr = session.Stderr
		return imap.Preauth(ctx, session, r.s.o.IMAP.Timeout)
	}
	return l, ""
}

func (r *Run) login() (*look, string) {
	o := r.s.o.IMAP
	if o.Password == nil {
		return nil, "no IMAP password was given (--imap-password-command)"
	}
	user := cmp.Or(o.User, r.account.Address)
	if user == "" {
		return nil, "the IMAP user is not known (--imap-user)"
	}
	addr := o.Addr
	if addr == "" {
		host, _, err := net.SplitHostPort(r.s.host.Info().Addr)
		if err != nil {
			return nil, "the IMAP server is not known (--imap)"
		}
		addr = net.JoinHostPort(host, "993")
	}
	cfg := imap.Config{Addr: addr, Security: o.TLS, CAFile: o.CAFile, Timeout: o.Timeout}
	l := &look{how: cmp.Or(o.TLS, imap.TLS)}
	if o.ThroughSSH {
		cfg.Dial = r.s.host.DialTCP
		l.how += " through SSH"
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
