package repair

import (
	"context"

	"dovemend/repair/evacuate"
	"dovemend/repair/probe"
)

// finder asks Dovecot about messages in the ways of mail programs.
func (r *Run) finder(l *Look) evacuate.Finder {
	if f := r.s.o.finder; f != nil {
		return f
	}
	return func(ctx context.Context, mailbox string, uids []uint32) (left []evacuate.Left, err error) {
		got, err := probe.Take(ctx, l.Dial, []string{r.plan.Moves.Mailbox}, probe.Options{Bodies: true, BodiesOf: uids, Reconnects: 300}, r.s.rep)
		if err != nil {
			return nil, err
		}
		for _, m := range got[0].Messages {
			if m.BodyErr != "" {
				left = append(left, evacuate.Left{UID: m.UID, Why: m.BodyErr})
			}
		}
		return left, nil
	}
}
