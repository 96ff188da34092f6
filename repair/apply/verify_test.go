package apply

import (
	"io/fs"
	"strings"
	"testing"

	"dovemend/repair/plan"
	"dovemend/repair/store"
)

func TestVerifyNamesWhatIsNotAsPromised(t *testing.T) {
	tests := []struct {
		name   string
		layout store.Layout
		remedy plan.Remedy
		aside  bool
		change func(f *fakeHost, run string)
		path   store.RelPath
		text   string
		bad    bool
	}{
		{"not removed", store.SDBox, plan.Clear, false, func(f *fakeHost, _ string) {
			f.at[inbox+"u.1"] = newWorld(store.SDBox).host.at[inbox+"u.1"]
		}, inbox + "u.1", "still there", true},
		{"made anew by Dovecot", store.SDBox, plan.Clear, false, func(f *fakeHost, _ string) { f.file(inbox+"dovecot.index.log", "new") },
			inbox + "dovecot.index.log", "anew", false},
		{"new mail", store.SDBox, plan.Clear, false, func(f *fakeHost, _ string) { f.file(inbox+"u.99", "new") }, inbox + "u.99", "new", false},
		{"a message lost", store.SDBox, plan.DropIndex, false, func(f *fakeHost, _ string) { delete(f.at, inbox+"u.2") }, inbox + "u.2", "missing", true},
		{"a message changed", store.SDBox, plan.DropIndex, false, func(f *fakeHost, _ string) { f.file(inbox+"u.2", "other") }, inbox + "u.2", "bytes", true},
		{"a message of the same size changed", store.SDBox, plan.DropIndex, false, func(f *fakeHost, _ string) { f.file(inbox+"u.2", "mail X") }, inbox + "u.2", "bytes", true},
		{"the log went on", store.SDBox, plan.DropIndex, false, func(f *fakeHost, _ string) { f.file(inbox+"dovecot.index.log", "longer log") },
			inbox + "dovecot.index.log", "bytes", false},
		{"set aside and lost", store.SDBox, plan.Clear, true, func(f *fakeHost, run string) { delete(f.at, store.RelPath("dovemend-aside/"+run+"/"+inbox+"u.3")) },
			"u.3", "missing", true},
		{"set-aside index lost", store.SDBox, plan.DropIndex, true, func(f *fakeHost, run string) {
			delete(f.at, store.RelPath("dovemend-aside/"+run+"/"+inbox+"dovecot.index"))
		}, "dovecot.index", "missing", true},
		{"a message became a link", store.SDBox, plan.DropCache, false, func(f *fakeHost, _ string) { f.at[inbox+"u.1"] = node{kind: fs.ModeSymlink} }, inbox + "u.1", "no file", true},
		{"something shared has changed", store.Maildir, plan.Clear, false, func(f *fakeHost, _ string) { f.file("subscriptions", "x") }, "", "", false},
		{"another mailbox has changed", store.SDBox, plan.Clear, false, func(f *fakeHost, _ string) { f.file("mailboxes/Other/dbox-Mails/u.1", "x") }, "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.layout, tt.remedy, tt.aside)
			applied(t, b)
			before := b.before.entries()
			if d := VerifyFiles(b.e.Plan, before, b.host.entries()); len(d) != 0 {
				t.Fatalf("after a good repair: %v", d)
			}
			tt.change(b.host, b.dir.ID())
			got := VerifyFiles(b.e.Plan, before, b.host.entries())
			if tt.path == "" {
				if len(got) != 0 {
					t.Errorf("got %v", got)
				}
				return
			}
			if len(got) != 1 || !strings.HasSuffix(string(got[0].Path), string(tt.path)) || !strings.Contains(got[0].Text, tt.text) {
				t.Fatalf("got %v", got)
			}
			if got[0].Bad != tt.bad {
				t.Errorf("bad %v: %v", got[0].Bad, got[0])
			}
		})
	}
}

func TestVerifyTakesAChangedFlagOfAMaildirMessageForTheSameMessage(t *testing.T) {
	b := newBench(t, store.Maildir, plan.Clear, true)
	applied(t, b)
	u := undoOf(t, b)
	now := b.host.clone().entries()
	if out, err := u.Apply(t.Context()); err != nil || !out.Complete() {
		t.Fatal(out, err)
	}
	from, to := store.RelPath("cur/1.M1P2.host,S=5:2,S"), store.RelPath("cur/1.M1P2.host,S=5:2,FS")
	b.host.at[to] = b.host.at[from]
	delete(b.host.at, from)
	var texts []string
	for _, d := range VerifyFiles(u.Plan, now, b.host.entries()) {
		if d.Bad {
			t.Errorf("bad: %v", d)
		}
		texts = append(texts, d.String())
	}
	if !strings.Contains(strings.Join(texts, "\n"), "flags were changed") {
		t.Error(texts)
	}
	if s := (Difference{Path: "a\x1b[31m", Text: "x"}).String(); strings.Contains(s, "\x1b") {
		t.Errorf("%q", s)
	}
}
