package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"dovemend/remote"
	"dovemend/repair/rundir"
	"dovemend/repair/store"
)

// Session is a connection to a host and what was asked for. It is made by [Connect] and may be used for several runs,
// one at a time.
type Session struct {
	o    Options
	rep  Reporter
	host *remote.Host
	log  *slog.Logger
}

// AmbiguousError: several accounts fit what was asked for, or several were found and none was named.
type AmbiguousError struct {
	Accounts []store.Account
}

func (e *AmbiguousError) Error() string {
	var names []string
	for i, a := range e.Accounts {
		if i == 8 {
			names = append(names, fmt.Sprintf("and %d more", len(e.Accounts)-i))
			break
		}
		names = append(names, remote.Safe(AccountName(a)))
	}
	return "several accounts are there: " + strings.Join(names, ", ")
}

// NoAccountError: no account was found, or none of this name.
type NoAccountError struct {
	Asked    string           // address asked for; "" for any
	Searched []store.HostPath // where it was looked for
	Found    []store.Account  // what is there instead
}

func (e *NoAccountError) Error() string {
	if e.Asked != "" && len(e.Found) > 0 {
		return fmt.Sprintf("no account %s here; there is %s", remote.Safe(e.Asked), (&AmbiguousError{e.Found}).list())
	}
	var where []string
	for _, p := range e.Searched {
		where = append(where, remote.Safe(string(p)))
	}
	return "no mail account found beneath " + strings.Join(where, ", ")
}

func (e *AmbiguousError) list() string {
	_, names, _ := strings.Cut(e.Error(), ": ")
	return names
}

// AccountName is what an account is called: its address, or else where it is.
func AccountName(a store.Account) string {
	return cmp.Or(a.Address, string(a.Root))
}

