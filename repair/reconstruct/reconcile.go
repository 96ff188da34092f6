package reconstruct

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"dovemend/repair/dovecot"
)

// reconciler makes the mailboxes of an mdbox account and the storage agree. The map index counts how many mailboxes refer to
// each message. Where more mailboxes claim it than are counted, those whose index files are damaged have not heard of its
// leaving; where fewer do, it was in one whose index files have lost it.
type reconciler struct {
	acct  *Account
	t     *Storage
	boxes []*State

	byName map[string]*State // by storage name
	lost   []*State          // mailboxes that may have lost messages
	holds  map[held]bool     // which messages these have
	gone   map[*State]dovecot.Expunged
	purged map[dovecot.GUID]bool // what was expunged from any mailbox; nil: not looked at yet
	added  map[*State][]*Stored
	orders map[*State]*order
	once   *once   // what an earlier copy tells; nil where none is needed
	bound  []saved // when messages were saved, at the latest
}

// held says that a mailbox has a stored message.
type held struct {
	s  *State
	st *Stored
}

func (r *reconciler) reconcile() {
	r.gone, r.added, r.byName = map[*State]dovecot.Expunged{}, map[*State][]*Stored{}, make(map[string]*State, len(r.boxes))
	r.orders = map[*State]*order{}
	for _, s := range r.boxes {
		if r.byName[s.Mailbox.Storage] == nil {
			r.byName[s.Mailbox.Storage] = s
		}
	}
	r.saveTimes()
	r.findAnew()
	r.findBehind()
	if r.t.Sound {
		r.dropOverclaimed()
	} else if r.once = r.acct.once(r.t, r.boxes); r.once != nil {
		r.dropMoved()
	}
	r.findLost()
	for i := range r.t.Stored {
		r.place(&r.t.Stored[i])
	}
	for _, s := range r.boxes {
		s.regain(r.added[s], r.expunged(s), r.storedBefore(s.written))
	}
}

// claim is a message of a mailbox that refers to the storage.
type claim struct {
	s *State
	m *Message
}

// dropOverclaimed takes messages out of mailboxes with damaged index files where the map index counts fewer references than
// there are. What was saved to a mailbox last is where it was moved to. What the map index does not know any more was purged,
// because nothing referred to it.
func (r *reconciler) dropOverclaimed() {
	over := map[*Stored][]claim{}
	for _, s := range r.boxes {
		for i := range s.Messages {
			if m := &s.Messages[i]; m.stored != nil && m.stored.Refs >= 0 && m.stored.Claims > m.stored.Refs {
				over[m.stored] = append(over[m.stored], claim{s, m})
			}
		}
	}
	drop := map[*Message]bool{}
	for _, s := range r.boxes {
		if s.Sound || !s.refersTo(r.t) {
			continue
		}
		for i := range s.Messages {
			m := &s.Messages[i]
			if _, mapped := r.t.Mapped(m.MapUID); m.Lost && m.MapUID != 0 && m.MapUID < r.t.Map.NextUID && !mapped {
				drop[m] = true
				s.Dropped++
			}
		}
	}
	for st, claims := range over {
		claims = slices.DeleteFunc(claims, func(c claim) bool { return c.m.By.Mailbox == ByIndex })
		slices.SortStableFunc(claims, func(a, b claim) int {
			if n := a.m.Saved.Compare(b.m.Saved); n != 0 {
				return n
			}
			return first(a.s, st) - first(b.s, st) // in the same second: it was moved away from where it was first saved
		})
		for _, c := range claims[:min(len(claims), st.Claims-st.Refs)] {
			drop[c.m] = true
			st.Claims--
			c.s.Dropped++
		}
	}
	r.drop(drop)
}

// dropMoved takes messages out of mailboxes of which an earlier copy told, and to which nothing counts references, where a mailbox
// that tells everything has got them since: they were moved there.
func (r *reconciler) dropMoved() {
	came := map[*Stored]bool{}
	for _, s := range r.boxes {
		if !s.Sound || s.Recalled != nil {
			continue
		}
		for i := range s.Messages {
			if m := &s.Messages[i]; m.stored != nil && !r.once.in[s.Mailbox.Dir][m.GUID] {
				came[m.stored] = true
			}
		}
	}
	drop := map[*Message]bool{}
	for _, s := range r.boxes {
		for i := range s.Messages {
			if m := &s.Messages[i]; s.Recalled != nil && !s.Recalled.Whole && m.stored != nil && came[m.stored] {
				drop[m] = true
				m.stored.Claims--
				s.Dropped++
			}
		}
	}
	r.drop(drop)
}

