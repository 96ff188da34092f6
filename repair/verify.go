package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"dovemend/remote/imap"
	"dovemend/repair/apply"
	"dovemend/repair/check"
	"dovemend/repair/dovecot"
	"dovemend/repair/plan"
	"dovemend/repair/probe"
	"dovemend/repair/reconstruct"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// Verify compares the host with what the plan promised: the files, and after a repair also what IMAP says. After an undo
// nothing is looked at over IMAP, because a look can change the damaged mailbox that was just brought back.
func (r *Run) Verify(ctx context.Context) (*Verification, error) {
	if r.plan == nil {
		return nil, errors.New("verify: no plan was applied")
	}
	v, k := &Verification{OK: true}, &keptVerification{}
	if r.plan.Moves != nil {
		defer r.keepVerification(k, v)
		return v, r.verifyMoves(ctx, v)
	}
	if err := r.verifyFiles(ctx, v); err != nil {
		return nil, err
	}
	defer r.keepVerification(k, v)
	switch {
	case r.plan.Remedy == plan.Undo:
		v.IMAPNot = "a look over IMAP could change the files that were just brought back"
	default:
		if err := r.verifyIMAP(ctx, v, k); err != nil {
			return v, err
		}
	}
	if v.OK {
		return v, r.stage(r.verified())
	}
	return v, nil
}

func (r *Run) verified() rundir.Stage {
	if m := r.dir.Meta(); m.Stage == rundir.StageUndone {
		return m.Stage
	}
	return rundir.StageVerified
}

