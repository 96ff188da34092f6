package evacuate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/journal"
)

// Conn is a logged-in connection, as an [imap.Client] is one.
type Conn interface {
	Ways() imap.Ways
	List(ctx context.Context) (*imap.Listing, error)
	Select(ctx context.Context, mailbox string) (imap.Examined, error)
	Examine(ctx context.Context, mailbox string) (imap.Examined, error)
	FetchFlags(ctx context.Context, from uint32, yield func(imap.Message) error) error
	FetchSummary(ctx context.Context, uids []uint32, yield func(imap.Message) error) error
	FetchBodies(ctx context.Context, uids []uint32, yield func(imap.Body) error) error
	Create(ctx context.Context, mailbox string) error
	Subscribe(ctx context.Context, mailbox string) error
	Unsubscribe(ctx context.Context, mailbox string) error
	DeleteEmpty(ctx context.Context, mailbox string) error
	Move(ctx context.Context, uids []uint32, to string) (imap.Copied, error)
	Copy(ctx context.Context, uids []uint32, to string) (imap.Copied, error)
	Remove(ctx context.Context, uids []uint32) error
	AddFlags(ctx context.Context, uids []uint32, flags []string) error
	Logout(ctx context.Context) error
	Close() error
}

// Finder asks about messages of a mailbox in every way mail programs do, and gives those that cannot be read, sorted by UID.
// It makes connections of its own. An error means that it could not come to its end.
type Finder func(ctx context.Context, mailbox string, uids []uint32) ([]Left, error)

// Reporter is told how far an evacuation is.
type Reporter interface {
	Stage(text string)
	Total(messages int, bytes int64)
	Advance(messages int, bytes int64)
	Info(text string)
	Warn(text string)
}

// Known is what the copy tells of the mailbox, to be compared with the first look at it.
type Known struct {
	UIDValidity uint32   // 0: not known
	UIDs        []uint32 // of messages that must be there
	Unreadable  []Left   // those on which Dovecot fails; they are never asked for
}

// Options are what one evacuation is told.
type Options struct {
	Mailbox string // levels separated by "/"
	Backup  string // wished name of the backup mailbox; a counter is added where it is taken
	Back    bool   // move the messages back at the end
	Known   Known
	Batch   int // messages per move; default 250

	// Agree is asked once all unreadable messages are known, before anything is changed; its error ends the evacuation.
	Agree func(left []Left) error
	// Clear salvages the messages that stay, and clears the mailbox by its files. begun is told the name of the run it does that
	// in before it changes anything, and gets that name again after a resume; [ErrNewMail] means that other messages than
	// those that may go are in the mailbox.
	Clear func(ctx context.Context, stay Staying, run string, begun func(run string) error) error
}

// ErrNewMail: there are messages in the mailbox that have not been moved yet.
var ErrNewMail = errors.New("new mail has come")

// ErrLooked: the mailbox is not the one that was copied: Dovecot or a client has changed it since.
var ErrLooked = errors.New("the mailbox is not as it was copied")

// ErrFull: the server has no room for what is to be moved, or the account's quota is used up.
var ErrFull = errors.New("there is no room")

// ErrBusy: new mail keeps coming while the mailbox is to be cleared.
var ErrBusy = errors.New("new mail keeps coming")

// Engine does one evacuation, or takes one back.
type Engine struct {
	Options
	Dial   func(ctx context.Context) (Conn, error)
	Quiet  func(ctx context.Context) (sure bool, err error) // ends server processes that may still be at a command whose connection is lost, and tells whether none can be left; may be nil
	Find   Finder
	Report Reporter
	State  *State
	Begin  func() error // called before the first change; may be nil

	j        *journal.Writer
	conn     Conn
	selected string
	failures int             // in a row, without a message moved
	stay     map[uint32]bool // of the last batch: messages that did not move
}

// Open reads the journal in a run's folder, after what the state tells already, and is ready to go on with it.
func (e *Engine) Open(root *os.Root) error {
	if e.State == nil {
		e.State = NewState()
	}
	if e.Batch <= 0 {
		e.Batch = 250
	}
	j, err := journal.Open(root, JournalFile, e.State.read)
	if err != nil {
		return err
	}
	e.j = j
	return nil
}

