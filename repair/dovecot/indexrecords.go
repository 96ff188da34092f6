package dovecot

import "sort"

// guessGeometry finds out how long headers and records are when the base header does not tell: the extension headers
// are a chain that can be walked, and they say what a record holds.
func (x *Index) guessGeometry(b []byte, fs *faults) {
	h := &x.Header
	if h.Major == 7 && h.CompatFlags == 1 && h.RecordSize >= 8 && h.BaseHeaderSize == indexHeaderSize && int64(h.HeaderSize) <= int64(len(b)) && h.HeaderSize >= indexHeaderSize {
		return // unusable to Dovecot for another reason: a flag
	}
	x.Exts = nil
	at, size := indexHeaderSize, 8
	for at < len(b) {
		e, next, problem := readExt(b, at)
		if problem != "" || next == 0 || e.check(0) != "" || e.RecordOffset == 0 && e.RecordSize != 0 || x.Ext(e.Name) != nil {
			break
		}
		x.Exts = append(x.Exts, e)
		at = next
		if e.RecordSize != 0 {
			size = max(size, int(e.RecordOffset)+int(e.RecordSize))
		}
	}
	if len(x.Exts) == 0 {
		h.HeaderSize, h.RecordSize = 0, 0
		return
	}
	to := 4
	for _, e := range x.Exts {
		to = max(to, int(e.RecordAlign))
	}
	h.BaseHeaderSize, h.HeaderSize, h.RecordSize = indexHeaderSize, uint32(at), uint32(align(size, to))
	h.Messages = uint32((len(b) - at) / int(h.RecordSize))
	fs.add(4, "index-guessed", "read by its %d extension headers instead: headers end at %d, a record has %d bytes", len(x.Exts), h.HeaderSize, h.RecordSize)
}

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
	records := make([]IndexRecord, 0, n)
	ordered, last := true, UID(0) // last: of the records so far, as they stand
	for i := range n {
		at := int(h.HeaderSize) + i*size
		r := IndexRecord{Offset: int64(at), UID: UID(le.Uint32(b[at:])), Flags: Flags(b[at+4]), Data: b[at : at+size : at+size]}
		if r.UID == 0 {
			x.badRecords = true
			fs.add(at, "index-record-uid", "record %d has UID 0", i)
			if i+1 == int(h.Messages) { // "last message has uid=0"
				x.Unusable = "index-record-uid"
			}
			continue
		}
		if r.UID <= last {
			ordered = false
		}
		last = r.UID
		records = append(records, r)
	}
	if last >= h.NextUID {
		x.fsck(fs, int(h.HeaderSize), "index-next-uid", "the last UID is %d, the next one %d", last, h.NextUID)
	}
	if !ordered || last >= h.NextUID && h.NextUID != 0 {
		records = x.inOrder(records, fs)
	}
	x.Records = records
}

// inOrder keeps the largest set of records whose UIDs ascend and lie below the next UID.
func (x *Index) inOrder(records []IndexRecord, fs *faults) []IndexRecord {
	below := func(limit UID) []bool {
		uids := make([]UID, len(records))
		for i, r := range records {
			if limit == 0 || r.UID < limit {
				uids[i] = r.UID
			}
		}
		return ascending(uids)
	}
	keep := below(x.Header.NextUID)
	if kept := count(keep); kept*2 < len(records) {
		if all := below(0); count(all) > kept*2 { // the next UID is wrong, not the records
			keep = all
		}
	}
	out := make([]IndexRecord, 0, len(records))
	for i, r := range records {
		if keep[i] {
			out = append(out, r)
			continue
		}
		x.badRecords = true
		fs.add(int(r.Offset), "index-record-order", "UID %d does not fit between its neighbours below the next UID %d", r.UID, x.Header.NextUID)
	}
	return out
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

// ascending marks the members of a longest strictly ascending subsequence. Zeros never belong to it.
func ascending(uids []UID) []bool {
	var tails []int // tails[k] is the index of the smallest last member of an ascending run of k+1
	prev := make([]int, len(uids))
	for i, u := range uids {
		if u == 0 {
			continue
		}
		k := sort.Search(len(tails), func(k int) bool { return uids[tails[k]] >= u })
		prev[i] = -1
		if k > 0 {
			prev[i] = tails[k-1]
		}
		if k == len(tails) {
			tails = append(tails, i)
		} else {
			tails[k] = i
		}
	}
	keep := make([]bool, len(uids))
	if len(tails) > 0 {
		for i := tails[len(tails)-1]; i >= 0; i = prev[i] {
			keep[i] = true
		}
	}
	return keep
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
