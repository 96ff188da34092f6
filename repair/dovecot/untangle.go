package dovecot

import (
	"bytes"
	"slices"
	"sort"
)

// clash is a stretch of an index's records of which at least one has a wrong UID.
type clash struct {
	records []IndexRecord // as they stand in the file
	room    UIDRange      // between the sure records before and behind
}

// maxClash bounds the stretches that are looked at, and how many they may be: more are no flipped bits, and looking takes time.
const maxClash = 64

// clash notes a stretch between two sure records, and of which UIDs between them messages may have existed; before 0 stands for the
// end. kept are those of its records that stay.
func (x *Index) clash(records, kept []IndexRecord, after, before UID) {
	if before == 0 {
		before = max(x.Header.NextUID, after+1)
	}
	from := after + 1
	for _, r := range kept {
		if r.UID < before {
			x.gap(from, r.UID)
			from = r.UID + 1
		}
	}
	x.gap(from, before)
	if after+1 < before {
		x.clashes = append(x.clashes, clash{slices.Clone(records), UIDRange{after + 1, before - 1}})
	}
}

// twin is the other one of index and backup, as far as it is sound and of the same index; else nil.
func (p *parsed) twin(x *Index) *Index {
	o := p.backup
	if x == p.backup {
		o = p.index
	}
	if o == nil || !p.clean[o] || o.Header.IndexID != x.Header.IndexID || o.Header.UIDValidity != x.Header.UIDValidity {
		return nil
	}
	return o
}

// untangled are the records and the gaps, with the UIDs put right that only one flipped bit made wrong. What else such a record tells is
// as good as any other's.
func (x *Index) untangled(twin *Index) ([]IndexRecord, []UIDRange) {
	records, gaps := x.Records, x.Gaps
	if len(x.clashes) > maxClash {
		return records, gaps
	}
	for _, c := range x.clashes {
		list := c.untangle(x, twin)
		if list == nil {
			continue
		}
		gaps = slices.DeleteFunc(slices.Clone(gaps), func(g UIDRange) bool { return g.First >= c.room.First && g.Last <= c.room.Last })
		at := func(offset int64) int {
			return sort.Search(len(records), func(i int) bool { return records[i].Offset >= offset })
		}
		from, to := at(c.records[0].Offset), at(c.records[len(c.records)-1].Offset+1)
		records = slices.Concat(records[:from], list, records[to:])
		if from > 0 && records[from-1].torn {
			records[from-1].Suspect = false // Concat made a copy
		}
	}
	return records, gaps
}

// untangle finds the one bit of a UID whose flipping back makes the stretch fit; nil where there is none, or more than one. Of several
// the one counts after which the twin tells the same of the message.
func (c *clash) untangle(x, twin *Index) []IndexRecord {
	if len(c.records) > maxClash {
		return nil
	}
	try := slices.Clone(c.records)
	var found, agreed [][]IndexRecord
	for j := range try {
		for bit := range 32 {
			try[j].UID ^= 1 << bit
			if c.fit(x, twin, try) {
				found = append(found, slices.Clone(try))
				if twin.agrees(x, &try[j]) {
					agreed = append(agreed, found[len(found)-1])
				}
			}
			try[j].UID = c.records[j].UID
		}
	}
	switch {
	case len(found) == 1:
		return found[0]
	case len(agreed) == 1:
		return agreed[0]
	}
	return nil
}

// fit reports whether records ascend within the room, and the twin does not know better what their UIDs name.
func (c *clash) fit(x, twin *Index, records []IndexRecord) bool {
	last := c.room.First - 1
	for i := range records {
		if records[i].UID <= last || records[i].UID > c.room.Last {
			return false
		}
		last = records[i].UID
	}
	return twin == nil || !slices.ContainsFunc(records, func(r IndexRecord) bool { return twin.denies(x, &r) })
}

