package probe

import (
	"context"
	"errors"
	"slices"

	"dovemend/remote"
	"dovemend/remote/imap"
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
		p.Crash, p.Hangup = e.Type == imap.TypeClosed, imap.Ended(err)
	}
	f.push(Open{Look: w.Look, UIDs: w.UIDs, Accused: p})
}

// accused looks whether the message still is there at all, then whether its text can be read, and notes it.
func (f *finder) accused(ctx context.Context, w Open) error {
	at := len(f.found.Open) - 1
	if !w.There && w.Look != imap.LookFlags {
		there, err := f.there(ctx, w.UIDs)
		if err != nil {
			return err
		}
		if len(there) > 0 { // otherwise it is forgotten
			f.found.Open[at].There = true
		}
		return nil
	}
	p := *w.Accused
	if !f.settling && w.Look != imap.LookFlags && w.Look != imap.LookBody {
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
		now.Pending = append(now.Pending, p)
		f.control(w.Look)
	} else {
		f.found.Poison = append(f.found.Poison, p)
	}
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
	case len(p.Reads) > 0, cache(p.Reply), slices.ContainsFunc(p.Log, cache):
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
