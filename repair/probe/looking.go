package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// LookAt looks at mailboxes by each kind of look separately, over one connection at a time: what one look breaks does not
// hide what the next one tells. A look that fails is not tried again; where the server hung up, the next look gets a new
// connection, as long as the budget lasts. No message is kept in memory, and none becomes seen.
//
// Everything the server answers is a result. An error is returned only where ctx ends, with the results so far. Names
// have their levels separated by "/".
//
// A look can make Dovecot rebuild a damaged mailbox: see the package comment.
func LookAt(ctx context.Context, dial Dialer, mailboxes []string, o LookOptions) (*Looked, error) {
	l := &looker{dial: dial, o: o.withDefaults(), out: &Looked{}}
	err := l.all(ctx, mailboxes)
	l.end(ctx)
	l.out.Account = l.account
	if err != nil {
		return l.out, fmt.Errorf("look over IMAP: %w", err)
	}
	return l.out, nil
}

// end logs out, and notes what the log tells at the very end.
func (l *looker) end(ctx context.Context) {
	if l.conn == nil {
		return
	}
	l.conn.Logout(context.WithoutCancel(ctx))
	last := &l.account[len(l.account)-1]
	if n := len(l.out.Mailboxes); n > 0 && len(l.out.Mailboxes[n-1].Looks) > 0 {
		last = &l.out.Mailboxes[n-1].Looks[len(l.out.Mailboxes[n-1].Looks)-1]
	}
	l.collect(last, nil)
}

// mostMailboxes bounds how many mailboxes are looked at only because LIST names them.
const mostMailboxes = 10_000

// mostKept bounds how many answers and log lines are kept of all looks together, besides one for each look.
var mostKept = 10_000

// looker looks.
type looker struct {
	dial Dialer
	o    LookOptions
	out  *Looked

	account []LookResult // login is always the first
	conn    *Conn
	logged  int64  // how far conn's log is told
	opened  bool   // box is examined on conn
	hungUp  int    // hang-ups in a row
	kept    int    // answers and log lines besides the looks' own
	gone    string // why no more connections are made; "" while they are
	listing *imap.Listing
	box     *MailboxLooks
}

func (l *looker) all(ctx context.Context, mailboxes []string) error {
	l.account = []LookResult{{Look: LookLogin, State: Works}}
	l.o.Stage("logging in")
	if err := l.connect(ctx); err != nil {
		return err
	}
	atMailboxes := slices.ContainsFunc(l.o.Looks, func(k imap.Look) bool { return k != LookLogin && k != LookList })
	if l.o.wants(LookList) || atMailboxes {
		if err := l.list(ctx); err != nil {
			return err
		}
	}
	if !atMailboxes {
		return nil
	}
	if l.o.All {
		all := l.listing.Names()
		if len(all) > mostMailboxes {
			l.account = append(l.account, LookResult{Look: LookList, State: NotAsked, Why: fmt.Sprintf("of %d mailboxes only the first %d are looked at", len(all), mostMailboxes)})
			all = all[:mostMailboxes]
		}
		mailboxes = append(slices.Clone(mailboxes), all...)
	}
	for _, name := range mailboxes {
		l.opened = false
		l.o.Stage("looking at " + remote.Safe(name))
		l.box = &MailboxLooks{Mailbox: name, ServerName: name, Exists: -1, Seen: -1, Sample: -1}
		l.box.ServerName, _ = l.listing.Resolve(name)
		err := l.mailbox(ctx)
		l.out.Mailboxes = append(l.out.Mailboxes, *l.box)
		if err != nil {
			return err
		}
	}
	return nil
}

