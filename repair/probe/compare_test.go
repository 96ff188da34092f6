package probe

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCompareNamesEachDifference(t *testing.T) {
	day := time.Date(2020, 8, 1, 10, 0, 0, 0, time.FixedZone("", 7200))
	want := Expected{UIDValidity: 7, Messages: []Want{
		{UID: 1, Flags: []string{`\Seen`}, Keywords: []string{"Work"}, InternalDate: day, Size: 10, BodySHA256: "a1"},
		{UID: 2, BodySHA256: "a2"},
		{UID: 5, BodySHA256: "a5"},
	}}
	good := func() Reading {
		return Reading{Opened: true, Complete: true, UIDValidity: 7, Messages: []Message{
			{UID: 1, Flags: []string{`\seen`, `\Recent`}, Keywords: []string{"work"}, InternalDate: day.UTC(), Size: 10, BodySHA256: "a1"},
			{UID: 2, BodySHA256: "a2", Size: -1},
			{UID: 5, BodySHA256: "a5", Size: 3},
		}}
	}
	tests := []struct {
		name   string
		change func(e *Expected, r *Reading)
		want   []Difference // without texts
	}{
		{"nothing", func(*Expected, *Reading) {}, nil},
		{"not opened", func(_ *Expected, r *Reading) { *r = Reading{} }, []Difference{{0, Unreadable, ""}}},
		{"not to its end", func(_ *Expected, r *Reading) { r.Complete = false }, []Difference{{0, Unreadable, ""}}},
		{"uidvalidity", func(_ *Expected, r *Reading) { r.UIDValidity = 8 }, []Difference{{0, UIDValidity, ""}}},
		{"uidvalidity not foretold", func(e *Expected, r *Reading) { e.UIDValidity = 0 }, nil},
		{"missing", func(_ *Expected, r *Reading) { r.Messages = r.Messages[:2] }, []Difference{{5, Missing, ""}}},
		{"renumbered", func(_ *Expected, r *Reading) { r.Messages[2].UID = 9 }, []Difference{{5, Renumbered, ""}}},
		{"extra", func(_ *Expected, r *Reading) { r.Messages = append(r.Messages, Message{UID: 9, BodySHA256: "a9"}) }, []Difference{{9, Extra, ""}}},
		{"extra, unknown text", func(_ *Expected, r *Reading) { r.Messages = append(r.Messages, Message{UID: 9}) }, []Difference{{9, Extra, ""}}},
		{"new mail", func(e *Expected, r *Reading) {
			e.MayGrow = true
			r.Messages = append(r.Messages, Message{UID: 9, BodySHA256: "a9"})
		}, nil},
		{"old mail is not new mail", func(e *Expected, r *Reading) {
			e.MayGrow = true
			r.Messages = append(r.Messages, Message{UID: 3, BodySHA256: "a9"})
		}, []Difference{{3, Extra, ""}}},
		{"duplicated", func(e *Expected, r *Reading) {
			e.MayGrow = true
			r.Messages = append(r.Messages, Message{UID: 9, BodySHA256: "a2"})
		}, []Difference{{9, Duplicated, ""}}},
		{"flags", func(_ *Expected, r *Reading) { r.Messages[0].Flags = nil }, []Difference{{1, Flags, ""}}},
		{"keywords", func(_ *Expected, r *Reading) { r.Messages[1].Keywords = []string{"x"} }, []Difference{{2, Keywords, ""}}},
		{"flags not foretold", func(e *Expected, r *Reading) { e.Messages[0].NoFlags, r.Messages[0].Flags = true, nil }, nil},
		{"date", func(_ *Expected, r *Reading) { r.Messages[0].InternalDate = day.Add(time.Second) }, []Difference{{1, Date, ""}}},
		{"size", func(_ *Expected, r *Reading) { r.Messages[0].Size = 11 }, []Difference{{1, Size, ""}}},
		{"body", func(_ *Expected, r *Reading) { r.Messages[1].BodySHA256 = "other" }, []Difference{{2, Text, ""}}},
		{"unreadable", func(_ *Expected, r *Reading) { r.Messages[1].BodySHA256, r.Messages[1].BodyErr = "", "EOF" }, []Difference{{2, Unreadable, ""}}},
		{"two in the order of UIDs", func(_ *Expected, r *Reading) {
			r.Messages = append(r.Messages[1:], Message{UID: 3, BodyErr: "EOF"})
		}, []Difference{{1, Missing, ""}, {3, Extra, ""}, {3, Unreadable, ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, r := want, good()
			e.Messages = append([]Want(nil), want.Messages...)
			tt.change(&e, &r)
			got := Compare(e, r)
			for i := range got {
				if got[i].Text == "" {
					t.Errorf("%+v is not told in words", got[i])
				}
				got[i].Text = ""
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("differences = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	for in, same := range map[string]string{"a\nb\n": "a\r\nb\r\n", "\n\n": "\r\n\n", "\x00": "\x80", "a\r": "a\r", "\r\r\n": "\r\r\n"} {
		a, n, err := Digest(strings.NewReader(in))
		b, m, err2 := Digest(strings.NewReader(same))
		if a != b || n != m || err != nil || err2 != nil {
			t.Errorf("Digest(%q) = %s, %d; Digest(%q) = %s, %d", in, a, n, same, b, m)
		}
	}
	if sum, n, _ := Digest(strings.NewReader("")); n != 0 || sum != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("Digest of nothing = %s, %d", sum, n)
	}
}
