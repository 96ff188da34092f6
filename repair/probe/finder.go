package probe

import (
	"context"
	"errors"
	"slices"
	"time"

	"dovemend/remote/imap"
)

const (
	fewSuspects = 64 // suspects are asked about one by one up to so many
	fewMissing  = 16 // messages left out of an answer are asked for one by one up to so many
	fewAll      = 3  // of so few messages each is tried before it is said that all fail
	maxUnsteady = 100
	maxLog      = 10 // log lines kept with a poison message
)

// errSpent: one of the budgets is used up; f.found.Stop says which.
var errSpent = errors.New("used up")

// finder is a search under way. All that a later one needs is in found.
type finder struct {
	dial     Dialer
	o        FindOptions
	found    *Found
	pairs    map[imap.Look]uidSet // settling: what is asked of whom
	settling bool

	conn     *Conn
	examined bool
	seesLog  bool    // the log of the server's process can be read
	logged   int64   // how far conn's log is told
	lines    []Reply // logged since the last question
	dials    int
	trips    int
	began    int // poison messages known when this call began
	hangups  int // in a row
	relogins int
}

func newFinder(dial Dialer, mailbox string, o FindOptions) *finder {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Reconnects, DefaultFindReconnects)
	def(&o.RoundTrips, DefaultRoundTrips)
	def(&o.MaxPoison, DefaultMaxPoison)
	if o.Pause == 0 {
		o.Pause = 500 * time.Millisecond
	}
	f := &finder{dial: dial, o: o, conn: o.Conn}
	if o.Resume != nil {
		f.found = o.Resume.clone()
		f.began = len(f.found.Poison)
		return f
	}
	f.found = &Found{Mailbox: mailbox, ServerName: o.ServerName, Poison: []Poison{}, Todo: []imap.Look{imap.LookFlags}}
	for _, l := range FindLooks[1:] {
		if o.Looks == nil || slices.Contains(o.Looks, l) {
			f.found.Todo = append(f.found.Todo, l)
		}
	}
	if o.UIDs != nil {
		f.found.Only = setOf(o.UIDs...)
		if f.found.Only == nil {
			f.found.Todo = nil
		}
	}
	f.found.Suspects = slices.Compact(slices.Sorted(slices.Values(o.Suspects)))
	return f
}

// run takes one step after the other.
func (f *finder) run(ctx context.Context) error {
	for {
		for len(f.found.Open) == 0 {
			f.endLook()
			if len(f.found.Todo) == 0 {
				if err := f.last(ctx); err != nil {
					return err
				}
				f.found.Complete = len(f.found.Everywhere) == 0
				return nil
			}
			if err := f.open(ctx); err != nil { // UIDNEXT is needed
				return err
			}
			f.beginLook()
		}
		if err := f.spent(); err != nil {
			return err
		}
		if err := f.step(ctx); err != nil {
			return err
		}
		if f.o.Save != nil {
			if err := f.o.Save(f.found); err != nil {
				return err
			}
		}
	}
}

func (f *finder) spent() error {
	switch {
	case f.trips >= f.o.RoundTrips:
		f.found.Stop = StopRoundTrips
	case len(f.found.Poison)-f.began >= f.o.MaxPoison:
		f.found.Stop = StopPoison
	default:
		return nil
	}
	return errSpent
}

// poison is the set of messages that are no longer asked about.
func (f *finder) poison() uidSet {
	var uids []uint32
	for _, p := range slices.Concat(f.found.Poison, f.found.Now.Pending) {
		uids = append(uids, p.UID)
	}
	return setOf(uids...)
}

