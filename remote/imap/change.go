package imap

import (
	"context"
	"errors"
	"fmt"

	goimap "github.com/emersion/go-imap/v2"
)

// This file has every command that changes something in an account over IMAP, but for the appending of messages. None of
// them removes the last copy of a message: [Client.Move] takes messages to another mailbox, [Client.Remove] is for those
// whose copy is proven, and [Client.DeleteEmpty] looks before it deletes.

// ErrNotEmpty: the mailbox holds messages, and is not deleted.
var ErrNotEmpty = errors.New("the mailbox is not empty")

// ErrCannotMove: the server has neither MOVE (RFC 6851) nor UIDPLUS (RFC 4315), so that single messages cannot be taken out
// of a mailbox safely: a bare EXPUNGE would also remove what others have marked.
var ErrCannotMove = errors.New("the server knows neither MOVE nor UIDPLUS")

// Ways are what the server offers for taking messages from one mailbox to another.
type Ways struct {
	Move    bool // MOVE: copying and removing are one command
	UIDPlus bool // UIDPLUS: COPYUID tells the new UIDs, and UID EXPUNGE removes named messages only
}

// Ways tells what the server offers.
func (c *Client) Ways() Ways {
	caps := c.lib.Caps()
	return Ways{Move: caps.Has(goimap.CapMove), UIDPlus: caps.Has(goimap.CapUIDPlus)}
}

// Copied is what copying or moving messages gave.
type Copied struct {
	UIDValidity uint32            // of the mailbox they are in now; 0 where the server did not tell
	New         map[uint32]uint32 // the UID each message got, by the one it had; without those of which the server did not tell
}

// Select opens a mailbox for reading and writing. As with [Client.Examine], Dovecot may build a damaged one anew.
func (c *Client) Select(ctx context.Context, mailbox string) (Examined, error) {
	var e Examined
	err := c.do(ctx, "SELECT", smallAnswer, func() error {
		data, err := c.lib.Select(mailbox, nil).Wait()
		if err == nil {
			e = Examined{UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext), Exists: data.NumMessages, Unseen: -1}
			c.count = int(min(data.NumMessages, maxMessages))
		}
		return err
	})
	return e, err
}

// Create makes a mailbox. One that is there already is an error of type NO, with the code ALREADYEXISTS where the server tells.
func (c *Client) Create(ctx context.Context, mailbox string) error {
	return c.do(ctx, "CREATE", smallAnswer, func() error { return c.lib.Create(mailbox, nil).Wait() })
}

// Subscribe lets mail programs show a mailbox. Done twice it is done once.
func (c *Client) Subscribe(ctx context.Context, mailbox string) error {
	return c.do(ctx, "SUBSCRIBE", smallAnswer, func() error { return c.lib.Subscribe(mailbox).Wait() })
}

// DeleteEmpty deletes a mailbox that holds no message, and its subscription; [ErrNotEmpty] where it holds one. IMAP cannot
// do both in one: what another client puts in between the look and the deletion, some milliseconds, goes with it. So it is for
// mailboxes that nobody else knows. No mailbox may be selected by anybody who still needs it.
func (c *Client) DeleteEmpty(ctx context.Context, mailbox string) error {
	e, err := c.Examine(ctx, mailbox)
	if err != nil {
		return err
	}
	if e.Exists > 0 {
		return &Error{Op: "DELETE", Type: TypeRefused, Text: fmt.Sprintf("it holds %d messages", e.Exists), Err: ErrNotEmpty}
	}
	if err := c.do(ctx, "CLOSE", smallAnswer, func() error { return c.lib.UnselectAndExpunge().Wait() }); err != nil {
		return err // examined: nothing is expunged by it
	}
	if err := c.do(ctx, "DELETE", smallAnswer, func() error { return c.lib.Delete(mailbox).Wait() }); err != nil {
		return err
	}
	return c.Unsubscribe(ctx, mailbox)
}

// Unsubscribe is the opposite of [Client.Subscribe], also of a mailbox that is not there any more.
func (c *Client) Unsubscribe(ctx context.Context, mailbox string) error {
	return c.do(ctx, "UNSUBSCRIBE", smallAnswer, func() error { return c.lib.Unsubscribe(mailbox).Wait() })
}

