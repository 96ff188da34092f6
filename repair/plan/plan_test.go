package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"dovemend/repair/pathtext"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

const run1, run2 = "20261123-181502-3f9a", "20261124-070000-0001"

func at(sec int64) time.Time { return time.Unix(1_700_000_000+sec, 0).UTC() }

func file(p string, sec int64) snapshot.Entry {
	return snapshot.Entry{Path: store.RelPath(p), Mode: 0o640, Size: int64(len(p)), MTime: at(sec), SHA256: fmt.Sprintf("%064x", len(p)*1000+int(sec))}
}

func dir(p string) snapshot.Entry {
	return snapshot.Entry{Path: store.RelPath(p), Type: fs.ModeDir, Mode: 0o750, MTime: at(0)}
}

const box = "mailboxes/INBOX/dbox-Mails"

func dbox(more ...snapshot.Entry) []snapshot.Entry {
	return append([]snapshot.Entry{dir("mailboxes"), dir("mailboxes/INBOX"), dir(box), file(box+"/dovecot.index", 1), file(box+"/dovecot.index.log", 2),
		file(box+"/dovecot.index.cache", 3), file(box+"/dovecot.index.backup", 4), file(box+"/dovecot.index.log.2", 5),
		file("mailboxes/INBOX/Sub/dbox-Mails/dovecot.index", 6)}, more...)
}

func maildir(more ...snapshot.Entry) []snapshot.Entry {
	return append([]snapshot.Entry{dir("."), dir("cur"), dir("new"), dir("tmp"), file("dovecot.index", 1), file("dovecot.index.log", 2),
		file("dovecot-uidlist", 3), file("dovecot-keywords", 4), file("dovecot-uidvalidity", 5), file("subscriptions", 6), file("maildirfolder", 7),
		file("dovecot.list.index", 8), file("cur/1.M1.h:2,S", 9), file("new/2.M1.h", 10), file(".Sub/cur/3.M1.h:2,", 11), file(".Sub/dovecot.index", 12)}, more...)
}

func input(layout store.Layout, r Remedy, entries []snapshot.Entry) Input {
	m := store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: box}
	if layout == store.Maildir {
		m.Dir = "."
	}
	return Input{Run: run1, Account: store.Account{Root: "/home/u/mail", Layout: layout, Tree: layout != store.Maildir}, Mailboxes: []store.Mailbox{m},
		Remedy: r, Entries: entries, Policy: Policy{Accept: Losses(), Confirm: []string{"INBOX"}},
		Facts: []Facts{{Mailbox: "INBOX", Messages: 45, Flagged: 22, Keyworded: 5, AfterDropIndex: Afterwards{Messages: 45, LosesFlags: 22, LosesKeywords: 5, LosesUIDs: 45}}}}
}

// steps tells a plan's steps in short.
func steps(p *Plan) string {
	var s []string
	for _, x := range p.Steps {
		t := fmt.Sprintf("%s %s", x.Op, x.Path)
		if x.To != "" {
			t += " > " + string(x.To)
		}
		s = append(s, strings.ReplaceAll(strings.ReplaceAll(t, box, "BOX"), string(AsideDir), "ASIDE"))
	}
	return strings.Join(s, "\n")
}

