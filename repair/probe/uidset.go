package probe

import (
	"cmp"
	"slices"

	"dovemend/remote/imap"
)

// uidSet is UIDs in ascending ranges that do not touch each other. Its methods make new sets and leave the old ones as they are.
type uidSet []imap.UIDRange

func setOf(uids ...uint32) uidSet { return imap.Ranges(uids) }

// normal puts ranges in order and joins those that touch; ranges that are none are left out.
func normal(rs []imap.UIDRange) (s uidSet) {
	rs = slices.DeleteFunc(slices.Clone(rs), func(r imap.UIDRange) bool { return r.First == 0 || r.Last < r.First })
	slices.SortFunc(rs, func(a, b imap.UIDRange) int { return cmp.Compare(a.First, b.First) })
	for _, r := range rs {
		if n := len(s); n > 0 && uint64(r.First) <= uint64(s[n-1].Last)+1 {
			s[n-1].Last = max(s[n-1].Last, r.Last)
			continue
		}
		s = append(s, r)
	}
	return s
}

// size is how many UIDs are in the set.
func (s uidSet) size() (n int) {
	for _, r := range s {
		n += int(r.Last-r.First) + 1
	}
	return n
}

// find is the place of the first range that ends at uid or later.
func (s uidSet) find(uid uint32) int {
	i, _ := slices.BinarySearchFunc(s, uid, func(r imap.UIDRange, uid uint32) int { return cmp.Compare(r.Last, uid) })
	return i
}

func (s uidSet) has(uid uint32) bool {
	i := s.find(uid)
	return i < len(s) && s[i].First <= uid
}

// at is the n-th UID, from 0; the set must have so many.
func (s uidSet) at(n int) uint32 {
	for _, r := range s {
		if k := int(r.Last-r.First) + 1; n < k {
			return r.First + uint32(n)
		} else {
			n -= k
		}
	}
	return 0
}

// cut gives the first n UIDs and the rest.
func (s uidSet) cut(n int) (first, rest uidSet) {
	for i, r := range s {
		k := int(r.Last-r.First) + 1
		if n >= k {
			n -= k
			continue
		}
		if n == 0 {
			return slices.Clone(s[:i]), slices.Clone(s[i:])
		}
		first = append(slices.Clone(s[:i]), imap.UIDRange{First: r.First, Last: r.First + uint32(n) - 1})
		return first, append(uidSet{{First: r.First + uint32(n), Last: r.Last}}, s[i+1:]...)
	}
	return slices.Clone(s), nil
}

// minus is what is not in the other set.
func (s uidSet) minus(o uidSet) (out uidSet) {
	for _, r := range s {
		first, done := r.First, false
		for i := o.find(first); i < len(o) && o[i].First <= r.Last; i++ {
			if o[i].First > first {
				out = append(out, imap.UIDRange{First: first, Last: o[i].First - 1})
			}
			if o[i].Last >= r.Last {
				done = true
				break
			}
			first = o[i].Last + 1
		}
		if !done {
			out = append(out, imap.UIDRange{First: first, Last: r.Last})
		}
	}
	return out
}

// and is what is in both sets.
func (s uidSet) and(o uidSet) uidSet { return s.minus(s.minus(o)) }

// or is what is in one of them.
func (s uidSet) or(o uidSet) uidSet { return normal(slices.Concat(s, o)) }

// bridge joins ranges between which no UID of others lies: a shorter command for the same messages.
func (s uidSet) bridge(others uidSet) (out uidSet) {
	for _, r := range s {
		if n := len(out); n > 0 {
			i := others.find(out[n-1].Last + 1)
			if i == len(others) || others[i].First >= r.First {
				out[n-1].Last = r.Last
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// gather collects UIDs as answers come in, usually in ascending order.
type gather struct{ set []imap.UIDRange }

func (g *gather) add(uid uint32) {
	if n := len(g.set); n > 0 && g.set[n-1].Last+1 == uid && uid != 0 {
		g.set[n-1].Last = uid
		return
	}
	if n := len(g.set); n > 0 && g.set[n-1].First <= uid && uid <= g.set[n-1].Last {
		return
	}
	g.set = append(g.set, imap.UIDRange{First: uid, Last: uid})
}
