package dovecot

import (
	"slices"
	"sort"
)

// ReplayKnowing is [Replay] with the UIDs, ascending, of messages that exist by other evidence: where an index or a log has lost
// the record that told of one, what later records say of its flags is used all the same.
func ReplayKnowing(f Files, exist []UID) (*State, []Fault) {
	p := parseFiles(f)
	p.exist = exist
	s, list := p.replay()
	return s, append(p.list, list...)
}

// phantoms adds records for messages that exist, from one UID up to but not including another: what told of them is lost.
func (r *replayer) phantoms(from, to UID) {
	if r.strict || from >= to {
		return
	}
	i := sort.Search(len(r.p.exist), func(i int) bool { return r.p.exist[i] >= from })
	for ; i < len(r.p.exist) && r.p.exist[i] < to; i++ {
		r.phantom(r.p.exist[i])
	}
}

func (r *replayer) phantom(uid UID) *Record {
	n := Record{UID: uid, Recovered: true, Phantom: true}
	i := sort.Search(len(r.s.Records), func(i int) bool { return r.s.Records[i].UID >= uid })
	if i < len(r.s.Records) && r.s.Records[i].UID == uid || !r.afford(100, 16+len(r.s.Records)-i) {
		return r.find(uid)
	}
	r.s.Records = slices.Insert(r.s.Records, i, n)
	r.last = max(r.last, uid)
	if uid >= r.s.NextUID {
		r.s.NextUID = uid + 1
	}
	return &r.s.Records[i]
}

// inGaps adds records for messages that exist in the gaps of an index.
func (r *replayer) inGaps() {
	for _, g := range r.s.Gaps {
		if g.Last < ^UID(0) {
			r.phantoms(g.First, g.Last+1)
		}
	}
}

// behindDamage notes which UIDs may have been given in a part of a log that is lost, those from the next UID up to the next one
// that is appended in what remains, and adds records for those of which it is known that they exist.
func (r *replayer) behindDamage(rest []LogRecord) {
	if r.strict {
		return
	}
	to := ^UID(0)
	for i := range rest {
		if rest[i].Type != LogAppend || !rest[i].Valid {
			continue
		}
		for e := range rest[i].Appends() {
			if e.UID >= r.s.NextUID && !r.bad[e.UID] {
				to = e.UID
				break
			}
		}
		if to != ^UID(0) {
			break
		}
	}
	if to != ^UID(0) && to > r.s.NextUID {
		r.s.Gaps = append(r.s.Gaps, UIDRange{r.s.NextUID, to - 1})
	}
	if len(r.p.exist) > 0 {
		r.phantoms(r.s.NextUID, to)
	}
}

// appendLost adds a record for a message whose append is lost, where what is noted of it at that same time tells that there was one.
func (r *replayer) appendLost(e *Ext, uid UID) *Record {
	if r.strict || !r.lost || uid < r.s.NextUID || uid-r.s.NextUID > 1<<16 || e.Name != "guid" && e.Name != "mdbox" && e.Name != "map" {
		return nil
	}
	return r.phantom(uid)
}
