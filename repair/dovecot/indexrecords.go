package dovecot

import (
	"sort"
)

// parseRecords reads as many records as there are, and leaves out those that cannot be right.
func (x *Index) parseRecords(b []byte, fs *faults) {
	h := &x.Header
	if h.RecordSize < 8 || h.HeaderSize < indexHeaderSize || int64(h.HeaderSize) > int64(len(b)) {
		return
	}
	size := int(h.RecordSize)
	fit := (len(b) - int(h.HeaderSize)) / size
	n := fit
	if int64(h.Messages) <= int64(fit) {
		n = int(h.Messages)
	} else {
		x.fsck(fs, len(b), "index-records-cut", "the header counts %d messages, the file holds %d", h.Messages, fit)
	}
	more := 0 // records that the header does not count
	if n < fit {
		if more = goesOn(b[int(h.HeaderSize):], n, size); more > 0 {
			fs.add(32, "index-messages-count", "the header counts %d messages, the file holds %d", n, n+more)
		}
	}
	n += more
	records := make([]IndexRecord, n)
	ordered, last := true, UID(0) // last: of the records so far, as they stand
	for i := range n {
		at := int(h.HeaderSize) + i*size
		r := IndexRecord{Offset: int64(at), UID: UID(le.Uint32(b[at:])), Flags: Flags(b[at+4]), Data: b[at : at+size : at+size]}
		records[i] = r
		if r.UID == 0 {
			x.badRecords, ordered = true, false
			fs.add(at, "index-record-uid", "record %d has UID 0", i)
			if i+1 == int(h.Messages) && more == 0 { // "last message has uid=0"
				x.Unusable = "index-record-uid"
			}
			continue
		}
		if r.UID <= last || r.UID == ^UID(0) {
			ordered = false
		}
		last = r.UID
	}
	if last >= h.NextUID && more == 0 {
		x.fsck(fs, int(h.HeaderSize), "index-next-uid", "the last UID is %d, the next one %d", last, h.NextUID)
	}
	if !ordered || last >= h.NextUID && h.NextUID != 0 {
		records = x.inOrder(records, fs)
	}
	x.Records = records
	x.counted = len(records)
	if more > 0 {
		end := int64(int(h.HeaderSize) + (n-more)*size)
		x.counted = sort.Search(len(records), func(i int) bool { return records[i].Offset >= end })
	}
	if int(h.Messages) > fit {
		x.gap(lastUID(records)+1, 0)
	}
}

// goesOn counts the records behind the first n that are records too: Dovecot writes an index to its last byte, and where more is
// in it than the header counts, the count is wrong or something was added.
func goesOn(b []byte, n, size int) int {
	at := n * size
	if n > 0 {
		at -= size // they must follow on the last one
	}
	have := ascends(b, at, size)
	if n > 0 {
		have--
	}
	if have < 1 || at+(have+min(n, 1))*size < len(b)-size+1 && have < searchRun {
		return 0
	}
	return have
}

// noise marks records in which a bit is set that stands for nothing: nobody wrote them so.
func (x *Index) noise(fs *faults) {
	k := x.Ext("keywords")
	if k != nil && int(k.RecordOffset)+int(k.RecordSize) > int(x.Header.RecordSize) {
		k = nil // it is not within the records
	}
	for i := range x.Records {
		r := &x.Records[i]
		if r.Flags&FlagRecent == 0 && (k == nil || !strayBit(r.Data[k.RecordOffset:][:k.RecordSize], len(x.Keywords))) {
			continue
		}
		r.Suspect = true
		fs.add(int(r.Offset)+4, "index-record-noise", "flags or keywords of UID %d that do not exist", r.UID)
	}
}

// strayBit reports whether a bit from a number on is set.
func strayBit(bits []byte, from int) bool {
	for i, b := range bits {
		if n := min(max(from-8*i, 0), 8); b>>n != 0 {
			return true
		}
	}
	return false
}

// inOrder keeps the largest set of records whose UIDs ascend and lie below the next UID. Where records do not fit, or another
// set of the same size lacks them, any of them may be the one whose UID is wrong: such a stretch is remembered, and between the sure
// records around it all UIDs are a gap that it does not keep.
func (x *Index) inOrder(records []IndexRecord, fs *faults) []IndexRecord {
	uids := below(records, x.Header.NextUID)
	keep := ascending(uids)
	if kept := count(keep); kept < len(records) {
		// The next UID may be wrong, and not the records: then those above it go on where the others end.
		free := below(records, 0)
		if all := ascending(free); x.guessed || count(all) > kept*2 || count(all) > kept && near(records, keep, all) {
			uids, keep = free, all
		}
	}
	sure := inEvery(uids)
	for i := 1; i < len(records); i++ {
		sure[i] = sure[i] && keep[i-1] // what made the one before it wrong may go on into its UID
	}
	makeRoom(records, sure)
	out := make([]IndexRecord, 0, len(records))
	open, begun, after := -1, 0, UID(0) // where the stretch began, there and in out, and the last sure UID
	for i, r := range records {
		if sure[i] {
			if open >= 0 {
				x.clash(records[open:i], out[begun:], after, r.UID)
			}
			open, after = -1, r.UID
			out = append(out, r)
			continue
		}
		if open < 0 {
			open, begun = i, len(out)
		}
		if keep[i] {
			r.Suspect = true
			out = append(out, r)
			continue
		}
		if n := len(out); n > 0 && i > 0 && keep[i-1] && !out[n-1].Suspect {
			out[n-1].Suspect, out[n-1].torn = true, true
		}
		if r.UID != 0 {
			x.badRecords = true
			fs.add(int(r.Offset), "index-record-order", "UID %d does not fit between its neighbours below the next UID %d", r.UID, x.Header.NextUID)
		}
	}
	if open >= 0 {
		x.clash(records[open:], out[begun:], after, 0)
	}
	return out
}

