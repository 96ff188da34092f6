package evacuate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// hopeless is how many moves may fail one after another before the server, and no message, is at fault.
const hopeless = 60

// mostLost is how many connections may be lost one after another while nothing was asked that concerns a message.
const mostLost = 3

// way is one direction of moving.
type way struct {
	back     bool
	from, to string
	fromID   uint32 // UIDVALIDITY of from; 0 not known
	toID     uint32
}

func (e *Engine) way(back bool) way {
	w := way{back: back, from: e.State.Source, to: e.State.Backup, fromID: e.State.Validity, toID: e.State.BackupID}
	if back {
		w.from, w.to, w.fromID, w.toID = w.to, w.from, w.toID, w.fromID
	}
	return w
}

// move takes messages to the other mailbox, in batches. It gives those that the server refuses to move; where it breaks off at
// one of several, smaller batches find out which. An error stops the evacuation, with the journal as far as it came.
func (e *Engine) move(ctx context.Context, back bool, uids []uint32, size int) (refused []Left, err error) {
	at, lost, twice := size, 0, map[uint32]bool{}
	for len(uids) > 0 {
		n := min(at, len(uids))
		went, why, err := e.batch(ctx, back, uids[:n])
		if imap.Ended(err) && lost < mostLost { // of the connection, and no message's fault
			lost++
			continue
		}
		if err != nil {
			return refused, err
		}
		lost = 0
		e.Report.Advance(went, 0)
		if went > 0 {
			e.failures = 0
		}
		if why == nil {
			uids, at = uids[n:], min(size, at*2)
			continue
		}
		if full(why) {
			return refused, fmt.Errorf("move messages to %s: %w: %w", remote.Safe(e.way(back).to), ErrFull, why)
		}
		if e.failures++; e.failures > hopeless {
			return refused, fmt.Errorf("move messages to %s: %w", remote.Safe(e.way(back).to), why)
		}
		still := slices.DeleteFunc(slices.Clone(uids[:n]), func(u uint32) bool { return !e.stay[u] })
		if n == 1 {
			if !twice[uids[0]] { // a connection may be lost for other reasons
				twice[uids[0]] = true
				continue
			}
			for _, u := range still {
				refused = append(refused, Left{UID: u, Why: "the server does not move it: " + remote.Safe(why.Error())})
			}
			uids = uids[n:]
			continue
		}
		uids = append(still, uids[n:]...)
		at = max(1, n/2)
	}
	return refused, nil
}

// batch moves messages together. why is what the server answered where it did not move them all; e.stay tells which did not
// move. err stops the evacuation.
func (e *Engine) batch(ctx context.Context, back bool, uids []uint32) (went int, why, err error) {
	if err := e.settle(ctx, nil); err != nil {
		return 0, nil, err
	}
	e.stay = map[uint32]bool{}
	for _, u := range uids {
		e.stay[u] = true
	}
	w := e.way(back)
	next, err := e.look(ctx, w.to, w.toID)
	if err != nil {
		return 0, nil, err
	}
	if err := e.open(ctx, w.from, w.fromID); err != nil {
		return 0, nil, err
	}
	if ways := e.conn.Ways(); !ways.Move && !ways.UIDPlus {
		return 0, nil, imap.ErrCannotMove
	}
	items, err := e.items(ctx, uids)
	if err != nil {
		return 0, err, ctx.Err()
	}
	if len(items) == 0 { // somebody has taken them away
		e.stay = nil
		return 0, nil, nil
	}
	if err := e.note(line{Kind: kindMove, Back: back, To: e.State.since(back, items, next.UIDNext), Items: items}); err != nil {
		return 0, nil, err
	}
	why = e.act(context.WithoutCancel(ctx), w) // what is begun is ended, and its outcome written
	if err := ctx.Err(); err != nil || errors.Is(why, errStop) {
		return 0, nil, cmp.Or(err, why)
	}
	if err := e.settle(ctx, why); err != nil {
		return 0, nil, err
	}
	for _, it := range items {
		if !e.stay[it.UID] {
			went++
		}
	}
	return went, why, nil
}

// errStop: the journal cannot be written; nothing more may be done.
var errStop = errors.New("stopped")

// act sends the commands of the open batch. Where everything is told by the answer the outcome is written; else the batch stays
// open.
func (e *Engine) act(ctx context.Context, w way) error {
	b := e.State.Open
	uids := make([]uint32, len(b.Items))
	for i, it := range b.Items {
		uids[i] = it.UID
	}
	var got imap.Copied
	var err error
	if e.conn.Ways().Move {
		if got, err = e.conn.Move(ctx, uids, w.to); err != nil {
			return e.failed(err)
		}
	} else {
		if got, err = e.conn.Copy(ctx, uids, w.to); err != nil {
			return e.failed(err)
		}
		if got.UIDValidity != w.toID && w.toID != 0 || len(got.New) != len(uids) {
			return nil // what was copied is found out
		}
		if err := e.note(line{Kind: kindCopied, New: b.news(got)}); err != nil {
			return errors.Join(errStop, err)
		}
		if err := e.conn.Remove(ctx, uids); err != nil {
			return e.failed(err)
		}
	}
	if got.UIDValidity != w.toID && w.toID != 0 || len(got.New) != len(uids) {
		return nil
	}
	if err := e.outcome(b.news(got), nil, true); err != nil {
		return errors.Join(errStop, err)
	}
	return nil
}

// news gives the new UID of each item.
func (b *Batch) news(got imap.Copied) []int64 {
	list := make([]int64, len(b.Items))
	for i, it := range b.Items {
		list[i] = int64(got.New[it.UID])
	}
	return list
}

// outcome writes what became of the open batch. Where it is not sure that the server has done with the batch, those that have stayed
// may move yet.
func (e *Engine) outcome(news []int64, why error, sure bool) error {
	e.stay = map[uint32]bool{}
	for i, n := range news {
		if n == stayed {
			e.stay[e.State.Open.Items[i].UID] = true
		}
	}
	l := line{Kind: kindMoved, New: news, Unsure: !sure}
	if why != nil {
		l.Why = remote.Safe(why.Error())
	}
	return e.note(l)
}

// full reports whether the server has no room for more: then no smaller batch helps.
func full(err error) bool {
	var e *imap.Error
	return errors.As(err, &e) && (e.Code == "OVERQUOTA" || e.Code == "LIMIT")
}
