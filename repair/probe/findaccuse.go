package probe

import (
	"context"
	"errors"
	"slices"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// A message is accused when it has failed so often. More patience is had with one in whose text the server broke off: Dovecot
// corrects a wrong size in its cache when it meets it, but one of several at a time.
const (
	enoughTries  = 3
	patientTries = 6
)

// leftOut looks into messages that the server said nothing about although it said OK.
func (f *finder) leftOut(ctx context.Context, w Open, missing uidSet) error {
	there, err := f.there(ctx, missing)
	if err != nil {
		f.push(w)
		return err
	}
	if len(there) == 0 {
		return nil
	}
	f.found.Failures++
	if w.Control || there.size() == 1 && uidSet(w.UIDs).size() == 1 {
		f.failed(w, there, nil)
		return nil
	}
	now := &f.found.Now
	now.Failures++
	now.Reply = f.reply(w.Look, nil)
	if there.size() <= fewMissing {
		for _, s := range slices.Backward(there.slices(1)) {
			f.push(Open{Look: w.Look, UIDs: s, Failed: 1})
		}
	} else {
		f.widening(w.Look, there)
	}
	f.control(w.Look)
	return nil
}

// there says which of the messages still are. The others are counted as gone.
func (f *finder) there(ctx context.Context, set uidSet) (uidSet, error) {
	answered, err := f.ask(ctx, imap.LookFlags, set)
	if stopped(ctx, err) || errors.Is(err, errSpent) || isFatal(err) {
		return nil, err
	}
	if err != nil { // it cannot be told, so it is not taken for gone
		return set, nil
	}
	gone := set.minus(answered)
	f.found.Gone += gone.size()
	f.found.Exists = uidSet(f.found.Exists).minus(gone)
	f.forget(gone)
	return answered, nil
}

// forget takes messages out of all questions.
func (f *finder) forget(set uidSet) {
	var open []Open
	for _, w := range f.found.Open {
		if w.UIDs = uidSet(w.UIDs).minus(set); len(w.UIDs) > 0 {
			open = append(open, w)
		}
	}
	f.found.Open = open
}

// accuse takes up the case of a message at which the server failed twice.
func (f *finder) accuse(w Open, err error) {
	uid := w.UIDs[0].First
	p := &Poison{UID: uid, Look: w.Look, Fails: []imap.Look{w.Look}, Tries: w.Failed + 1, Reply: f.reply(w.Look, err),
		Damaged: slices.Contains(f.found.Suspects, uid), Log: f.lines[:min(len(f.lines), maxLog)]}
	var e *imap.Error
	if errors.As(err, &e) {
		p.Hangup = imap.Ended(err)
		p.MidText = e.Type == imap.TypeClosed && w.Look == imap.LookBody && e.Partial && e.UID == uid
		p.Crash = e.Type == imap.TypeClosed && !p.MidText
		if f.seesLog { // Dovecot also disconnects without a word where a size does not fit
			p.Crash = p.Hangup && slices.ContainsFunc(p.Log, func(l Reply) bool { return l.Class == imap.ClassCrash })
		}
	}
	f.push(Open{Look: w.Look, UIDs: w.UIDs, Deduced: w.Deduced, Accused: p})
}

// accused takes the next step in the case of an accused message: whether it still is there at all, whether it fails a third
// time, since Dovecot mends some damage when it has met it, and whether its text can be read.
func (f *finder) accused(ctx context.Context, w Open) error {
	asked := func(s Stage) { f.found.Open[len(f.found.Open)-1].Asked = s }
	p := w.Accused
	switch {
	case w.Asked == "" && w.Look != imap.LookFlags:
		there, err := f.there(ctx, w.UIDs)
		if err == nil && len(there) > 0 { // otherwise it is forgotten
			asked(StageThere)
		}
		return err
	case w.Asked != StageFails:
		answered, err := f.ask(ctx, w.Look, w.UIDs)
		switch {
		case stopped(ctx, err) || errors.Is(err, errSpent) || isFatal(err):
			return err
		case err != nil && harmless(err):
			return f.patience(ctx, err)
		case len(answered) > 0:
			f.found.Open = f.found.Open[:len(f.found.Open)-1]
			f.answered(w, len(answered))
			if w.Deduced && p.Tries == 2 { // it failed once by itself
				f.unsteady(p.UID)
				return nil
			}
			p.Verdict = BlameNobody
			p.describe()
			f.found.Healed = append(f.found.Healed, *p)
			return nil
		}
		if p.Tries++; len(f.lines) > 0 {
			p.Log = f.lines[:min(len(f.lines), maxLog)]
		}
		if p.Tries >= enoughTries && !p.MidText || p.Tries >= patientTries {
			asked(StageFails)
		}
		return nil
	case !f.settling && w.Look != imap.LookFlags && w.Look != imap.LookBody:
		answered, err := f.ask(ctx, imap.LookBody, w.UIDs)
		switch {
		case stopped(ctx, err) || errors.Is(err, errSpent) || isFatal(err):
			return err
		case len(answered) > 0:
			p.Reads = append(p.Reads, imap.LookBody)
		default:
			p.Fails = append(p.Fails, imap.LookBody)
		}
	}
	p.Verdict = p.judge()
	p.describe()
	f.forget(w.UIDs)
	if now := &f.found.Now; now.Answered == 0 {
		now.Pending = append(now.Pending, *p)
		f.control(w.Look)
	} else {
		f.found.Poison = append(f.found.Poison, *p)
	}
	return nil
}

// last looks once more whether those found still are there: Dovecot drops messages when it rebuilds a mailbox, and any look
// can make it do that.
func (f *finder) last(ctx context.Context) error {
	if len(f.found.Poison) == 0 {
		return nil
	}
	there, err := f.there(ctx, setOf(f.found.UIDs()...))
	if err != nil {
		return err
	}
	f.found.Poison = slices.DeleteFunc(f.found.Poison, func(p Poison) bool { return p.Look != imap.LookFlags && !there.has(p.UID) })
	return nil
}

// judge says what is to blame, as far as it can be told without changing anything.
func (p *Poison) judge() Verdict {
	cache := func(r Reply) bool { return r.Class == imap.ClassCache || r.Class == imap.ClassCachedSize }
	switch {
	case p.Look == imap.LookFlags:
		return BlameIndexMaybe
	case p.Damaged && slices.Contains(p.Fails, imap.LookBody):
		return BlameMessage
	case len(p.Reads) > 0, p.MidText, cache(p.Reply), slices.ContainsFunc(p.Log, cache):
		return BlameCacheMaybe
	}
	return BlameMessageMaybe
}

// reply is a failure as it is told; nil stands for a message left out.
func (f *finder) reply(look imap.Look, err error) Reply {
	var e *imap.Error
	switch {
	case err == nil:
		return Reply{Count: 1, Text: look.Command() + ": the server says OK and leaves the message out, or sends what is not IMAP",
			Explanation: imap.Explanation{Class: imap.ClassUnreadable, Whose: imap.WhoseMessage,
				Meaning: "The server gives no usable answer about this message, and does not say why.", Next: "Run dovemend check."}}
	case errors.As(err, &e) && e.Raw != "":
		return Reply{Count: 1, Text: timing.ReplaceAllString(e.Op+": "+e.Raw, ""), Explanation: imap.Explain(err)}
	}
	return Reply{Count: 1, Text: remote.Safe(err.Error()), Explanation: imap.Explain(err)}
}
