package reconstruct

import (
	"cmp"
	"path"
	"slices"
	"sort"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

func isBroken(name store.RelPath) bool { return strings.HasSuffix(path.Base(string(name)), ".broken") }

// regain puts messages back into the mailbox that its index files have lost. Their flags are gone. Their UIDs are known only
// where they fill a gap exactly; elsewhere they get new ones.
//
// before is a number in the map index: what has it, or a lower one, was stored before the index was last written.
func (s *State) regain(list []*Stored, expunged dovecot.Expunged, before dovecot.UID) {
	if len(list) == 0 {
		return
	}
	slices.SortStableFunc(list, func(a, b *Stored) int { return cmp.Compare(a.MapUID-1, b.MapUID-1) })
	fresh := s.fillGaps(list)
	if len(fresh) == 0 {
		fresh = s.continued(list, expunged, before)
	}
	if len(fresh) == 0 {
		fresh = s.arrived(list)
	}
	listed := map[*Stored]int{} // where in Messages
	for st, uid := range fresh {
		if i := s.nameless(uid); i >= 0 {
			listed[st] = i
		}
	}
	seen := s.allSeen(len(list) - len(listed))
	for _, uid := range fresh {
		s.NextUID = max(s.NextUID, uid+1)
	}
	s.sureNext()
	for _, st := range list {
		if i, ok := listed[st]; ok {
			m := &s.Messages[i]
			m.Lost = false
			st.Claims-- // counted already
			s.attach(m, st)
			s.Regained++
			continue
		}
		m := Message{By: Told{Mailbox: ByMap}}
		if st.Refs < 1 {
			m.By.Mailbox = ByMessage
		}
		if uid := fresh[st]; uid != 0 {
			m.UID, m.By.UID = uid, ByOrder
		} else {
			m.UID = s.NextUID
			s.NextUID++
		}
		if seen {
			m.Flags, m.By.Flags = dovecot.FlagSeen, ByList
		}
		st.Claims-- // counted already
		s.attach(&m, st)
		s.Messages = append(s.Messages, m)
		s.Regained++
	}
}

// nameless finds in Messages the one with a UID, if it is nameless; -1 if there is none.
func (s *State) nameless(uid dovecot.UID) int {
	i := sort.Search(len(s.Messages), func(i int) bool { return s.Messages[i].UID >= uid })
	if i == len(s.Messages) || s.Messages[i].UID != uid || !s.Messages[i].isNameless() {
		return -1
	}
	return i
}

// isNameless reports whether the index tells nothing of the message that would identify it: its record was torn apart.
func (m *Message) isNameless() bool {
	return m.stored == nil && m.MapUID == 0 && m.GUID.IsZero() && m.Lost
}

func allNameless(list []Message) bool {
	for i := range list {
		if !list[i].isNameless() {
			return false
		}
	}
	return true
}

// namelessRuns are the UIDs of nameless messages that follow each other.
func (s *State) namelessRuns() []dovecot.UIDRange {
	var runs []dovecot.UIDRange
	for i := range s.Messages {
		m := &s.Messages[i]
		switch n := len(runs); {
		case !m.isNameless():
		case n > 0 && i > 0 && s.Messages[i-1].isNameless() && runs[n-1].Last+1 == m.UID:
			runs[n-1].Last = m.UID
		default:
			runs = append(runs, dovecot.UIDRange{First: m.UID, Last: m.UID})
		}
	}
	return runs
}

// continued gives lost messages the UIDs that follow the last one the index knows of, as long as nothing can have been between
// them: UIDs and numbers in the map index are given in the same order. It ends at the first number that something purged had,
// or something that was first saved to this mailbox and has left it; and it gives none where a message came from another
// mailbox, because nothing tells when that was.
func (s *State) continued(list []*Stored, expunged dovecot.Expunged, before dovecot.UID) map[*Stored]dovecot.UID {
	t := s.Storage
	if !t.Sound || s.Anew || s.Index.Doubtful || len(s.Index.Records) == 0 || !s.refersTo(t) {
		return nil
	}
	last := before
	for i := range s.Index.Records {
		uid, _, _ := s.Index.MapUID(&s.Index.Records[i])
		last = max(last, uid)
	}
	lost := make(map[*Stored]bool, len(list))
	for _, st := range list {
		if st.MapUID <= last || st.Mailbox != s.Mailbox.Storage {
			return nil
		}
		lost[st] = true
	}
	given := map[*Stored]dovecot.UID{}
	next := s.Index.NextUID
	if n := len(s.Messages); n > 0 && s.Messages[n-1].isNameless() { // the first of the lost ones are on the list
		runs := s.namelessRuns()
		run := runs[len(runs)-1]
		if run.Last+1 != next {
			return nil
		}
		next = run.First
	}
	for uid := last + 1; uid < t.Map.NextUID; uid++ {
		st := t.lookup[uid]
		if st == nil || st.Mailbox == "" {
			break
		}
		if st.Mailbox != s.Mailbox.Storage || st.Refs == 0 && expunged.GUID(st.GUID) {
			continue
		}
		if !lost[st] {
			break
		}
		given[st] = next
		next++
	}
	if s.Names.NextUID > next && s.Names.UIDValidity == s.UIDValidity { // more were given than are left
		return nil
	}
	return given
}

// arrived gives lost messages the UIDs behind the last one that the index has given, in the order in which the logs of the map index tell that
// they came, if they are just as many as were given after it by the list index. What came together keeps its places, but which is whose is not known.
func (s *State) arrived(list []*Stored) map[*Stored]dovecot.UID {
	t, names := s.Storage, &s.Names
	next := s.Index.NextUID
	if !t.Sound || s.Anew || s.Index.Doubtful || next == 0 || !s.refersTo(t) || !names.Known || !names.HasCounts || names.UIDValidity != s.UIDValidity ||
		int64(names.NextUID)-int64(next) != int64(len(list)) || len(s.namelessRuns()) > 0 {
		return nil
	}
	came := dovecot.ReadMapArrivals(t.mapFiles)
	at := make(map[*Stored]dovecot.Position, len(list))
	for _, st := range list {
		a, ok := came[st.MapUID]
		switch {
		case !ok || st.MapUID == 0:
			return nil
		case st.Mailbox == s.Mailbox.Storage:
			if len(a.Referred) > 0 || a.Saved == (dovecot.Position{}) { // it may have left and come back
				return nil
			}
			at[st] = a.Saved
		case len(a.Referred) != 1:
			return nil
		default:
			at[st] = a.Referred[0]
		}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *Stored) int { return at[a].Compare(at[b]) })
	given := map[*Stored]dovecot.UID{}
	for i, st := range list {
		if (i == 0 || at[list[i-1]] != at[st]) && (i+1 == len(list) || at[list[i+1]] != at[st]) {
			given[st] = next + dovecot.UID(i)
		}
	}
	return given
}

