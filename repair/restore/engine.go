package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/journal"
	"dovemend/repair/probe"
)

// Options of a restore.
type Options struct {
	Mailbox string // the target, levels separated by "/"
	All     bool   // add what the server has already, too
	Full    bool   // read every added text back and compare its hash
}

// Errors that can be branched on.
var (
	// ErrNoMailbox: the target mailbox does not exist, and nothing may be changed.
	ErrNoMailbox = errors.New("the mailbox does not exist")
	// ErrFull: the server has no room for more; what is left can be added once there is.
	ErrFull = errors.New("the mailbox is full")
	// ErrTroubled: the server refuses or breaks again and again.
	ErrTroubled = errors.New("the server does not take messages")
	// ErrOtherMailbox: the target is not the mailbox that the run had worked on.
	ErrOtherMailbox = errors.New("the mailbox was made anew since")
	// ErrCannotRemove: the server cannot remove single messages (it has no UIDPLUS).
	ErrCannotRemove = errors.New("the server cannot remove single messages")
)

// Limits on a server in trouble.
const (
	maxReconnects  = 20 // connections in a row that brought nothing forward
	maxRefusals    = 5  // refusals in a row for no reason of the message's own
	batchBytes     = 64 << 20
	firstBatch     = 1
	largestBatch   = 4096
	batchGrowth    = 8
	lookedAtOnce   = 200 // messages in one FETCH
	quietFor       = 250 * time.Millisecond
	sureLooks      = 2                      // that show nothing new, where no process of the server is left at work
	unsureLooks    = 8                      // where one may be, waiting for a lock on the mailbox
	quietLooks     = 40                     // more than that, others are filling the mailbox
	firstPause     = 500 * time.Millisecond // before the second connection in a row that brings nothing forward; doubles up to 8 s
	asideDir       = "set-aside"
	maxAsideInName = 40
)

// Engine restores into one mailbox. It is made for one use.
type Engine struct {
	// Quiet ends processes of the server that may still be at a command whose connection is lost, and tells whether none is left. It
	// is called while there is no connection of the engine's. nil where none can be ended.
	Quiet func(ctx context.Context) (sure bool, err error)

	o    Options
	dial probe.Dialer
	root *os.Root // the run's folder
	name string   // of the journal in it
	rep  Reporter
	log  *slog.Logger

	conn    *probe.Conn
	server  string // the mailbox as the server names it
	exists  bool
	box     imap.Selected
	opened  bool
	journal *journal.Writer
	was     state

	tries    int // connections since something was brought forward
	hung     int // of these: while messages were sent
	refusals int
	drops    map[string]int // flags and keywords that the mailbox does not keep, by how many messages had them
	undoing  bool
	pause    time.Duration // after hang-ups; 0: as it should be; below 0: none, for tests
	unsure   int           // see unsureLooks
	quietFor time.Duration // between two looks whether a mailbox still grows
	cut      func(n int) error
}

// New makes an engine. The journal of that name in the run's folder is begun, or gone on with.
func New(dial probe.Dialer, root *os.Root, file string, o Options, rep Reporter, log *slog.Logger) *Engine {
	return &Engine{o: o, dial: dial, root: root, name: file, rep: rep, log: log, drops: map[string]int{}, quietFor: quietFor, unsure: unsureLooks}
}

// Close ends the connection.
func (e *Engine) Close(ctx context.Context) {
	if e.conn != nil {
		e.conn.Logout(ctx)
		e.conn, e.opened = nil, false
	}
	if e.journal != nil {
		if err := e.journal.Close(); err != nil { // every line that counts is synced
			e.log.Warn("close journal", "error", err)
		}
		e.journal = nil
	}
}

// Dropped tells which flags and keywords the mailbox does not keep, and how many messages had them.
func (e *Engine) Dropped() map[string]int { return e.drops }

