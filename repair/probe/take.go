package probe

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// Dialer makes a logged-in connection. Take calls it once, and again when the server hung up.
type Dialer func(ctx context.Context) (*Conn, error)

// Conn is a logged-in connection, and the log of the imap process behind it where that is the host's own.
type Conn struct {
	*imap.Client
	Stderr func(from int64) (lines []byte, next int64) // whole lines from a place on; nil without one
}

// Options say how much to read.
type Options struct {
	Bodies     bool     // read every text
	BodiesOf   []uint32 // with Bodies: only these UIDs; nil means all
	Sort       bool     // also ask for UID SORT, as mail programs do
	Reconnects int      // how often a new connection may be made per mailbox after the server hung up; default 20, below 0 never
	Batch      int      // messages per FETCH; default 100
}

// Reporter is told how far a reading is. It may be nil.
type Reporter interface {
	Total(messages int, bytes int64)
	Advance(messages int, bytes int64)
}

// errGivenUp is why a mailbox is not read to its end.
var errGivenUp = errors.New("the server hung up too often")

// Take reads the mailboxes one after another over one connection at a time. A mailbox or message that cannot be read is
// told in its Reading, and the next one is read; an error is returned only where no connection can be made or ctx ends,
// with the readings so far. Names have their levels separated by "/".
//
// The files must have been copied before: see the package comment.
func Take(ctx context.Context, dial Dialer, mailboxes []string, o Options, rep Reporter) ([]Reading, error) {
	t := &taker{dial: dial, o: o, rep: rep}
	if t.o.Reconnects == 0 {
		t.o.Reconnects = 20
	}
	if t.o.Batch <= 0 {
		t.o.Batch = 100
	}
	defer t.drop(ctx)
	var all []Reading
	for _, name := range mailboxes {
		r, err := t.mailbox(ctx, name)
		if r != nil {
			all = append(all, *r)
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

type taker struct {
	dial Dialer
	o    Options
	rep  Reporter

	conn    *Conn
	opened  bool  // the mailbox is examined on conn
	logged  int64 // how far conn's log is explained
	listing *imap.Listing

	r        *Reading
	left     int            // reconnects left for this mailbox
	at       map[uint32]int // index into r.Messages by UID
	restarts int            // how often it was begun again
	relogged bool           // the server asked once to log in again
}

func (t *taker) mailbox(ctx context.Context, name string) (*Reading, error) {
	t.opened = false
	t.r = &Reading{Mailbox: name, ServerName: name, Sorted: -1, Complete: true}
	t.left = max(t.o.Reconnects, 0)
	t.at = make(map[uint32]int)
	t.restarts, t.relogged = 0, false
	stages := []func(context.Context) error{t.flags, t.sorted, t.dates, t.bodies}
	for i := 0; i < len(stages); i++ {
		err := stages[i](ctx)
		if errors.Is(err, errChanged) {
			t.r.Messages, t.at = nil, make(map[uint32]int)
			i = -1
			continue
		}
		if err != nil {
			t.r.Complete = false
			t.collect()
			if errors.Is(err, errGivenUp) || errors.Is(err, errClosed) {
				break
			}
			return t.r, fmt.Errorf("read mailbox %q over IMAP: %w", remote.Safe(name), err)
		}
	}
	t.collect()
	return t.r, nil
}

// errChanged: the mailbox is not the one whose UIDs were read; begin again.
var errChanged = errors.New("mailbox was made anew meanwhile")

// errClosed: this mailbox cannot be opened.
var errClosed = errors.New("mailbox cannot be opened")

// open makes sure of a connection with the mailbox examined.
func (t *taker) open(ctx context.Context) error {
	for {
		if t.conn == nil {
			conn, err := t.dial(ctx)
			if err != nil {
				return err
			}
			t.conn, t.logged = conn, 0
		} else if t.opened {
			return nil
		}
		err := t.examine(ctx)
		if err == nil || err == errChanged {
			return err
		}
		if err := t.failed(ctx, err); err != nil {
			return err
		}
		if t.conn != nil { // it refused, and said so
			return errClosed
		}
	}
}

func (t *taker) examine(ctx context.Context) error {
	if t.listing == nil {
		l, err := t.conn.List(ctx)
		if err != nil {
			if imap.Ended(err) {
				t.listing = &imap.Listing{} // once is enough; names are then used as they are
				return err
			}
			if err := t.failed(ctx, err); err != nil {
				return err
			}
			l = &imap.Listing{}
		}
		t.listing = l
	}
	t.r.ServerName, _ = t.listing.Resolve(t.r.Mailbox)
	e, err := t.conn.Examine(ctx, t.r.ServerName)
	if err != nil {
		return err
	}
	changed := false
	if v := t.r.UIDValidity; v != 0 && v != e.UIDValidity {
		t.reply(fmt.Sprintf("UIDVALIDITY was %d and is now %d", v, e.UIDValidity), imap.ExplainReply("* BYE Mailbox UIDVALIDITY changed"))
		changed = true
	}
	// A rebuild can bring messages back. New mail looks the same, and reading again does no harm.
	changed = changed || len(t.r.Messages) > 0 && int(e.Exists) > len(t.r.Messages)
	t.opened, t.r.Opened = true, true
	t.r.UIDValidity, t.r.UIDNext, t.r.Exists = e.UIDValidity, e.UIDNext, int(e.Exists)
	if !changed || len(t.r.Messages) == 0 {
		return nil
	}
	if t.restarts++; t.restarts > 3 {
		return errGivenUp
	}
	return errChanged
}

// failed notes what the server said. It returns nil where reading can go on: on the same connection, or, when that is
// gone (t.conn is nil then), on a new one.
func (t *taker) failed(ctx context.Context, err error) error {
	var e *imap.Error
	if !errors.As(err, &e) || e.Type == imap.TypeStopped || ctx.Err() != nil {
		return err
	}
	text := e.Error()
	if e.Raw != "" {
		text = e.Op + ": " + e.Raw
	}
	t.reply(text, imap.Explain(e))
	if !imap.Ended(err) {
		return nil
	}
	t.drop(ctx)
	if t.left == 0 {
		return errGivenUp
	}
	t.left--
	return nil
}

// drop ends the connection, if there is one.
func (t *taker) drop(ctx context.Context) {
	if t.conn == nil {
		return
	}
	t.conn.Logout(ctx)
	t.collect()
	t.conn, t.opened = nil, false
}

func (t *taker) reply(text string, x imap.Explanation) {
	t.r.Replies = addReply(t.r.Replies, remote.Safe(text), x)
}

// collect takes notices and log lines into the reading.
func (t *taker) collect() {
	if t.conn == nil || t.r == nil {
		return
	}
	for _, n := range t.conn.Notices() {
		t.reply(strings.TrimSpace(n.Type+" "+n.Text), imap.ExplainNotice(n))
	}
	if t.conn.Stderr == nil {
		return
	}
	log, next := t.conn.Stderr(t.logged)
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSpace(line)
		if x, ok := imap.ExplainLog(line); ok {
			t.r.Stderr = addReply(t.r.Stderr, remote.Safe(line), x)
		}
	}
	t.logged = next
}

// flags reads UID and flags of all messages, which the server knows without opening them.
func (t *taker) flags(ctx context.Context) error {
	from := uint32(1)
	for {
		if err := t.open(ctx); err != nil {
			return err
		}
		err := t.conn.FetchFlags(ctx, from, func(m imap.Message) error {
			slices.Sort(m.Flags)
			slices.Sort(m.Keywords)
			from = max(from, m.UID)
			if i, ok := t.at[m.UID]; ok {
				t.r.Messages[i].Flags, t.r.Messages[i].Keywords = m.Flags, m.Keywords
				return nil
			}
			t.at[m.UID] = len(t.r.Messages)
			t.r.Messages = append(t.r.Messages, Message{UID: m.UID, Flags: m.Flags, Keywords: m.Keywords, Size: -1})
			return nil
		})
		if err == nil {
			slices.SortStableFunc(t.r.Messages, func(a, b Message) int { return cmp.Compare(a.UID, b.UID) })
			for i, m := range t.r.Messages {
				t.at[m.UID] = i
			}
			return nil
		}
		if err := t.failed(ctx, err); err != nil {
			return err
		}
		if t.conn != nil { // a NO: asking again gives it again
			t.r.Complete = false
			return nil
		}
	}
}

func (t *taker) sorted(ctx context.Context) error {
	if !t.o.Sort {
		return nil
	}
	if err := t.open(ctx); err != nil {
		return err
	}
	uids, err := t.conn.UIDSort(ctx)
	if err == nil {
		t.r.Sorted = len(uids)
		return nil
	}
	if errors.Is(err, imap.ErrNoSort) {
		return nil
	}
	return t.failed(ctx, err)
}

// dates reads INTERNALDATE and RFC822.SIZE.
func (t *taker) dates(ctx context.Context) error {
	return t.each(ctx, nil, func(uids []uint32, done func(uint32)) error {
		return t.conn.FetchDates(ctx, uids, func(m imap.Message) error {
			if i, ok := t.at[m.UID]; ok && !m.InternalDate.IsZero() {
				t.r.Messages[i].InternalDate, t.r.Messages[i].Size = m.InternalDate, m.Size
				done(m.UID)
			}
			return nil
		})
	})
}

// bodies reads the texts.
func (t *taker) bodies(ctx context.Context) error {
	if !t.o.Bodies {
		return nil
	}
	if t.rep != nil {
		var bytes int64
		for _, m := range t.r.Messages {
			bytes += max(m.Size, 0)
		}
		t.rep.Total(len(t.r.Messages), bytes)
	}
	return t.each(ctx, t.o.BodiesOf, func(uids []uint32, done func(uint32)) error {
		return t.conn.FetchBodies(ctx, uids, func(b imap.Body) error {
			i, ok := t.at[b.UID]
			if !ok || b.None {
				return nil
			}
			t.r.Messages[i].BodySHA256, t.r.Messages[i].BodySize = hex.EncodeToString(b.SHA256[:]), b.Size
			done(b.UID)
			if t.rep != nil {
				t.rep.Advance(1, b.Size)
			}
			return nil
		})
	})
}