func TestEachRemedyTakesOutExactlyWhatItNames(t *testing.T) {
	tests := []struct {
		name    string
		in      Input
		aside   bool
		want    string
		classes string
	}{
		{"drop-cache", input(store.MDBox, DropCache, dbox()), false, "remove BOX/dovecot.index.cache", "cache"},
		{"drop-index", input(store.SDBox, DropIndex, dbox()), false, "remove BOX/dovecot.index", "index"},
		{"clear mdbox, index files in their order, nothing of sub-mailboxes", input(store.MDBox, Clear, dbox()), false,
			"remove BOX/dovecot.index.cache\nremove BOX/dovecot.index.backup\nremove BOX/dovecot.index.log.2\nremove BOX/dovecot.index.log\nremove BOX/dovecot.index",
			"index-file index-file index-file index-file index-file"},
		{"clear sdbox, directories, links and special files stay", input(store.SDBox, Clear, []snapshot.Entry{dir(box), file(box+"/u.2", 1), file(box+"/u.1", 2), file(box+"/dovecot.index", 3),
			{Path: box + "/link", Type: fs.ModeSymlink, Link: "/etc"}, dir(box + "/sub"), {Path: box + "/fifo", Type: fs.ModeNamedPipe}, file(box+"/a\nb", 4)}), false,
			"remove BOX/dovecot.index\nremove BOX/u.1\nremove BOX/u.2", "index-file mailbox-file mailbox-file"},
		{"drop-index aside", input(store.SDBox, DropIndex, dbox()), true,
			"mkdir ASIDE\nmkdir ASIDE/" + run1 + "\nmkdir ASIDE/" + run1 + "/mailboxes\nmkdir ASIDE/" + run1 + "/mailboxes/INBOX\nmkdir ASIDE/" + run1 + "/BOX\n" +
				"rename BOX/dovecot.index > ASIDE/" + run1 + "/BOX/dovecot.index", "aside aside aside aside aside index"},
		{"clear Maildir sets its own files aside and nothing it shares", input(store.Maildir, Clear, maildir()), false,
			"mkdir ASIDE\nmkdir ASIDE/" + run1 + "\nmkdir ASIDE/" + run1 + "/cur.aside\nmkdir ASIDE/" + run1 + "/new.aside\n" +
				"rename dovecot.index.log > ASIDE/" + run1 + "/dovecot.index.log\nrename dovecot.index > ASIDE/" + run1 + "/dovecot.index\n" +
				"rename cur/1.M1.h:2,S > ASIDE/" + run1 + "/cur.aside/1.M1.h:2,S\nrename new/2.M1.h > ASIDE/" + run1 + "/new.aside/2.M1.h\n" +
				"rename dovecot-keywords > ASIDE/" + run1 + "/dovecot-keywords\nrename dovecot-uidlist > ASIDE/" + run1 + "/dovecot-uidlist",
			"aside aside aside aside index-file index-file mailbox-file mailbox-file mailbox-file mailbox-file"},
		{"no cache, nothing to do", input(store.SDBox, DropCache, []snapshot.Entry{dir(box), file(box+"/dovecot.index", 1)}), false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Aside = tt.aside
			p, err := Build(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(tt.want, "/BOX\n", "/"+box+"\n")
			if got := strings.ReplaceAll(steps(p), "/BOX\n", "/"+box+"\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			var classes []string
			for i, s := range p.Steps {
				classes = append(classes, s.Class)
				if s.Seq != i+1 {
					t.Errorf("step %d has number %d", i+1, s.Seq)
				}
				if s.Op == OpRemove && (s.Expect.SHA256 == "" || s.Expect.Size == 0 || s.Expect.MTime.IsZero()) {
					t.Errorf("%s: expects %+v", s.Path, s.Expect)
				}
			}
			if got := strings.Join(classes, " "); got != tt.classes {
				t.Errorf("classes %s, want %s", got, tt.classes)
			}
			if tt.want == "" && (len(p.Notes) == 0 || len(p.Costs) > 0) {
				t.Errorf("nothing to do: notes %v, costs %v", p.Notes, p.Costs)
			}
		})
	}
}

func TestNothingIsRemovedWithoutAMailboxesTree(t *testing.T) {
	for _, r := range []Remedy{DropCache, DropIndex, Clear} {
		p, err := Build(input(store.Maildir, r, maildir(file("dovecot.index.cache", 20))))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Steps {
			if s.Op != OpMkdir && s.Op != OpRename {
				t.Errorf("%s: %s %s", r, s.Op, s.Path)
			}
		}
		if !p.Aside || len(p.Steps) == 0 || !strings.Contains(strings.Join(p.Notes, "\n"), "nothing is removed") {
			t.Errorf("%s: aside %v, notes %v", r, p.Aside, p.Notes)
		}
	}
}

func TestLossesAreRefusedUnlessAcceptedByName(t *testing.T) {
	in := input(store.SDBox, DropIndex, dbox())
	for _, tt := range []struct {
		accept []Loss
		want   string
	}{
		{nil, "flags,keywords,uids"},
		{[]Loss{LossFlags}, "keywords,uids"},
		{[]Loss{LossFlags, LossUIDs, LossMessages}, "keywords"},
		{[]Loss{LossKeywords, LossFlags, LossUIDs}, ""},
	} {
		in.Policy.Accept = tt.accept
		p, err := Build(in)
		if p == nil || len(p.Steps) != 1 || len(p.Costs) != 3 {
			t.Fatalf("accepted %v: the plan is not returned: %v", tt.accept, err)
		}
		var lose *WouldLoseError
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("accepted %v: %v", tt.accept, err)
		case tt.want != "" && (!errors.Is(err, ErrWouldLoseData) || !errors.As(err, &lose) || lose.Accept() != tt.want):
			t.Errorf("accepted %v: %v, want %s", tt.accept, err, tt.want)
		}
	}
	in = input(store.SDBox, DropIndex, dbox())
	in.Facts = nil
	if _, err := Build(in); err == nil {
		t.Error("drop-index without measured costs")
	}
}

