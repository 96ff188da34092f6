package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
	"dovemend/repair/probe"
)

// Evacuated is what became of the messages of an evacuation.
type Evacuated struct {
	Backup   string // the mailbox that was made; "" where it is gone again, because nothing was in it any more
	Moved    int    // messages that are there
	Back     int    // that are in the mailbox again
	Taken    int    // that somebody else has taken away meanwhile
	Left     []evacuate.Left
	Breaking []evacuate.Left // stay in the backup mailbox, by their UIDs there: they broke the mailbox when they were moved back
}

// Evacuated tells what became of the messages; nil where the run is no evacuation.
func (r *Run) Evacuated() *Evacuated {
	if r.evac == nil {
		return nil
	}
	x := &Evacuated{Backup: r.evac.Backup, Left: slices.Concat(r.evac.Earlier, r.evac.Left), Breaking: r.evac.Bad}
	x.Moved, x.Back, x.Taken = r.evac.Counts()
	if r.evac.BackupGone {
		x.Backup = ""
	}
	if r.plan.Remedy == plan.Undo { // they are in the mailbox again
		x.Left = nil
	}
	return x
}

// verifyMoves reads both mailboxes and compares them with what was moved: each message is where the journal says, with its flags,
// keywords, date and size. After an undo the mailbox may be as broken as it was before, and what was moved is compared by UIDs and
// flags alone, for which no message is opened.
func (r *Run) verifyMoves(ctx context.Context, v *Verification) error {
	if r.evac == nil {
		if err := r.readMoves(); err != nil {
			return err
		}
	}
	l, err := r.s.Look(ctx, r.account)
	var none *NoLookError
	if errors.As(err, &none) {
		v.OK, v.IMAPNot = false, none.Error()
		return nil
	}
	if err != nil {
		return fmt.Errorf("look over IMAP: %w", err)
	}
	defer l.Close()
	v.IMAP = l.How
	source := r.plan.Moves.Mailbox
	names := []string{source}
	if r.evac.Made && !r.evac.BackupGone {
		names = append(names, mailboxName(r.evac.Backup))
	}
	r.s.rep.Stage("reading the messages over IMAP")
	undo := r.plan.Remedy == plan.Undo
	var readings []probe.Reading
	for _, name := range names {
		if undo && name == source {
			b, err := r.flagsOnly(ctx, l)
			if err != nil {
				return err
			}
			v.Boxes = append(v.Boxes, b)
			continue
		}
		got, err := probe.Take(ctx, l.Dial, []string{name}, probe.Options{Bodies: true, Sort: true}, r.s.rep)
		readings = append(readings, got...)
		if err != nil {
			return err
		}
		for i := range got {
			v.Boxes = append(v.Boxes, r.judgeMoves(&got[i], name != source))
		}
	}
	for _, b := range v.Boxes {
		v.OK = v.OK && b.OK
	}
	if err := r.dir.WriteJSON("readings.json", readings); err != nil {
		return err
	}
	if v.OK {
		return r.stage(r.verified())
	}
	return nil
}

