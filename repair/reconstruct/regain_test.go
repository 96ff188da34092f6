package reconstruct

import (
	"encoding/binary"
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

// mapLog is a log of a map index: each entry is a transaction, which stores a message (a number) or copies some.
func mapLog(entries ...[]uint32) []byte {
	const external, appends, increases = 0x10000000, 0x2, 0x1000
	b := make([]byte, 40)
	b[0], b[1], b[2], b[32] = 1, 3, 40, 1
	binary.LittleEndian.PutUint32(b[4:], 1600000000)
	binary.LittleEndian.PutUint32(b[8:], 3)
	record := func(kind uint32, data []byte) {
		size := uint32(8+len(data)) >> 2
		b = binary.BigEndian.AppendUint32(b, 0x80808080|size&0x7f|size<<1&0x7f00)
		b = append(binary.LittleEndian.AppendUint32(b, kind), data...)
	}
	for _, e := range entries {
		var data []byte
		if len(e) == 1 {
			record(appends|external, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, e[0]), 0))
			continue
		}
		for _, uid := range e[1:] {
			data = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(data, uid), e[0])
		}
		record(increases, data)
	}
	return b
}

func TestLostMessagesHaveTheirUIDsInTheOrderInWhichTheyCame(t *testing.T) {
	const minus = ^uint32(0)
	for what, c := range map[string]struct {
		next dovecot.UID // as the list index tells it
		log  []byte
		want string
	}{
		// 13 was saved, 21 and 22 were moved here together, then 14 was saved; 23 was copied elsewhere.
		"in order":               {7, mapLog([]uint32{13}, []uint32{1, 21, 22}, []uint32{minus, 21, 22}, []uint32{14}, []uint32{1, 23}), "13:3 14:6 21:0 22:0"},
		"more were given":        {8, mapLog([]uint32{13}, []uint32{1, 21, 22}, []uint32{14}), "13:0 14:0 21:0 22:0"},
		"the log is younger":     {7, mapLog([]uint32{1, 21, 22}, []uint32{14}), "13:0 14:0 21:0 22:0"},
		"one was moved twice":    {7, mapLog([]uint32{13}, []uint32{1, 21, 22}, []uint32{14}, []uint32{1, 21}), "13:0 14:0 21:0 22:0"},
		"one was copied as well": {7, mapLog([]uint32{13}, []uint32{1, 21, 22}, []uint32{14}, []uint32{1, 14}), "13:0 14:0 21:0 22:0"},
	} {
		s, _ := torn(1, 2)
		s.Index.Records = s.Index.Records[:2]
		s.UIDValidity = 1
		s.Names = Listed{Known: true, HasCounts: true, UIDValidity: 1, NextUID: c.next}
		s.Storage.mapFiles = dovecot.Files{Log: c.log}
		list := []*Stored{s.Storage.lookup[13], s.Storage.lookup[14]}
		for _, id := range []dovecot.UID{21, 22} {
			st := &Stored{MapUID: id, Refs: 1, Claims: 1}
			st.Mailbox, st.GUID[0] = "Sent", byte(id)
			list = append(list, st)
		}
		given := s.arrived(list)
		got := ""
		for _, st := range list {
			got += fmt.Sprintf(" %d:%d", st.MapUID, given[st])
		}
		if got != " "+c.want {
			t.Errorf("%s: got%s, want %s", what, got, c.want)
		}
		if what == "in order" {
			s.regain(list, dovecot.Expunged{}, 12)
			for i := range s.Messages {
				if m := &s.Messages[i]; (m.MapUID == 21 || m.MapUID == 22) && m.UID < someLost {
					t.Errorf("message %d has UID %d, which may be that of the other", m.MapUID, m.UID)
				}
			}
		}
	}
}