func TestClearWantsConfirmationAndAcceptance(t *testing.T) {
	in := input(store.MDBox, Clear, dbox())
	in.Policy = Policy{}
	p, err := Build(in)
	var confirm *ConfirmError
	var lose *WouldLoseError
	if p == nil || !errors.As(err, &confirm) || !errors.As(err, &lose) || !errors.Is(err, ErrNotConfirmed) || lose.Accept() != "flags,keywords,uids,messages" {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), `--confirm "INBOX"`) {
		t.Errorf("does not tell what to type: %v", err)
	}
	in.Policy.Accept = Losses()
	for _, name := range []string{"", "inbox", "INBOX/", "Other"} {
		in.Policy.Confirm = []string{name}
		if _, err := Build(in); !errors.Is(err, ErrNotConfirmed) {
			t.Errorf("confirmed %q: %v", name, err)
		}
	}
}

func TestNoVerifiedCopyNoPlan(t *testing.T) {
	bad := map[string]func(e *snapshot.Entry){
		"torn":       func(e *snapshot.Entry) { e.Torn = true },
		"unreadable": func(e *snapshot.Entry) { e.Err = "permission denied" },
		"no hash":    func(e *snapshot.Entry) { e.SHA256 = "" },
	}
	for name, damage := range bad {
		for r, touched := range map[Remedy]bool{DropCache: false, DropIndex: true, Clear: true} {
			entries := dbox()
			damage(&entries[3]) // dovecot.index
			p, err := Build(input(store.SDBox, r, entries))
			if got := errors.Is(err, ErrNoCopy) && p == nil; got != touched {
				t.Errorf("%s, %s: %v", name, r, err)
			}
		}
	}
	if _, err := Build(input(store.SDBox, Clear, []snapshot.Entry{dir("mailboxes")})); !errors.Is(err, ErrNoCopy) {
		t.Errorf("folder not in the snapshot: %v", err)
	}
	for _, sub := range []int{1, 2, 3} { // cur, new, tmp
		entries := maildir()
		entries[sub].Err = "permission denied"
		if p, err := Build(input(store.Maildir, Clear, entries)); !errors.Is(err, ErrNoCopy) || p != nil {
			t.Errorf("clear, and %s cannot be listed: %v", entries[sub].Path, err)
		}
	}
	link := []snapshot.Entry{dir(box), {Path: box + "/dovecot.index", Type: fs.ModeSymlink}}
	if _, err := Build(input(store.SDBox, DropIndex, link)); err == nil {
		t.Error("a symbolic link is dropped as dovecot.index")
	}
}

// plansForJSON are plans with every field of a plan in use, and with none.
func plansForJSON(t *testing.T) []*Plan {
	t.Helper()
	full := input(store.Maildir, Clear, maildir(file("cur/4.M\xff\xfe.h:2,", 30), file("cur/5.Mü%25<&>\u2028.h:2,S", 31)))
	p, err := Build(full)
	if err != nil {
		t.Fatal(err)
	}
	p.Of, p.Snapshot, p.Notes = "20261126-000000-0000", "ab", []string{"a <note>", ""}
	p.Moves = &Moves{}
	p.Promise = append(p.Promise, Promise{Mailbox: "x\xff", LeftOut: []uint32{1, 2}, Gone: []store.RelPath{"a"}})
	p.Steps = append(p.Steps, Step{Seq: 99, Op: OpPut, Path: "a", Temp: "b", Clear: []store.RelPath{"c", "d"}, Mode: 0o640, MTime: time.Unix(1, 2).UTC(), Why: "why"})
	empty, none := *p, *p
	empty.Steps, none.Steps = []Step{}, nil
	bare := Plan{Version: version, Mailboxes: []string{}}
	return []*Plan{p, &empty, &none, &bare, {Version: version, Mailboxes: []string{"INBOX"}, Steps: p.Steps, Notes: []string{"n"}}}
}

