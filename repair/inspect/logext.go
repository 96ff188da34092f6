package inspect

import (
	"iter"

	"dovemend/repair/dovecot"
)

// extEntries tells the content of a record about extensions.
func (x *logExts) extEntries(r *dovecot.LogRecord) iter.Seq[Facts] {
	name, size := x.name, x.size // of now: the entries may be read later
	switch r.Type {
	case dovecot.LogExtIntro:
		return each(r.ExtIntros(), func(e dovecot.ExtIntroEntry) Facts {
			return Facts{{Name: "ext_id", Value: e.ID}, {Name: "reset_id", Value: e.ResetID}, {Name: "hdr_size", Value: e.HeaderSize},
				{Name: "record_size", Value: e.RecordSize}, {Name: "record_align", Value: e.RecordAlign}, {Name: "no_shrink", Value: e.NoShrink},
				{Name: "name", Value: e.Name, Extra: e.Name == ""}}
		})
	case dovecot.LogExtReset:
		preserve := len(r.Data) > 4 && r.Data[4] != 0
		return one(Facts{{Name: "new_reset_id", Value: uid(r.Data)}, {Name: "preserve_data", Value: preserve}})
	case dovecot.LogExtHdrUpdate, dovecot.LogExtHdrUpdate32:
		return each(r.HeaderUpdates(), func(h dovecot.HeaderEntry) Facts {
			known := decode(extHeaders[name], h.Data, int(h.Offset))
			if h.Offset == 0 {
				known = extHeader(name, h.Data)[1:] // behind the bytes, which are told here too
			} else if name == "list" || name == "box-name" || name == "virtual" {
				known = nil // its parts have no fixed places
			}
			facts := Facts{{Name: "offset", Value: h.Offset}, {Name: "size", Value: len(h.Data)}, {Name: "hex", Value: Hex(h.Data), Extra: len(known) > 0}}
			return append(facts, known...)
		})
	case dovecot.LogExtRecUpdate:
		step := (4 + size + 3) / 4 * 4
		return pieces(r.Data, step, func(b []byte) Facts {
			facts := extValue(name, b[4:4+size], nil)
			facts[0] = Fact{Name: "uid", Value: uid(b)} // the record names the extension
			return facts
		})
	case dovecot.LogExtAtomicInc:
		return pieces(r.Data, 8, func(b []byte) Facts {
			return Facts{{Name: "uid", Value: uid(b)}, {Name: "diff", Value: int32(little(b[4:8]))}}
		})
	}
	return nil
}

// headerFields are the members of struct mail_index_header, which a header update writes to.
var headerFields = []part{
	{"major_version", 0, 1, number}, {"minor_version", 1, 1, number}, {"base_header_size", 2, 2, number}, {"header_size", 4, 4, number},
	{"record_size", 8, 4, number}, {"compat_flags", 12, 1, bits}, {"indexid", 16, 4, stamp}, {"flags", 20, 4, bits}, {"uid_validity", 24, 4, stamp},
	{"next_uid", 28, 4, number}, {"messages_count", 32, 4, number}, {"unused_old_recent_messages_count", 36, 4, number},
	{"seen_messages_count", 40, 4, number}, {"deleted_messages_count", 44, 4, number}, {"first_recent_uid", 48, 4, number},
	{"first_unseen_uid_lowwater", 52, 4, number}, {"first_deleted_uid_lowwater", 56, 4, number}, {"log_file_seq", 60, 4, number},
	{"log_file_tail_offset", 64, 4, number}, {"log_file_head_offset", 68, 4, number}, {"unused_old_sync_size", 72, 4, number},
	{"log2_rotate_time", 76, 4, stamp}, {"last_temp_file_scan", 80, 4, stamp}, {"day_stamp", 84, 4, stamp},
	{"day_first_uid[0]", 88, 4, number}, {"day_first_uid[1]", 92, 4, number}, {"day_first_uid[2]", 96, 4, number}, {"day_first_uid[3]", 100, 4, number},
	{"day_first_uid[4]", 104, 4, number}, {"day_first_uid[5]", 108, 4, number}, {"day_first_uid[6]", 112, 4, number}, {"day_first_uid[7]", 116, 4, number},
}

// headerEntries tells the fields of the index header that a record sets, one by one; bytes that are no whole field, as bytes.
func headerEntries(r *dovecot.LogRecord) iter.Seq[Facts] {
	return func(yield func(Facts) bool) {
		for h := range r.HeaderUpdates() {
			for at, b := int(h.Offset), h.Data; len(b) > 0; {
				facts, n := headerField(at, b)
				if !yield(facts) {
					return
				}
				at, b = at+n, b[n:]
			}
		}
	}
}

func headerField(at int, b []byte) (Facts, int) {
	n := len(b)
	for _, p := range headerFields {
		if p.at == at && p.size <= len(b) {
			f := decode([]part{p}, b[:p.size], at)[0]
			return Facts{{Name: "field", Value: Word(p.name)}, {Name: "value", Value: f.Value}, {Name: "offset", Value: at, Extra: true},
				{Name: "size", Value: p.size, Extra: true}, {Name: "hex", Value: Hex(b[:p.size]), Extra: true}}, p.size
		}
		if p.at > at {
			n = min(n, p.at-at)
			break
		}
	}
	return Facts{{Name: "offset", Value: at}, {Name: "size", Value: n}, {Name: "hex", Value: Hex(b[:n])}}, n
}
