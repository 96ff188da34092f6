package evacuate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// settle finds out what became of the open batch, by what is in both mailboxes, and finishes what was half done: messages
// that have a copy in the other mailbox, proven by its text, are taken out of the one they came from.
func (e *Engine) settle(ctx context.Context, why error) error {
	for try := 1; ; try++ {
		err := e.settleOnce(ctx, why)
		if !imap.Ended(err) || try > mostLost {
			return err
		}
	}
}

func (e *Engine) settleOnce(ctx context.Context, why error) error {
	sure := true
	if e.State.Open != nil && e.conn == nil && e.Quiet != nil { // the command may still be at work
		var err error
		if sure, err = e.Quiet(ctx); err != nil {
			return err
		}
		if !sure {
			if err := e.steady(ctx); err != nil {
				return err
			}
		}
	}
	b, err := e.State.Open, error(nil)
	if b == nil {
		if b, err = e.vanished(ctx); b == nil || err != nil {
			return err
		}
	}
	w := e.way(b.Back)
	if err := e.open(ctx, w.from, w.fromID); err != nil {
		return err
	}
	here, err := e.present(ctx, b) // before the other mailbox: what moves meanwhile is seen there
	if err != nil {
		return err
	}
	there, err := e.arrived(ctx, w, b)
	if err != nil {
		return fmt.Errorf("find out what became of a move to %s: %w", remote.Safe(w.to), err)
	}
	news := b.New
	if news == nil {
		news = align(b.Items, there)
		if err := e.prove(ctx, w, b, here, there, news); err != nil {
			return err
		}
	}
	news = slices.Clone(news)
	var both []uint32
	for i, it := range b.Items {
		if here[it.UID] && news[i] > 0 {
			both = append(both, it.UID)
		} else if !here[it.UID] && news[i] == stayed {
			news[i] = missing
		}
	}
	if len(both) > 0 {
		if b.New == nil {
			if err := e.note(line{Kind: kindCopied, New: news}); err != nil {
				return err
			}
		}
		if err := e.open(ctx, w.from, w.fromID); err != nil {
			return err
		}
		if !e.conn.Ways().UIDPlus {
			return fmt.Errorf("%d messages are in both mailboxes, and %w", len(both), imap.ErrCannotMove)
		}
		if err := e.conn.Remove(ctx, both); err != nil {
			return e.failed(err)
		}
	}
	return e.outcome(news, why, sure)
}

// present tells which messages of a batch are where they came from; it asks for flags alone, for which no message is opened.
func (e *Engine) present(ctx context.Context, b *Batch) (map[uint32]bool, error) {
	low := b.Items[0].UID
	for _, it := range b.Items {
		low = min(low, it.UID)
	}
	here := map[uint32]bool{}
	flags, err := e.inventory(ctx, low)
	for uid := range flags {
		here[uid] = true
	}
	return here, err
}

// arrived lists what has come to the other mailbox since the batch was announced.
func (e *Engine) arrived(ctx context.Context, w way, b *Batch) ([]Item, error) {
	if _, err := e.look(ctx, w.to, w.toID); err != nil {
		return nil, err
	}
	flags, err := e.inventory(ctx, b.To)
	if err != nil {
		return nil, err
	}
	known := e.State.backup
	if b.Back {
		known = e.State.source
	}
	maps.DeleteFunc(flags, func(u uint32, _ []string) bool { return known[u] != nil })
	return e.items(ctx, slices.Sorted(maps.Keys(flags)))
}

// align finds for each item the message that came of it: copies keep date and size, and come in the order of their
// originals. What others have put in between is passed over.
func align(items, there []Item) []int64 {
	news := make([]int64, len(items))
	same := func(x, y Item) bool { return x.Date == y.Date && x.Size == y.Size }
	// The longest common subsequence, so that one message which did not come does not hide those after it.
	best := make([][]int32, len(items)+1)
	for i := range best {
		best[i] = make([]int32, len(there)+1)
	}
	for i := len(items) - 1; i >= 0; i-- {
		for j := len(there) - 1; j >= 0; j-- {
			best[i][j] = max(best[i+1][j], best[i][j+1])
			if same(items[i], there[j]) {
				best[i][j] = max(best[i][j], best[i+1][j+1]+1)
			}
		}
	}
	for i, j := 0, 0; i < len(items) && j < len(there); {
		switch {
		case same(items[i], there[j]) && best[i][j] == best[i+1][j+1]+1:
			news[i] = int64(there[j].UID)
			i, j = i+1, j+1
		case best[i+1][j] >= best[i][j+1]:
			i++
		default:
			j++
		}
	}
	return news
}

// prove compares the texts of messages that are in both mailboxes: only the same text is the same message. One that is not
// in the other mailbox as the same text has not been moved.
func (e *Engine) prove(ctx context.Context, w way, b *Batch, here map[uint32]bool, there []Item, news []int64) error {
	var source []uint32
	for i, it := range b.Items {
		if here[it.UID] && news[i] > 0 {
			source = append(source, it.UID)
		}
	}
	if len(source) == 0 {
		return nil
	}
	if err := e.open(ctx, w.from, w.fromID); err != nil {
		return err
	}
	was, err := e.texts(ctx, source)
	if err != nil {
		return err
	}
	taken := map[int64]bool{}
	var arrived []uint32
	for i, n := range news {
		if !here[b.Items[i].UID] {
			taken[n] = true
		}
	}
	for _, it := range there {
		if !taken[int64(it.UID)] {
			arrived = append(arrived, it.UID)
		}
	}
	if _, err := e.look(ctx, w.to, w.toID); err != nil {
		return err
	}
	is, err := e.texts(ctx, arrived)
	if err != nil {
		return err
	}
	for i, it := range b.Items {
		if !here[it.UID] {
			continue
		}
		text, known := was[it.UID]
		fits := func(u uint32) bool {
			other, ok := is[u]
			return known && ok && other == text && !taken[int64(u)]
		}
		if news[i] <= 0 || !fits(uint32(news[i])) {
			news[i] = stayed
			if k := slices.IndexFunc(arrived, fits); k >= 0 && known {
				news[i] = int64(arrived[k])
			}
		}
		if news[i] > 0 {
			taken[news[i]] = true
		}
	}
	return nil
}

// texts hashes messages of the open mailbox.
func (e *Engine) texts(ctx context.Context, uids []uint32) (map[uint32][32]byte, error) {
	sums := map[uint32][32]byte{}
	err := e.conn.FetchBodies(ctx, uids, func(b imap.Body) error {
		if !b.None {
			sums[b.UID] = b.SHA256
		}
		return nil
	})
	return sums, e.failed(err)
}
