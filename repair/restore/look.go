package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dovemend/remote/imap"
	"dovemend/repair/probe"
)

// broken is a message that the server breaks at.
type broken struct {
	uid uint32
	why string
}

func isNo(err error) bool {
	var e *imap.Error
	return errors.As(err, &e) && (e.Type == imap.TypeNo || e.Type == imap.TypeBad)
}

// otherLooks are what mail programs ask for besides what [imap.Client.Readable] asks: each makes a server read messages in another
// way. THREAD is not among them: Dovecot reads the whole mailbox for it, which may be large and have troubles of its own.
var otherLooks = []imap.Look{imap.LookSort, imap.LookSearchBody}

// look asks for all that mail programs ask for when they show, sort and search messages. Where all is answered that costs a few round trips;
// if not, [probe.Find] finds those that the server fails at. told gets size of each that is there; messages that are
// not there any more are no trouble.
func (e *Engine) look(ctx context.Context, uids []uint32, told func(uid uint32, size int64)) (bad []broken, err error) {
	for _, set := range chunks(uids, largestBatch) {
		err := e.glance(ctx, set, told)
		if err == nil {
			continue
		}
		if !refusedOrLost(err) || ctx.Err() != nil {
			return bad, err
		}
		e.log.Info("new messages are not all answered for", "error", err)
		some, err := e.find(ctx, set)
		bad = append(bad, some...)
		if err != nil {
			return bad, err
		}
		var good []uint32
		for _, uid := range set {
			if !slices.ContainsFunc(some, func(b broken) bool { return b.uid == uid }) {
				good = append(good, uid)
			}
		}
		if err := e.sizes(ctx, good, told); err != nil {
			return bad, err
		}
	}
	return bad, nil
}

// glance asks about messages over the connection there is. An error is the server's, at some message or at all, or ctx's.
func (e *Engine) glance(ctx context.Context, uids []uint32, told func(uid uint32, size int64)) error {
	if err := e.again(ctx, e.choose, func() error { return nil }); err != nil {
		return err
	}
	if err := e.conn.Readable(ctx, uids, told); err != nil {
		return err
	}
	for _, l := range otherLooks {
		err := e.conn.Ask(ctx, l, uids, nil)
		if err != nil && !errors.Is(err, imap.ErrNoSort) {
			return err
		}
	}
	return nil
}

// findLooks are all kinds of look, but for THREAD.
var findLooks = slices.DeleteFunc(slices.Clone(probe.FindLooks), func(l imap.Look) bool { return l == imap.LookThread })

// find finds the messages that the server fails at.
func (e *Engine) find(ctx context.Context, uids []uint32) ([]broken, error) {
	if e.conn != nil { // one connection at a time
		e.conn.Logout(ctx)
		e.conn, e.opened = nil, false
	}
	var bad []broken
	for rest := uids; ; {
		f, err := probe.Find(ctx, e.dial, e.o.Mailbox, probe.FindOptions{UIDs: rest, Looks: findLooks, ServerName: e.server, Pause: e.pause})
		if err != nil {
			return bad, err
		}
		for _, p := range f.Poison {
			bad = append(bad, broken{p.UID, p.Text})
			rest = slices.DeleteFunc(slices.Clone(rest), func(uid uint32) bool { return uid == p.UID })
		}
		switch {
		case f.Complete:
			e.tries = 0
			return bad, nil
		case len(f.Poison) == 0:
			return bad, fmt.Errorf("%w: %s", ErrTroubled, f.Text)
		}
	}
}

// sizes asks for the sizes of messages that are known to be answered for.
func (e *Engine) sizes(ctx context.Context, uids []uint32, told func(uid uint32, size int64)) error {
	return e.again(ctx, e.choose, func() error {
		return e.conn.FetchDates(ctx, uids, func(m imap.Message) error {
			told(m.UID, m.Size)
			return nil
		})
	})
}

// doubt says why a message that was added cannot be looked at; "" where it can.
func (r record) doubt() string {
	switch {
	case r.Guess:
		return guessed
	case r.UID == 0:
		return unseen
	}
	return ""
}

const guessed = "the connection broke while it was sent, and one message has come since that the server fails at, whatever it is asked: it is taken for this one, was not sent again, and stays where it is"

const unseen = "the server says that it has added it, and does not tell its UID; its text is not found there as it was sent, so that it could not be looked at"

// verify looks once more at the batch that was added: each must be there, as long as it was sent, and with Full with the same
// text.
func (e *Engine) verify(ctx context.Context, batch []*Item) error {
	byUID := map[uint32]*Item{}
	var uids []uint32
	for _, x := range batch {
		if x.Status == Added {
			x.Doubt = e.was.Known[x.ID].doubt()
		}
		if x.Status == Added && x.Doubt == "" {
			byUID[x.UID] = x
			uids = append(uids, x.UID)
		}
	}
	seen := map[uint32]bool{}
	bad, err := e.look(ctx, uids, func(uid uint32, size int64) {
		if x := byUID[uid]; x != nil {
			seen[uid] = true
			if size >= 0 && size != x.Size {
				x.Doubt = fmt.Sprintf("the server tells %d bytes of it, %d were sent", size, x.Size)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, b := range bad {
		seen[b.uid] = true
		if err := e.putAside(ctx, byUID[b.uid], b.why); err != nil {
			return err
		}
	}
	for _, uid := range uids {
		if x := byUID[uid]; !seen[uid] {
			x.Doubt = "it was added, and is not there any more: another program has moved or removed it"
		}
	}
	if !e.o.Full {
		return nil
	}
	var left []uint32
	for _, uid := range uids {
		if byUID[uid].Status == Added {
			left = append(left, uid)
		}
	}
	unread, err := e.texts(ctx, e.choose, left, func(uid uint32, sum string) {
		if x := byUID[uid]; x != nil && sum != x.SHA256 {
			x.Doubt = "the server gives another text than was sent"
		}
	})
	if err != nil {
		return err
	}
	for _, uid := range unread {
		if err := e.putAside(ctx, byUID[uid], "the server cannot give its text"); err != nil {
			return err
		}
	}
	return nil
}
