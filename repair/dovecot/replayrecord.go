package dovecot

import (
	"fmt"
	"strings"
)

// record applies one log record: mail_index_sync_record.
func (r *replayer) record(rec *LogRecord) {
	switch rec.Type {
	case LogAppend:
		r.append(rec)
	case LogExpunge, LogExpungeGUID:
		for u := range rec.Expunges() {
			if !rec.External {
				r.requests = append(r.requests, request{Position{r.p.header(r.log).Seq, rec.Offset}, u})
				continue
			}
			r.within(u, func(m *Record) { m.gone, m.over, m.bits, m.base = true, nil, nil, nil })
		}
	case LogFlagUpdate:
		for f := range rec.FlagUpdates() {
			r.wanted(rec, f.UIDRange)
			r.within(f.UIDRange, func(m *Record) {
				m.Flags = m.Flags&^f.Remove | f.Add
				if (f.Add|f.Remove)&FlagsIMAP != 0 || f.IncModSeq {
					m.modseq = rec.ModSeq
				}
				m.Recovered = m.Recovered || rec.Recovered
			})
		}
	case LogHeaderUpdate:
		for h := range rec.HeaderUpdates() {
			r.header(rec, h)
		}
	case LogKeywordUpdate:
		r.keyword(rec)
	case LogKeywordReset:
		for u := range uidRanges(rec.Data, 8) {
			r.within(u, func(m *Record) { m.bits, m.owned, m.modseq = nil, false, rec.ModSeq })
		}
	case LogExtIntro:
		for e := range rec.ExtIntros() {
			r.extIntro(e)
		}
	case LogExtReset, LogExtHdrUpdate, LogExtHdrUpdate32, LogExtRecUpdate, LogExtAtomicInc:
		r.ext(rec)
	case LogModSeqUpdate:
		for b := rec.Data; len(b) >= 12; b = b[12:] {
			if m := r.find(UID(le.Uint32(b))); m != nil {
				m.modseq = max(m.modseq, uint64(le.Uint32(b[8:]))<<32|uint64(le.Uint32(b[4:])))
			}
		}
	case LogIndexDeleted:
		if rec.External {
			r.s.Deleted = true
		}
	case LogIndexUndeleted:
		r.s.Deleted = false
	}
}

// wanted remembers a change of flags that is a request: a Maildir's file names tell it only once it was carried out.
func (r *replayer) wanted(rec *LogRecord, u UIDRange) {
	if !rec.External {
		r.changes = append(r.changes, request{Position{r.p.header(r.log).Seq, rec.Offset}, u})
	}
}

// maxUIDStep is by how much an appended UID may exceed the next one. Dovecot appends the next one itself.
const maxUIDStep = 1 << 20

func (r *replayer) append(rec *LogRecord) {
	for e := range rec.Appends() {
		switch {
		case r.bad[e.UID] || e.UID <= r.last || e.UID == 0:
			r.wrong("log-append-order", "UID %d is appended where the last one is %d", e.UID, r.last)
			continue
		case e.UID < r.s.NextUID && r.strict:
			continue
		case r.last > 0 && !r.strict && e.UID > r.s.NextUID && e.UID-r.s.NextUID > maxUIDStep:
			r.wrong("log-append-jump", "UID %d is appended where the next one should be %d", e.UID, r.s.NextUID)
			continue
		case e.UID < r.s.NextUID:
			r.wrong("log-append-below-next", "UID %d is appended where the next one should be %d", e.UID, r.s.NextUID)
		}
		r.s.Records = append(r.s.Records, Record{UID: e.UID, Flags: e.Flags, Recovered: rec.Recovered, modseq: rec.ModSeq})
		r.last = e.UID
		r.s.NextUID = max(r.s.NextUID, e.UID+1)
	}
}

// header applies struct mail_transaction_header_update: the next UID never shrinks, and the tail offset is kept aside.
func (r *replayer) header(rec *LogRecord, h HeaderEntry) {
	if int(h.Offset)+len(h.Data) > len(r.s.raw) {
		r.wrong("log-header-update", "%d bytes at %d are outside the header", len(h.Data), h.Offset)
		return
	}
	tail, head := u32(r.s.raw[:], 64), u32(r.s.raw[:], 68)
	copy(r.s.raw[h.Offset:], h.Data)
	if int(h.Offset) <= 64 && int(h.Offset)+len(h.Data) >= 68 && rec.External {
		if at := (Position{r.p.header(r.log).Seq, int64(u32(r.s.raw[:], 64))}); at.Seq != r.tail.Seq || at.Offset > r.tail.Offset {
			r.tail = at
		}
	}
	le.PutUint32(r.s.raw[64:], tail)
	le.PutUint32(r.s.raw[68:], head)
	r.s.NextUID = max(r.s.NextUID, UID(u32(r.s.raw[:], 28)))
}

