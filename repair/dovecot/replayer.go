package dovecot

import (
	"slices"
	"sort"
	"strings"
)

// replayer applies logs to a State. What a log makes it allocate or touch beyond the log's own bytes is paid for from
// two budgets that depend on the length of the input: a few bytes can name millions of messages, or a header of 16 MiB.
type replayer struct {
	p       *parsed
	s       *State
	fs      *faults
	strict  bool // as Dovecot does it: no use of anything behind damage
	repeats bool // changes are applied that the base may hold already: numbers that are counted up or down cannot be told
	lost    bool // a part of the logs is missing: extension numbers may not be trusted

	memory, work int
	spent        bool

	exts     map[string]int // by name
	guessed  map[uint32]int // extension numbers that were introduced in a part that is lost
	kw       map[string]int // by lower-case name
	cur      int            // the extension that ext-* records mean, or -1
	curSize  int            // the record size its introduction gave
	last     UID            // of the last record, gone or not
	requests []request      // to expunge
	changes  []request      // of flags and keywords
	tail     Position
	log      *Log
	bad      map[UID]bool // appended UIDs that cannot be right
	rec      *LogRecord   // being applied
}

type request struct {
	at Position
	UIDRange
}

func newReplayer(p *parsed) *replayer {
	r := &replayer{p: p, s: &State{}, fs: &faults{}, cur: -1}
	size := 0
	for _, l := range append([]*Log{p.log, p.log2}, p.rotated...) {
		if l != nil {
			size += int(l.Size)
		}
	}
	for _, x := range []*Index{p.index, p.backup} {
		if x != nil {
			size += len(x.Records) * 8
		}
	}
	r.memory, r.work = 1<<20+64*size, 1<<26+1024*size
	return r
}

func (r *replayer) fault(l *Log, at int, rule, format string, args ...any) {
	r.fs.file = r.p.fileOf(l)
	r.fs.add(at, rule, format, args...)
}

// wrong reports what is wrong with the record being applied.
func (r *replayer) wrong(rule, format string, args ...any) {
	r.fault(r.log, int(r.rec.Offset), rule, format, args...)
}

// afford takes from the budgets and reports once when they are empty.
func (r *replayer) afford(memory, work int) bool {
	if memory <= r.memory && work <= r.work {
		r.memory, r.work = r.memory-memory, r.work-work
		return true
	}
	if !r.spent {
		r.spent = true
		r.wrong("log-too-costly", "the logs ask for far more work or memory than their size warrants; such changes are left out from here on")
	}
	return false
}

// fromNothing starts from an empty index.
func (r *replayer) fromNothing(indexID uint32) {
	r.s = &State{Base: r.s.Base, IndexID: indexID, NextUID: 1}
	r.exts, r.kw, r.guessed = map[string]int{}, map[string]int{}, map[uint32]int{}
	r.cur, r.last, r.requests, r.changes, r.tail = -1, 0, nil, nil, Position{}
	le.PutUint32(r.s.raw[28:], 1) // next_uid
	le.PutUint32(r.s.raw[48:], 1) // first_recent_uid
	r.s.raw[0], r.s.raw[1], r.s.raw[2], r.s.raw[12] = 7, 3, indexHeaderSize, 1
}

// reset starts again from nothing, as a log with prev_file_seq 0 asks for.
func (r *replayer) reset(l *Log) {
	r.fromNothing(r.p.header(l).IndexID)
	r.s.Base, r.lost = BaseZero, false
	le.PutUint32(r.s.raw[60:], r.p.header(l).Seq)
}

// fromIndex starts from an index file.
func (r *replayer) fromIndex(x *Index) {
	r.fromNothing(x.Header.IndexID)
	r.s.raw = x.rawHeader
	r.s.NextUID = x.Header.NextUID
	records, gaps := x.Records, x.Gaps
	if r.strict {
		records = records[:x.counted]
	} else {
		records, gaps = x.untangled(r.p.twin(x))
	}
	r.s.Gaps = append([]UIDRange(nil), gaps...)
	r.s.Exts = append([]Ext(nil), x.Exts...)
	for i := range r.s.Exts {
		e := &r.s.Exts[i]
		e.id, e.gen, e.baseOffset, e.baseSize = i, 0, e.RecordOffset, e.RecordSize
		r.exts[e.Name] = i
	}
	r.s.Keywords = append([]string(nil), x.Keywords...)
	for i, name := range r.s.Keywords {
		if lower := strings.ToLower(name); r.kwIndex(lower) < 0 {
			r.kw[lower] = i
		}
	}
	kw := r.s.Ext("keywords")
	r.s.Records = make([]Record, len(records))
	for i, rec := range records {
		n := &r.s.Records[i]
		n.UID, n.Flags, n.base, n.Suspect = rec.UID, rec.Flags, rec.Data, rec.Suspect
		if kw != nil && kw.RecordSize > 0 && int(kw.RecordOffset)+int(kw.RecordSize) <= len(rec.Data) {
			n.bits = trimZeros(rec.Data[kw.RecordOffset:][:kw.RecordSize])
		}
		r.last = rec.UID
	}
	if e := r.s.Ext("modseq"); e != nil && len(e.Header) >= 8 {
		r.modseq(le.Uint64(e.Header))
	}
	if x.Unusable != "" && !r.p.placed(x) {
		r.s.Doubtful, r.s.NextUID = true, r.last+1
		le.PutUint32(r.s.raw[28:], uint32(r.last+1))
		le.PutUint32(r.s.raw[60:], 0) // nor can its place in the logs be believed
	}
	r.inGaps()
	r.s.known = r.s.NextUID
	if n := len(records); n > 0 && (x.NeedsFsck != "" || r.s.known <= records[n-1].UID) {
		r.s.known = records[n-1].UID + 1
	}
}

