package large

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"dovemend/repair/dovecot"
)

// maildir lays a Maildir++: a file for each message, its sizes in its name, and a uidlist for each folder.
func (l *layer) maildir() error {
	lists := make([]*dovecot.UIDList, l.Mailboxes)
	for i, m := range l.boxes {
		lists[i] = &dovecot.UIDList{Version: 3, UIDValidity: l.lists[i].UIDValidity, MailboxGUID: boxGUID(i)}
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(l.dir, string(m.Dir), sub), 0o700); err != nil {
				return err
			}
		}
		if err := l.write(string(m.Dir)+"/dovecot-keywords", []byte("0 $Forwarded\n1 NonJunk\n")); err != nil {
			return err
		}
	}
	for n := range l.Messages {
		box := n % l.Mailboxes
		text := l.text(n)
		base := fmt.Sprintf("%d.M%dP1234.mail,S=%d,W=%d", Made+n, n%1e6, len(text), l.sizes[n])
		uid := l.add(n)
		lists[box].Entries = append(lists[box].Entries, dovecot.UIDListEntry{UID: uid, Name: base})
		name := string(l.boxes[box].Dir) + "/cur/" + base + ":2,"
		f, k := flags(n)
		if f&dovecot.FlagSeen != 0 {
			name += "S"
		}
		for _, k := range k {
			name += string(rune('a' + k))
		}
		if err := l.write(name, []byte(text)); err != nil {
			return err
		}
		when := time.Unix(int64(Made+n), 0)
		if err := os.Chtimes(filepath.Join(l.dir, name), when, when); err != nil {
			return err
		}
	}
	for i, list := range lists {
		list.NextUID = l.lists[i].NextUID
		b, err := list.Append(nil)
		if err != nil {
			return err
		}
		if err := l.write(string(l.boxes[i].Dir)+"/dovecot-uidlist", b); err != nil {
			return err
		}
	}
	return nil
}

// sdbox lays a file u.UID for each message.
func (l *layer) sdbox() error {
	head, err := dovecot.AppendDboxFileHeader(nil, Made, 0)
	if err != nil {
		return err
	}
	for n := range l.Messages {
		b, err := l.message(append([]byte(nil), head...), n, "")
		if err != nil {
			return err
		}
		uid := l.add(n)
		if err := l.write(fmt.Sprintf("%s/u.%d", l.boxes[n%l.Mailboxes].Dir, uid), b); err != nil {
			return err
		}
	}
	return nil
}

// mdbox lays storage files of 10 MB, and the map index.
func (l *layer) mdbox() error {
	mapped := &dovecot.NewIndex{IndexID: Made, UIDValidity: Made, NextUID: dovecot.UID(l.Messages + 1), Exts: []dovecot.NewExt{
		{Name: "map", Header: make([]byte, 8), Size: 12, Align: 4}, {Name: "ref", Size: 2, Align: 2}}}
	file, id := []byte(nil), uint32(1)
	for n := range l.Messages {
		var err error
		if len(file) == 0 {
			if file, err = dovecot.AppendDboxFileHeader(nil, Made, 0); err != nil {
				return err
			}
		}
		at := len(file)
		if file, err = l.message(file, n, l.boxes[n%l.Mailboxes].Storage); err != nil {
			return err
		}
		mapUID, g := uint32(n+1), guid(n)
		mapped.Records = append(mapped.Records, dovecot.NewRecord{UID: dovecot.UID(mapUID), Data: [][]byte{
			le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, id), uint32(at)), uint32(len(file)-at)), le.AppendUint16(nil, 1)}})
		l.add(n, nil, le.AppendUint32(le.AppendUint32(nil, mapUID), Made), g[:])
		if len(file) > 10<<20 || n == l.Messages-1 {
			if err := l.write(fmt.Sprintf("storage/m.%d", id), file); err != nil {
				return err
			}
			le.PutUint32(mapped.Exts[0].Header, id)
			file, id = file[:0], id+1
		}
	}
	return l.writeIndex("storage/dovecot.map.index", mapped)
}

// message adds a message as it stands in a dbox file.
func (l *layer) message(b []byte, n int, mailbox string) ([]byte, error) {
	text := l.text(n)
	b = append(dovecot.AppendDboxMessageHeader(b, int64(len(text))), text...)
	return dovecot.AppendDboxMetadata(b, dovecot.DboxMetadata{GUID: guid(n), Received: int64(Made + n), VirtualSize: int64(l.sizes[n]), PhysicalSize: -1, Mailbox: mailbox}, 0)
}
