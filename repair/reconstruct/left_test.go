package reconstruct

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// leftover is an account with a mailbox whose index was written when it listed some of the messages 1 to 8, after which the log is lost. All of
// them were saved to it, and still lie in the storage; nothing counts how many mailboxes refer to them. The map index tells of them or does not.
func leftover(t *testing.T, mapped bool, listed ...dovecot.UID) (*reconciler, *State) {
	t.Helper()
	x := &dovecot.NewIndex{IndexID: 7, UIDValidity: 7, NextUID: 8}
	for _, uid := range listed {
		x.Records = append(x.Records, dovecot.NewRecord{UID: uid})
	}
	b, err := x.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b[60:], 2)
	binary.LittleEndian.PutUint32(b[68:], 40)
	s := &State{Mailbox: store.Mailbox{Storage: "INBOX"}, Layout: store.MDBox}
	s.Index, _ = dovecot.Replay(dovecot.Files{Index: b})
	s.Base, s.NextUID, s.UIDValidity = s.Index.Base, s.Index.NextUID, 7
	if s.Index.Exact || len(s.Index.Records) != len(listed) {
		t.Fatalf("the index is exact: %v, and tells of %d messages", s.Index.Exact, len(s.Index.Records))
	}
	st := &Storage{Copied: true, Known: mapped, Map: &dovecot.State{NextUID: 99}, lookup: map[dovecot.UID]*Stored{}, byGUID: map[dovecot.GUID]*Stored{}, Files: []File{{ID: 1}}}
	st.Stored = make([]Stored, 8)
	for i := range st.Stored {
		m := &st.Stored[i]
		m.Offset, m.End, m.Refs, m.Mailbox = int64(100*i), int64(100*i+100), -1, "INBOX"
		binary.LittleEndian.PutUint32(m.GUID[:], uint32(i))
		binary.LittleEndian.PutUint32(m.GUID[4:], 1700000000)
		if mapped {
			m.MapUID = dovecot.UID(11 + i)
			st.lookup[m.MapUID] = m
		}
		st.byGUID[m.GUID] = m
	}
	s.Storage = st
	for _, uid := range listed {
		m := Message{UID: uid, MapUID: uid + 10, By: Told{Mailbox: ByDamaged, UID: ByDamaged}, stored: &st.Stored[uid-1]}
		m.stored.Claims = 1
		s.Messages = append(s.Messages, m)
	}
	return &reconciler{acct: &Account{}, t: st, boxes: []*State{s}}, s
}

// placed are the positions in the storage, from 1, of the messages that are in the mailbox.
func placed(r *reconciler, s *State) []int {
	var list []int
	for i := range s.Messages {
		if st := s.Messages[i].stored; st != nil {
			list = append(list, slices.IndexFunc(r.t.Stored, func(o Stored) bool { return o.GUID == st.GUID })+1)
		}
	}
	slices.Sort(list)
	return list
}

// TestWhatAnIndexNoLongerListedDoesNotComeBack: the index knew of all messages that were there when it was written. One between those it
// lists had been expunged by then; one that was saved behind them all may have come later.
func TestWhatAnIndexNoLongerListedDoesNotComeBack(t *testing.T) {
	for _, mapped := range []bool{true, false} {
		for _, c := range []struct {
			what   string
			listed []dovecot.UID
			change func(r *reconciler, s *State)
			want   string
		}{
			{"expunged", []dovecot.UID{1, 2, 4, 7}, nil, "[1 2 4 7 8]"},
			{"in a gap of the index", []dovecot.UID{1, 2, 4, 7}, func(_ *reconciler, s *State) { s.Index.Gaps = []dovecot.UIDRange{{First: 5, Last: 5}} }, "[1 2 4 5 6 7 8]"},
			{"nothing tells what is listed there", []dovecot.UID{1, 2, 4, 7}, func(_ *reconciler, s *State) {
				s.Messages = slices.Insert(s.Messages, 2, Message{UID: 3, Lost: true})
			}, "[1 2 3 4 7 8]"},
			{"the index was made anew, later than the mail", []dovecot.UID{7}, nil, "[1 2 3 4 5 6 7 8]"},
			{"no UID is left for it", []dovecot.UID{1, 2, 4, 7}, func(r *reconciler, s *State) { s.Messages[2].UID = 3 }, "[1 2 3 4 7 8]"},
			{"all of it had been copied from elsewhere", []dovecot.UID{1, 2, 4, 7}, func(r *reconciler, _ *State) {
				for _, i := range []int{0, 1, 3, 6} {
					r.t.Stored[i].Mailbox = "Sent"
				}
			}, "[1 2 3 4 5 6 7 8]"},
		} {
			r, s := leftover(t, mapped, c.listed...)
			if c.change != nil {
				c.change(r, s)
			}
			r.reconcile()
			if got := fmt.Sprint(placed(r, s)); got != c.want {
				t.Errorf("%s, in the map %v: %s, want %s", c.what, mapped, got, c.want)
			}
			if len(r.acct.Orphans)+len(placed(r, s)) != 8 {
				t.Errorf("%s, in the map %v: %d are in no mailbox", c.what, mapped, len(r.acct.Orphans))
			}
		}
	}
}

// TestAPurgedFileTellsNoOrder: a purge moves old messages behind newer ones.
func TestAPurgedFileTellsNoOrder(t *testing.T) {
	r, s := leftover(t, false, 1, 2, 4, 7)
	for _, i := range []int{2, 4, 5} { // made later than all that is listed
		binary.LittleEndian.PutUint32(r.t.Stored[i].GUID[4:], 1800000000)
	}
	if r.reconcile(); len(placed(r, s)) != 8 {
		t.Errorf("placed are %v", placed(r, s))
	}
}

// TestAMessageThatHadLeftItsMailboxIsInAnother: the map index counts a reference, and the mailbox that it was first saved to knew that it had left.
func TestAMessageThatHadLeftItsMailboxIsInAnother(t *testing.T) {
	r, inbox := leftover(t, true, 1, 2, 4, 7)
	r.t.Sound = true
	for i := range r.t.Stored {
		r.t.Stored[i].Refs = r.t.Stored[i].Claims
	}
	r.t.Stored[4].Refs = 1
	trash := &State{Mailbox: store.Mailbox{Storage: "Trash"}, Layout: store.MDBox, Storage: r.t, Index: &dovecot.State{}}
	r.boxes = append(r.boxes, trash)
	r.reconcile()
	if a, b := fmt.Sprint(placed(r, inbox)), fmt.Sprint(placed(r, trash)); a != "[1 2 4 7]" || b != "[5]" {
		t.Errorf("INBOX has %s and Trash %s", a, b)
	}
}
