package repair

import (
	"context"
	"fmt"
	"slices"

	"dovemend/remote/imap"
	"dovemend/repair/evacuate"
	"dovemend/repair/probe"
)

// finder asks Dovecot about messages in all the ways of mail programs. Looks that Dovecot answers from every message of the mailbox,
// whatever it is asked about, are left out where that would make it read one that is known to be damaged: it fails then, or, in
// mdbox, rebuilds its storage.
func (r *Run) finder(l *Look) evacuate.Finder {
	if f := r.s.o.finder; f != nil {
		return f
	}
	return func(ctx context.Context, mailbox string, uids []uint32) ([]evacuate.Left, error) {
		looks := slices.Clone(probe.FindLooks)
		if len(r.plan.Moves.Unreadable) > 0 && !r.evac.Fresh {
			looks = slices.DeleteFunc(looks, func(l imap.Look) bool { return l == imap.LookThread })
		}
		o := probe.FindOptions{UIDs: uids, Looks: looks, ServerName: mailbox, MaxPoison: len(uids), Reconnects: 60 + 8*len(uids)/100, RoundTrips: 3000 + len(uids)}
		found, err := probe.Find(ctx, l.Dial, r.plan.Moves.Mailbox, o)
		for try := 0; err == nil && found.Stopped() && try < 20; try++ { // it has used up what it may, and is not at its end
			o.Resume = found
			found, err = probe.Find(ctx, l.Dial, r.plan.Moves.Mailbox, o)
		}
		if err != nil {
			return nil, err
		}
		if found.Stopped() {
			return nil, fmt.Errorf("%s; %s", found.Text, found.Next)
		}
		var left []evacuate.Left
		for _, p := range found.Poison {
			left = append(left, evacuate.Left{UID: p.UID, Why: p.Text})
		}
		for _, f := range found.Everywhere {
			r.s.rep.Warn("whichever messages are asked about, " + f.Text)
		}
		return left, nil
	}
}
