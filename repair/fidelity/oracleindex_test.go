package fidelity

import (
	"encoding/binary"
	"slices"

	"dovemend/repair/dovecot"
)

// indexEvidence is what the files of one index tell, and by which bytes.
type indexEvidence struct {
	state  *dovecot.State
	stems  []*stem // dovecot.index and its backup
	logs   []logFile
	rec    []logRecord // of all logs, in their order
	prefix string
	cache  []byte
}

// stem is a snapshot that logs continue.
type stem struct {
	file  string
	size  int64
	x     *dovecot.Index
	other *stem // the other snapshot
	at    dovecot.Position
}

// logFile is a log, which ends where it ends.
type logFile struct {
	name string
	log  *dovecot.Log
	size int64
}

// logRecord is a record of a log.
type logRecord struct {
	bytesOf
	*dovecot.LogRecord
	at    dovecot.Position
	ext   string  // what it is about, where it is about an extension
	size  int     // the length of its values then
	intro bytesOf // the record that says so
}

func newIndexEvidence(files map[string][]byte, prefix string) *indexEvidence {
	x := &indexEvidence{prefix: prefix, cache: files[prefix+".cache"]}
	x.state, _ = dovecot.Replay(filesOf(files, prefix))
	for _, name := range []string{prefix, prefix + ".backup"} {
		if data, ok := files[name]; ok {
			parsed, faults := dovecot.ParseIndex(data)
			if len(faults) > 0 {
				continue
			}
			x.stems = append(x.stems, &stem{file: name, size: int64(len(data)), x: parsed,
				at: dovecot.Position{Seq: parsed.Header.LogSeq, Offset: int64(parsed.Header.LogHead)}})
		}
	}
	if len(x.stems) == 2 {
		x.stems[0].other, x.stems[1].other = x.stems[1], x.stems[0]
	}
	for _, name := range []string{prefix + ".log.2", prefix + ".log"} {
		data, ok := files[name]
		if !ok {
			continue
		}
		log, _ := dovecot.ParseLog(data)
		x.logs = append(x.logs, logFile{name, log, int64(len(data))})
		x.readLog(name, log)
	}
	return x
}

// readLog notes the records of a log.
func (x *indexEvidence) readLog(name string, log *dovecot.Log) {
	var intro logRecord
	for i := range log.Records {
		r := &log.Records[i]
		rec := logRecord{bytesOf: bytesOf{name, r.Offset, r.End()}, LogRecord: r, at: dovecot.Position{Seq: log.Header.Seq, Offset: r.Offset}}
		switch r.Type {
		case dovecot.LogExtIntro:
			intro = rec
			for e := range r.ExtIntros() {
				intro.ext, intro.size = e.Name, int(e.RecordSize)
				if e.ID != ^uint32(0) && x.state != nil && int(e.ID) < len(x.state.Exts) {
					intro.ext = x.state.Exts[e.ID].Name
				}
			}
		case dovecot.LogExtRecUpdate, dovecot.LogExtAtomicInc, dovecot.LogExtHdrUpdate, dovecot.LogExtReset:
			rec.ext, rec.size, rec.intro = intro.ext, intro.size, intro.bytesOf
		}
		x.rec = append(x.rec, rec)
	}
}

// touches reports whether a record is about a message.
func (r *logRecord) touches(uid dovecot.UID) bool {
	in := func(u dovecot.UIDRange) bool { return u.First <= uid && uid <= u.Last }
	switch r.Type {
	case dovecot.LogAppend:
		for e := range r.Appends() {
			if e.UID == uid {
				return true
			}
		}
	case dovecot.LogFlagUpdate:
		for e := range r.FlagUpdates() {
			if in(e.UIDRange) {
				return true
			}
		}
	case dovecot.LogKeywordUpdate:
		k, _ := r.KeywordUpdate()
		for u := range k.Ranges() {
			if in(u) {
				return true
			}
		}
	case dovecot.LogKeywordReset:
		for b := r.Data; len(b) >= 8; b = b[8:] {
			if in(dovecot.UIDRange{First: dovecot.UID(binary.LittleEndian.Uint32(b)), Last: dovecot.UID(binary.LittleEndian.Uint32(b[4:]))}) {
				return true
			}
		}
	case dovecot.LogExtRecUpdate, dovecot.LogExtAtomicInc:
		size := (4 + r.size + 3) &^ 3
		if r.Type == dovecot.LogExtAtomicInc {
			size = 8
		}
		for b := r.Data; len(b) >= size; b = b[size:] {
			if dovecot.UID(binary.LittleEndian.Uint32(b)) == uid {
				return true
			}
		}
	}
	return false
}