// drop takes messages out of their mailboxes.
func (r *reconciler) drop(drop map[*Message]bool) {
	if len(drop) == 0 {
		return
	}
	for _, s := range r.boxes {
		kept := make([]Message, 0, len(s.Messages))
		for i := range s.Messages {
			if !drop[&s.Messages[i]] {
				kept = append(kept, s.Messages[i])
			}
		}
		s.Messages = kept
	}
}

// first is 0 for the mailbox to which a message was first saved, 1 for others.
func first(s *State, st *Stored) int {
	if s.Mailbox.Storage == st.Mailbox {
		return 0
	}
	return 1
}

// saved says that the message with a number in the map index, and all with lower ones, were saved by then.
type saved struct {
	uid dovecot.UID
	by  int64
}

// saveTimes learns from messages that are claimed when those stored before them must have been saved: numbers in the map
// index are given in order of time.
func (r *reconciler) saveTimes() {
	r.bound = nil
	for _, s := range r.boxes {
		for i := range s.Messages {
			if m := &s.Messages[i]; m.MapUID != 0 && !m.Saved.IsZero() {
				r.bound = append(r.bound, saved{m.MapUID, m.Saved.Unix()})
			}
		}
	}
	slices.SortFunc(r.bound, func(a, b saved) int { return cmp.Compare(a.uid, b.uid) })
	least := int64(math.MaxInt64)
	for i := len(r.bound) - 1; i >= 0; i-- {
		least = min(least, r.bound[i].by)
		r.bound[i].by = least
	}
}

// storedBefore is the highest number in the map index that was surely given before a time, in seconds; 0 where none was.
func (r *reconciler) storedBefore(t time.Time) dovecot.UID {
	if t.IsZero() {
		return 0
	}
	i := sort.Search(len(r.bound), func(i int) bool { return r.bound[i].by >= t.Unix() })
	if i == 0 {
		return 0
	}
	return r.bound[i-1].uid
}

// savedBy is when a message was saved at the latest, in Unix time.
func (r *reconciler) savedBy(st *Stored) int64 {
	by := int64(math.MaxInt64)
	if f := &r.t.Files[st.File]; !f.MTime.IsZero() {
		by = f.MTime.Unix()
	}
	if st.MapUID == 0 {
		return by
	}
	if i := sort.Search(len(r.bound), func(i int) bool { return r.bound[i].uid > st.MapUID }); i < len(r.bound) {
		by = min(by, r.bound[i].by)
	}
	return by
}

// box is the mailbox that a message was first saved to, or nil.
func (r *reconciler) box(st *Stored) *State { return r.byName[st.Mailbox] }

// findAnew finds the mailboxes whose index was made anew later than the mail that was first saved to them, and to which something
// still refers.
func (r *reconciler) findAnew() {
	for i := range r.t.Stored {
		st := &r.t.Stored[i]
		if r.t.Files[st.File].ID == 0 || st.Claims > 0 || st.Refs == 0 || r.t.Sound && st.MapUID == 0 {
			continue
		}
		if s := r.box(st); s != nil && s.Sound && !s.Anew && int64(s.Index.IndexID) > r.savedBy(st) && !r.expunged(s).GUID(st.GUID) {
			s.Anew = true
		}
	}
	for _, s := range r.boxes {
		if s.Anew && s.recallForgotten(r.acct.earlier, func(Copy, *dovecot.State) bool { return true }) {
			delete(r.gone, s)
			s.resolve(r.t)
			r.saveTimes()
		}
	}
}

// findLost lists the mailboxes that may have lost messages: those whose index files are damaged or gone, or were made anew.
func (r *reconciler) findLost() {
	r.holds = map[held]bool{}
	for _, s := range r.boxes {
		if s.Sound && !s.Anew {
			continue
		}
		r.lost = append(r.lost, s)
		for i := range s.Messages {
			if st := s.Messages[i].stored; st != nil {
				r.holds[held{s, st}] = true
			}
		}
	}
}

