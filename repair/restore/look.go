package restore

import (
	"context"
	"errors"
	"fmt"

	"dovemend/remote"
	"dovemend/remote/imap"
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

// look asks for all that a mail program asks for when it shows a list of messages, and finds those that the server cannot answer
// for: it refuses, hangs up or dies. Sets are halved, and the message a server broke off at is asked for by itself first. Messages
// that are not there any more are no trouble.
func (e *Engine) look(ctx context.Context, uids []uint32, told func(uid uint32, size int64)) (bad []broken, err error) {
	queue := chunks(uids, largestBatch)
	for len(queue) > 0 {
		set := queue[0]
		queue = queue[1:]
		done := map[uint32]bool{}
		err := e.choose(ctx)
		if err != nil {
			if e.lost(ctx, err) {
				queue = append([][]uint32{set}, queue...)
				continue
			}
			return bad, err
		}
		err = e.conn.Readable(ctx, set, func(uid uint32, size int64) {
			if !done[uid] {
				done[uid] = true
				told(uid, size)
			}
		})
		if err == nil {
			e.tries = 0
			continue
		}
		if !refusedOrLost(err) || ctx.Err() != nil {
			return bad, err
		}
		var at *imap.Error
		suspected := uint32(0)
		if errors.As(err, &at) && at.Partial {
			suspected = at.UID
			delete(done, suspected)
		}
		left := without(set, done)
		e.lost(ctx, err)
		if len(left) == 1 {
			bad = append(bad, broken{left[0], remote.Safe(err.Error())})
			e.tries = 0
			continue
		}
		if len(done) > 0 || len(set) > 1 {
			e.tries = 0
		}
		queue = append(split(left, suspected), queue...)
	}
	return bad, nil
}

// split halves a set; a suspect comes first and alone.
func split(uids []uint32, suspected uint32) (sets [][]uint32) {
	for i, u := range uids {
		if u == suspected {
			rest := append(append([]uint32{}, uids[:i]...), uids[i+1:]...)
			return [][]uint32{{u}, rest}
		}
	}
	return chunks(uids, max(1, (len(uids)+1)/2))
}

// verify looks once more at the batch that was added: each must be there, as long as it was sent, and with Full with the same
// text.
func (e *Engine) verify(ctx context.Context, batch []*Item) error {
	byUID := map[uint32]*Item{}
	var uids []uint32
	for _, x := range batch {
		if x.Status == Added && x.UID != 0 {
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
