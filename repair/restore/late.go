package restore

import (
	"context"
	"errors"
	"fmt"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// late looks once more for messages that were called lost at some time: a server may have added them after they were looked for. One that the
// mailbox would lack otherwise counts as added, and is returned. One that was sent again meanwhile is there twice: the copy that came late is taken
// out again, where its text is exactly the one that was sent and the other copy is there, and else told.
func (e *Engine) late(ctx context.Context, items []*Item) (come []*Item, removed int, err error) {
	sums, sizes, own := map[string][]*Item{}, map[int64]bool{}, map[uint32]bool{}
	for _, x := range items {
		if !e.was.Voided[x.ID] {
			continue
		}
		sums[x.SHA256] = append(sums[x.SHA256], x)
		sizes[x.Size] = true
		if rec := e.was.Known[x.ID]; rec.Kind == kindDone && rec.UID != 0 {
			own[rec.UID] = true
		}
	}
	if len(sums) == 0 {
		return nil, 0, nil
	}
	claimed := e.was.claimed()
	var near []uint32
	extra := false
	_, err = e.outlines(ctx, e.choose, e.was.UIDNext, func(o imap.Outline) {
		if own[o.UID] || !claimed[o.UID] && (o.Size < 0 || sizes[o.Size]) {
			near = append(near, o.UID)
			extra = extra || !own[o.UID]
		}
	})
	if err != nil || !extra {
		return nil, 0, err
	}
	sum := map[uint32]string{}
	if _, err := e.texts(ctx, e.choose, near, func(uid uint32, s string) { sum[uid] = s }); err != nil {
		return nil, 0, err
	}
	for _, uid := range near {
		same := sums[sum[uid]]
		if own[uid] || len(same) == 0 {
			continue
		}
		x := e.lacking(same, sum)
		if x != nil {
			rec := record{Kind: kindDone, ID: x.ID, UID: uid, UIDValidity: e.box.UIDValidity}
			if err := e.sync(rec); err != nil {
				return come, removed, err
			}
			e.was.take(rec)
			x.Status, x.Why, x.UID = Added, "", uid
			come = append(come, x)
			continue
		}
		out, err := e.clear(ctx, same[0], uid)
		if err != nil {
			return come, removed, err
		}
		if out {
			removed++
		}
	}
	return come, removed, nil
}

// lacking is the first of some messages of the same text that is not in the mailbox, by what the server's messages are; nil where all
// are, or were taken out because the server breaks at them.
func (e *Engine) lacking(same []*Item, sum map[uint32]string) *Item {
	for _, x := range same {
		switch rec := e.was.Known[x.ID]; {
		case rec.Kind == kindRemoved && !rec.undone(), rec.Guess, rec.Kind == kindDone && rec.UID == 0, sum[rec.UID] == x.SHA256 && rec.UID != 0:
		default:
			return x
		}
	}
	return nil
}

// clear takes out a second copy of a message.
func (e *Engine) clear(ctx context.Context, x *Item, uid uint32) (out bool, err error) {
	rec := e.was.Known[x.ID]
	why := ""
	switch err := e.canRemove(ctx); {
	case errors.Is(err, ErrCannotRemove):
		why = "the server cannot remove single messages"
	case err != nil:
		return false, err
	case rec.Guess || rec.Kind == kindDone && rec.UID == 0:
		why = "which of them to keep is not certain"
	default:
		if err := x.same(); err != nil {
			why = "its source cannot be read as it was: " + remote.Safe(err.Error())
		}
	}
	if why != "" {
		x.Doubt = fmt.Sprintf("the server has it twice, also as UID %d: it was added only after it had been looked for and sent again; %s", uid, why)
		return false, nil
	}
	r := record{Kind: kindExtra, ID: x.ID, UID: uid, UIDValidity: e.box.UIDValidity}
	if err := e.sync(r); err != nil {
		return false, err
	}
	if err := e.again(ctx, e.choose, func() error { return e.conn.Remove(ctx, []uint32{uid}) }); err != nil {
		return false, fmt.Errorf("take out UID %d, which came late: %w", uid, err)
	}
	r.Kind = kindCleared
	if err := e.sync(r); err != nil {
		return false, err
	}
	x.Notes = append(x.Notes, "the server had added it twice; the second copy was taken out again")
	return true, nil
}