// beginLook makes the questions of the next look.
func (f *finder) beginLook() {
	look := f.found.Todo[0]
	f.found.Todo = f.found.Todo[1:]
	f.found.Now = LookState{Look: look}
	var set uidSet
	switch {
	case look == imap.LookFlags:
		set = uidSet{{First: 1, Last: max(f.found.UIDNext, 1) - 1}}
		if f.found.UIDNext <= 1 {
			set = nil
		}
		if f.found.Only != nil {
			set = f.found.Only
			if f.found.UIDNext > 0 {
				set = set.and(uidSet{{First: 1, Last: f.found.UIDNext - 1}})
			}
		}
	case f.settling:
		set = f.pairs[look].and(f.found.Exists)
	default:
		set = uidSet(f.found.Exists).minus(f.poison())
	}
	if searches(look) && slices.ContainsFunc(f.found.Everywhere, func(e LookFailure) bool { return e.Look == imap.LookBody }) {
		f.found.Skipped = append(f.found.Skipped, look)
		return
	}
	var sets []uidSet
	if look != imap.LookFlags && look != imap.LookThread {
		suspects := setOf(f.found.Suspects...).and(set)
		set = set.minus(suspects)
		size := 1
		if suspects.size() > fewSuspects {
			size = fewMissing
		}
		sets = append(sets, suspects.slices(size)...)
	}
	sets = append(sets, set.slices(f.batch(look))...)
	for _, s := range slices.Backward(sets) {
		f.push(Open{Look: look, UIDs: s})
	}
}

// searches reports whether a look is a search through whole messages.
func searches(l imap.Look) bool { return l == imap.LookSearchBody || l == imap.LookSearchText }

// batch is how many messages go into one command. They are smaller where the server has to read texts, so that a step
// does not take too long to be worth saving.
func (f *finder) batch(l imap.Look) int {
	switch {
	case l == imap.LookThread || l == imap.LookFlags:
		return 1 << 32
	case f.o.Batch > 0:
		return f.o.Batch
	case l == imap.LookBody:
		return 1000
	}
	return 5000
}

// slices cuts the set into pieces of so many UIDs.
func (s uidSet) slices(size int) (sets []uidSet) {
	for len(s) > 0 {
		var first uidSet
		first, s = s.cut(size)
		sets = append(sets, first)
	}
	return sets
}

func (f *finder) push(w Open) {
	if len(w.UIDs) > 0 {
		f.found.Open = append(f.found.Open, w)
	}
}

// endLook decides about those accused while nothing was answered: where nothing at all is, that may be no message's fault.
func (f *finder) endLook() {
	now := &f.found.Now
	pending := now.Pending
	now.Pending = nil
	if len(pending) == 0 {
		return
	}
	if f.settling || now.Look.NamesMessages() || now.Look != imap.LookThread && len(pending) == 1 {
		f.found.Poison = append(f.found.Poison, pending...)
		return
	}
	f.everywhere()
}

// everywhere notes that the look fails whatever it is about, and ends it.
func (f *finder) everywhere() {
	now := &f.found.Now
	e := LookFailure{Look: now.Look, Tried: now.Failures, Reply: now.Reply}
	e.Text = e.describe(len(f.found.Poison) > 0)
	f.found.Everywhere = append(f.found.Everywhere, e)
	if now.Look.NamesMessages() { // the server told itself where it failed
		f.found.Poison = append(f.found.Poison, now.Pending...)
	}
	now.Pending, f.found.Open = nil, nil
}

// step asks one question and makes of the answer what is to be asked next.
func (f *finder) step(ctx context.Context) error {
	w := f.found.Open[len(f.found.Open)-1]
	if w.Accused != nil {
		return f.accused(ctx, w)
	}
	if w.Known {
		f.found.Open = f.found.Open[:len(f.found.Open)-1]
		if uidSet(w.UIDs).size() > 1 { // that they fail together need not be asked
			f.halve(w.Look, w.UIDs)
		} else {
			f.push(Open{Look: w.Look, UIDs: w.UIDs, Failed: 1, Deduced: true})
		}
		return nil
	}
	answered, err := f.ask(ctx, w.Look, w.UIDs)
	if stopped(ctx, err) || errors.Is(err, errSpent) || isFatal(err) {
		return err
	}
	f.found.Open = f.found.Open[:len(f.found.Open)-1]
	if n := answered.size(); n > 0 {
		f.answered(w, n)
	}
	if w.Look == imap.LookFlags {
		f.found.Exists = uidSet(f.found.Exists).or(answered)
	}
	missing := uidSet(w.UIDs).minus(answered)
	switch {
	case errors.Is(err, imap.ErrNoSort) || errors.Is(err, imap.ErrNoThread):
		f.found.NotOffered = append(f.found.NotOffered, w.Look)
		f.found.Open = nil
		return nil
	case err == nil && (len(missing) == 0 || w.Look == imap.LookFlags):
		return nil
	case err == nil:
		return f.leftOut(ctx, w, missing)
	case harmless(err):
		f.push(Open{Look: w.Look, UIDs: missing, Failed: w.Failed, Alone: w.Alone, Control: w.Control, Deduced: w.Deduced})
		return f.patience(ctx, err)
	}
	f.failed(w, missing, err)
	return nil
}

