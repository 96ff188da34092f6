package probe

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"dovemend/remote/imap"
)

// messages looks at the messages of the mailbox that was opened.
func (l *looker) messages(ctx context.Context, looks []imap.Look) error {
	looks = slices.DeleteFunc(looks, func(k imap.Look) bool { return k == LookExamine })
	if len(looks) == 0 {
		return nil
	}
	// UIDs and flags come first, also where nobody asked: which messages there are is told by nothing else.
	flags := *l.begin(imap.LookFlags)
	sample, err := l.flags(ctx, &flags)
	l.box.Looks[len(l.box.Looks)-1] = flags
	if !l.o.wants(imap.LookFlags) && !flags.Failed() {
		l.box.Looks = l.box.Looks[:len(l.box.Looks)-1]
	}
	if err != nil {
		return err
	}
	l.box.Sample = count(sample)
	var texts []imap.UIDRange
	var why string
	for _, k := range looks {
		if k == imap.LookFlags {
			continue
		}
		r := l.begin(k)
		if flags.State != Works && len(sample) == 0 {
			r.Why = "which messages there are was not told"
			continue
		}
		about := sample
		if ReadsTexts(k) && l.o.Sample > 0 {
			if texts == nil {
				if texts, why, err = l.texts(ctx, r, sample); err != nil {
					return err
				}
			}
			about, r.Why = texts, why
		}
		if err := l.look(ctx, r, about); err != nil {
			return err
		}
	}
	return nil
}

// flags asks for the flags of all messages, and chooses the sample.
func (l *looker) flags(ctx context.Context, r *LookResult) (sample []imap.UIDRange, err error) {
	if ok, err := l.open(ctx, r); !ok || err != nil {
		return nil, err
	}
	seen, n := 0, 0
	chosen := choose(l.box.Exists, l.o.Sample)
	err = l.ask(ctx, r, func() error {
		return l.conn.FetchFlags(ctx, 1, func(m imap.Message) error {
			if n++; chosen(n) {
				sample = extend(sample, m.UID)
			}
			if slices.Contains(m.Flags, `\Seen`) {
				seen++
			}
			return nil
		})
	})
	r.Asked, r.Answered = l.box.Exists, n
	if r.State == Works {
		l.box.Seen = seen
	}
	if err != nil || r.State != Works || n >= r.Asked {
		return sample, err
	}
	// Fewer than the mailbox was said to have: they were deleted meanwhile, or the server hides them.
	was := l.box.Exists
	again := LookResult{}
	if err := l.ask(ctx, &again, func() error { return l.examine(ctx, &again) }); err != nil {
		return sample, err
	}
	if again.State == Works && l.box.Exists <= n {
		r.Gone = was - n
		return sample, nil
	}
	r.State, r.Replies = Fails, addReply(r.Replies, fmt.Sprintf("FETCH FLAGS: of %d messages the server tells of %d", was, n), leftOut)
	return sample, nil
}

var leftOut = imap.Explanation{Class: imap.ClassUnreadable, Whose: imap.WhoseMessage,
	Meaning: "The server says that all is well and leaves out messages which are in the mailbox. Mail programs show an empty line for them, or nothing.",
	Next:    "Run dovemend check. dovemend probe --find-poison names the messages."}

// texts chooses, of the sample, the messages whose texts are asked for: the newest ones, until SampleBytes are reached,
// and at least one. It asks for their sizes, as a step of r; what has none cannot be read and is not asked for.
func (l *looker) texts(ctx context.Context, r *LookResult, sample []imap.UIDRange) (texts []imap.UIDRange, why string, err error) {
	if ok, err := l.open(ctx, r); !ok || err != nil {
		return nil, "", err
	}
	var all []uint32
	for _, x := range sample {
		for u := uint64(x.First); u <= uint64(x.Last); u++ {
			all = append(all, uint32(u))
		}
	}
	sizes := make(map[uint32]int64, len(all))
	if err := l.ask(ctx, r, func() error {
		return l.conn.FetchDates(ctx, all, func(m imap.Message) error { sizes[m.UID] = m.Size; return nil })
	}); err != nil {
		return nil, "", err
	}
	var sum int64
	var chosen []uint32
	for _, u := range slices.Backward(all) {
		size, ok := sizes[u]
		if !ok || len(chosen) > 0 && (size > l.o.SampleBytes || sum > l.o.SampleBytes-size) {
			continue
		}
		sum += max(size, 0)
		chosen = append(chosen, u)
	}
	if n := len(all) - len(chosen); n > 0 {
		why = fmt.Sprintf("%d messages of the sample left out, because of their size", n)
	}
	return append([]imap.UIDRange{}, imap.Ranges(chosen)...), why, nil
}