// Cut lets a test end the engine once so many lines are in its journal.
func (e *Engine) Cut(after func(lines int) error) { e.j.After = after }

// Close ends the connection and closes the journal.
func (e *Engine) Close() error {
	e.drop()
	if e.j == nil {
		return nil
	}
	err := e.j.Close()
	e.j = nil
	return err
}

// note writes a line and takes it into the state.
func (e *Engine) note(l line) error {
	if err := e.j.Add(l); err != nil {
		return err
	}
	return e.State.take(l)
}

// connect makes sure of a connection.
func (e *Engine) connect(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.conn != nil {
		return nil
	}
	c, err := e.Dial(ctx)
	if err != nil {
		return err
	}
	e.conn, e.selected = c, ""
	return nil
}

// drop ends the connection, if there is one.
func (e *Engine) drop() {
	if e.conn != nil {
		_ = e.conn.Close() // nothing is waited for on it
		e.conn, e.selected = nil, ""
	}
}

// failed drops a connection that is gone.
func (e *Engine) failed(err error) error {
	if imap.Ended(err) {
		e.drop()
	}
	return err
}

// insist does what begins with a look, and can so be done again, once more where the server has ended the session: Dovecot does that at any
// command when another program has made it read the mailbox anew.
func (e *Engine) insist(ctx context.Context, do func() error) error {
	for lost := 0; ; lost++ {
		err := do()
		if !imap.Ended(err) || lost >= mostLost || ctx.Err() != nil {
			return err
		}
		e.drop()
	}
}

// open selects a mailbox, and makes sure that it is the one that is meant. A validity of 0 is not compared.
func (e *Engine) open(ctx context.Context, mailbox string, validity uint32) error {
	if err := e.connect(ctx); err != nil {
		return err
	}
	if e.selected == mailbox {
		return nil
	}
	x, err := e.conn.Select(ctx, mailbox)
	if err != nil {
		return e.failed(err)
	}
	if validity != 0 && x.UIDValidity != validity {
		e.drop()
		return fmt.Errorf("%s has UIDVALIDITY %d and had %d: it was made anew meanwhile: %w", remote.Safe(mailbox), x.UIDValidity, validity, ErrLooked)
	}
	e.selected = mailbox
	return nil
}

// look examines a mailbox for its next UID, and leaves it open for reading only.
func (e *Engine) look(ctx context.Context, mailbox string, validity uint32) (imap.Examined, error) {
	if err := e.connect(ctx); err != nil {
		return imap.Examined{}, err
	}
	e.selected = ""
	x, err := e.conn.Examine(ctx, mailbox)
	if err != nil {
		return x, e.failed(err)
	}
	if validity != 0 && x.UIDValidity != validity {
		return x, fmt.Errorf("%s has UIDVALIDITY %d and had %d: it was made anew meanwhile: %w", remote.Safe(mailbox), x.UIDValidity, validity, ErrLooked)
	}
	return x, nil
}

// inventory lists UIDs and flags of the open mailbox from a UID on.
func (e *Engine) inventory(ctx context.Context, from uint32) (map[uint32][]string, error) {
	flags := map[uint32][]string{}
	err := e.conn.FetchFlags(ctx, from, func(m imap.Message) error {
		if m.UID >= from && m.HasFlags { // "N:*" always names the last one
			flags[m.UID] = append(append([]string{}, m.Flags...), m.Keywords...)
		}
		return nil
	})
	return flags, e.failed(err)
}

// items reads what messages are known by; those that are not there are left out.
func (e *Engine) items(ctx context.Context, uids []uint32) ([]Item, error) {
	got := map[uint32]Item{}
	for chunk := range slices.Chunk(uids, 500) {
		err := e.conn.FetchSummary(ctx, chunk, func(m imap.Message) error {
			got[m.UID] = Item{UID: m.UID, Date: m.InternalDate.Unix(), Size: m.Size, Flags: append(append([]string{}, m.Flags...), m.Keywords...)}
			return nil
		})
		if err != nil {
			return nil, e.failed(err)
		}
	}
	var items []Item
	for _, u := range uids {
		if it, ok := got[u]; ok {
			items = append(items, it)
		}
	}
	return items, nil
}
