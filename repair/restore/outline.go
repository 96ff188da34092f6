package restore

import (
	"context"

	"dovemend/remote/imap"
)

// outlines asks for size, GUID and Message-ID of all messages from a UID on, and calls yield once for each that the server tells them of.
// Where it fails at some, as it does at messages that cannot be opened at all, sets are halved until these are found, and they are returned:
// which there are, the server tells from its index.
func (e *Engine) outlines(ctx context.Context, open func(context.Context) error, from uint32, yield func(imap.Outline)) (dark []uint32, err error) {
	told := map[uint32]bool{}
	tell := func(o imap.Outline) error {
		if o.UID >= from && !told[o.UID] {
			told[o.UID] = true
			yield(o)
		}
		return nil
	}
	if err = open(ctx); err == nil {
		err = e.conn.Outlines(ctx, from, tell)
	}
	if err == nil {
		e.tries = 0
		return nil, nil
	}
	if !refusedOrLost(err) || ctx.Err() != nil {
		return nil, err
	}
	e.log.Info("messages are not all told of", "error", err)
	e.lost(ctx, err)
	var left []uint32
	err = e.again(ctx, open, func() error {
		left = nil
		return e.conn.FetchFlags(ctx, from, func(m imap.Message) error {
			if m.UID >= from && !told[m.UID] {
				left = append(left, m.UID)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	failed := map[uint32]bool{} // alone
	for queue := chunks(left, largestBatch); len(queue) > 0; {
		if err := e.again(ctx, open, func() error { return nil }); err != nil {
			return dark, err
		}
		set := queue[0]
		err := e.conn.OutlinesOf(ctx, set, tell)
		if err != nil && (!refusedOrLost(err) || ctx.Err() != nil) {
			return dark, err
		}
		e.lost(ctx, err)
		queue = queue[1:]
		rest := without(set, told)
		switch {
		case err == nil: // what was not told of is not there any more
		case len(set) > 1:
			queue = append(chunks(rest, max(1, len(set)/2)), queue...)
		case len(rest) > 0 && failed[set[0]]:
			dark = append(dark, set[0])
		case len(rest) > 0: // a connection may break for any reason, once
			failed[set[0]] = true
			queue = append([][]uint32{set}, queue...)
		}
	}
	return dark, nil
}