// about are the records that say something about a message.
func (x *indexEvidence) about(uid dovecot.UID, is func(*logRecord) bool) []*logRecord {
	var list []*logRecord
	for i := range x.rec {
		if r := &x.rec[i]; is(r) && r.touches(uid) {
			list = append(list, r)
		}
	}
	return list
}

func isFlags(r *logRecord) bool { return r.Type == dovecot.LogFlagUpdate }

func isKeywords(r *logRecord) bool {
	return r.Type == dovecot.LogKeywordUpdate || r.Type == dovecot.LogKeywordReset
}

func isAppend(r *logRecord) bool { return r.Type == dovecot.LogAppend }

func isValue(ext string) func(*logRecord) bool {
	return func(r *logRecord) bool {
		return r.ext == ext && (r.Type == dovecot.LogExtRecUpdate || r.Type == dovecot.LogExtAtomicInc)
	}
}

// before reports whether a place in the logs comes before another one.
func before(a, b dovecot.Position) bool {
	return a.Seq < b.Seq || a.Seq == b.Seq && a.Offset < b.Offset
}

// all are the bytes of records, with those of the introductions that they need.
func all(records []*logRecord) every {
	e := every{}
	for _, r := range records {
		if r.ext != "" {
			e = append(e, r.intro)
		}
		e = append(e, r.bytesOf)
	}
	return e
}

// since splits records in those before a snapshot and those after it.
func (s *stem) since(records []*logRecord) (known, later []*logRecord) {
	for _, r := range records {
		if before(r.at, s.at) {
			known = append(known, r)
		} else {
			later = append(later, r)
		}
	}
	return known, later
}

// geometry is how long headers and records of a snapshot are: its header says so, or its extension headers, or those of the other
// snapshot where they are the same.
func (s *stem) geometry() evidence {
	e := either{bytesOf{s.file, 2, 12}, bytesOf{s.file, indexHeader, int64(s.x.Header.HeaderSize)}}
	if o := s.other; o != nil && o.x.Header.HeaderSize == s.x.Header.HeaderSize && o.x.Header.RecordSize == s.x.Header.RecordSize {
		e = append(e, bytesOf{o.file, 2, 12})
	}
	return e
}

// place is where in a record an extension has its value, and what is in the extension's own header.
func (s *stem) place(name string) evidence {
	ext := s.x.Ext(name)
	if ext == nil {
		return either{}
	}
	end := func(e *dovecot.Ext) int64 { return e.Offset + 16 + int64(len(e.Name)+7)&^7 + int64(len(e.Header)) }
	e := either{bytesOf{s.file, ext.Offset, end(ext)}}
	if s.other == nil {
		return e
	}
	if o := s.other.x.Ext(name); o != nil && o.RecordOffset == ext.RecordOffset && o.RecordSize == ext.RecordSize &&
		(name != "keywords" || len(s.other.x.Keywords) >= len(s.x.Keywords) && slices.Equal(s.other.x.Keywords[:len(s.x.Keywords)], s.x.Keywords)) {
		e = append(e, bytesOf{s.other.file, o.Offset, end(o)})
	}
	return e
}

// record is a message's record in a snapshot; nil where it has none.
func (s *stem) record(uid dovecot.UID) every {
	for _, r := range s.x.Records {
		if r.UID == uid {
			return every{s.geometry(), bytesOf{s.file, r.Offset, r.Offset + int64(s.x.Header.RecordSize)}}
		}
	}
	return nil
}

// chains are the ways in which something about a message is told that log records change one after another: a snapshot's record and what
// came later, or the message's beginning in a log and what came later. in is what else of a snapshot is needed.
func (x *indexEvidence) chains(uid dovecot.UID, is func(*logRecord) bool, in func(*stem) evidence) either {
	records := x.about(uid, is)
	e := either{}
	for _, s := range x.stems {
		if told := s.record(uid); told != nil {
			known, later := s.since(records)
			// Where the snapshot stands in the log is told by its header; if not, what is known already can be done again.
			told = append(told, in(s), either{bytesOf{s.file, 60, 72}, all(known)}, all(later))
			e = append(e, told)
		}
	}
	if begun := x.about(uid, isAppend); len(begun) > 0 {
		e = append(e, append(all(begun[len(begun)-1:]), all(records)...))
	}
	return e
}

