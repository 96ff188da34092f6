package dovecot

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sort"
)

// Expunged is what the logs of an index tell of messages that were expunged, also where they cannot be told any more of
// what these were. It is evidence that such a message must not come back.
type Expunged struct {
	uids  []UIDRange // ascending, not overlapping
	guids map[GUID]bool
}

// ReadExpunged reads the expunges that happened from all logs, those behind damage too.
func ReadExpunged(f Files) Expunged {
	x := Expunged{guids: map[GUID]bool{}}
	for _, b := range append([][]byte{f.Log, f.Log2}, f.Older...) {
		if b == nil {
			continue
		}
		l, _ := ParseLog(b)
		for i := range l.Records {
			r := &l.Records[i]
			if !r.Valid || !r.External || r.Type != LogExpunge && r.Type != LogExpungeGUID {
				continue
			}
			for u := range r.Expunges() {
				x.uids = append(x.uids, u)
			}
			if r.Type == LogExpungeGUID {
				for b := r.Data; len(b) >= 20; b = b[20:] {
					x.guids[GUID(b[4:20])] = true
				}
			}
		}
	}
	delete(x.guids, GUID{})
	slices.SortFunc(x.uids, func(a, b UIDRange) int { return cmp.Compare(a.First, b.First) })
	for i := 1; i < len(x.uids); i++ { // so that a search finds the right one
		x.uids[i].Last = max(x.uids[i].Last, x.uids[i-1].Last)
		if x.uids[i].First <= x.uids[i-1].Last {
			x.uids[i].First = x.uids[i-1].First
		}
	}
	return x
}

// UID reports whether a message of this UID was expunged.
func (x Expunged) UID(uid UID) bool {
	i := sort.Search(len(x.uids), func(i int) bool { return x.uids[i].Last >= uid })
	return i < len(x.uids) && x.uids[i].First <= uid
}

// GUID reports whether a message of this GUID was expunged from this mailbox.
func (x Expunged) GUID(g GUID) bool { return x.guids[g] }

// GUIDs are those of the messages that were expunged, as far as they are told.
func (x Expunged) GUIDs() iter.Seq[GUID] { return maps.Keys(x.guids) }
