package reconstruct

import (
	"fmt"
	"testing"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// torn is a mailbox whose log was torn behind the append of message 3, before what that message is: messages 1 and 2 are known; of
// those stored, numbers 13 to 15 are in no list.
func torn(uids ...dovecot.UID) (*State, []*Stored) {
	t := &Storage{Sound: true, Known: true, Map: &dovecot.State{NextUID: 16}, lookup: map[dovecot.UID]*Stored{}, Files: []File{{}}}
	for id := dovecot.UID(11); id < 16; id++ {
		st := &Stored{MapUID: id, Refs: 1, Claims: 1}
		st.Mailbox, st.GUID[0] = "INBOX", byte(id)
		t.lookup[id] = st
	}
	s := &State{Mailbox: store.Mailbox{Storage: "INBOX"}, Layout: store.MDBox, Storage: t, Index: &dovecot.State{NextUID: uids[len(uids)-1] + 1, Records: make([]dovecot.Record, 3)}}
	s.NextUID = s.Index.NextUID
	for i, uid := range uids {
		m := Message{UID: uid, Flags: dovecot.FlagSeen, By: Told{Mailbox: ByDamaged, UID: ByDamaged}, Lost: i >= 2}
		if i < 2 {
			m.MapUID = dovecot.UID(11 + i)
			m.stored = t.lookup[m.MapUID]
		}
		s.Messages = append(s.Messages, m)
	}
	return s, []*Stored{t.lookup[13], t.lookup[14], t.lookup[15]}
}

func TestTornRecordIsTheFirstOfTheLostMessages(t *testing.T) {
	for _, c := range []struct {
		uids []dovecot.UID
		want string
	}{
		{[]dovecot.UID{1, 2, 3}, "1:11 2:12 3:13 4:14 5:15"},       // what follows goes on from it
		{[]dovecot.UID{1, 2, 3, 4, 5}, "1:11 2:12 3:13 4:14 5:15"}, // all of them
	} {
		s, list := torn(c.uids...)
		s.regain(list, dovecot.Expunged{}, 12)
		s.ascend()
		got := ""
		for i := range s.Messages {
			m := &s.Messages[i]
			got += fmt.Sprintf(" %d:%d", m.UID, m.MapUID)
			if m.Lost || m.stored == nil {
				t.Errorf("UIDs %v: UID %d has no text", c.uids, m.UID)
			}
			if i < len(c.uids) && m.Flags != dovecot.FlagSeen {
				t.Errorf("UIDs %v: UID %d lost its flags", c.uids, m.UID)
			}
		}
		if got != " "+c.want {
			t.Errorf("UIDs %v: got%s, want %s", c.uids, got, c.want)
		}
	}
}