// answered notes that messages were answered.
func (f *finder) answered(w Open, n int) {
	now := &f.found.Now
	now.Answered += n
	f.relogins = 0
	f.found.Poison = append(f.found.Poison, now.Pending...) // the look itself works, so they are to blame
	now.Pending = nil
	if w.Alone {
		f.unsteady(w.UIDs[0].First)
	}
}

// unsteady notes a message at which the server failed by chance.
func (f *finder) unsteady(uid uint32) {
	if len(f.found.Unsteady) < maxUnsteady && !slices.Contains(f.found.Unsteady, uid) {
		f.found.Unsteady = append(f.found.Unsteady, uid)
	}
}

// failed makes smaller questions of one that failed.
func (f *finder) failed(w Open, missing uidSet, err error) {
	now := &f.found.Now
	now.Failures++
	now.Reply = f.reply(w.Look, err)
	set := uidSet(w.UIDs)
	n := missing.size()
	for i := range f.found.Open {
		f.found.Open[i].Known = false
	}
	switch {
	case w.Control:
		if now.Uncontrols++; now.Uncontrols == now.Controls && now.Answered == 0 {
			f.everywhere()
		}
		return
	case n == 0: // answered in full, and broken off after that
		return
	case n == 1 && set.size() == 1:
		if w.Failed+1 < 2 {
			f.push(Open{Look: w.Look, UIDs: w.UIDs, Failed: w.Failed + 1, Alone: true})
			return
		}
		f.accuse(w, err)
		return
	case w.Look == imap.LookThread && w.Failed == 0:
		w.Failed = 1
		f.push(w)
		return
	case w.Look == imap.LookThread && now.Answered == 0 && len(f.found.Poison) > 0:
		f.everywhere()
		return
	}
	if u := clue(err, missing); u != 0 {
		f.push(Open{Look: w.Look, UIDs: missing.minus(setOf(u))})
		f.push(Open{Look: w.Look, UIDs: setOf(u), Failed: 1})
	} else if w.Look.NamesMessages() && (n < set.size() || n > fewMissing) {
		f.widening(w.Look, missing)
	} else {
		f.halve(w.Look, set)
	}
	f.control(w.Look)
}

// halve asks about one half, and where that is answered, the culprit is in the other one.
func (f *finder) halve(look imap.Look, set uidSet) {
	first, rest := set.cut((set.size() + 1) / 2)
	f.push(Open{Look: look, UIDs: rest, Known: true})
	f.push(Open{Look: look, UIDs: first})
}

// widening asks about what follows the last answer: the culprit is near, but the answers of messages just before it
// may have been lost with the connection.
func (f *finder) widening(look imap.Look, missing uidSet) {
	var sets []uidSet
	for size := 1; len(missing) > 0; size *= 4 {
		var first uidSet
		first, missing = missing.cut(size)
		sets = append(sets, first)
	}
	for i, s := range slices.Backward(sets) {
		f.push(Open{Look: look, UIDs: s, Known: i == len(sets)-1})
	}
}

// control asks, where everything has failed so far, about single messages far from each other, before single
// messages are accused of what may be the fault of none.
func (f *finder) control(look imap.Look) {
	now := &f.found.Now
	if f.settling || now.Answered > 0 || now.Controls > 0 || look == imap.LookFlags || look.NamesMessages() && len(now.Pending) < fewAll {
		return
	}
	var left uidSet
	for _, w := range f.found.Open {
		left = left.or(w.UIDs)
	}
	n := left.size()
	if n <= fewAll {
		return
	}
	for _, u := range []uint32{left.at(n - 1), left.at(n / 2), left.at(0)} {
		f.push(Open{Look: look, UIDs: setOf(u), Control: true})
		now.Controls++
	}
}

// clue is the message at which the server broke off; 0 where that is not told.
func clue(err error, missing uidSet) uint32 {
	var e *imap.Error
	if errors.As(err, &e) && e.Partial && missing.has(e.UID) {
		return e.UID
	}
	return 0
}