// makeRoom takes their sureness from the neighbours of a stretch that has more records than there are UIDs between them: one of
// them is wrong as well.
func makeRoom(records []IndexRecord, sure []bool) {
	var before [][2]int // the stretches so far, so that none is gone through twice
	for i := 0; i < len(records); i++ {
		if sure[i] {
			continue
		}
		from, to := i, i+1
		for {
			for to < len(records) && !sure[to] {
				to++
			}
			for from > 0 && !sure[from-1] {
				if n := len(before); n > 0 && before[n-1][1] == from {
					from, before = before[n-1][0], before[:n-1]
				} else {
					from--
				}
			}
			after := UID(0)
			if from > 0 {
				after = records[from-1].UID
			}
			if to == len(records) || int64(records[to].UID)-int64(after)-1 >= int64(to-from) {
				break
			}
			sure[to] = false
			if from > 0 {
				sure[from-1] = false
			}
		}
		before = append(before, [2]int{from, to})
		i = to
	}
}

// below are the UIDs of records, 0 for those that are not below a limit (0: no limit).
func below(records []IndexRecord, limit UID) []UID {
	uids := make([]UID, len(records))
	for i, r := range records {
		if (limit == 0 || r.UID < limit) && r.UID != ^UID(0) { // no UID could follow that one
			uids[i] = r.UID
		}
	}
	return uids
}

// near reports whether the records that only one choice keeps go on closely behind those the other one keeps. Noise does not.
func near(records []IndexRecord, keep, all []bool) bool {
	const step = 1 << 16
	last := UID(0)
	for i, r := range records {
		switch {
		case keep[i]:
			last = r.UID
		case all[i]:
			if r.UID-last > step {
				return false
			}
			last = r.UID
		}
	}
	return true
}

// gap adds a stretch of UIDs whose records cannot be read, up to but not including another; 0 stands for the end.
func (x *Index) gap(from, to UID) {
	if to == 0 {
		to = max(x.Header.NextUID, from)
	}
	if from < to {
		x.Gaps = append(x.Gaps, UIDRange{from, to - 1})
	}
}

func lastUID(records []IndexRecord) UID {
	if len(records) == 0 {
		return 0
	}
	return records[len(records)-1].UID
}

func count(set []bool) int {
	n := 0
	for _, b := range set {
		if b {
			n++
		}
	}
	return n
}

// checkHeader makes the checks of mail_index_map_check_header.
func (x *Index) checkHeader(fs *faults) {
	h := &x.Header
	if x.Unusable != "" {
		return
	}
	if h.UIDValidity == 0 && h.NextUID != 1 {
		x.fsck(fs, 24, "index-uidvalidity", "UIDVALIDITY is 0, but the next UID is %d", h.NextUID)
	}
	if h.NextUID == 0 {
		x.fsck(fs, 28, "index-next-uid", "the next UID is 0")
	}
	if h.Seen > h.Messages || h.Deleted > h.Messages {
		x.fsck(fs, 40, "index-counters", "%d seen and %d deleted of %d messages", h.Seen, h.Deleted, h.Messages)
	}
	if h.FirstRecentUID == 0 && h.Minor > 0 || h.FirstRecentUID > h.NextUID {
		x.fsck(fs, 48, "index-first-recent", "first recent UID is %d, next UID %d", h.FirstRecentUID, h.NextUID)
	}
	if h.FirstUnseenUID > h.NextUID || h.FirstDeletedUID > h.NextUID {
		x.fsck(fs, 52, "index-low-water", "low-water marks %d and %d lie above the next UID %d", h.FirstUnseenUID, h.FirstDeletedUID, h.NextUID)
	}
	if x.NeedsFsck != "" {
		return
	}
	var seen, deleted uint32
	for i := range x.Records {
		if x.Records[i].Flags&FlagSeen != 0 {
			seen++
		}
		if x.Records[i].Flags&FlagDeleted != 0 {
			deleted++
		}
	}
	if seen != h.Seen || deleted != h.Deleted { // Dovecot does not look, but counts on from here
		fs.add(40, "index-counters", "the header counts %d seen and %d deleted, the records %d and %d", h.Seen, h.Deleted, seen, deleted)
	}
}
