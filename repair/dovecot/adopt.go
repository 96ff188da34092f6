package dovecot

// adopt finds out what the header of a damaged log said, from the other files: which index it belongs to and where it
// stands among the logs. What Dovecot itself would do with the file is not changed by it.
func (p *parsed) adopt() {
	p.believed = map[*Log]LogHeader{}
	for _, l := range []*Log{p.log2, p.log} {
		if l == nil || len(l.Records) == 0 || l.plausible() {
			continue
		}
		h := l.Header
		h.IndexID, h.HeaderSize, h.InitialModSeq = 0, logHeaderSize, 0 // 0: any index's
		x, other := p.believable(), p.log
		if l == p.log {
			other = p.log2
		}
		switch {
		case other != nil && other.plausible() && l == p.log:
			h.Seq, h.PrevSeq, h.PrevOffset = other.Header.Seq+1, other.Header.Seq, uint32(other.SyncOffset)
		case other != nil && other.plausible():
			h.Seq, h.PrevSeq, h.PrevOffset = other.Header.PrevSeq, max(other.Header.PrevSeq, 2)-1, 0
		case x != nil && l.boundary(int64(x.Header.LogHead)):
			h.Seq, h.PrevSeq, h.PrevOffset = x.Header.LogSeq, max(x.Header.LogSeq, 2)-1, 0
		case x != nil:
			h.Seq, h.PrevSeq, h.PrevOffset = x.Header.LogSeq+1, x.Header.LogSeq, x.Header.LogHead
		default:
			h.Seq, h.PrevSeq, h.PrevOffset = 2, 1, 0
			if l.startsFromNothing() {
				h.PrevSeq = 0
			}
		}
		p.believed[l] = h
		p.list = append(p.list, Fault{File: p.fileOf(l), Offset: 0, Rule: "log-adopted", Detail: "the log's header is damaged; where the log belongs is told by the files beside it"})
	}
}

// header is what is believed of a log's header.
func (p *parsed) header(l *Log) LogHeader {
	if h, ok := p.believed[l]; ok {
		return h
	}
	return l.Header
}

// believable is an index file whose header can be believed, or nil.
func (p *parsed) believable() *Index {
	for _, x := range []*Index{p.index, p.backup} {
		if x != nil && x.Unusable == "" {
			return x
		}
	}
	return nil
}

// plausible reports whether a log's header can be one. An index id is the time when the index was made, before all of its logs.
func (l *Log) plausible() bool {
	h := &l.Header
	if l.Unusable != "" {
		return l.Unusable == "log-marked-corrupted"
	}
	const day = 24 * 60 * 60
	return h.Seq < 1<<30 && (h.PrevSeq < h.Seq || h.PrevSeq == 0) && h.InitialModSeq <= maxModSeq && (h.Created == 0 || h.IndexID < h.Created+day)
}

// boundary reports whether an offset is where a record begins or the last one ends.
func (l *Log) boundary(at int64) bool {
	if at == logHeaderSize || at == l.SyncOffset {
		return true
	}
	for i := range l.Records {
		if r := &l.Records[i]; r.Offset >= at {
			return r.Offset == at
		}
	}
	return false
}

// startsFromNothing reports whether a log begins as the first one of an index does: with its UIDVALIDITY or its first message.
func (l *Log) startsFromNothing() bool {
	for i := range l.Records {
		switch r := &l.Records[i]; r.Type {
		case LogHeaderUpdate:
			for e := range r.HeaderUpdates() {
				if e.Offset <= 24 && int(e.Offset)+len(e.Data) >= 28 {
					return true
				}
			}
		case LogAppend:
			for e := range r.Appends() {
				return e.UID == 1
			}
		}
	}
	return false
}

// follows reports whether a log goes on exactly where an index file says that it was written.
func (p *parsed) follows(l *Log, x *IndexHeader) bool {
	h := p.header(l)
	return h.PrevSeq == x.LogSeq && h.PrevOffset == x.LogHead && x.LogSeq != 0 || h.Seq == x.LogSeq && l.boundary(int64(x.LogHead))
}
