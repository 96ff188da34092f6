package probe

import (
	"context"
	"errors"
	"slices"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// each reads something of every message that was readable so far (or of those named in only), in batches, and comes back to what a batch left
// out: first message by message, so that one which cannot be read does not hide the others. The message a server
// broke off at is not asked for again, so each hang-up costs one connection and brings the reading forward.
func (t *taker) each(ctx context.Context, only []uint32, read func(uids []uint32, done func(uint32)) error) error {
	wanted := make(map[uint32]bool, len(only))
	for _, u := range only {
		wanted[u] = true
	}
	var open []uint32
	for _, m := range t.r.Messages {
		if m.BodyErr == "" && (only == nil || wanted[m.UID]) {
			open = append(open, m.UID)
		}
	}
	size := t.o.Batch
	for len(open) > 0 {
		if err := t.open(ctx); err != nil {
			t.unread(open, err)
			return err
		}
		batch := slices.Clone(open[:min(size, len(open))])
		done := make(map[uint32]bool, len(batch))
		err := read(batch, func(uid uint32) { done[uid] = true })
		missing := slices.DeleteFunc(slices.Clone(batch), func(u uint32) bool { return done[u] })
		open = open[len(batch):]
		switch {
		case err == nil && len(missing) == 0:
		case err == nil || !imap.Ended(err):
			if err != nil {
				if err := t.failed(ctx, err); err != nil {
					t.unread(slices.Concat(missing, open), err)
					return err
				}
			}
			if len(batch) > 1 {
				if err := t.singly(ctx, missing, read); err != nil {
					t.unread(open, err)
					return err
				}
			} else {
				t.mark(missing, reason(err))
			}
		default:
			if t.askedToRelogin(err) { // no message's fault, so far
				size = t.o.Batch
			} else if suspect := suspect(err, batch, done); suspect != 0 {
				size = t.o.Batch
				t.mark([]uint32{suspect}, reason(err))
				missing = slices.DeleteFunc(missing, func(u uint32) bool { return u == suspect })
			} else if len(batch) > 1 {
				size = max(1, len(batch)/2) // which of them it is, only smaller batches can tell
			} else {
				t.mark(missing, reason(err))
				missing, size = nil, t.o.Batch
			}
			open = slices.Concat(missing, open)
			if err := t.failed(ctx, err); err != nil {
				t.unread(open, err)
				return err
			}
		}
	}
	return nil
}

// singly asks for each message alone.
func (t *taker) singly(ctx context.Context, uids []uint32, read func(uids []uint32, done func(uint32)) error) error {
	for i, u := range uids {
		if err := t.open(ctx); err != nil {
			t.unread(uids[i:], err)
			return err
		}
		got := false
		err := read([]uint32{u}, func(uint32) { got = true })
		if !got {
			t.mark([]uint32{u}, reason(err))
		}
		if err != nil {
			if err := t.failed(ctx, err); err != nil {
				t.unread(uids[i+1:], err)
				return err
			}
		}
	}
	return nil
}

// suspect is the message at which the server broke off: the one whose data it had begun. 0 where
// that cannot be told.
func suspect(err error, batch []uint32, done map[uint32]bool) uint32 {
	var e *imap.Error
	if !errors.As(err, &e) {
		return 0
	}
	if e.Partial && slices.Contains(batch, e.UID) && !done[e.UID] {
		return e.UID
	}
	return 0
}

// askedToRelogin reports whether the server, for the first time with this mailbox, only wants a new session, because it
// has just made the index anew.
func (t *taker) askedToRelogin(err error) bool {
	if t.relogged || imap.Explain(err).Class != imap.ClassInconsistent {
		return false
	}
	t.relogged = true
	return true
}

func reason(err error) string {
	var e *imap.Error
	switch {
	case err == nil:
		return "the server leaves it out without a word"
	case errors.As(err, &e) && e.Raw != "":
		return e.Raw
	}
	return remote.Safe(err.Error())
}

// mark notes why messages could not be read, at each its first reason.
func (t *taker) mark(uids []uint32, why string) {
	for _, u := range uids {
		if i, ok := t.at[u]; ok && t.r.Messages[i].BodyErr == "" {
			t.r.Messages[i].BodyErr = why
		}
	}
}

// unread notes that messages were not tried.
func (t *taker) unread(uids []uint32, err error) {
	t.mark(uids, "not read: "+remote.Safe(err.Error()))
}
