package inspect

import (
	"bytes"
	"iter"

	"dovemend/repair/dovecot"
)

// entries tells the content of a valid record, entry by entry; nil where the record has none or they cannot be told.
func (x *logExts) entries(r *dovecot.LogRecord) iter.Seq[Facts] {
	switch r.Type {
	case dovecot.LogAppend:
		return each(r.Appends(), func(e dovecot.AppendEntry) Facts {
			return Facts{{Name: "uid", Value: e.UID}, {Name: "flags", Value: e.Flags}}
		})
	case dovecot.LogExpunge:
		return each(r.Expunges(), uids)
	case dovecot.LogKeywordReset:
		return pieces(r.Data, 8, func(b []byte) Facts { return uids(dovecot.UIDRange{First: uid(b), Last: uid(b[4:])}) })
	case dovecot.LogExpungeGUID:
		return pieces(r.Data, 20, func(b []byte) Facts {
			return Facts{{Name: "uid", Value: uid(b)}, {Name: "guid", Value: dovecot.GUID(b[4:20])}}
		})
	case dovecot.LogFlagUpdate:
		return each(r.FlagUpdates(), func(e dovecot.FlagEntry) Facts {
			return append(uids(e.UIDRange), Fact{Name: "add", Value: e.Add}, Fact{Name: "remove", Value: e.Remove}, Fact{Name: "modseq_inc", Value: e.IncModSeq})
		})
	case dovecot.LogKeywordUpdate:
		return keywordEntries(r)
	case dovecot.LogModSeqUpdate:
		return pieces(r.Data, 12, func(b []byte) Facts {
			return Facts{{Name: "uid", Value: uid(b)}, {Name: "modseq", Value: little(b[4:12])}}
		})
	case dovecot.LogBoundary:
		return one(Facts{{Name: "transaction_size", Value: uid(r.Data)}})
	case dovecot.LogHeaderUpdate:
		return headerEntries(r)
	case dovecot.LogAttributeUpdate:
		return attributeEntries(r.Data)
	}
	return x.extEntries(r)
}

// uids are a range of UIDs, both ends belonging to it.
func uids(u dovecot.UIDRange) Facts {
	return Facts{{Name: "first_uid", Value: u.First}, {Name: "last_uid", Value: u.Last}}
}

// uid is the number that b begins with.
func uid(b []byte) dovecot.UID { return dovecot.UID(little(b[:min(4, len(b))])) }

func each[T any](seq iter.Seq[T], tell func(T) Facts) iter.Seq[Facts] {
	return func(yield func(Facts) bool) {
		for e := range seq {
			if !yield(tell(e)) {
				return
			}
		}
	}
}

func pieces(b []byte, size int, tell func([]byte) Facts) iter.Seq[Facts] {
	return func(yield func(Facts) bool) {
		for ; len(b) >= size; b = b[size:] {
			if !yield(tell(b[:size])) {
				return
			}
		}
	}
}

func one(f Facts) iter.Seq[Facts] { return func(yield func(Facts) bool) { yield(f) } }

func keywordEntries(r *dovecot.LogRecord) iter.Seq[Facts] {
	k, ok := r.KeywordUpdate()
	if !ok {
		return nil
	}
	return func(yield func(Facts) bool) {
		do := Word("add")
		if k.Remove {
			do = "remove"
		}
		if !yield(Facts{{Name: "change", Value: do}, {Name: "keyword", Value: k.Name}}) {
			return
		}
		for u := range k.Ranges() {
			if !yield(uids(u)) {
				return
			}
		}
	}
}

// attributeEntries reads the names of attributes, each with its end, and behind them a time for each and for those that are
// set the length of the value.
func attributeEntries(b []byte) iter.Seq[Facts] {
	return func(yield func(Facts) bool) {
		end := 0
		for end < len(b) && b[end] != 0 {
			n := bytes.IndexByte(b[end:], 0)
			if n < 0 {
				return
			}
			end += n + 1
		}
		extra := b[min((end+3)/4*4, len(b)):]
		next := func() Maybe {
			if len(extra) < 4 {
				return -1
			}
			n := Maybe(little(extra[:4]))
			extra = extra[4:]
			return n
		}
		for at := 0; at < end; {
			n := bytes.IndexByte(b[at:], 0)
			key := b[at : at+n]
			at += n + 1
			facts := Facts{{Name: "change", Value: Word("remove")}, {Name: "scope", Value: Word("private")}}
			if key[0] == '+' {
				facts[0].Value = Word("add")
			}
			if len(key) > 1 && key[1] == 's' {
				facts[1].Value = Word("shared")
			}
			facts = append(facts, Fact{Name: "attribute", Value: string(key[min(2, len(key)):])})
			if t := next(); t >= 0 {
				facts = append(facts, Fact{Name: "timestamp", Value: Stamp(t)})
			}
			if key[0] == '+' {
				facts = append(facts, Fact{Name: "value_len", Value: next()})
			}
			if !yield(facts) {
				return
			}
		}
	}
}