// keyword applies struct mail_transaction_keyword_update. The first keyword makes the extension "keywords", which takes
// the next extension number.
func (r *replayer) keyword(rec *LogRecord) {
	k, ok := rec.KeywordUpdate()
	if !ok {
		return
	}
	lower := strings.ToLower(k.Name)
	n := r.kwIndex(lower)
	if n < 0 {
		if _, ok := r.exts["keywords"]; !ok {
			r.addExt(Ext{Name: "keywords", RecordAlign: 1})
		}
		n = len(r.s.Keywords)
		r.s.Keywords = append(r.s.Keywords, k.Name)
		r.kw[lower] = n
	}
	e := &r.s.Exts[r.exts["keywords"]]
	e.RecordSize = max(e.RecordSize, uint16(min(n/8+1, 32767)))
	for u := range k.Ranges() {
		r.wanted(rec, u)
		r.within(u, func(m *Record) {
			m.Recovered, m.modseq = m.Recovered || rec.Recovered, rec.ModSeq
			r.setKeyword(m, n, !k.Remove)
		})
	}
}

func (r *replayer) setKeyword(m *Record, n int, on bool) {
	if n/8 >= len(m.bits) && !on {
		return
	}
	if !m.owned || n/8 >= len(m.bits) {
		if size := max(n/8+1, len(m.bits)); size > 8 && !r.afford(size, 0) {
			return
		}
		grown := make([]byte, max(n/8+1, len(m.bits)))
		copy(grown, m.bits)
		m.bits, m.owned = grown, true
	}
	if on {
		m.bits[n/8] |= 1 << (n % 8)
	} else {
		m.bits[n/8] &^= 1 << (n % 8)
	}
}

func (r *replayer) addExt(e Ext) int {
	e.id = len(r.s.Exts)
	r.exts[e.Name] = e.id
	r.s.Exts = append(r.s.Exts, e)
	return e.id
}

// known are extensions that size and alignment of their records give away when their introduction is lost.
var known = map[[2]uint16]string{{16, 1}: "guid", {8, 4}: "mdbox", {12, 4}: "map", {2, 2}: "ref", {28, 4}: "list"}

// extIntro is mail_index_sync_ext_intro.
func (r *replayer) extIntro(u ExtIntroEntry) {
	r.cur, r.curSize = -1, int(u.RecordSize)
	id := -1
	if u.ID == noExtID {
		if i, ok := r.exts[u.Name]; ok {
			id = i
		}
	} else {
		id = r.byNumber(u)
		if id < 0 {
			return
		}
	}
	if id < 0 {
		r.cur = r.addExt(Ext{Name: u.Name, ResetID: u.ResetID, HeaderSize: u.HeaderSize, RecordSize: u.RecordSize, RecordAlign: u.RecordAlign})
		return
	}
	e := &r.s.Exts[id]
	r.cur = id
	if e.Name == "keywords" || e.ResetID != u.ResetID {
		r.cur = -2 - id // only a reset counts
		return
	}
	r.resize(e, u)
}

// byNumber finds the extension a number means, or -1.
func (r *replayer) byNumber(u ExtIntroEntry) int {
	if i, ok := r.guessed[u.ID]; ok {
		return i
	}
	if int64(u.ID) < int64(len(r.s.Exts)) {
		e := &r.s.Exts[u.ID]
		if !r.lost || e.RecordSize == u.RecordSize && (u.RecordSize == 0 || e.RecordAlign == u.RecordAlign) {
			return int(u.ID)
		}
	}
	name := known[[2]uint16{u.RecordSize, u.RecordAlign}]
	if u.RecordSize == 4 && u.RecordAlign == 4 && u.HeaderSize == 0 {
		name = "vsize"
		if u.ResetID != 0 { // the cache's file_seq
			name = "cache"
		}
	}
	if r.strict || name == "" || !r.lost && len(r.s.Exts) > 0 {
		r.wrong("log-ext-unknown", "extension number %d was never introduced", u.ID)
		return -1
	}
	r.wrong("log-ext-guessed", "extension number %d was introduced in a part that is lost; its records look like %q", u.ID, name)
	i, ok := r.exts[name]
	if !ok {
		i = r.addExt(Ext{Name: name, ResetID: u.ResetID, HeaderSize: u.HeaderSize, RecordSize: u.RecordSize, RecordAlign: u.RecordAlign})
	}
	r.guessed[u.ID] = i
	return i
}