// Connect logs in to the host.
func Connect(ctx context.Context, o Options, rep Reporter) (*Session, error) {
	if rep == nil {
		rep = Silent{}
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if o.Remote.Log == nil {
		o.Remote.Log = log
	}
	rep = &noting{Reporter: rep}
	if o.Copying && firstCopy(o) {
		o.Remote.Eager = true
	}
	rep.Stage("connecting to " + remote.Safe(o.Remote.Target))
	host, err := remote.Dial(ctx, o.Remote)
	if err != nil {
		return nil, err
	}
	if !host.Info().Shell {
		rep.Warn("this login gives SFTP but no shell: running mail processes cannot be seen or ended from here, everything else works; close all mail programs before a repair")
	}
	return &Session{o: o, rep: rep, host: host, log: log}, nil
}

// firstCopy reports whether no copy is there that one of this host could build on.
func firstCopy(o Options) bool {
	runs, err := rundir.List(o.StateDir)
	return err == nil && !slices.ContainsFunc(runs, func(l rundir.Listed) bool {
		return l.Meta.Target == o.Remote.Target && l.Meta.HasSnapshot()
	})
}

// Close ends the connection.
func (s *Session) Close() error {
	if s.host == nil {
		return nil
	}
	return s.host.Close()
}

// WithoutHost is a session that reaches an account over IMAP alone, by login and password.
func WithoutHost(o Options, rep Reporter) *Session {
	if rep == nil {
		rep = Silent{}
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Session{o: o, rep: rep, log: log}
}

// info is what is known of the host; without one, where and as whom IMAP is spoken.
func (s *Session) info() remote.Info {
	if s.host == nil {
		return remote.Info{Addr: s.o.IMAP.Addr, User: cmp.Or(s.o.IMAP.User, s.o.Account)}
	}
	return s.host.Info()
}

// Host is the connection itself; nil for a session without.
func (s *Session) Host() *remote.Host { return s.host }

// Accounts finds every account this login can see: the one at Options.MailRoot where that is given, else what lies
// beneath the home directory and the usual places outside it.
func (s *Session) Accounts(ctx context.Context) ([]store.Account, error) {
	s.rep.Stage("looking for mail accounts")
	fsys := s.host.FS(ctx)
	if s.o.MailRoot != "" {
		a, err := store.At(ctx, fsys, s.o.MailRoot)
		if err != nil {
			return nil, err
		}
		return []store.Account{a}, nil
	}
	from := s.searched()
	survey := remote.Survey{Depth: store.SurveyDepth, Prune: store.NotSurveyed()}
	for _, p := range from {
		survey.Places = append(survey.Places, string(p))
	}
	found, err := store.Search(ctx, s.host.Surveyed(ctx, survey), from)
	if err != nil && !(errors.Is(err, fs.ErrPermission) && len(found.Unreadable) > 0) {
		return nil, err
	}
	tell := s.rep.Info
	if len(found.Accounts) == 0 {
		tell = s.rep.Warn
	}
	for i, p := range found.Unreadable {
		if i == 5 {
			tell(fmt.Sprintf("and %d more directories cannot be read", len(found.Unreadable)-i))
			break
		}
		tell("this login may not read " + remote.Safe(string(p)))
	}
	if found.Cut {
		s.rep.Warn("there are too many directories to look into all of them; if your account is not listed, name its directory with --mail-root")
	}
	return found.Accounts, nil
}

func (s *Session) searched() []store.HostPath {
	info := s.host.Info()
	return store.Places(store.HostPath(info.Home), info.User)
}

// Measure counts the messages and bytes of each mailbox of the account, and of the account with all it shares.
func (s *Session) Measure(ctx context.Context, a store.Account) ([]store.Size, store.Size, error) {
	return store.Measure(ctx, s.host.FS(ctx), a)
}

// Choose finds the account and the mailboxes that the Options name. An [AmbiguousError] lists the accounts where the
// choice is open, a [NoAccountError] says what is there instead, a [store.NotFoundError] suggests near mailbox names.
func (s *Session) Choose(ctx context.Context) (store.Account, []store.Mailbox, error) {
	a, err := s.ChooseAccount(ctx)
	if err != nil {
		return store.Account{}, nil, err
	}
	boxes, err := s.Mailboxes(a)
	return a, boxes, err
}

// ChooseAccount finds the account that the Options name, as [Session.Choose] does.
func (s *Session) ChooseAccount(ctx context.Context) (store.Account, error) {
	all, err := s.Accounts(ctx)
	if err != nil {
		return store.Account{}, err
	}
	fit := all
	if s.o.Account != "" {
		fit = slices.DeleteFunc(slices.Clone(all), func(a store.Account) bool {
			// Where the path does not tell the address, a mail root given by hand decides.
			return !strings.EqualFold(a.Address, s.o.Account) && (a.Address != "" || s.o.MailRoot == "")
		})
	}
	switch {
	case len(fit) == 0:
		return store.Account{}, &NoAccountError{Asked: s.o.Account, Searched: s.searched(), Found: all}
	case len(fit) > 1:
		return store.Account{}, &AmbiguousError{Accounts: fit}
	}
	return fit[0], nil
}

// Mailboxes finds the mailboxes of the account that the Options name: INBOX where they name none.
func (s *Session) Mailboxes(a store.Account) ([]store.Mailbox, error) {
	if s.o.All {
		if len(a.Mailboxes) == 0 {
			return nil, fmt.Errorf("account %s has no mailboxes", remote.Safe(AccountName(a)))
		}
		return a.Mailboxes, nil
	}
	names := s.o.Mailboxes
	if len(names) == 0 {
		names = []string{"INBOX"}
	}
	var boxes []store.Mailbox
	for _, name := range names {
		m, err := a.Mailbox(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(boxes, func(b store.Mailbox) bool { return b.Dir == m.Dir }) {
			boxes = append(boxes, m)
		}
	}
	return boxes, nil
}

// Processes lists the user's own Dovecot processes.
func (s *Session) Processes(ctx context.Context) ([]remote.Process, error) {
	return s.host.Processes(ctx)
}

// Quiesce ends the user's own Dovecot processes and watches that they stay away.
func (s *Session) Quiesce(ctx context.Context, o remote.QuiesceOptions) (remote.Quiet, error) {
	return s.host.Quiesce(ctx, o)
}
