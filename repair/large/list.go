package large

import "dovemend/repair/dovecot"

// list writes the list index, which tells of every mailbox.
func (l *layer) list() error {
	header := []byte{0}
	for i, m := range l.boxes {
		header = append(append(le.AppendUint32(header, uint32(i+1)), m.Storage...), 0)
	}
	x := &dovecot.NewIndex{IndexID: Made, UIDValidity: Made, NextUID: dovecot.UID(len(l.boxes) + 1), Exts: []dovecot.NewExt{
		{Name: "list", Header: le.AppendUint32(header, 0), Size: 28, Align: 4}, {Name: "msgs", Size: 16, Align: 4}}}
	for i, list := range l.lists {
		g := boxGUID(i)
		node := append(le.AppendUint32(le.AppendUint32(nil, uint32(i+1)), 0), g[:]...)
		counts := le.AppendUint32(le.AppendUint32(nil, uint32(len(list.Records))), uint32(unseen(list)))
		x.Records = append(x.Records, dovecot.NewRecord{UID: dovecot.UID(i + 1), Data: [][]byte{
			le.AppendUint32(node, list.UIDValidity), le.AppendUint32(le.AppendUint32(counts, 0), uint32(list.NextUID))}})
	}
	return l.writeIndex("dovecot.list.index", x)
}

func unseen(x *dovecot.NewIndex) int {
	n := 0
	for i := range x.Records {
		if x.Records[i].Flags&dovecot.FlagSeen == 0 {
			n++
		}
	}
	return n
}

// boxGUID is the GUID of a mailbox.
func boxGUID(i int) dovecot.GUID { return dovecot.GUID{0: byte(i + 1), 1: byte(i >> 8), 15: 1} }
