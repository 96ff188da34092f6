package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair/journal"
)

// Apply adds what is missing. The mailbox is made where it does not exist. What an earlier run of the same journal has done
// counts. After an error the journal tells what was done: apply again goes on.
func (e *Engine) Apply(ctx context.Context, items []*Item) error {
	if err := e.begin(ctx, items); err != nil {
		return err
	}
	var fresh []*Item
	for _, x := range items {
		if e.was.Fresh[x.ID] && x.Status == Added {
			fresh = append(fresh, x)
		}
	}
	if err := e.lookAt(ctx, fresh); err != nil {
		return err
	}
	e.twins(items)
	if !e.o.All && e.box.Exists > 0 {
		if err := e.compare(ctx, e.choose, items); err != nil {
			return err
		}
	}
	var todo []*Item
	var bytes int64
	for _, x := range items {
		if x.Status == Pending {
			todo = append(todo, x)
			bytes += x.Size
			for _, f := range x.dropped(e.box) {
				e.drops[f]++
			}
		}
	}
	e.rep.Stage("adding messages to " + remote.Safe(e.o.Mailbox))
	e.rep.Total(len(todo), bytes)
	size := firstBatch
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := cutBatch(todo, size)
		hung, err := e.add(ctx, batch)
		if err == nil || errors.Is(err, ErrFull) {
			err = errors.Join(err, e.lookAt(ctx, batch))
		}
		if err != nil {
			return err
		}
		size = min(size*batchGrowth, largestBatch)
		if hung {
			size = max(1, len(batch)/2)
		}
		todo = slices.DeleteFunc(todo, func(x *Item) bool { return x.Status != Pending })
	}
	come, _, err := e.late(ctx, items)
	if err != nil {
		return err
	}
	if err := e.lookAt(ctx, come); err != nil {
		return err
	}
	return e.sync(record{Kind: kindEnd})
}

// lookAt looks at a batch that was added.
func (e *Engine) lookAt(ctx context.Context, batch []*Item) error {
	if len(batch) == 0 {
		return nil
	}
	if err := e.verify(ctx, batch); err != nil {
		return err
	}
	return e.sync(record{Kind: kindLooked})
}

// cutBatch takes the beginning of a list.
func cutBatch(todo []*Item, size int) []*Item {
	var bytes int64
	for i, x := range todo {
		if bytes += x.Size; i > 0 && (i >= size || bytes > batchBytes) {
			return slices.Clone(todo[:i])
		}
	}
	return slices.Clone(todo)
}

// begin reads the journal, opens the mailbox, and settles what an earlier run has left open.
func (e *Engine) begin(ctx context.Context, items []*Item) error {
	var err error
	e.was = newState()
	if e.journal, err = journal.Open(e.root, e.name, e.was.read); err != nil {
		return err
	}
	e.journal.After = e.cut
	if err := e.again(ctx, e.choose, func() error { return nil }); err != nil {
		return err
	}
	if e.was.UIDValidity == 0 {
		e.was.Mailbox, e.was.UIDValidity, e.was.UIDNext = e.server, e.box.UIDValidity, e.box.UIDNext
		return e.sync(record{Kind: kindBegin, Mailbox: e.server, UIDValidity: e.box.UIDValidity, UIDNext: e.box.UIDNext})
	}
	if err := e.sync(record{Kind: kindResume}); err != nil {
		return err
	}
	byID := map[string]*Item{}
	for _, x := range items {
		byID[x.ID] = x
	}
	open := e.was.open()
	if err := e.settle(ctx, append(open, e.was.nameless()...), len(open) > 0); err != nil {
		return err
	}
	gone := 0
	for id, rec := range e.was.Known {
		x := byID[id]
		switch {
		case x == nil:
			gone++
		case rec.Kind == kindDone:
			x.Status, x.UID, x.Doubt = Added, rec.UID, rec.doubt()
		case rec.Kind == kindRemove:
			if x.Status, x.UID, x.Why = Added, rec.UID, ""; e.undoing {
				continue
			}
			if rec.undone() { // its text was compared before this was written
				if err := e.remove(ctx, rec); err != nil {
					return fmt.Errorf("take UID %d out, as undo had begun to: %w", rec.UID, err)
				}
				x.Status, x.UID = Pending, 0
				continue
			}
			if err := e.putAside(ctx, x, rec.Why); err != nil {
				return err
			}
		case rec.Kind == kindRemoved && rec.undone():
		case rec.Kind == kindRemoved:
			x.Status, x.Why = SetAside, rec.Why
		case rec.Kind == kindRefused && rec.Own:
			x.Status, x.Why = Refused, rec.Why
		}
	}
	if gone > 0 {
		e.rep.Warn(fmt.Sprintf("%d messages that this run had sent are not in its source any more", gone))
	}
	return nil
}

// full tells a refusal for want of room. Servers differ in the code, not in the word.
func full(why string) bool {
	why = strings.ToLower(why)
	return strings.Contains(why, "[overquota]") || strings.Contains(why, "quota exceeded") || strings.Contains(why, "not enough disk quota")
}

// ownFault says whether a refusal is about the message itself, so that others may be taken all the same.
func ownFault(err *imap.Error) bool {
	switch err.Code {
	case "LIMIT", "TOOBIG", "OVERQUOTA", "CANNOT", "BADCHARSET", "UNKNOWN-CTE", "PARSE":
		return true
	}
	return err.Type == imap.TypeRefused
}