// find returns the record with this UID, or nil.
func (x *Index) find(uid UID) *IndexRecord {
	i := sort.Search(len(x.Records), func(i int) bool { return x.Records[i].UID >= uid })
	if i == len(x.Records) || x.Records[i].UID != uid {
		return nil
	}
	return &x.Records[i]
}

// denies reports whether an index tells that a record of another state of it cannot have that UID.
func (x *Index) denies(of *Index, r *IndexRecord) bool {
	own := x.find(r.UID)
	if own == nil { // gone by then, if this is the earlier one
		return r.UID < x.Header.NextUID && x.Header.LogSeq <= of.Header.LogSeq
	}
	a, b := x.guid(own), of.guid(r)
	return a != b && !a.IsZero() && !b.IsZero()
}

// agrees reports whether an index tells that a record of another state of it has the UID of its message: no two messages have one place
// in the cache.
func (x *Index) agrees(of *Index, r *IndexRecord) bool {
	if x == nil {
		return false
	}
	own, a, b := x.find(r.UID), x.Ext("cache"), of.Ext("cache")
	if own == nil || a == nil || b == nil || a.ResetID != b.ResetID {
		return false
	}
	v := a.in(own)
	return !allZero(v) && bytes.Equal(v, b.in(r))
}

// in is an extension's data in a record of its file; nil where there are none.
func (e *Ext) in(r *IndexRecord) []byte {
	if e == nil || e.RecordSize == 0 || int(e.RecordOffset)+int(e.RecordSize) > len(r.Data) {
		return nil
	}
	return r.Data[e.RecordOffset:][:e.RecordSize]
}

// guid is what a record tells of its message's GUID; zero where it does not.
func (x *Index) guid(r *IndexRecord) (id GUID) {
	if v := x.Ext("guid").in(r); len(v) == len(id) {
		copy(id[:], v)
	}
	return id
}

// ascending marks the members of a longest strictly ascending subsequence. Zeros never belong to it.
func ascending(uids []UID) []bool {
	length, prev := runs(uids)
	keep := make([]bool, len(uids))
	last := -1
	for i := range uids {
		if length[i] > 0 && (last < 0 || length[i] > length[last] || length[i] == length[last] && uids[i] <= uids[last]) {
			last = i
		}
	}
	for i := last; i >= 0; i = prev[i] {
		keep[i] = true
	}
	return keep
}

// inEvery marks the members of all longest strictly ascending subsequences: nothing else could stand in their place.
func inEvery(uids []UID) []bool {
	n := len(uids)
	ahead, _ := runs(uids)
	back := make([]UID, n) // from behind, descending
	for i, u := range uids {
		if u != 0 {
			back[n-1-i] = ^u
		}
	}
	behind, _ := runs(back)
	longest := 0
	for _, k := range ahead {
		longest = max(longest, k)
	}
	places := make([]int, longest+1) // how many could stand there
	in := make([]bool, n)
	for i, k := range ahead {
		if in[i] = k > 0 && k+behind[n-1-i]-1 == longest; in[i] {
			places[k]++
		}
	}
	for i, k := range ahead {
		in[i] = in[i] && places[k] == 1
	}
	return in
}

// runs tells for each how long the longest strictly ascending subsequence is that ends with it, and which one is before it there,
// or -1. Zeros belong to none: theirs is 0.
func runs(uids []UID) (length, prev []int) {
	var tails []int // tails[k] is the index of the smallest last member of an ascending run of k+1
	length, prev = make([]int, len(uids)), make([]int, len(uids))
	for i, u := range uids {
		if u == 0 {
			continue
		}
		k := sort.Search(len(tails), func(k int) bool { return uids[tails[k]] >= u })
		length[i], prev[i] = k+1, -1
		if k > 0 {
			prev[i] = tails[k-1]
		}
		if k == len(tails) {
			tails = append(tails, i)
		} else {
			tails[k] = i
		}
	}
	return length, prev
}