// placed reports whether the header of an index that Dovecot cannot use tells its place in the logs all the same: then the
// damage is elsewhere in it.
func (p *parsed) placed(x *Index) bool {
	return x.Header.IndexID != 0 && slices.ContainsFunc(p.logs(), func(l *Log) bool {
		return p.header(l).IndexID == x.Header.IndexID && p.follows(l, &x.Header)
	})
}

func (r *replayer) kwIndex(lower string) int {
	if i, ok := r.kw[lower]; ok {
		return i
	}
	return -1
}

func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// within calls do for every record of a range that is still there.
func (r *replayer) within(u UIDRange, do func(*Record)) {
	rs := r.s.Records
	i := sort.Search(len(rs), func(i int) bool { return rs[i].UID >= u.First })
	j := i + sort.Search(len(rs)-i, func(k int) bool { return rs[i+k].UID > u.Last })
	if !r.afford(0, j-i+16) {
		return
	}
	for ; i < j; i++ {
		if !rs[i].gone {
			do(&rs[i])
		}
	}
}

// find returns the record with this UID, or nil.
func (r *replayer) find(uid UID) *Record {
	if !r.afford(0, 16) {
		return nil
	}
	return r.s.Find(uid)
}

// pending turns requests that Dovecot had not yet carried out into UIDs: to expunge, and to change flags.
func (r *replayer) pending() {
	r.s.PendingExpunge, r.s.PendingFlags = r.unfinished(r.requests), r.unfinished(r.changes)
}

func (r *replayer) unfinished(list []request) []UID {
	seen := map[UID]bool{}
	var uids []UID
	for _, q := range list {
		if q.at.Seq < r.tail.Seq || q.at.Seq == r.tail.Seq && q.at.Offset < r.tail.Offset {
			continue
		}
		r.within(q.UIDRange, func(rec *Record) {
			if !seen[rec.UID] {
				seen[rec.UID] = true
				uids = append(uids, rec.UID)
			}
		})
	}
	sort.Slice(uids, func(i, j int) bool { return uids[i] < uids[j] })
	return uids
}

// applyLog applies the records of a log from an offset on (0: from its beginning). whole is false where it held a record that
// cannot be understood.
func (r *replayer) applyLog(l *Log, from int64) (whole bool) {
	whole = true
	r.log = l
	h := r.p.header(l)
	if r.s.IndexID == 0 {
		r.s.IndexID = h.IndexID
	}
	r.judgeAppends(l, from)
	if r.s.Start == (Position{}) {
		r.s.Start = Position{h.Seq, max(from, int64(h.HeaderSize))}
	}
	end := r.s.Start.Offset
	if r.s.Start.Seq != h.Seq {
		end = int64(h.HeaderSize)
	}
	r.modseq(h.InitialModSeq)
	for i := range l.Records {
		rec := &l.Records[i]
		if rec.Offset < from {
			r.modseq(rec.ModSeq)
			if rec.End() > from {
				r.rec = rec
				r.wrong("log-position", "the base was written at offset %d, which is inside a record", from)
			}
			continue
		}
		if r.strict && (rec.Recovered || !rec.Valid) {
			break
		}
		if rec.Recovered && (i == 0 || !l.Records[i-1].Recovered) {
			r.lost = true
			r.behindDamage(l.Records[i:])
		}
		if rec.Valid {
			r.rec = rec
			r.record(rec)
		} else {
			whole = false
		}
		end = rec.End()
		r.modseq(rec.ModSeq)
	}
	r.s.End = Position{h.Seq, end}
	le.PutUint32(r.s.raw[60:], h.Seq)
	le.PutUint32(r.s.raw[68:], uint32(end))
	return whole
}

// maxModSeq bounds what is believed of a modification sequence: a mailbox that changes a million times a second reaches it
// in 35 years.
const maxModSeq = 1 << 50

// modseq raises the highest modification sequence.
func (r *replayer) modseq(n uint64) {
	if n <= maxModSeq {
		r.s.ModSeq = max(r.s.ModSeq, n)
	}
}

// judgeAppends finds appended UIDs that are out of order with the others: noise in a record that is otherwise well
// formed. One huge UID would make all messages after it impossible.
func (r *replayer) judgeAppends(l *Log, from int64) {
	r.bad = nil
	if r.strict {
		return
	}
	uids := []UID{}
	last, ordered := r.last, true
	for i := range l.Records {
		rec := &l.Records[i]
		if rec.Type != LogAppend || !rec.Valid || rec.Offset < from {
			continue
		}
		for e := range rec.Appends() {
			ordered = ordered && e.UID > last
			last = e.UID
			uids = append(uids, e.UID)
		}
	}
	if ordered {
		return
	}
	r.bad = map[UID]bool{}
	for i, u := range uids {
		if u <= r.last {
			uids[i] = 0
			r.bad[u] = true
		}
	}
	keep := ascending(uids)
	for i, u := range uids {
		if u != 0 && !keep[i] {
			r.bad[u] = true
		}
	}
	for i, u := range uids {
		if keep[i] {
			delete(r.bad, u)
		}
	}
}
