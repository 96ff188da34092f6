package restore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dovemend/remote/imap"
)

// settle finds the UIDs of messages that the server has confirmed without telling them, and finds out which of the messages that were on their way the server has taken: it waits until the server has done with what it
// had received, if wait says so, and looks for their texts among what came since.
func (e *Engine) settle(ctx context.Context, open []record, wait bool) error {
	if len(open) == 0 {
		return nil
	}
	if wait {
		if err := e.quiet(ctx); err != nil {
			return err
		}
	}
	claimed := e.was.claimed()
	sizes, sums := map[int64]bool{}, map[string][]record{}
	for _, rec := range open {
		sizes[rec.Size] = true
		sums[rec.SHA256] = append(sums[rec.SHA256], rec)
	}
	var near []uint32
	size := map[uint32]int64{}
	dark, err := e.outlines(ctx, e.choose, e.was.UIDNext, func(o imap.Outline) {
		if !claimed[o.UID] && (o.Size < 0 || sizes[o.Size]) {
			near, size[o.UID] = append(near, o.UID), o.Size
		}
	})
	if err != nil {
		return err
	}
	var found []record
	unread, err := e.texts(ctx, e.choose, near, func(uid uint32, sum string) {
		if same := sums[sum]; len(same) > 0 {
			sums[sum] = same[1:]
			found = append(found, record{Kind: kindDone, ID: same[0].ID, UID: uid, UIDValidity: e.box.UIDValidity})
		}
	})
	if err != nil {
		return err
	}
	// One that cannot be read is taken for ours by its size: the look at the batch comes upon it, and it is never added twice.
	for _, uid := range unread {
		for sum, same := range sums {
			if len(same) > 0 && same[0].Size == size[uid] {
				sums[sum] = same[1:]
				found = append(found, record{Kind: kindDone, ID: same[0].ID, UID: uid, UIDValidity: e.box.UIDValidity})
				break
			}
		}
	}
	// Of one that nothing can be said of but that it has come, no more than a guess is possible, and only where there is one of each.
	dark = slices.DeleteFunc(dark, func(uid uint32) bool { return claimed[uid] })
	if last := unsettled(sums); len(last) == 1 && len(dark) == 1 {
		found = append(found, record{Kind: kindDone, ID: last[0].ID, UID: dark[0], UIDValidity: e.box.UIDValidity, Guess: true})
		clear(sums)
	} else if len(dark) > 0 {
		e.rep.Warn(fmt.Sprintf("the server can tell nothing of %d messages that have come to the mailbox (UID %d and so on): whether this run has sent them, nobody can say", len(dark), dark[0]))
	}
	for _, same := range sums {
		for _, rec := range same {
			if e.was.Known[rec.ID].Kind == kindDone { // the server has said that it has it
				continue
			}
			found = append(found, record{Kind: kindVoid, ID: rec.ID})
		}
	}
	for _, rec := range found {
		e.was.take(rec)
	}
	return e.sync(found...)
}

// unsettled are the records that no message was found for.
func unsettled(sums map[string][]record) (list []record) {
	for _, same := range sums {
		list = append(list, same...)
	}
	return list
}

// quiet waits until the mailbox has stopped growing: a server goes on with what it has received when its client is gone. Where its
// processes can be ended, they are: one that waits for a lock is not seen by looking.
func (e *Engine) quiet(ctx context.Context) error {
	calm := e.unsure
	if e.Quiet != nil {
		if e.conn != nil {
			e.conn.Logout(ctx)
			e.conn, e.opened = nil, false
		}
		sure, err := e.Quiet(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			e.log.Info("processes that may still be at work were not ended", "error", err)
		}
		if sure && err == nil {
			calm = sureLooks
		}
	}
	last, same := uint32(0), 0
	for range quietLooks {
		e.opened = false
		if err := e.again(ctx, e.choose, func() error { return nil }); err != nil {
			return err
		}
		if same++; e.box.UIDNext != last {
			last, same = e.box.UIDNext, 0
		}
		if same >= calm {
			return nil
		}
		select {
		case <-time.After(e.quietFor):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// number finds the UIDs of messages that were added by a server that does not tell them.
func (e *Engine) number(ctx context.Context, items []*Item) error {
	var open []record
	for _, x := range items {
		if x.Status == Added && x.UID == 0 {
			open = append(open, e.was.Sent[x.ID])
		}
	}
	if len(open) == 0 {
		return nil
	}
	return e.lookFor(ctx, open, items, false)
}

// lookUp finds out what became of messages after a hang-up.
func (e *Engine) lookUp(ctx context.Context, items []*Item) error {
	var open []record
	for _, x := range items {
		if x.Status == Pending && e.was.Known[x.ID].Kind == kindIntent {
			open = append(open, e.was.Sent[x.ID])
		}
	}
	return e.lookFor(ctx, open, items, true)
}

func (e *Engine) lookFor(ctx context.Context, open []record, items []*Item, wait bool) error {
	if err := e.settle(ctx, open, wait); err != nil {
		return err
	}
	for _, x := range items {
		if rec := e.was.Known[x.ID]; rec.Kind == kindDone && (x.Status == Pending || x.UID == 0) {
			x.Status, x.Why, x.UID = Added, "", rec.UID
		}
	}
	return nil
}
