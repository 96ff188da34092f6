package restore

import (
	"context"
	"encoding/hex"
	"fmt"

	"dovemend/remote/imap"
)

// twins marks what the source holds twice. With All each of them is added.
func (e *Engine) twins(items []*Item) {
	if e.o.All {
		return
	}
	first := map[string]bool{}
	for _, x := range items {
		if x.Status != Pending {
			continue
		}
		if first[x.SHA256] {
			x.Status, x.Why = Twin, "the source holds the same message twice"
		}
		first[x.SHA256] = true
	}
}

// wanted are messages to be looked for on the server.
type wanted struct {
	sums map[string][]*Item // by the text's hash
	guid map[string][]*Item
	id   map[string][]*Item
	size map[int64][]*Item // those without a Message-ID
}

func wantedOf(items []*Item) *wanted {
	w := &wanted{sums: map[string][]*Item{}, guid: map[string][]*Item{}, id: map[string][]*Item{}, size: map[int64][]*Item{}}
	for _, x := range items {
		if x.Status != Pending || x.SHA256 == "" {
			continue
		}
		w.sums[x.SHA256] = append(w.sums[x.SHA256], x)
		if x.GUID != "" {
			w.guid[x.GUID] = append(w.guid[x.GUID], x)
		}
		if x.Message != "" {
			w.id[x.Message] = append(w.id[x.Message], x)
		} else {
			w.size[x.Size] = append(w.size[x.Size], x)
		}
	}
	return w
}

// suspect is a message of the server whose text must be read to know it.
type suspect struct {
	uid uint32
	of  []*Item
}

// near gives the messages that a message of the server may be; known is true where its GUID decides. A GUID names one text for ever;
// that the size fits too, guards against an index that has them mixed up.
func (w *wanted) near(o imap.Outline) (of []*Item, known bool) {
	if same := w.guid[o.GUID]; o.GUID != "" && len(same) > 0 && (o.Size == same[0].Size) {
		return same, true
	}
	if o.MessageID != "" {
		return w.id[o.MessageID], false
	}
	if o.Size < 0 { // the server does not tell
		for _, of := range w.size {
			return of, false
		}
	}
	return w.size[o.Size], false
}

// compare marks what the server has already.
func (e *Engine) compare(ctx context.Context, open func(context.Context) error, items []*Item) error {
	w := wantedOf(items)
	if len(w.sums) == 0 {
		return nil
	}
	e.rep.Stage("looking at what the server has")
	var doubt []suspect
	dark, err := e.outlines(ctx, open, 1, func(o imap.Outline) {
		of, known := w.near(o)
		switch {
		case known:
			for _, x := range of {
				x.Status, x.UID = There, o.UID
			}
		case len(of) > 0:
			doubt = append(doubt, suspect{o.UID, of})
		}
	})
	if err != nil {
		return err
	}
	if len(dark) > 0 {
		e.rep.Warn(fmt.Sprintf("the server can tell nothing of %d messages of the mailbox (UID %d and so on): whether one of them is a message that seems to be missing, nobody can say", len(dark), dark[0]))
	}
	byUID := map[uint32][]*Item{}
	var uids []uint32
	for _, d := range doubt {
		for _, x := range d.of {
			if x.Status == Pending {
				byUID[d.uid] = d.of
				uids = append(uids, d.uid)
				break
			}
		}
	}
	unread, err := e.texts(ctx, open, uids, func(uid uint32, sum string) {
		for _, x := range w.sums[sum] {
			if x.Status == Pending {
				x.Status, x.UID = There, uid
			}
		}
	})
	for _, uid := range unread {
		for _, x := range byUID[uid] {
			if x.Status == Pending && x.Message != "" {
				x.Status = LeftOut
				x.Why = fmt.Sprintf("the server has a message with its Message-ID (UID %d) that cannot be read, so that the two cannot be told apart (--all adds it)", uid)
			}
		}
	}
	return err
}

// texts reads the texts of messages and calls yield with the hash of each. Those that the server cannot give, or breaks at,
// are returned.
func (e *Engine) texts(ctx context.Context, open func(context.Context) error, uids []uint32, yield func(uid uint32, sum string)) (unread []uint32, err error) {
	queue := chunks(uids, lookedAtOnce)
	for len(queue) > 0 {
		set := queue[0]
		queue = queue[1:]
		done := map[uint32]bool{}
		err := open(ctx)
		if err == nil {
			err = e.conn.FetchBodies(ctx, set, func(b imap.Body) error {
				if !b.None {
					done[b.UID] = true
					yield(b.UID, hex.EncodeToString(b.SHA256[:]))
				}
				return nil
			})
		}
		left := without(set, done)
		switch {
		case err == nil && len(left) == len(set) && len(set) == 1, err != nil && len(set) == 1 && refusedOrLost(err):
			unread = append(unread, left...)
			e.lost(ctx, err)
			continue
		case err != nil && !refusedOrLost(err) || ctx.Err() != nil:
			return unread, err
		case err != nil:
			e.lost(ctx, err)
		}
		if len(done) > 0 || len(set) > 1 {
			e.tries = 0
		}
		if len(left) > 0 {
			queue = append(chunks(left, max(1, len(left)/2)), queue...)
		}
	}
	return unread, nil
}

// refusedOrLost says whether an error is the server's word or silence about messages, not ours.
func refusedOrLost(err error) bool { return imap.Ended(err) || isNo(err) }

func chunks(uids []uint32, size int) (all [][]uint32) {
	for len(uids) > 0 {
		n := min(size, len(uids))
		all = append(all, uids[:n])
		uids = uids[n:]
	}
	return all
}

func without(uids []uint32, done map[uint32]bool) (left []uint32) {
	for _, u := range uids {
		if !done[u] {
			left = append(left, u)
		}
	}
	return left
}