// judgeMoves compares one of the two mailboxes.
func (r *Run) judgeMoves(got *probe.Reading, backup bool) BoxVerdict {
	want := probe.Expected{UIDValidity: r.evac.Validity}
	if backup {
		want.UIDValidity = r.evac.BackupID
	}
	for _, m := range r.evac.Messages {
		if m.Missing || m.InBackup != backup {
			continue
		}
		w := probe.Want{UID: m.UID, InternalDate: time.Unix(m.Date, 0), Size: m.Size}
		for _, f := range m.Flags {
			if strings.HasPrefix(f, `\`) {
				w.Flags = append(w.Flags, f)
			} else {
				w.Keywords = append(w.Keywords, f)
			}
		}
		want.Messages = append(want.Messages, w)
	}
	b := BoxVerdict{Mailbox: got.Mailbox, Messages: got.Exists, Expected: len(want.Messages)}
	bad := func(uid uint32) bool {
		return backup && slices.ContainsFunc(r.evac.Bad, func(l evacuate.Left) bool { return l.UID == uid })
	}
	for _, d := range probe.Compare(want, *got) {
		switch {
		case d.Kind == probe.Extra: // new mail, or somebody's own
			if twin := twinOf(want.Messages, got.Messages, d.UID); twin != 0 {
				b.Problems = append(b.Problems, fmt.Sprintf("UID %d has the same text as UID %d, which was moved", d.UID, twin))
			} else if backup && (r.plan.Moves.Back || r.plan.Remedy == plan.Undo) { // a late MOVE may have brought it
				b.Problems = append(b.Problems, fmt.Sprintf("UID %d is here, and this run knows nothing of it: compare it with %s, and move it there with a mail program where it is missing", d.UID, remote.Safe(r.plan.Moves.Mailbox)))
			}
		case (d.Kind == probe.Flags || d.Kind == probe.Keywords) && keeps(want.Messages, got.Messages, d.UID):
			b.Notes = append(b.Notes, d.Text+": somebody has marked it since")
		case d.Kind == probe.Unreadable && bad(d.UID):
			b.Notes = append(b.Notes, d.Text+", as it was found")
		default:
			b.Problems = append(b.Problems, d.Text)
		}
	}
	if backup {
		for _, l := range r.evac.Bad {
			b.Notes = append(b.Notes, fmt.Sprintf("UID %d stays here, because it broke %s when it was moved back: %s", l.UID, remote.Safe(r.plan.Moves.Mailbox), l.Why))
		}
	} else {
		for _, l := range slices.Concat(r.evac.Earlier, r.evac.Left) {
			b.Notes = append(b.Notes, fmt.Sprintf("UID %d, as it was called before, was taken out: %s", l.UID, l.Why))
		}
		if _, _, gone := r.evac.Counts(); gone > 0 {
			b.Notes = append(b.Notes, counted(gone, "message was", "messages were")+" taken away by somebody else meanwhile")
		}
	}
	b.OK = len(b.Problems) == 0 && got.Opened
	b.tell(got)
	if !backup && len(b.Replies) > 0 {
		b.OK = false
	}
	return b
}

// flagsOnly makes sure that what was moved back is there, without opening any message.
func (r *Run) flagsOnly(ctx context.Context, l *Look) (BoxVerdict, error) {
	b := BoxVerdict{Mailbox: r.plan.Moves.Mailbox, Messages: -1, Expected: -1}
	c, err := l.Dial(ctx)
	if err != nil {
		return b, err
	}
	defer c.Close()
	missing, err := evacuate.Missing(ctx, c, r.evac)
	if err != nil {
		b.Problems = append(b.Problems, lookFailure(err))
		return b, ctx.Err()
	}
	for _, uid := range missing[:min(len(missing), 50)] {
		b.Problems = append(b.Problems, fmt.Sprintf("UID %d, which was moved back, is not there with its flags", uid))
	}
	if stay, _, _ := r.evac.Counts(); stay > 0 {
		b.Problems = append(b.Problems, counted(stay, "message", "messages")+" could not be moved back, and stay in "+remote.Safe(r.evac.Backup))
	}
	b.Notes = append(b.Notes, "it was not read any further: a look could change what was just brought back")
	b.OK = len(b.Problems) == 0
	return b, nil
}

// keeps reports whether a message still has all flags and keywords that it had.
func keeps(want []probe.Want, got []probe.Message, uid uint32) bool {
	i := slices.IndexFunc(want, func(w probe.Want) bool { return w.UID == uid })
	j := slices.IndexFunc(got, func(m probe.Message) bool { return m.UID == uid })
	if i < 0 || j < 0 {
		return false
	}
	lacks := func(had, has []string) bool {
		return slices.ContainsFunc(had, func(f string) bool {
			return !slices.ContainsFunc(has, func(g string) bool { return strings.EqualFold(f, g) })
		})
	}
	return !lacks(want[i].Flags, got[j].Flags) && !lacks(want[i].Keywords, got[j].Keywords)
}

// twinOf gives the message that was moved and has the same text as another one.
func twinOf(want []probe.Want, got []probe.Message, uid uint32) uint32 {
	i := slices.IndexFunc(got, func(m probe.Message) bool { return m.UID == uid && m.BodySHA256 != "" })
	if i < 0 {
		return 0
	}
	for _, m := range got {
		if m.UID != uid && m.BodySHA256 == got[i].BodySHA256 && slices.ContainsFunc(want, func(w probe.Want) bool { return w.UID == m.UID }) {
			return m.UID
		}
	}
	return 0
}