func (r *reconciler) expunged(s *State) dovecot.Expunged {
	x, ok := r.gone[s]
	if !ok {
		x = dovecot.ReadExpunged(s.evidence())
		r.gone[s] = x
	}
	return x
}

// place decides what becomes of a stored message that fewer mailboxes claim than should.
func (r *reconciler) place(st *Stored) {
	f := &r.t.Files[st.File]
	home := r.box(st)
	switch {
	case f.ID == 0:
		if st.GUID.IsZero() || r.t.byGUID[st.GUID] == nil { // else it is stored in m.N too
			r.orphan(st, map[bool]Fate{true: SetAside, false: Uncommitted}[isBroken(f.Name)])
		}
	case r.t.Sound && st.MapUID == 0:
		if !r.claimedElsewhere(st) {
			r.orphan(st, Uncommitted)
		}
	case r.t.Sound && st.Refs == 0:
		if st.Claims == 0 {
			r.orphan(st, Expunged)
		}
	case r.t.Sound:
		for n := st.Refs - st.Claims; n > 0; n-- {
			s := r.loser(st, home)
			if s == nil {
				if st.Claims == 0 {
					r.orphan(st, Unplaced)
				}
				return
			}
			r.add(s, st)
		}
	case st.Claims > 0 || r.claimedElsewhere(st):
	case r.once.dead(r.t, st):
		r.orphan(st, Expunged)
	case home == nil && st.Mailbox != "", home != nil && home.Sound && !home.Anew, r.anyExpunged(st), r.left(home, st):
		r.orphan(st, Expunged)
	default:
		if s := r.loser(st, home); s != nil {
			r.add(s, st)
		} else {
			r.orphan(st, Unplaced)
		}
	}
}

// claimedElsewhere reports whether the same message is stored in another place, and claimed there: a purge that was interrupted.
func (r *reconciler) claimedElsewhere(st *Stored) bool {
	for o := r.t.byGUID[st.GUID]; o != nil; o = o.next {
		if o != st && o.Claims > 0 {
			return true
		}
	}
	return false
}

func (r *reconciler) anyExpunged(st *Stored) bool {
	if r.purged == nil {
		r.purged = map[dovecot.GUID]bool{}
		for _, s := range r.boxes {
			for id := range r.expunged(s).GUIDs() {
				r.purged[id] = true
			}
		}
	}
	return r.purged[st.GUID]
}

// loser is the mailbox that a message was most likely lost from, or nil: the one it was first saved to, unless it is known to have left
// it, else the only one that lost anything, else the one that the list index says lacks the most.
func (r *reconciler) loser(st *Stored, home *State) *State {
	left := r.left(home, st)
	if home != nil && (!home.Sound || home.Anew) && !r.holds[held{home, st}] && !left {
		return home
	}
	lost := slices.DeleteFunc(slices.Clone(r.lost), func(s *State) bool { return r.holds[held{s, st}] })
	if left && len(lost) > 1 {
		lost = slices.DeleteFunc(lost, func(s *State) bool { return s == home })
	}
	if len(lost) == 0 {
		return nil
	}
	lacks := func(s *State) int {
		if !s.Names.HasCounts {
			return 0
		}
		return int(s.Names.Messages) - len(s.Messages) - len(r.added[s])
	}
	return slices.MaxFunc(lost, func(a, b *State) int { return cmp.Compare(lacks(a), lacks(b)) })
}

func (r *reconciler) add(s *State, st *Stored) {
	st.Claims++
	r.holds[held{s, st}] = true
	r.added[s] = append(r.added[s], st)
}

func (r *reconciler) orphan(st *Stored, fate Fate) {
	o := Orphan{Fate: fate, From: st.Mailbox}
	o.describe(r.t.Files[st.File].Name, &st.DboxMessage)
	o.File, o.Size, o.MapUID, o.Stored, o.stored = r.t.Files[st.File].Name, st.End-st.Offset, st.MapUID, r.t.record(st), st
	r.acct.Orphans = append(r.acct.Orphans, o)
}
