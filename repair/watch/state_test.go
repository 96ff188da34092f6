package watch

import (
	"strings"
	"testing"
	"time"
)

func TestDamageIsWhatAnybodyCanSee(t *testing.T) {
	known := &State{Mailboxes: map[string]*Mailbox{"INBOX": {Known: true, UIDList: true}}}
	for _, tt := range []struct {
		name   string
		layout string
		change func(f *Files)
		bad    bool
	}{
		{"sound", "mdbox", func(*Files) {}, false},
		{"index of 0 bytes", "mdbox", func(f *Files) { f.Index = 0 }, true},
		{"bad header", "sdbox", func(f *Files) { f.BadIndex = "index-major-version" }, true},
		{"index gone, log cut off from its beginning", "sdbox", func(f *Files) { f.Index = -1 }, true},
		{"index gone, log tells all", "sdbox", func(f *Files) { f.Index, f.LogWhole = -1, true }, false},
		{"both gone, mail there", "sdbox", func(f *Files) { f.Index, f.Log, f.Mail = -1, -1, true }, true},
		{"a folder just made", "sdbox", func(f *Files) { f.Index, f.Log = -1, -1 }, false},
		{"log gone", "mdbox", func(f *Files) { f.Log = -1 }, false},
		{"cache gone", "mdbox", func(f *Files) { f.Cache = -1 }, false},
		{"maildir without index", "maildir", func(f *Files) { f.Index, f.Log = -1, -1 }, false},
		{"maildir with a damaged index", "maildir", func(f *Files) { f.BadIndex = "index-too-small" }, false},
		{"uidlist gone", "maildir", func(f *Files) { f.UIDList = -1 }, true},
		{"uidlist of 0 bytes", "maildir", func(f *Files) { f.UIDList = 0 }, true},
	} {
		f := sound(tt.layout)
		tt.change(f)
		if why := known.Damage("INBOX", f, false); (why != "") != tt.bad {
			t.Errorf("%s: %q", tt.name, why)
		}
		if tt.layout == "maildir" && known.Damage("INBOX", f, true) != "" {
			t.Errorf("%s: cannot be accepted", tt.name)
		}
	}
	f := sound("maildir")
	f.UIDList = -1
	if known.Damage("Other", f, false) != "" || known.Damage("INBOX", nil, false) != "" || StorageDamage(nil) != "" {
		t.Error("what was never there is missed")
	}
}

func TestMaxDropIsReadOrRefused(t *testing.T) {
	for in, want := range map[string]MaxDrop{"10,50%": {10, 50, false}, "50%,10": {10, 50, false}, "100": {100, 0, false}, "30%": {0, 30, false}, "off": {0, 0, true}, "0": {}, " 5 , 7% ": {5, 7, false}} {
		if got, err := ParseMaxDrop(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "-1", "101%", "1,2", "1%,2%", "1,2%,3", "1.5", "+3", "%", "99999999999999999999"} {
		if got, err := ParseMaxDrop(in); err == nil {
			t.Errorf("%q is taken for %+v", in, got)
		}
	}
}

func TestDecodeRefusesWhatIsNoState(t *testing.T) {
	good, err := learned().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(good) - 2 {
		if _, err := Decode(good[:n]); err == nil {
			t.Fatalf("%d bytes of %d are taken for a state", n, len(good))
		}
	}
	for _, in := range []string{"", "null", "{}", "[]", "0", `{"version":1}`, `{"version":1,"began":"2020-01-01T00:00:00Z","mailboxes":{"INBOX":null}}`} {
		if s, err := Decode([]byte(in)); err == nil {
			t.Errorf("%q is taken for %+v", in, s)
		}
	}
	if _, err := Decode([]byte(`{"version":2,"whatever":{}}`)); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer one: %v", err)
	}
}

func TestTheStateIsBounded(t *testing.T) {
	o := look()
	for i := range MaxMailboxes + 500 {
		name := strings.Repeat("x", 1000) + "/" + time.Duration(i).String()
		o.Listed = append(o.Listed, name)
		o.Mailboxes = append(o.Mailboxes, Seen{Name: name, Looked: true, Old: -1, OldRead: -1, Failure: &Failure{Class: "c", Text: strings.Repeat("t", 5000), Meaning: strings.Repeat("m", 5000)}})
	}
	o.Mailboxes = append(o.Mailboxes, Seen{Name: strings.Repeat("y", 5000), Looked: true})
	v := Judge(New("x", began), o, Default())
	b, err := v.State.Encode()
	if err != nil || len(v.State.Mailboxes) > MaxMailboxes {
		t.Fatalf("%d mailboxes, %v", len(v.State.Mailboxes), err)
	}
	if _, err := Decode(b); err != nil {
		t.Error(err)
	}
}