// Move takes messages of the selected mailbox to another one, with flags, keywords and dates, by UID MOVE. Messages that
// are not there any more are passed over. A server without MOVE is refused: use [Client.Copy] and [Client.Remove] then.
// After an error some of them, all or none may have been moved.
func (c *Client) Move(ctx context.Context, uids []uint32, to string) (Copied, error) {
	var got Copied
	if len(uids) == 0 {
		return got, nil
	}
	err := c.do(ctx, "MOVE", c.changeBudget(), func() error {
		if !c.lib.Caps().Has(goimap.CapMove) { // the library would send an EXPUNGE of everything that is marked
			return &Error{Op: "MOVE", Type: TypeRefused, Err: ErrCannotMove}
		}
		data, err := c.lib.Move(uidSet(uids), to).Wait()
		if err == nil {
			from, _ := data.SourceUIDs.(goimap.UIDSet)
			dest, _ := data.DestUIDs.(goimap.UIDSet)
			got = copied(data.UIDValidity, from, dest, len(uids))
		}
		return err
	})
	return got, err
}

// Copy puts copies of messages of the selected mailbox into another one, by UID COPY.
func (c *Client) Copy(ctx context.Context, uids []uint32, to string) (Copied, error) {
	var got Copied
	if len(uids) == 0 {
		return got, nil
	}
	err := c.do(ctx, "COPY", c.changeBudget(), func() error {
		data, err := c.lib.Copy(uidSet(uids), to).Wait()
		if err == nil {
			got = copied(data.UIDValidity, data.SourceUIDs, data.DestUIDs, len(uids))
		}
		return err
	})
	return got, err
}

// Remove takes messages out of the selected mailbox for good: it marks them \Deleted and expunges these and no others, by
// UID EXPUNGE. It is for messages of which another mailbox is known to hold a copy. A server without UIDPLUS is refused.
func (c *Client) Remove(ctx context.Context, uids []uint32) error {
	if len(uids) == 0 {
		return nil
	}
	if !c.lib.Caps().Has(goimap.CapUIDPlus) {
		return &Error{Op: "EXPUNGE", Type: TypeRefused, Err: ErrCannotMove}
	}
	if err := c.AddFlags(ctx, uids, []string{`\Deleted`}); err != nil {
		return err
	}
	return c.do(ctx, "EXPUNGE", c.changeBudget(), func() error { return c.lib.UIDExpunge(uidSet(uids)).Close() })
}

// AddFlags gives messages of the selected mailbox these flags and keywords besides those they have.
func (c *Client) AddFlags(ctx context.Context, uids []uint32, flags []string) error {
	if len(uids) == 0 || len(flags) == 0 {
		return nil
	}
	store := &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Silent: true}
	for _, f := range flags {
		store.Flags = append(store.Flags, goimap.Flag(f))
	}
	return c.do(ctx, "STORE", c.changeBudget(), func() error { return c.lib.Store(uidSet(uids), store, nil).Close() })
}

// changeBudget allows for what a server tells of all messages of the mailbox while some of them leave it.
func (c *Client) changeBudget() int64 { return smallAnswer + perMessage*int64(c.count) }

// copied reads a COPYUID response. One that does not name as many messages on both sides, or names more than were asked for,
// tells nothing.
func copied(validity uint32, from, to goimap.UIDSet, asked int) Copied {
	x, okFrom := numbers(from, asked)
	y, okTo := numbers(to, asked)
	if !okFrom || !okTo || len(x) != len(y) {
		return Copied{}
	}
	c := Copied{UIDValidity: validity, New: make(map[uint32]uint32, len(x))}
	for i := range x {
		c.New[x[i]] = y[i]
	}
	return c
}

// numbers lists a set in its order; ok is false where it names more than most, or is open.
func numbers(set goimap.UIDSet, most int) (list []uint32, ok bool) {
	for _, r := range set {
		first, last := uint32(r.Start), uint32(r.Stop)
		if first > last {
			first, last = last, first
		}
		if first == 0 || int64(last-first) >= int64(most-len(list)) {
			return nil, false
		}
		for u := first; ; u++ {
			list = append(list, u)
			if u == last {
				break
			}
		}
	}
	return list, true
}
