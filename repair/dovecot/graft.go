package dovecot

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strings"
)

// graft takes from another state of the same index what this one cannot tell: messages in its gaps, the values of records
// that may be damaged, and a header that can be believed. score is how much the other one can be trusted.
func (s *State) graft(o *State, score int) {
	if (s.Doubtful && !o.Doubtful || !s.sound && o.sound) && o.UIDValidity != 0 {
		s.UIDValidity, s.FirstRecent = o.UIDValidity, min(o.FirstRecent, s.NextUID)
		s.Header.UIDValidity, s.Header.FirstRecentUID = s.UIDValidity, s.FirstRecent
		s.Header.IndexID, s.IndexID = o.IndexID, o.IndexID
	}
	s.NextUID = max(s.NextUID, o.nextTold())
	s.Header.NextUID = s.NextUID
	s.ModSeq = max(s.ModSeq, o.ModSeq)
	g := &grafter{s: s, o: o}
	kept := s.Records[:0]
	for _, r := range s.Records {
		have := o.Find(r.UID)
		switch known := have != nil && !have.Suspect && !have.Phantom; {
		case !r.Phantom && !r.Suspect:
		case known && (r.Phantom || score >= soundChain || o.sound && g.damaged(&r, have)):
			r = g.moved(have)
		case r.Suspect && o.sound && have == nil && (r.UID < o.known && !o.unknown(r.UID) || g.elsewhere(&r)):
			continue // no message had that UID, or this one has another
		}
		kept = append(kept, r)
	}
	if len(kept) < len(s.Records) {
		clear(s.Records[len(kept):])
		s.Records = kept
		s.count()
	}
	var taken []Record
	for i := range o.Records {
		r := &o.Records[i]
		if s.unknown(r.UID) && s.Find(r.UID) == nil && (len(taken) == 0 || taken[len(taken)-1].UID < r.UID) {
			taken = append(taken, g.moved(r))
		}
	}
	s.close(o)
	if len(taken) == 0 {
		return
	}
	s.Records = append(s.Records, taken...)
	sort.Slice(s.Records, func(i, j int) bool { return s.Records[i].UID < s.Records[j].UID })
	s.count()
}

// nextTold is the next UID as far as it can be believed.
func (s *State) nextTold() UID {
	if !s.Doubtful {
		return s.NextUID
	}
	if n := len(s.Records); n > 0 {
		return s.Records[n-1].UID + 1
	}
	return 0
}

// close narrows the gaps by what another state's base tells: a message that it does not know and must have known was gone by then.
func (s *State) close(o *State) {
	if o.known == 0 {
		return
	}
	var open []UIDRange
	for _, g := range s.Gaps {
		if o.sound && g.First <= s.known && s.known <= g.Last { // what is known ends in it: the other one goes on
			s.known = max(s.known, min(g.Last+1, o.known))
		}
		for _, h := range o.Gaps { // unknown to both
			if from, to := max(g.First, h.First), min(g.Last, h.Last); from <= to && to < o.known {
				open = append(open, UIDRange{from, to})
			}
		}
		if g.Last >= o.known {
			open = append(open, UIDRange{max(g.First, o.known), g.Last})
		}
	}
	s.Gaps = open
	s.sortGaps()
}

// Knew reports whether the index knew of every message up to this UID that was there when it was last written: one that it
// does not list was gone by then.
func (s *State) Knew(uid UID) bool {
	if s.Exact {
		return uid < s.NextUID
	}
	return uid < s.known && !s.unknown(uid)
}

// KnewAll reports whether [State.Knew] is true of all UIDs from one to another.
func (s *State) KnewAll(first, last UID) bool {
	i := sort.Search(len(s.Gaps), func(i int) bool { return s.Gaps[i].Last >= first })
	return s.Knew(first) && s.Knew(last) && (s.Exact || i == len(s.Gaps) || s.Gaps[i].First > last)
}

// unknown reports whether a message of this UID may have existed without this state telling of it.
func (s *State) unknown(uid UID) bool {
	i := sort.Search(len(s.Gaps), func(i int) bool { return s.Gaps[i].Last >= uid })
	return i < len(s.Gaps) && s.Gaps[i].First <= uid
}