// TestPlanIsWrittenAsTheLibraryWould: a plan's sum, which journals hold, is that of the bytes which encoding/json gives for it as a whole.
func TestPlanIsWrittenAsTheLibraryWould(t *testing.T) {
	type whole struct {
		planHead
		Steps []Step `json:"steps"`
		planTail
	}
	for i, p := range plansForJSON(t) {
		want := whole{planHead{p.Version, p.Run, p.Of, pathtext.Path(p.Root), p.Layout, p.Remedy, p.Aside, pathtext.Of(p.Mailboxes)}, p.Steps,
			planTail{p.Folders, p.Costs, p.Facts, p.Promise, p.Notes, p.Snapshot, p.Moves}}
		plain, err1 := json.Marshal(want)
		indented, err2 := json.MarshalIndent(want, "", "  ")
		got, err3 := json.Marshal(p)
		var b bytes.Buffer
		if err := errors.Join(err1, err2, err3, p.WriteJSON(&b)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, plain) {
			t.Errorf("plan %d: got %s\nwant %s", i, got, plain)
		}
		if b.String() != string(indented)+"\n" {
			t.Errorf("plan %d: got %s\nwant %s", i, b.String(), indented)
		}
		sum := sha256.Sum256(plain)
		if s, err := p.Sum(); err != nil || s != hex.EncodeToString(sum[:]) {
			t.Errorf("plan %d: its sum is not that of its JSON: %v", i, err)
		}
		var back Plan
		if err := back.ReadJSON(&b); err != nil || !reflect.DeepEqual(back, *p) {
			t.Errorf("plan %d: read as %+v, %v", i, back, err)
		}
	}
}

func TestPlanThatIsNoneIsRefused(t *testing.T) {
	good, err := json.Marshal(plansForJSON(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{", "[]", "null", "3", `"x"`, `{"version":1,"steps":{}}`, `{"version":1,"steps":3}`, `{"version":1,"steps":[3]}`, `{"version":1,"steps":[{}`,
		`{"version":1,"steps":[{"path":3}]}`, `{"version":"1"}`, `{}`, `{"version":1}x`, `{"version":1}{}`, string(good[:len(good)-1]), string(good) + "]"} {
		p := Plan{Run: "kept"}
		if err := p.ReadJSON(strings.NewReader(bad)); err == nil || p.Run != "kept" {
			t.Errorf("%.60q was read: %v", bad, err)
		}
	}
	for n := range len(good) {
		var p Plan
		if err := p.ReadJSON(bytes.NewReader(good[:n])); err == nil {
			t.Fatalf("the first %d bytes of %d were read", n, len(good))
		}
	}
}

func TestPlanSurvivesJSONWithItsSum(t *testing.T) {
	entries := maildir(file("cur/4.M\xff\xfe.h:2,", 30), file("cur/5.Mü%25.h:2,S", 31))
	p, err := Build(input(store.Maildir, Clear, entries))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*p, back) {
		t.Errorf("got %+v\nwant %+v", back, *p)
	}
	s1, err1 := p.Sum()
	s2, err2 := back.Sum()
	if s1 != s2 || err1 != nil || err2 != nil || len(s1) != 64 {
		t.Errorf("sums %s, %s, %v, %v", s1, s2, err1, err2)
	}
	back.Steps[0].Path += "x"
	if s3, _ := back.Sum(); s3 == s1 {
		t.Error("an edited plan has the same sum")
	}
	if err := json.Unmarshal([]byte(`{"version":2}`), &back); err == nil {
		t.Error("a plan of version 2 was read")
	}
	for _, field := range []string{`"steps":`, `"op":"rename"`, `"to_class":"aside"`, `"expect":{`, `"mailboxes":["INBOX"]`, `"promise":`} {
		if !strings.Contains(string(b), field) {
			t.Errorf("no %s in %s", field, b)
		}
	}
}

func TestDescribeIsFitToPrintAndBounded(t *testing.T) {
	entries := []snapshot.Entry{dir(box), file(box+"/dovecot.index", 1)}
	for i := range 5000 {
		entries = append(entries, file(fmt.Sprintf("%s/u.%d\u202e", box, i), 2))
	}
	for i := range 500 {
		entries = append(entries, dir(fmt.Sprintf("%s/d\x1b[31m%d", box, i)))
	}
	p, err := Build(input(store.SDBox, Clear, entries))
	if err != nil {
		t.Fatal(err)
	}
	lines := Describe(p)
	if len(lines) > 60 {
		t.Errorf("%d lines", len(lines))
	}
	all := strings.Join(lines, "\n")
	if strings.ContainsAny(all, "\x1b\u202e\r") {
		t.Errorf("not fit to print: %q", all)
	}
	for _, want := range []string{"clear: INBOX", "remove 5001 files", "costs, in INBOX: 45 messages", "afterwards, in INBOX: 0 messages", "and 490 more"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not told in\n%s", want, all)
		}
	}
}