// resize is sync_ext_resize. Values keep their bytes; a shorter one is read as if zeros followed.
func (r *replayer) resize(e *Ext, u ExtIntroEntry) {
	if u.HeaderSize > e.HeaderSize || !u.NoShrink {
		e.HeaderSize = u.HeaderSize
		e.Header = e.Header[:min(len(e.Header), int(u.HeaderSize)):min(len(e.Header), int(u.HeaderSize))]
	}
	if u.RecordSize < e.RecordSize && !u.NoShrink {
		e.baseSize = min(e.baseSize, u.RecordSize)
		r.within(UIDRange{1, ^UID(0)}, func(m *Record) {
			for i := range m.over {
				if v := &m.over[i]; v.ext == e.id && len(v.data) > int(u.RecordSize) {
					v.data = v.data[:u.RecordSize]
				}
			}
		})
		e.RecordSize = u.RecordSize
	}
	e.RecordSize = max(e.RecordSize, u.RecordSize)
	if u.RecordAlign > e.RecordAlign || !u.NoShrink {
		e.RecordAlign = u.RecordAlign
	}
}

// ext applies the records that follow an introduction.
func (r *replayer) ext(rec *LogRecord) {
	id := r.cur
	if rec.Type == LogExtReset && id < -1 {
		id = -2 - id
	}
	if id < 0 {
		if id == -1 {
			r.wrong("log-ext-unintroduced", "%s record without a valid introduction", rec.Type)
		}
		return
	}
	e := &r.s.Exts[id]
	switch rec.Type {
	case LogExtReset:
		e.ResetID = u32(rec.Data, 0)
		if len(rec.Data) < 5 || rec.Data[4] == 0 {
			e.gen++
			e.Header = nil
		}
	case LogExtRecUpdate:
		size := align(4+r.curSize, 4)
		for b := rec.Data; len(b) >= size; b = b[size:] {
			r.setValue(rec, e, UID(le.Uint32(b)), b[4:4+r.curSize:4+r.curSize])
		}
		if len(rec.Data)%size != 0 {
			r.wrong("log-ext-rec-size", "records of %s have %d bytes, the payload %d", e.Name, size, len(rec.Data))
		}
	case LogExtAtomicInc:
		for b := rec.Data; len(b) >= 8; b = b[8:] {
			if why := r.increase(rec, e, UID(le.Uint32(b)), int32(le.Uint32(b[4:]))); why != "" {
				r.wrong("log-ext-inc", "UID %d of %s: %s", le.Uint32(b), e.Name, why)
			}
		}
	default:
		for h := range rec.HeaderUpdates() {
			r.extHeader(e, h)
		}
	}
}

func (r *replayer) extHeader(e *Ext, h HeaderEntry) {
	end := int64(h.Offset) + int64(len(h.Data))
	if end > int64(e.HeaderSize) {
		r.wrong("log-ext-header", "%d bytes at %d are outside the header of %s", len(h.Data), h.Offset, e.Name)
		return
	}
	if size := max(int(end), len(e.Header)); !e.owned || size > len(e.Header) {
		if size > 256 && !r.afford(size, 0) {
			return
		}
		grown := make([]byte, size)
		copy(grown, e.Header)
		e.Header, e.owned = grown, true
	}
	copy(e.Header[h.Offset:], h.Data)
}

// setValue is mail_index_sync_ext_rec_update. A UID that is not there was expunged meanwhile.
func (r *replayer) setValue(rec *LogRecord, e *Ext, uid UID, data []byte) {
	m := r.find(uid)
	if m == nil {
		m = r.appendLost(e, uid)
	}
	if m == nil {
		if uid == 0 || uid >= r.s.NextUID {
			r.wrong("log-ext-uid", "%s of UID %d, where the next UID is %d", e.Name, uid, r.s.NextUID)
		}
		return
	}
	m.Recovered = m.Recovered || rec.Recovered
	if !r.afford(0, len(m.over)) {
		return
	}
	for i := range m.over {
		if v := &m.over[i]; v.ext == e.id {
			v.gen, v.data = e.gen, data
			return
		}
	}
	m.over = append(m.over, extValue{ext: e.id, gen: e.gen, data: data})
}

// increase is mail_index_sync_ext_atomic_inc.
func (r *replayer) increase(rec *LogRecord, e *Ext, uid UID, diff int32) string {
	if r.curSize > 8 || r.curSize == 0 || r.curSize&(r.curSize-1) != 0 {
		return fmt.Sprintf("a number of %d bytes", r.curSize)
	}
	m := r.find(uid)
	if m == nil || r.repeats {
		return ""
	}
	var b [8]byte
	copy(b[:r.curSize], r.s.Value(m, e))
	n := le.Uint64(b[:])
	limit := ^uint64(0) >> (64 - 8*r.curSize)
	if diff < 0 && n < uint64(-int64(diff)) || diff > 0 && n > limit-min(limit, uint64(diff)) {
		return fmt.Sprintf("%d changed by %d leaves its range", n, diff)
	}
	le.PutUint64(b[:], n+uint64(int64(diff)))
	r.setValue(rec, e, uid, append([]byte(nil), b[:r.curSize]...))
	return ""
}
