package rebuild

import (
	"context"
	"fmt"
	"io"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
)

// sdbox rebuilds an sdbox mailbox: its index, and the files of messages on which Dovecot fails.
func (b *builder) sdbox(ctx context.Context, x *box) error {
	for i := range x.s.Messages {
		m := &x.s.Messages[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case !x.s.Belongs(m):
		case m.Body.Healed:
			x.keep = append(x.keep, m)
			x.Healed++
		case m.Body.Why != nil || m.File == "" || !x.s.Breaks(m):
			x.keep = append(x.keep, m)
		default:
			if err := b.sdboxMessage(x, m); err != nil {
				return err
			}
		}
	}
	x.Messages = len(x.keep)
	b.validity(x)
	return b.index(x)
}

// sdboxMessage mends a message's file, or takes it out.
func (b *builder) sdboxMessage(x *box, m *reconstruct.Message) error {
	why := broken(m)
	out := TakeOut{Path: m.File, Mailbox: x.Mailbox.Name, Why: "replaced by the same message with its framing mended"}
	if why != "" {
		out.Poison, out.Why = true, fmt.Sprintf("message %d, on which Dovecot fails: %s", m.UID, why)
		b.take(out)
		x.LeftOut = append(x.LeftOut, LeftOut{*m, why})
		return nil
	}
	b.take(out)
	err := b.put(NewFile{Path: m.File, Mode: b.modeOf(m.File), MTime: m.Saved, Mailbox: x.Mailbox.Name, Why: fmt.Sprintf("message %d, its framing mended", m.UID)},
		func(w io.Writer) error { return b.messageFile(m, w) })
	if err != nil {
		return err
	}
	x.Mended++
	kept := *m
	kept.Body.Damage, kept.Flags = 0, m.Flags&^dovecot.FlagBackend
	x.keep = append(x.keep, &kept)
	return nil
}
