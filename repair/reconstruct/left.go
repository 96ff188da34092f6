package reconstruct

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"dovemend/repair/dovecot"
)

// order is in which order the messages of a mailbox came to it, as far as it lists them. Dovecot gives a message that is saved its number in
// the map index and its UID in one step, so that both ascend; one that is copied or moved has its number from before.
type order struct {
	ids   []dovecot.UID // numbers in the map index, ascending
	after []dovecot.UID // what is saved to the mailbox after the ones up to here has a greater UID than this; 0: nothing tells
	until []dovecot.UID // what is saved before the ones from here on has a smaller one

	places []place // by where they lie
}

func newOrder(s *State) *order {
	o := &order{}
	var list []*Message
	for i := range s.Messages {
		m := &s.Messages[i]
		if m.stored == nil || m.UID == 0 {
			continue
		}
		o.places = append(o.places, place{m.stored, m.UID})
		if m.MapUID != 0 {
			list = append(list, m)
		}
	}
	slices.SortStableFunc(o.places, func(a, b place) int { return a.st.compare(b.st) })
	slices.SortStableFunc(list, func(a, b *Message) int { return cmp.Compare(a.MapUID, b.MapUID) })
	last := dovecot.UID(0)
	for _, m := range list {
		if m.stored.Mailbox == s.Mailbox.Storage {
			last = max(last, m.UID)
		}
		o.ids, o.after, o.until = append(o.ids, m.MapUID), append(o.after, last), append(o.until, m.UID)
	}
	for i := len(list) - 2; i >= 0; i-- {
		o.until[i] = min(o.until[i], o.until[i+1])
	}
	return o
}

// between are the UIDs that a message which was saved to the mailbox can have had; ok is false where they are not known on both sides.
func (o *order) between(id dovecot.UID) (first, last dovecot.UID, ok bool) {
	i := sort.Search(len(o.ids), func(i int) bool { return o.ids[i] >= id })
	if i == 0 || i == len(o.ids) || o.ids[i] == id || o.after[i-1] == 0 || o.after[i-1]+1 >= o.until[i] {
		return 0, 0, false
	}
	return o.after[i-1] + 1, o.until[i] - 1, true
}

// place is where a message of a mailbox lies in the storage.
type place struct {
	st  *Stored
	uid dovecot.UID
}

// beside are the UIDs that a message can have had which the map index does not tell of: by those around it in its file. A file is written
// at its end; but Dovecot also moves messages there when it purges others, so that the time in their GUIDs must say the same.
func (o *order) beside(st *Stored) (first, last dovecot.UID, ok bool) {
	const far = 64
	i := sort.Search(len(o.places), func(i int) bool { return o.places[i].st.compare(st) >= 0 })
	for k := i - 1; k >= max(0, i-far) && first == 0; k-- {
		if p := o.places[k]; p.st.File == st.File && p.st.Mailbox == st.Mailbox && p.st.madeBefore(st) {
			first = p.uid + 1
		}
	}
	for k := i; k < min(len(o.places), i+far) && last == 0; k++ {
		if p := o.places[k]; p.st.File == st.File && st.madeBefore(p.st) {
			last = p.uid - 1
		}
	}
	return first, last, first > 0 && first <= last
}

// compare orders messages by where they lie.
func (st *Stored) compare(o *Stored) int {
	return cmp.Or(cmp.Compare(st.File, o.File), cmp.Compare(st.Offset, o.Offset))
}

// madeBefore reports whether a message's GUID is older than another's: Dovecot begins them with the time, nanoseconds and seconds.
func (st *Stored) madeBefore(o *Stored) bool {
	type moment struct{ nsec, sec uint32 }
	read := func(id dovecot.GUID) moment {
		return moment{binary.LittleEndian.Uint32(id[:]), binary.LittleEndian.Uint32(id[4:])}
	}
	a, b := read(st.GUID), read(o.GUID)
	return max(a.nsec, b.nsec) < 1e9 && cmp.Or(cmp.Compare(a.sec, b.sec), cmp.Compare(a.nsec, b.nsec)) < 0
}

// left reports whether a message was saved to a mailbox and had left it when its index was last written: the index knew all messages
// with the UIDs that it can have had, and does not list it.
func (r *reconciler) left(s *State, st *Stored) bool {
	if s == nil || s.Anew || st.Mailbox != s.Mailbox.Storage {
		return false
	}
	o := r.orders[s]
	if o == nil {
		o = newOrder(s)
		r.orders[s] = o
	}
	var first, last dovecot.UID
	var ok bool
	if st.MapUID != 0 && s.refersTo(r.t) {
		first, last, ok = o.between(st.MapUID)
	} else {
		first, last, ok = o.beside(st)
	}
	return ok && s.Index.KnewAll(first, last) && s.namedWithin(first, last)
}

// namedWithin reports whether of all messages with these UIDs is known which they are.
func (s *State) namedWithin(first, last dovecot.UID) bool {
	i := sort.Search(len(s.Messages), func(i int) bool { return s.Messages[i].UID-1 >= first-1 }) // those without one are at the end
	for ; i < len(s.Messages) && s.Messages[i].UID-1 <= last-1; i++ {
		if m := &s.Messages[i]; m.stored == nil && m.GUID.IsZero() {
			return false
		}
	}
	return true
}