// look asks one kind of question about some messages.
func (l *looker) look(ctx context.Context, r *LookResult, about []imap.UIDRange) error {
	if ok, err := l.open(ctx, r); !ok || err != nil {
		return err
	}
	var mu sync.Mutex
	var answered []imap.UIDRange
	n := count(about)
	err := l.ask(ctx, r, func() error {
		return l.conn.AskRanges(ctx, r.Look, about, func(uid uint32) {
			mu.Lock()
			defer mu.Unlock()
			answered = extend(answered, uid)
		})
	})
	if r.State == NotOffered {
		return err
	}
	r.Asked, r.Answered = n, min(count(answered), n)
	if err != nil || r.State != Works || r.Answered == n || l.conn == nil {
		return err
	}
	return l.leftOut(ctx, r, without(about, answered))
}

// leftOut asks whether messages which the server left out of its answer are still there.
func (l *looker) leftOut(ctx context.Context, r *LookResult, missing []imap.UIDRange) error {
	var mu sync.Mutex
	var there []imap.UIDRange
	again := LookResult{}
	if err := l.ask(ctx, &again, func() error {
		if _, err := l.conn.Examine(ctx, l.box.ServerName); err != nil {
			return err
		}
		return l.conn.AskRanges(ctx, imap.LookFlags, missing, func(uid uint32) {
			mu.Lock()
			defer mu.Unlock()
			there = extend(there, uid)
		})
	}); err != nil {
		return err
	}
	if again.State != Works {
		there = missing
	}
	n := count(there)
	r.Gone = count(missing) - n
	if n == 0 {
		return nil
	}
	for _, x := range there {
		for u := uint64(x.First); u <= uint64(x.Last) && len(r.Suspects) < 20; u++ {
			r.suspect(uint32(u))
		}
	}
	r.State, r.Replies = Fails, addReply(r.Replies, fmt.Sprintf("%s: the server leaves out %d of %d messages", Command(r.Look), n, r.Asked), leftOut)
	return nil
}

// choose gives a function that tells whether the n-th message of a mailbox is in the sample: half of it are the newest
// ones, where damage is most likely, and half are spread over the others.
func choose(messages, sample int) func(n int) bool {
	if sample < 0 || messages <= sample {
		return func(int) bool { return true }
	}
	newest := sample - sample/2
	rest, spread := messages-newest, sample/2
	return func(n int) bool {
		switch {
		case n > rest:
			return n <= messages+newest // some that came in meanwhile do no harm
		case spread == 0:
			return false
		}
		return n*spread/rest != (n-1)*spread/rest
	}
}

// extend adds a UID to ranges; they stay short where UIDs come in ascending order.
func extend(ranges []imap.UIDRange, uid uint32) []imap.UIDRange {
	if n := len(ranges); n > 0 && uid != 0 && ranges[n-1].Last == uid-1 {
		ranges[n-1].Last = uid
		return ranges
	}
	if len(ranges) >= maxGathered { // an honest server cannot come here
		return ranges
	}
	return append(ranges, imap.UIDRange{First: uid, Last: uid})
}

func count(ranges []imap.UIDRange) int {
	var n uint64
	for _, r := range ranges {
		n += uint64(r.Last) - uint64(r.First) + 1
	}
	return int(min(n, math.MaxInt32))
}

// without gives what of all is in none of the others. all is in ascending order, and so are the results.
func without(all, others []imap.UIDRange) []imap.UIDRange {
	others = slices.Clone(others)
	slices.SortFunc(others, func(a, b imap.UIDRange) int { return int(int64(a.First) - int64(b.First)) })
	var left []imap.UIDRange
	i := 0
	for _, r := range all {
		first := uint64(r.First)
		for ; i < len(others) && uint64(others[i].First) <= uint64(r.Last); i++ {
			if o := others[i]; uint64(o.Last) >= first {
				if uint64(o.First) > first {
					left = append(left, imap.UIDRange{First: uint32(first), Last: o.First - 1})
				}
				first = uint64(o.Last) + 1
			}
			if uint64(others[i].Last) > uint64(r.Last) {
				break // it may reach into the next range
			}
		}
		if first <= uint64(r.Last) {
			left = append(left, imap.UIDRange{First: uint32(first), Last: r.Last})
		}
	}
	return left
}
