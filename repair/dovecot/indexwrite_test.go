package dovecot

import (
	"bytes"
	"slices"
	"testing"
)

func sample() *NewIndex {
	return &NewIndex{IndexID: 1700000000, UIDValidity: 1600000000, NextUID: 100, FirstRecent: 90, Keywords: []string{"Work", "$Forwarded", "a", "b", "c", "d", "e", "f", "ninth"},
		Exts: []NewExt{{Name: "mdbox-hdr", Header: bytes.Repeat([]byte{7}, 24)}, {Name: "mdbox", Size: 8, Align: 4}, {Name: "guid", Size: 16, Align: 1}, {Name: "modseq", Header: make([]byte, 16), Size: 8, Align: 8}},
		Records: []NewRecord{
			{UID: 3, Flags: FlagSeen, Keywords: []int{0, 8}, Data: [][]byte{nil, {1, 0, 0, 0, 2, 0, 0, 0}, bytes.Repeat([]byte{9}, 16)}},
			{UID: 4, Flags: FlagDeleted | FlagAnswered},
			{UID: 99, Flags: FlagDraft | FlagSeen | FlagRecent, Keywords: []int{1}},
		}}
}

func TestWrittenIndexIsReadBackWithoutFault(t *testing.T) {
	n := sample()
	b, err := n.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	x, list := ParseIndex(b)
	if len(list) > 0 || x.Unusable != "" || x.NeedsFsck != "" {
		t.Fatalf("faults: %v", list)
	}
	if h := x.Header; h.Messages != 3 || h.Seen != 2 || h.Deleted != 1 || h.FirstUnseenUID != 4 || h.FirstDeletedUID != 4 || h.FirstRecentUID != 90 || h.NextUID != 100 {
		t.Errorf("header: %+v", h)
	}
	s, list, ok := ReplayFrom(Files{Index: b}, BaseIndex)
	if !ok || len(list) != 0 { // no log is missing: it begins one
		t.Fatalf("replay: %v", list)
	}
	for i := range s.Records {
		r, w := &s.Records[i], &n.Records[i]
		if r.UID != w.UID || r.Flags != w.Flags&^FlagRecent {
			t.Errorf("record %d: %d %v", i, r.UID, r.Flags)
		}
		var names []string
		for _, k := range w.Keywords {
			names = append(names, n.Keywords[k])
		}
		if got := s.KeywordNames(r); !slices.Equal(got, names) {
			t.Errorf("UID %d has keywords %q, want %q", r.UID, got, names)
		}
		for j, d := range w.Data {
			if d != nil && !bytes.Equal(s.Value(r, s.Ext(n.Exts[j].Name)), d) {
				t.Errorf("UID %d has %s %x, want %x", r.UID, n.Exts[j].Name, s.Value(r, s.Ext(n.Exts[j].Name)), d)
			}
		}
	}
	if _, verdict, _ := Sees(Files{Index: b}); verdict != VerdictSame {
		t.Errorf("Dovecot would open it with verdict %q", verdict)
	}
}

func TestIndexThatCannotBeIsNotWritten(t *testing.T) {
	for name, change := range map[string]func(*NewIndex){
		"no id":              func(n *NewIndex) { n.IndexID = 0 },
		"no UIDVALIDITY":     func(n *NewIndex) { n.UIDValidity = 0 },
		"next UID too low":   func(n *NewIndex) { n.NextUID = 99; n.FirstRecent = 0 },
		"recent above next":  func(n *NewIndex) { n.FirstRecent = 101 },
		"UIDs out of order":  func(n *NewIndex) { n.Records[1].UID = 3 },
		"UID 0":              func(n *NewIndex) { n.Records[0].UID = 0 },
		"unknown keyword":    func(n *NewIndex) { n.Records[0].Keywords = []int{16} },
		"keyword twice":      func(n *NewIndex) { n.Keywords[1] = "WORK" },
		"keyword without":    func(n *NewIndex) { n.Keywords = nil },
		"extension twice":    func(n *NewIndex) { n.Exts[2].Name = "mdbox" },
		"extension keywords": func(n *NewIndex) { n.Exts[2].Name = "keywords" },
		"extension name":     func(n *NewIndex) { n.Exts[2].Name = "a/b" },
		"alignment 3":        func(n *NewIndex) { n.Exts[2].Align = 3 },
		"alignment 16":       func(n *NewIndex) { n.Exts[2].Align = 16 },
		"nothing in it":      func(n *NewIndex) { n.Exts[2].Size = 0 },
		"too wide":           func(n *NewIndex) { n.Exts[2].Size = 40000 },
	} {
		n := sample()
		change(n)
		if b, err := n.Append([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%s: error %v, %d bytes", name, err, len(b))
		}
	}
}
