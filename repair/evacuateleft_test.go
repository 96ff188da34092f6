package repair

import (
	"errors"
	"testing"

	"dovemend/repair/dovecot"
	"dovemend/repair/evacuate"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// TestUIDsOfAMailboxMadeAnewAreNoMessagesThatStay: a clearing was killed when the index files were gone, new mail came, and Dovecot
// gave it the UIDs that the messages had which stay.
func TestUIDsOfAMailboxMadeAnewAreNoMessagesThatStay(t *testing.T) {
	stay := evacuate.Staying{Validity: 7, Left: []evacuate.Left{{UID: 1}, {UID: 2}}}
	for _, tt := range []struct {
		validity uint32
		uids     []uint32
		fresh    bool
	}{
		{7, []uint32{1, 2}, false},
		{0, []uint32{1, 2}, false}, // the index is gone, the files tell their UIDs
		{8, []uint32{1, 2}, true},
		{8, nil, false},
		{7, []uint32{1, 3}, true},
		{0, []uint32{0}, true},
	} {
		s := &reconstruct.State{Layout: store.SDBox, UIDValidity: tt.validity}
		for _, u := range tt.uids {
			var m reconstruct.Message
			m.UID = dovecot.UID(u)
			s.Messages = append(s.Messages, m)
		}
		err := onlyLeft(&Run{acct: &reconstruct.Account{Boxes: []*reconstruct.State{s}}}, stay)
		if errors.Is(err, evacuate.ErrNewMail) != tt.fresh {
			t.Errorf("%v: %v", tt, err)
		}
	}
}