// member is that a message is in the mailbox, under this UID.
func (x *indexEvidence) member(uid dovecot.UID) either {
	e := either{}
	for _, s := range x.stems {
		if told := s.record(uid); told != nil {
			e = append(e, told)
		}
	}
	if begun := x.about(uid, isAppend); len(begun) > 0 {
		e = append(e, all(begun[len(begun)-1:]))
	}
	return e
}

func (x *indexEvidence) flags(uid dovecot.UID) either {
	return x.chains(uid, isFlags, func(*stem) evidence { return every{} })
}

func (x *indexEvidence) keywords(uid dovecot.UID) either {
	return x.chains(uid, isKeywords, func(s *stem) evidence {
		if s.x.Ext("keywords") == nil {
			return every{} // nobody had any then
		}
		return s.place("keywords")
	})
}

// constant is a value of an extension that never changes: whatever tells it, tells it.
func (x *indexEvidence) constant(uid dovecot.UID, ext string) either {
	e := either{}
	for _, s := range x.stems {
		if told := s.record(uid); told != nil && s.x.Ext(ext) != nil {
			e = append(e, append(told, s.place(ext)))
		}
	}
	for _, r := range x.about(uid, isValue(ext)) {
		e = append(e, append(x.begun(uid), all([]*logRecord{r})...))
	}
	return e
}

// begun is the record of a log in which a message begins, which a log's values of extensions need where no snapshot knows the message.
func (x *indexEvidence) begun(uid dovecot.UID) every { return every{x.member(uid)} }

// latest is the value of an extension as it is now, of which each record sets all.
func (x *indexEvidence) latest(uid dovecot.UID, ext string) either {
	records := x.about(uid, isValue(ext))
	e := either{}
	if n := len(records); n > 0 {
		e = append(e, append(x.begun(uid), all(records[n-1:])...))
	}
	for _, s := range x.stems {
		told := s.record(uid)
		if _, later := s.since(records); told != nil && len(later) == 0 && s.x.Ext(ext) != nil {
			e = append(e, append(told, s.place(ext)))
		}
	}
	return e
}

// sum is the value of an extension that records add to.
func (x *indexEvidence) sum(uid dovecot.UID, ext string) either {
	return x.chains(uid, isValue(ext), func(s *stem) evidence { return s.place(ext) })
}

// header is a field of the header, which snapshots have and log records set.
func (x *indexEvidence) header(from, to int64) either {
	e := either{}
	for _, s := range x.stems {
		e = append(e, fieldOf{s.file, from, to})
	}
	for i := range x.rec {
		r := &x.rec[i]
		if r.Type != dovecot.LogHeaderUpdate {
			continue
		}
		for u := range r.HeaderUpdates() {
			if int64(u.Offset) <= from && to <= int64(u.Offset)+int64(len(u.Data)) {
				e = append(e, r.bytesOf)
			}
		}
	}
	return e
}

// complete is that all is told: a snapshot with every log after it, or logs from the beginning on.
func (x *indexEvidence) complete() either {
	e := either{}
	for _, s := range x.stems {
		told := every{bytesOf{s.file, 0, s.size}}
		for _, l := range x.logs {
			switch seq := l.log.Header.Seq; {
			case seq == s.at.Seq:
				told = append(told, bytesOf{l.name, s.at.Offset, l.size})
			case seq > s.at.Seq:
				told = append(told, bytesOf{l.name, 0, l.size})
			}
		}
		e = append(e, told)
	}
	if len(x.logs) > 0 && x.logs[0].log.Header.PrevSeq == 0 {
		var told every
		for _, l := range x.logs {
			told = append(told, bytesOf{l.name, 0, l.size})
		}
		e = append(e, told)
	}
	return e
}

// cached is that the cache tells something of a message; nil where it does not.
func (x *indexEvidence) cached(uid dovecot.UID, has func(map[string][]byte) bool) evidence {
	if x.state == nil || x.cache == nil {
		return nil
	}
	r := x.state.Find(uid)
	if r == nil {
		return nil
	}
	offset, seq, ok := x.state.CacheOffset(r)
	cache, _ := dovecot.ParseCache(x.cache)
	if !ok || cache.Seq != seq {
		return nil
	}
	if values, faults := cache.Lookup(offset); len(faults) > 0 || !has(values) {
		return nil
	}
	return every{x.latest(uid, "cache"), bytesOf{x.prefix + ".cache", 0, int64(len(x.cache))}}
}