// connect makes a connection where there is none. Where it cannot, l.gone says why; the error is that of ctx.
func (l *looker) connect(ctx context.Context) error {
	if l.conn != nil || l.gone != "" {
		return nil
	}
	if l.out.Connections >= l.o.Connections {
		l.gone = fmt.Sprintf("the server hung up so often that the %d connections which one probe may make are used up", l.o.Connections)
		return nil
	}
	if err := l.rest(ctx); err != nil {
		return err
	}
	l.out.Connections++
	conn, err := l.dial(ctx)
	if err == nil {
		l.conn, l.logged, l.opened = conn, 0, false
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.gone = "no connection could be made"
	if l.out.Connections > 1 {
		l.gone = "no new connection could be made after the server had hung up"
	}
	login := &l.account[0]
	login.State = Fails
	reply(login, err)
	return nil
}

// rest waits before a new connection, the longer the more often the server has hung up in a row.
func (l *looker) rest(ctx context.Context) error {
	if l.hungUp == 0 || l.o.Pause < 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(l.o.Pause << min(l.hungUp-1, 3)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// list learns the mailboxes' names on the server.
func (l *looker) list(ctx context.Context) error {
	l.listing = &imap.Listing{}
	r := LookResult{Look: LookList, State: NotAsked}
	err := l.ask(ctx, &r, func() error {
		listing, err := l.conn.List(ctx)
		if err == nil {
			l.listing = listing
			r.Why = fmt.Sprintf("%d mailboxes", len(listing.Mailboxes))
		}
		return err
	})
	if r.State == Works && len(l.listing.Mailboxes) == 0 {
		r.State = Fails
		r.Replies = addReply(r.Replies, "LIST: the list is empty", imap.Explanation{Class: imap.ClassMissing, Whose: imap.WhoseAccount,
			Meaning: "The server lists no mailbox at all: the account's mail is not where the server looks for it.",
			Next:    "Compare with dovemend accounts, which lists the files."})
	}
	if l.o.wants(LookList) {
		l.account = append(l.account, r)
	}
	return err
}

// ask does one step of a look and notes what comes of it; a look of which one step has failed has failed. It returns an
// error only where ctx ended.
func (l *looker) ask(ctx context.Context, r *LookResult, do func() error) error {
	if err := l.connect(ctx); err != nil {
		return err
	}
	if l.conn == nil {
		r.State, r.Why = NotAsked, l.gone
		return nil
	}
	err := do()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var e *imap.Error
	switch {
	case err == nil:
		if l.hungUp = 0; r.State != Fails {
			r.State = Works
		}
	case errors.Is(err, imap.ErrNoSort), errors.Is(err, imap.ErrNoThread):
		r.State, r.Why = NotOffered, remote.Safe(err.Error())
	case errors.As(err, &e) && e.Type == imap.TypeStopped:
		return err
	default:
		r.State = Fails
		reply(r, err)
		if errors.As(err, &e) && e.Partial && !relogin(err) {
			r.suspect(e.UID)
		}
		if imap.Ended(err) {
			l.hungUp++
			l.conn.Close()
		}
	}
	had := len(r.Replies) + len(r.Log)
	l.collect(r, err)
	if l.kept += len(r.Replies) + len(r.Log) - had; l.kept > mostKept {
		r.Log = nil
		r.Replies = r.Replies[:min(len(r.Replies), 1)]
		r.Why = "most of what the server says is left out: it says too much"
	}
	if imap.Ended(err) {
		l.conn, l.opened = nil, false
	}
	return nil
}

// relogin reports whether the server hung up for the sake of the whole mailbox, or of itself, and no message's.
func relogin(err error) bool {
	switch imap.Explain(err).Class {
	case imap.ClassInconsistent, imap.ClassUIDValidity, imap.ClassBye:
		return true
	}
	return false
}

// reply notes an error as an answer.
func reply(r *LookResult, err error) {
	text := err.Error()
	var e *imap.Error
	if errors.As(err, &e) {
		text = e.Error()
		if e.Raw != "" {
			text = e.Op + ": " + e.Raw
		}
	}
	r.Replies = addReply(r.Replies, remote.Safe(text), imap.Explain(err))
}

func (r *LookResult) suspect(uid uint32) {
	if uid != 0 && len(r.Suspects) < 20 && !slices.Contains(r.Suspects, uid) {
		r.Suspects = append(r.Suspects, uid)
	}
}

// mailbox looks at one mailbox.
func (l *looker) mailbox(ctx context.Context) error {
	if l.o.wants(LookStatus) {
		r := l.begin(LookStatus)
		if err := l.ask(ctx, r, func() error {
			_, err := l.conn.Status(ctx, l.box.ServerName)
			return err
		}); err != nil {
			return err
		}
	}
	rest := slices.DeleteFunc(slices.Clone(l.o.Looks), func(k imap.Look) bool {
		return k == LookLogin || k == LookList || k == LookStatus
	})
	if len(rest) == 0 {
		return nil
	}
	if ok, err := l.open(ctx, l.begin(LookExamine)); err != nil || !ok {
		return errors.Join(err, l.skip(rest, "the mailbox could not be opened"))
	}
	return l.messages(ctx, rest)
}

// onlyRelogin reports whether the server has hung up because it wants a new session.
func (r *LookResult) onlyRelogin() bool {
	return len(r.Replies) == 1 && r.Replies[0].Class == imap.ClassInconsistent
}

// open makes sure of a connection on which the mailbox is examined, as a step of r, and reports whether there is one. Where
// the server only wants a new session, because it has just made the index anew, it gets one.
func (l *looker) open(ctx context.Context, r *LookResult) (bool, error) {
	for range 2 {
		if l.conn != nil && l.opened {
			return true, nil
		}
		if err := l.ask(ctx, r, func() error { return l.examine(ctx, r) }); err != nil {
			return false, err
		}
		if !l.opened && !r.onlyRelogin() {
			return false, nil
		}
	}
	return l.conn != nil && l.opened, nil
}

// begin adds a result to the mailbox's.
func (l *looker) begin(k imap.Look) *LookResult {
	l.box.Looks = append(l.box.Looks, LookResult{Look: k, State: NotAsked})
	return &l.box.Looks[len(l.box.Looks)-1]
}

// skip notes looks that cannot be taken.
func (l *looker) skip(looks []imap.Look, why string) error {
	for _, k := range looks {
		if k != LookExamine {
			*l.begin(k) = LookResult{Look: k, State: NotAsked, Why: why}
		}
	}
	return nil
}

// Command is what a look asks of the server, for people.
func Command(k imap.Look) string {
	switch k {
	case LookLogin:
		return "login"
	case LookList:
		return "LIST"
	case LookStatus:
		return "STATUS"
	case LookExamine:
		return "EXAMINE"
	}
	return k.Command()
}

// examine opens the mailbox on the connection there is, and compares it with what it was before.
func (l *looker) examine(ctx context.Context, r *LookResult) error {
	e, err := l.conn.Examine(ctx, l.box.ServerName)
	if err != nil {
		return err
	}
	b := l.box
	l.opened = true
	if b.UIDValidity != 0 && b.UIDValidity != e.UIDValidity {
		r.Replies = addReply(r.Replies, fmt.Sprintf("UIDVALIDITY was %d and is now %d", b.UIDValidity, e.UIDValidity),
			imap.ExplainReply("* BYE Mailbox UIDVALIDITY changed"))
		r.State = Fails
	}
	if b.UIDValidity == e.UIDValidity && int(e.Exists) < b.Exists {
		r.Replies = addReply(r.Replies, fmt.Sprintf("there were %d messages, and there are %d", b.Exists, e.Exists), fewer)
	}
	b.UIDValidity, b.UIDNext, b.Exists = e.UIDValidity, e.UIDNext, int(e.Exists)
	return nil
}

var fewer = imap.Explanation{Class: imap.ClassSilentLoss, Whose: imap.WhoseMailbox,
	Meaning: "There are fewer messages than a moment ago, although every answer was OK: a mail program deleted them, or Dovecot made the mailbox anew without them.",
	Next:    "Close the mail programs and compare with the copy made before: dovemend check names what is missing, dovemend salvage writes it out."}