// add sends one batch until the fate of each of its messages is known. hung tells that the server hung up meanwhile.
func (e *Engine) add(ctx context.Context, batch []*Item) (hung bool, err error) {
	left := batch
	for len(left) > 0 {
		if err := e.again(ctx, e.choose, func() error { return nil }); err != nil {
			return hung, err
		}
		err := e.send(ctx, left)
		var stop *stopError
		if errors.As(err, &stop) {
			return hung, stop.err
		}
		var broke *brokenError
		if errors.As(err, &broke) {
			x := broke.item
			x.Status, x.Why = Unreadable, "its text could not be read to its end while it was sent, so that it was not added: "+broke.err.Error()
			if err := e.sync(record{Kind: kindRefused, ID: x.ID, Why: x.Why, Own: true}); err != nil {
				return hung, err
			}
		}
		if err != nil && !e.lost(ctx, err) {
			return hung, err
		}
		sent := len(left)
		if err != nil {
			hung = true
			if err := e.lookUp(ctx, left); err != nil {
				return hung, err
			}
		}
		left = slices.DeleteFunc(slices.Clone(left), func(x *Item) bool { return x.Status != Pending })
		switch {
		case err == nil && e.refusals >= maxRefusals:
			return hung, fmt.Errorf("%w: it refused %d in a row: %s", ErrTroubled, e.refusals, batch[len(batch)-1].Why)
		case err == nil:
		case len(left) == sent && sent == 1:
			// Twice alone and twice a hang-up: it is this message.
			if e.hung++; e.hung >= 2 {
				e.hung = 0
				left[0].Status, left[0].Why = Refused, "the server hangs up when it is sent: "+remote.Safe(err.Error())
				if err := e.sync(record{Kind: kindRefused, ID: left[0].ID, Why: left[0].Why, Own: true}); err != nil {
					return hung, err
				}
				return hung, nil
			}
		case len(left) > 1:
			// Smaller batches tell which one it is.
			return true, nil
		}
	}
	e.hung = 0
	return hung, nil
}

// stopError ends the run: not the server's doing.
type stopError struct{ err error }

func (s *stopError) Error() string { return s.err.Error() }

// brokenError: the text of a message broke off while it was sent. The connection is gone with it.
type brokenError struct {
	item *Item
	err  error // of reading it
	lost error // what came of that
}

func (b *brokenError) Error() string { return b.lost.Error() }

// Unwrap gives what became of the connection.
func (b *brokenError) Unwrap() error { return b.lost }

// send journals the intents and sends. Messages that were refused for their keywords are sent again without.
func (e *Engine) send(ctx context.Context, items []*Item) error {
	recs := make([]record, len(items))
	letters := make([]imap.Letter, len(items))
	for i, x := range items {
		recs[i] = record{Kind: kindIntent, ID: x.ID, File: x.File, Offset: x.Offset, SHA256: x.SHA256, Size: x.Size}
		letters[i] = x.letter(e.box)
	}
	if err := e.sync(recs...); err != nil {
		return &stopError{err}
	}
	for _, rec := range recs {
		e.was.Sent[rec.ID], e.was.Known[rec.ID] = rec, rec
	}
	var fatal error
	var bare []*Item
	isFull := false
	err := e.conn.Append(ctx, e.server, letters, func(i int, a imap.Appended) {
		x := items[i]
		if fatal != nil {
			return
		}
		rec := record{Kind: kindDone, ID: x.ID, UID: a.UID, UIDValidity: a.UIDValidity}
		if a.Err != nil {
			why := a.Err.Error()
			if (a.Err.Type == imap.TypeBad || a.Err.Type == imap.TypeNo) && !full(why) && !ownFault(a.Err) && !x.bare && len(x.Keywords) > 0 {
				bare = append(bare, x)
				return
			}
			rec = record{Kind: kindRefused, ID: x.ID, Why: why, Own: ownFault(a.Err) && !full(why)}
			isFull = isFull || full(why)
			if x.Status, x.Why = Refused, why; full(why) {
				x.Status = Pending
			}
			if e.refusals++; ownFault(a.Err) {
				e.refusals = 0
			}
		} else {
			x.Status, x.Why, x.UID = Added, "", a.UID
			if a.UIDValidity != 0 && a.UIDValidity != e.box.UIDValidity {
				x.UID, rec.UID = 0, 0 // it went elsewhere, or the mailbox was made anew
			}
			e.refusals = 0
			e.rep.Advance(1, x.Size)
		}
		e.was.Known[x.ID] = rec
		if fatal = e.write(rec); fatal != nil {
			e.conn.Close()
		}
	})
	if fatal != nil {
		return &stopError{fatal}
	}
	if serr := e.sync(); serr != nil {
		return &stopError{serr}
	}
	var broke *imap.BrokenError
	if errors.As(err, &broke) {
		return &brokenError{items[broke.Index], broke.Err, err}
	}
	if err != nil {
		return err
	}
	e.tries = 0
	if err := e.number(ctx, items); err != nil {
		return err
	}
	if isFull {
		return &stopError{ErrFull}
	}
	if len(bare) > 0 {
		for _, x := range bare {
			x.bare = true
			x.Notes = append(x.Notes, "the server refused it with its keywords "+strings.Join(x.Keywords, ", ")+"; sent without")
		}
		return e.send(ctx, bare)
	}
	return nil
}