// verifyFiles lists what the plan touched, hashes it where the host can, and compares.
func (r *Run) verifyFiles(ctx context.Context, v *Verification) error {
	r.s.rep.Stage("comparing the files with the plan")
	src := r.source()
	var now []snapshot.Entry
	err := src.List(ctx, r.plan.Touches(), func(e snapshot.Entry) error {
		now = append(now, e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the files again: %w", err)
	}
	var at []int
	for i := range now {
		if now[i].Type.IsRegular() && now[i].Err == "" {
			at = append(at, i)
		}
	}
	if err := hash(ctx, src, now, at); err != nil {
		return err
	}
	for _, d := range apply.VerifyFiles(r.plan, r.snap.Manifest().Entries, now) {
		if d.Bad {
			v.OK = false
			v.Files = append(v.Files, d.String())
		} else {
			v.FileNotes = append(v.FileNotes, d.String())
		}
	}
	return nil
}

// hash fills in the hashes of some entries, where the host can compute them.
func hash(ctx context.Context, src snapshot.Source, entries []snapshot.Entry, at []int) error {
	if len(at) == 0 {
		return nil
	}
	paths := make([]store.RelPath, len(at))
	for i, n := range at {
		paths[i] = entries[n].Path
	}
	err := src.Sums(ctx, paths, func(i int, sum [32]byte, err error) error {
		if err == nil {
			entries[at[i]].SHA256 = fmt.Sprintf("%x", sum)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hash the files again: %w", err)
	}
	return nil
}

// verifyIMAP reads every repaired mailbox and compares it with what was promised.
func (r *Run) verifyIMAP(ctx context.Context, v *Verification, k *keptVerification) error {
	if r.reports == nil {
		// A resumed run: what the mailbox was is told by the copy, not by what is left of it.
		if err := r.examine(ctx); err != nil {
			return err
		}
	}
	names := r.toLookAt(v)
	if len(names) == 0 {
		v.IMAPNot = "the damage is still there, and a look would make Dovecot change the mailbox"
		if v.Again {
			v.IMAPNot = "the files are to be looked at first"
		}
		return nil
	}
	if !r.s.o.IMAP.Off {
		r.s.rep.Stage("looking at the mailbox over IMAP")
	}
	l, err := r.s.Look(ctx, r.account)
	var none *NoLookError
	if errors.As(err, &none) {
		v.IMAPNot = none.Error()
		if none.Err != nil {
			k.failed(none.Err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("look over IMAP: %w", err)
	}
	defer l.Close()
	v.IMAP = l.How
	if l.User != "" { // a process that dovemend has started itself greets with nothing worth keeping
		k.Greeting = l.Greeting
	}
	take := func() ([]probe.Reading, []BoxVerdict, error) {
		began := time.Now().UTC()
		readings, err := probe.Take(ctx, l.Dial, names, probe.Options{Bodies: true, Sort: true}, r.s.rep)
		k.looked(began, readings)
		var boxes []BoxVerdict
		for i := range readings {
			boxes = append(boxes, r.judge(&readings[i]))
		}
		return readings, boxes, err
	}
	readings, boxes, err := take()
	if bad(boxes) && err == nil {
		// Dovecot makes an index anew when it first looks, and that session may end in an error: what counts is the next one.
		r.s.rep.Stage("looking a second time")
		var again []BoxVerdict
		readings, again, err = take()
		for i := range again {
			if again[i].OK && !boxes[i].OK {
				again[i].Notes = append(again[i].Notes, "the first look was not good ("+boxes[i].first()+"), as it can be while Dovecot makes its index anew; the second one was")
			}
		}
		boxes = again
	}
	if err != nil && ctx.Err() != nil {
		return err
	}
	for _, b := range boxes {
		v.OK = v.OK && b.OK
		v.Boxes = append(v.Boxes, b)
	}
	if err != nil {
		v.OK = false
		for _, name := range names[len(readings):] {
			v.Boxes = append(v.Boxes, BoxVerdict{Mailbox: name, Messages: -1, Expected: -1, Problems: []string{"it could not be looked at: " + lookFailure(err)}})
		}
	}
	return r.dir.WriteJSON("readings.json", readings)
}

// toLookAt gives the mailboxes that may be looked at: not those whose damage the plan has left as it was, because a look makes
// Dovecot build them anew, and lose by it. Such a mailbox is not repaired, and that is said.
func (r *Run) toLookAt(v *Verification) []string {
	var names []string
	for _, m := range r.boxes {
		i := slices.IndexFunc(r.plan.Promise, func(p plan.Promise) bool { return p.Mailbox == m.Name })
		j := slices.IndexFunc(r.reports, func(rep *check.Report) bool { return rep.State.Mailbox.Name == m.Name })
		if i >= 0 && j >= 0 && r.reports[j].AsIs.Loses() && !r.plan.Mends(m.Name) {
			v.OK = false
			v.Boxes = append(v.Boxes, BoxVerdict{Mailbox: m.Name, Messages: -1, Expected: -1,
				Problems: []string{fmt.Sprintf("the damage that was found is still there: %s does not mend it. It was not looked at over IMAP, because a look would make Dovecot change it", r.plan.Remedy)}})
			continue
		}
		if i >= 0 && r.plan.Promise[i].Again {
			v.Again = true
			v.Boxes = append(v.Boxes, BoxVerdict{Mailbox: m.Name, Messages: -1, Expected: -1, OK: true,
				Notes: []string{"its files can be read now, and were not looked at yet; nor was it looked at over IMAP, because a look would make Dovecot change what may be damaged"}})
			continue
		}
		names = append(names, m.Name)
	}
	return names
}

func bad(boxes []BoxVerdict) bool {
	return slices.ContainsFunc(boxes, func(b BoxVerdict) bool { return !b.OK })
}

// first is the first thing that was wrong.
func (b *BoxVerdict) first() string {
	for _, text := range append(slices.Clone(b.Problems), b.Replies...) {
		return text
	}
	return "it was not complete"
}

// judge compares what IMAP says of a mailbox with what the plan promised.
func (r *Run) judge(got *probe.Reading) BoxVerdict {
	b := r.compare(got)
	b.tell(got)
	return b
}

// tell adds what the server and its log said. In a mailbox that is as promised, the log's lines about its files are notes:
// they are what Dovecot says while it makes anew what was taken away.
func (b *BoxVerdict) tell(got *probe.Reading) {
	for i, reply := range append(slices.Clone(got.Replies), got.Stderr...) {
		explained := reply.Text
		if reply.Meaning != "" {
			explained += " — " + strings.TrimSpace(reply.Meaning+" "+reply.Next)
		}
		switch fromLog := i >= len(got.Replies); {
		case fromLog && b.OK && reply.Whose == imap.WhoseMailbox:
			b.Notes = append(b.Notes, "Dovecot's log, while it made its files anew: "+reply.Text)
		case reply.Whose == imap.WhoseNone:
			b.Notes = append(b.Notes, explained)
		default:
			b.Replies = append(b.Replies, explained)
		}
	}
}

// compare holds a reading against the promise.
func (r *Run) compare(got *probe.Reading) BoxVerdict {
	b := BoxVerdict{Mailbox: got.Mailbox, Messages: got.Exists, Expected: -1}
	i := slices.IndexFunc(r.plan.Promise, func(p plan.Promise) bool { return p.Mailbox == got.Mailbox })
	j := slices.IndexFunc(r.reports, func(rep *check.Report) bool { return rep.State.Mailbox.Name == got.Mailbox })
	if i < 0 || j < 0 {
		b.OK = got.OK()
		return b
	}
	promise := r.plan.Promise[i]
	b.Expected = promise.Messages
	want := expected(promise, r.reports[j].State)
	for _, d := range probe.Compare(want, *got) {
		if d.Kind == probe.Extra && !promise.UIDs || d.Kind == probe.Duplicated && !promise.UIDs {
			continue // its UID was not foretold; the number of messages was, and is compared below
		}
		b.Problems = append(b.Problems, d.Text)
	}
	switch n := len(got.Messages) - promise.Messages; {
	case promise.Messages < 0 || !got.Opened && len(got.Messages) == 0:
	case n < 0:
		b.Problems = append(b.Problems, fmt.Sprintf("%s missing: there are %d, and %d were to be there", counted(-n, "message is", "messages are"), len(got.Messages), promise.Messages))
	case n > 0:
		b.Notes = append(b.Notes, fmt.Sprintf("%s more than foretold: new mail, or mail that Dovecot found again", counted(n, "message", "messages")))
	}
	b.OK = len(b.Problems) == 0 && got.Opened
	return b
}

// expected is what each message must be, as far as the plan promised it.
func expected(promise plan.Promise, s *reconstruct.State) probe.Expected {
	x := probe.Expected{MayGrow: true}
	if !promise.UIDs || promise.Messages == 0 {
		return x
	}
	x.UIDValidity = cmp.Or(promise.UIDValidity, s.UIDValidity)
	for _, m := range s.Messages {
		if m.Lost || m.UID == 0 || m.Stray || slices.Contains(promise.LeftOut, uint32(m.UID)) {
			continue
		}
		w := probe.Want{UID: uint32(m.UID), NoFlags: !promise.Flags, Keywords: m.Keywords}
		w.Flags = strings.Fields((m.Flags & dovecot.FlagsIMAP).String())
		x.Messages = append(x.Messages, w)
	}
	return x
}
