package dovecot

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestWrittenDboxFileIsReadBackAsItWas(t *testing.T) {
	body := []byte("From: a\nSubject: b\n\ntext\n")
	meta := DboxMetadata{GUIDText: "0123456789abcdef0123456789abcdef", Received: 1600000000, VirtualSize: int64(len(body) + 4), PhysicalSize: -1, Mailbox: "INBOX", POP3Order: "7", Other: []byte("Qx\n")}
	need := 0
	for _, extra := range []int{0, 1, 5, 13, 14, 15, 40, 300} {
		file, err := AppendDboxFileHeader(nil, 0x6b042af8, 0)
		if err != nil || string(file) != "2 M1e C6b042af8\n" {
			t.Fatalf("%q %v", file, err)
		}
		file = append(AppendDboxMessageHeader(file, int64(len(body))), body...)
		at := len(file)
		length := int64(0)
		if extra > 0 {
			length = int64(need + extra)
		}
		if file, err = AppendDboxMetadata(file, meta, length); err != nil {
			t.Fatal(err)
		}
		if extra == 0 {
			need = len(file) - at
		} else if len(file)-at != need+extra {
			t.Errorf("metadata have %d bytes, want %d", len(file)-at, need+extra)
		}
		box, faults, err := ParseDbox(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil || len(faults) > 0 || len(box.Messages) != 1 {
			t.Fatalf("%v %v %+v", err, faults, box)
		}
		m := box.Messages[0]
		if m.GUIDText != meta.GUIDText || m.Received != meta.Received || m.VirtualSize != meta.VirtualSize || m.Mailbox != "INBOX" || m.POP3Order != "7" ||
			!strings.HasPrefix(string(m.Other), "Qx\n") || strings.Trim(string(m.Other[3:]), "S0\n") != "" || m.PhysicalSize != -1 || m.Damage != 0 || m.End != int64(len(file)) {
			t.Errorf("read back %+v", m)
		}
	}
	for _, length := range []int64{int64(need) - 1, 10} {
		if b, err := AppendDboxMetadata(nil, meta, length); err == nil {
			t.Errorf("length %d gives %q", length, b)
		}
	}
	meta.Mailbox = "a\nb"
	if _, err := AppendDboxMetadata(nil, meta, 0); err == nil {
		t.Error("a line feed in a value is written")
	}
	for _, length := range []int64{1, 15, 80} {
		if b, err := AppendDboxFileHeader(nil, 1, length); err == nil {
			t.Errorf("a head of %d bytes is %q", length, b)
		}
	}
	if b, err := AppendDboxFileHeader(nil, 1, 19); err != nil || len(b) != 19 {
		t.Errorf("%q %v", b, err)
	}
}

func TestWrittenUIDListIsReadBackAsItWas(t *testing.T) {
	l := &UIDList{Version: 3, UIDValidity: 77, NextUID: 12, MailboxGUID: GUID{1, 2}, Other: []string{"Pxy"},
		Entries: []UIDListEntry{{UID: 2, Name: "1.b,S=5", Fields: "W7 Gabc"}, {UID: 9, Name: "2.a"}}}
	b, err := l.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, faults := ParseUIDList(b)
	if len(faults) > 0 || got.UIDValidity != 77 || got.NextUID != 12 || got.MailboxGUID != l.MailboxGUID || !slices.Equal(got.Other, l.Other) || len(got.Entries) != 2 ||
		got.Entries[0].GUID != "abc" || got.Entries[0].Virtual != 7 || got.Entries[1].Name != "2.a" {
		t.Errorf("%v %+v", faults, got)
	}
	for name, change := range map[string]func(*UIDList){
		"order": func(l *UIDList) { l.Entries[1].UID = 2 }, "next": func(l *UIDList) { l.NextUID = 9 }, "name": func(l *UIDList) { l.Entries[0].Name = "a/b" },
		"flags in the name": func(l *UIDList) { l.Entries[0].Name = "a:2,S" }, "twice": func(l *UIDList) { l.Entries[1].Name = "1.b,S=5" }, "validity": func(l *UIDList) { l.UIDValidity = 0 },
	} {
		bad := *l
		bad.Entries = slices.Clone(l.Entries)
		change(&bad)
		if b, err := bad.Append([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
}

func TestNewSizesInAMaildirName(t *testing.T) {
	for name, want := range map[string]string{
		"1.M2P3.host,S=10,W=12:2,S": "1.M2P3.host,S=7,W=9", "1.host": "1.host", "1.host,W=12:2,": "1.host,W=9", "1.host,X=2,S=4": "1.host,X=2,S=7", "1.host,S=": "1.host,S=",
	} {
		if got := ParseMaildirName(name).WithSizes(7, 9); got != want {
			t.Errorf("%s becomes %s, want %s", name, got, want)
		}
	}
}