// noNextUID reports whether nothing tells which UIDs were given in this mailbox.
func (s *State) noNextUID() bool {
	return s.Base == dovecot.BaseNone && len(s.Index.Records) == 0 && s.Names.NextUID == 0
}

// allSeen reports whether the list index says that all messages that are missing were read.
func (s *State) allSeen(missing int) bool {
	if !s.Names.HasCounts || s.Anew || int(s.Names.Messages) != len(s.Messages)+missing {
		return false
	}
	unseen := 0
	for i := range s.Messages {
		if s.Messages[i].Flags&dovecot.FlagSeen == 0 {
			unseen++
		}
	}
	return int(s.Names.Unseen) == unseen
}

// fillGaps gives lost messages the UIDs that the index lacks, or of which it tells nothing else, where there are as many of the ones as of the others between two
// messages that are known: both are given in order of time.
func (s *State) fillGaps(list []*Stored) map[*Stored]dovecot.UID {
	given := map[*Stored]dovecot.UID{}
	for _, gap := range slices.Concat(s.Index.Gaps, s.namelessRuns()) {
		i := sort.Search(len(s.Messages), func(i int) bool { return s.Messages[i].UID > gap.Last })
		j := sort.Search(len(s.Messages), func(i int) bool { return s.Messages[i].UID >= gap.First })
		if gap.Last >= s.NextUID || !allNameless(s.Messages[j:i]) { // something of the gap is known from elsewhere
			continue
		}
		low, high := dovecot.UID(0), ^dovecot.UID(0)
		if j > 0 {
			low = s.Messages[j-1].MapUID
		}
		if i < len(s.Messages) {
			high = s.Messages[i].MapUID
		}
		from := sort.Search(len(list), func(k int) bool { return list[k].MapUID > low })
		to := sort.Search(len(list), func(k int) bool { return list[k].MapUID >= high })
		if from >= to || int64(to-from) != int64(gap.Last-gap.First)+1 {
			continue
		}
		for k := from; k < to; k++ {
			given[list[k]] = gap.First + dovecot.UID(k-from)
		}
	}
	return given
}