// sortGaps makes the gaps ascend, without any two that overlap.
func (s *State) sortGaps() {
	slices.SortFunc(s.Gaps, func(a, b UIDRange) int { return cmp.Compare(a.First, b.First) })
	out := s.Gaps[:0]
	for _, g := range s.Gaps {
		if n := len(out); n > 0 && g.First <= out[n-1].Last {
			out[n-1].Last = max(out[n-1].Last, g.Last)
			continue
		}
		out = append(out, g)
	}
	s.Gaps = out
}

// grafter makes records of one state records of another, whose extensions and keywords have other numbers.
type grafter struct {
	s, o *State
	exts map[int]int
	kw   map[int]int
	ids  map[GUID]bool // the messages of the other one
}

// damaged reports whether a suspect record is not what the other state tells of the same UID. Damage goes on to the record's end,
// so that the last value which both tell decides. Those that change with every flag do not count.
func (g *grafter) damaged(r, have *Record) bool {
	end, differs := uint16(0), false
	for i := range g.s.Exts {
		e := &g.s.Exts[i]
		o := g.o.Ext(e.Name)
		if e.Name == "keywords" || e.Name == "modseq" || o == nil || o.ResetID != e.ResetID || e.baseOffset < end || e.baseSize == 0 {
			continue
		}
		a, b := g.s.inBase(r, e), g.o.inBase(have, o)
		if a == nil || b == nil || allZero(a) || allZero(b) { // set since, if it is not damaged
			continue
		}
		end, differs = e.baseOffset, !bytes.Equal(a, b)
	}
	return differs
}

// elsewhere reports whether the other state has a record's message, which then has another UID there.
func (g *grafter) elsewhere(r *Record) bool {
	id, ok := g.s.GUID(r)
	if !ok {
		return false
	}
	if g.ids == nil {
		g.ids = make(map[GUID]bool, len(g.o.Records))
		for i := range g.o.Records {
			if id, ok := g.o.GUID(&g.o.Records[i]); ok {
				g.ids[id] = true
			}
		}
	}
	return g.ids[id]
}

// inBase is a record's value as the base has it, or nil.
func (s *State) inBase(r *Record, e *Ext) []byte {
	if from := int(e.baseOffset); e.gen == 0 && e.baseSize > 0 && from+int(e.baseSize) <= len(r.base) {
		return r.base[from : from+int(e.baseSize)]
	}
	return nil
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func (g *grafter) moved(r *Record) Record {
	n := Record{UID: r.UID, Flags: r.Flags, Recovered: r.Recovered, Suspect: r.Suspect, Phantom: r.Phantom}
	for i := range g.o.Exts {
		e := &g.o.Exts[i]
		if v := g.o.Value(r, e); v != nil && e.Name != "keywords" {
			to := g.ext(i)
			n.over = append(n.over, extValue{ext: to, gen: g.s.Exts[to].gen, data: v})
		}
	}
	for i := range g.o.Keywords {
		if i/8 >= len(r.bits) || r.bits[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		k := g.keyword(i)
		for len(n.bits) <= k/8 {
			n.bits = append(n.bits, 0)
		}
		n.bits[k/8] |= 1 << (k % 8)
	}
	n.owned = true
	return n
}

// ext is the number here of the other state's extension.
func (g *grafter) ext(i int) int {
	if to, ok := g.exts[i]; ok {
		return to
	}
	if g.exts == nil {
		g.exts = map[int]int{}
	}
	e := g.o.Exts[i]
	to := slices.IndexFunc(g.s.Exts, func(x Ext) bool { return x.Name == e.Name })
	if to < 0 {
		to = len(g.s.Exts)
		e.id, e.gen, e.baseOffset, e.baseSize, e.RecordOffset = to, 0, 0, 0, 0
		g.s.Exts = append(g.s.Exts, e)
	} else if own := &g.s.Exts[to]; own.RecordSize < e.RecordSize {
		own.RecordSize = e.RecordSize
	}
	g.exts[i] = to
	return to
}

// keyword is the number here of the other state's keyword.
func (g *grafter) keyword(i int) int {
	if to, ok := g.kw[i]; ok {
		return to
	}
	if g.kw == nil {
		g.kw = map[int]int{}
	}
	name := g.o.Keywords[i]
	to := slices.IndexFunc(g.s.Keywords, func(k string) bool { return strings.EqualFold(k, name) })
	if to < 0 {
		to = len(g.s.Keywords)
		g.s.Keywords = append(g.s.Keywords, name)
	}
	g.kw[i] = to
	return to
}