// connect makes sure of a connection and finds the mailbox.
func (e *Engine) connect(ctx context.Context) error {
	if e.conn != nil {
		return nil
	}
	if e.tries++; e.tries > maxReconnects {
		return fmt.Errorf("%w: it hung up %d times in a row", ErrTroubled, maxReconnects)
	}
	if e.tries > 1 && e.pause >= 0 { // no storm on a server that hangs up
		select {
		case <-time.After(firstPause << min(e.tries-2, 4)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	e.conn, e.opened = conn, false
	if e.server != "" {
		return nil
	}
	l, err := conn.List(ctx)
	if err != nil {
		return err
	}
	if e.server, e.exists = l.Resolve(e.o.Mailbox); !e.exists {
		e.server = prefixed(l, e.server)
	}
	return nil
}

// prefixed gives a new mailbox the prefix that the server has before all of its mailboxes but INBOX ("INBOX."), if it does.
func prefixed(l *imap.Listing, name string) string {
	prefix, others := "INBOX"+l.Delimiter, false
	for _, m := range l.Mailboxes {
		switch {
		case l.Delimiter == "" || !strings.EqualFold(m.Name, "INBOX") && !strings.HasPrefix(m.Name, prefix):
			return name
		case strings.HasPrefix(m.Name, prefix):
			others = true
		}
	}
	if !others {
		return name
	}
	return prefix + name
}

// examine opens the mailbox for reading only.
func (e *Engine) examine(ctx context.Context) error {
	if err := e.connect(ctx); err != nil {
		return err
	}
	if !e.exists {
		return fmt.Errorf("%q: %w", remote.Safe(e.o.Mailbox), ErrNoMailbox)
	}
	x, err := e.conn.Examine(ctx, e.server)
	e.box.Examined = x
	return err
}

// choose opens the mailbox for changes, and makes it where it does not exist.
func (e *Engine) choose(ctx context.Context) error {
	if err := e.connect(ctx); err != nil {
		return err
	}
	if e.opened {
		return nil
	}
	if !e.exists && e.undoing {
		return fmt.Errorf("%q: %w", remote.Safe(e.o.Mailbox), ErrNoMailbox)
	}
	if !e.exists {
		if err := e.conn.Create(ctx, e.server); err != nil {
			var refused *imap.Error
			if !errors.As(err, &refused) || refused.Code != "ALREADYEXISTS" {
				return fmt.Errorf("make the mailbox %q: %w", remote.Safe(e.server), err)
			}
		}
		if err := e.conn.Subscribe(ctx, e.server); err != nil && imap.Ended(err) {
			return err
		}
		e.exists = true
		e.rep.Info("made the mailbox " + remote.Safe(e.server))
	}
	box, err := e.conn.SelectKeeping(ctx, e.server)
	if err != nil {
		return err
	}
	if e.was.UIDValidity != 0 && box.UIDValidity != e.was.UIDValidity {
		return fmt.Errorf("its UIDVALIDITY was %d and is now %d: %w", e.was.UIDValidity, box.UIDValidity, ErrOtherMailbox)
	}
	e.box, e.opened = box, true
	return nil
}

// lost says whether err means that the connection is gone and another one can be tried; the connection is dropped then.
func (e *Engine) lost(ctx context.Context, err error) bool {
	if err == nil || !imap.Ended(err) || ctx.Err() != nil {
		return false
	}
	e.log.Info("connection lost", "error", err)
	if e.conn != nil {
		e.conn.Close()
		e.conn, e.opened = nil, false
	}
	return true
}

// again does something until it succeeds or fails for another reason than a lost connection.
func (e *Engine) again(ctx context.Context, open func(context.Context) error, do func() error) error {
	for {
		err := open(ctx)
		if err == nil {
			err = do()
		}
		if err == nil {
			e.tries = 0
			return nil
		}
		if !e.lost(ctx, err) {
			return err
		}
	}
}

// Preview says which messages would be added, and changes nothing. A mailbox that does not exist has none of them.
func (e *Engine) Preview(ctx context.Context, items []*Item) error {
	e.twins(items)
	err := e.again(ctx, e.connect, func() error { return nil })
	if err != nil || !e.exists {
		return err
	}
	if e.o.All {
		return e.again(ctx, e.examine, func() error { return nil })
	}
	return e.compare(ctx, e.examine, items)
}

// Exists reports, after Preview, whether the mailbox is there.
func (e *Engine) Exists() bool { return e.exists }
