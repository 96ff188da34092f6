package reconstruct

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// vector is a file that a real Dovecot 2.3.19 wrote, whole or damaged, from the test data of package dovecot.
func vector(t testing.TB, format, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "dovecot", "testdata", format, name+".vec"))
	if err != nil {
		t.Fatal(err)
	}
	_, data, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s/%s: no head", format, name)
	}
	return data
}

func file(b []byte) *fstest.MapFile { return &fstest.MapFile{Data: b, Mode: 0o600} }

const dboxDir = "mailboxes/INBOX/dbox-Mails"

func read(t testing.TB, layout store.Layout, fsys fs.FS) *State {
	t.Helper()
	m := store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: dboxDir}
	if layout == store.Maildir {
		m.Dir = "."
	}
	s, err := Mailbox(t.Context(), fsys, store.Account{Layout: layout}, m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMaildirJoinsNamesUIDListAndKeywords(t *testing.T) {
	s := read(t, store.Maildir, fstest.MapFS{
		"dovecot-uidlist":   file([]byte("3 V77 N12 G61180f2d888e046bb468000083ecc375\n2 :2.b\n9 :1.a,S=5\n11 :gone\n")),
		"dovecot-keywords":  file([]byte("0 Work\n1 Later\n")),
		"cur/1.a,S=5:2,FSb": file([]byte("A: b\n")), "cur/2.b:2,": file([]byte("A: c\n")), "new/3.c": file([]byte("A: d\n")),
		"cur/.hidden": file(nil), "cur/sub/x": file(nil), "tmp/4.d": file(nil),
	})
	var got []string
	for _, m := range s.Messages {
		got = append(got, fmt.Sprint(m.UID, " ", m.File, " ", m.Flags, " ", m.Keywords, " ", m.Stray, m.Renumber))
	}
	want := []string{`2 cur/2.b:2,  [] false false`, `9 cur/1.a,S=5:2,FSb \Flagged \Seen [Later] false false`, `0 new/3.c  [] true false`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if s.UIDValidity != 77 || s.NextUID != 12 || !s.UIDList || s.Listed[11] != "gone" {
		t.Errorf("UIDVALIDITY %d, next UID %d, %v", s.UIDValidity, s.NextUID, s.Listed)
	}
	if c := s.Counts(); c.Messages != 3 || c.Seen != 1 || c.Flagged != 1 || c.AnyFlag != 1 || c.Keyworded != 1 {
		t.Errorf("counts %+v", c)
	}
	if k := s.Keywords(); len(k) != 1 || k[0] != "Later" {
		t.Errorf("keywords %q", k)
	}
}

func TestLinesBehindDamageKeepTheirUIDButAreMarked(t *testing.T) {
	for _, c := range []struct {
		name, list string
		marked     int
		known      int // messages with a UID
	}{
		{"sound", "3 V7 N9\n1 :a\n2 :b\n3 :c\n", 0, 3},
		{"a bad line", "3 V7 N9\n1 :a\nnoise\n2 :b\n3 :c\n", 2, 3},
		{"the first line", "noise\n1 :a\n2 :b\n3 :c\n", 3, 3},
		{"out of order", "3 V7 N9\n5 :a\n2 :b\n3 :c\n", 2, 2},
		{"a file listed twice", "3 V7 N9\n1 :a\n2 :b\n3 :b\n4 :c\n", 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := read(t, store.Maildir, fstest.MapFS{"dovecot-uidlist": file([]byte(c.list)),
				"cur/a:2,": file(nil), "cur/b:2,": file(nil), "cur/c:2,": file(nil)})
			marked, known := 0, 0
			for _, m := range s.Messages {
				if m.Renumber {
					marked++
				}
				if m.UID != 0 {
					known++
				}
			}
			if marked != c.marked || known != c.known {
				t.Errorf("%d marked and %d known, want %d and %d; faults %v", marked, known, c.marked, c.known, s.Faults)
			}
		})
	}
}

func TestSDBoxJoinsIndexAndFiles(t *testing.T) {
	all := fstest.MapFS{dboxDir + "/dovecot.index": file(vector(t, "index", "whole")), dboxDir + "/dovecot.index.log": file(vector(t, "log", "whole"))}
	before := read(t, store.MDBox, all)
	if len(before.Messages) < 10 {
		t.Fatalf("the vectors tell of %d messages", len(before.Messages))
	}
	for i, m := range before.Messages {
		if i > 0 { // the first one's file is missing
			all[fmt.Sprintf("%s/u.%d", dboxDir, m.UID)] = file([]byte("x"))
		}
	}
	for _, name := range []string{"u.999", "u.0", "u.x", "u.4294967296", "u.-1", "u."} {
		all[dboxDir+"/"+name] = file(nil)
	}
	s := read(t, store.SDBox, all)
	lost, stray := 0, 0
	for _, m := range s.Messages {
		if m.Lost {
			lost++
			if m.UID != before.Messages[0].UID || m.File != "" {
				t.Errorf("lost is %+v", m)
			}
		}
		if m.Stray {
			stray++
			if m.UID != 999 {
				t.Errorf("stray is %+v", m)
			}
		}
	}
	if lost != 1 || stray != 1 || s.Counts().Messages != len(before.Messages)-1 {
		t.Errorf("%d lost, %d stray, %d shown of %d", lost, stray, s.Counts().Messages, len(before.Messages))
	}
}

func TestDamageIsNoErrorButAFault(t *testing.T) {
	names, err := filepath.Glob(filepath.Join("..", "dovecot", "testdata", "index", "*.vec"))
	if err != nil || len(names) < 10 {
		t.Fatalf("%d vectors, %v", len(names), err)
	}
	for _, path := range names {
		name := filepath.Base(path[:len(path)-len(".vec")])
		s := read(t, store.SDBox, fstest.MapFS{dboxDir + "/dovecot.index": file(vector(t, "index", name)), dboxDir + "/dovecot.index.log": file(vector(t, "log", "whole"))})
		for _, f := range s.Faults {
			if filepath.Dir(string(f.File)) != dboxDir || f.Rule == "" {
				t.Errorf("%s: fault %+v", name, f)
			}
		}
		if name == "cut-half" && len(s.Faults) == 0 {
			t.Errorf("%s: no fault", name)
		}
	}
}

// failing is a copy in which one file cannot be opened.
type failing struct {
	fstest.MapFS
	name string
	err  error
}

func (d failing) Open(name string) (fs.File, error) {
	if name == d.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: d.err}
	}
	return d.MapFS.Open(name)
}

func TestWhatTheCopyLacksIsRememberedAndALocalErrorIsAnError(t *testing.T) {
	all := fstest.MapFS{dboxDir + "/dovecot.index": file(vector(t, "index", "whole")), dboxDir + "/dovecot.index.log": file(vector(t, "log", "whole"))}
	s := read(t, store.MDBox, failing{all, dboxDir + "/dovecot.index", fmt.Errorf("%w: permission denied", snapshot.ErrNotCopied)})
	if len(s.Unread) != 1 || s.Readable(dboxDir+"/dovecot.index") || !s.Readable(dboxDir+"/dovecot.index.log") {
		t.Errorf("unread %+v", s.Unread)
	}
	disk := errors.New("input/output error")
	_, err := Mailbox(t.Context(), failing{all, dboxDir + "/dovecot.index", disk}, store.Account{Layout: store.MDBox}, store.Mailbox{Dir: dboxDir})
	if !errors.Is(err, disk) {
		t.Errorf("error %v", err)
	}
}

func TestMailboxEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Mailbox(ctx, fstest.MapFS{"cur/a:2,": file(nil)}, store.Account{Layout: store.Maildir}, store.Mailbox{Dir: "."})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestUnreadableMapIndexMakesNoMessageLost(t *testing.T) {
	s := read(t, store.MDBox, fstest.MapFS{dboxDir + "/dovecot.index": file(vector(t, "index", "whole")),
		"storage/dovecot.map.index": file([]byte("noise")), "storage/m.1": file(vector(t, "dbox", "whole"))})
	if !s.Storage.Copied || !s.Storage.Found || s.Storage.Known || len(s.Storage.Faults) == 0 {
		t.Errorf("storage %+v", s.Storage)
	}
	for _, m := range s.Messages { // their GUIDs tell where they are
		if m.Lost || m.Stored.FileID != 1 || m.Stored.Offset == 0 || !m.Body.Whole() {
			t.Errorf("UID %d is lost, or not where it is: %+v", m.UID, m.Stored)
		}
	}
}

func TestASecondFileOfAMaildirMessageIsNoMessage(t *testing.T) {
	s := read(t, store.Maildir, fstest.MapFS{
		"dovecot-uidlist": file([]byte("3 V77 N12\n2 :a\n3 :b\n")),
		"new/a":           file([]byte("A: b\n\nsame\n")), "cur/a:2,S": file([]byte("A: b\n\nsame\n")),
		"new/b": file([]byte("A: b\n\none\n")), "cur/b:2,": file([]byte("A: b\n\ntwo\n")),
	})
	if len(s.Twins) != 1 || s.Twins[0] != "new/a" || len(s.Messages) != 3 {
		t.Errorf("twins %q, %d messages", s.Twins, len(s.Messages))
	}
}

func TestLabelsWithoutTheirNamesAreNoted(t *testing.T) {
	for names, want := range map[string]bool{"cur/a:2,Sb": true, "cur/a:2,S": false} {
		if s := read(t, store.Maildir, fstest.MapFS{names: file([]byte("A: b\n"))}); s.Nameless != want {
			t.Errorf("%s: %v", names, s.Nameless)
		}
		if s := read(t, store.Maildir, fstest.MapFS{names: file([]byte("A: b\n")), "dovecot-keywords": file(nil)}); s.Nameless != want {
			t.Errorf("%s, with an empty dovecot-keywords: %v", names, s.Nameless)
		}
		if s := read(t, store.Maildir, fstest.MapFS{names: file([]byte("A: b\n")), "dovecot-keywords": file([]byte("0 Work\n"))}); s.Nameless {
			t.Errorf("%s, with dovecot-keywords", names)
		}
	}
}

func TestMessageIDIsFoundInTheHeadAlone(t *testing.T) {
	for head, want := range map[string]string{
		"A: b\r\nmessage-id:  <1@x> \r\n\r\n": "<1@x>", "Message-ID:\n <2@x>\n\n": "<2@x>", "A: b\n\nMessage-ID: <3@x>\n": "", "": "", "Message-ID": "",
	} {
		if got := messageID([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
	if got := string(cachedHeader([]byte("\x03\x00\x00\x00\x00\x00\x00\x00Message-ID: <1@x>\n"))); got != "Message-ID: <1@x>\n" {
		t.Errorf("%q", got)
	}
}

func TestTwoMaildirMessagesOfOneNameHaveNotOneUID(t *testing.T) {
	s := read(t, store.Maildir, fstest.MapFS{"dovecot-uidlist": file([]byte("3 V77 N12\n3 :b\n")), "new/b": file([]byte("A: b\n\none\n")), "cur/b:2,": file([]byte("A: b\n\ntwo\n"))})
	var got []string
	for _, m := range s.Messages {
		got = append(got, fmt.Sprint(m.File, " ", m.UID, " ", m.Clash))
	}
	if want := "[cur/b:2, 3 false new/b 0 true]"; fmt.Sprint(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// sdboxFile is a message in a file of its own.
func sdboxFile(guid int) *fstest.MapFile {
	body := "Subject: message\n\nText.\n"
	return file(fmt.Appendf(nil, "2 M1e C5e0be100\n\x01\x02N          %016x\n%s\n\x01\x03\nG%032x\nR5e0be100\n\n", len(body), body, guid))
}

func TestHandMadeCopyOfAnSDBoxMessageIsNoMessage(t *testing.T) {
	index, log := file(vector(t, "index", "whole")), file(vector(t, "log", "whole"))
	before := read(t, store.MDBox, fstest.MapFS{dboxDir + "/dovecot.index": index, dboxDir + "/dovecot.index.log": log})
	first, next := before.Messages[0].UID, before.NextUID
	for _, c := range []struct {
		what    string
		guid    int // of the listed message; the other file's is 1
		log     *fstest.MapFile
		strays  int
		regains int
	}{{"the same message", 1, log, 1, 0}, {"another message", 2, log, 0, 1}, {"the same message, and the index does not tell everything", 1, nil, 0, 1}} {
		all := fstest.MapFS{dboxDir + "/dovecot.index": index, fmt.Sprintf("%s/u.%d", dboxDir, first): sdboxFile(c.guid),
			fmt.Sprintf("%s/u.%d", dboxDir, next+5): sdboxFile(1)}
		if c.log != nil {
			all[dboxDir+"/dovecot.index.log"] = c.log
		}
		s := read(t, store.SDBox, all)
		strays := 0
		for _, m := range s.Messages {
			if m.Stray {
				strays++
			}
		}
		if strays != c.strays || s.Regained != c.regains {
			t.Errorf("%s: %d stray, %d regained; sound %v", c.what, strays, s.Regained, s.Sound)
		}
	}
}

func TestMessageIsWhereItWasMovedToInTheSameSecond(t *testing.T) {
	at := time.Unix(1700000000, 0)
	claim := func(storage string, st *Stored) *State {
		return &State{Mailbox: store.Mailbox{Storage: storage}, Layout: store.MDBox, Messages: []Message{{UID: 1, MapUID: 1, Saved: at, By: Told{Mailbox: ByDamaged}, stored: st}}, Index: &dovecot.State{}}
	}
	for _, inboxFirst := range []bool{true, false} {
		st := &Stored{MapUID: 1, Refs: 1, Claims: 2}
		st.Mailbox = "INBOX"
		inbox, archive := claim("INBOX", st), claim("Archive", st)
		boxes := []*State{archive, inbox}
		if inboxFirst {
			slices.Reverse(boxes)
		}
		r := &reconciler{t: &Storage{Map: &dovecot.State{}}, boxes: boxes}
		r.dropOverclaimed()
		if len(inbox.Messages) != 0 || len(archive.Messages) != 1 {
			t.Errorf("INBOX first: %v: %d in INBOX, %d in Archive", inboxFirst, len(inbox.Messages), len(archive.Messages))
		}
	}
}

// TestNameThatIsCutOffNamesNoFile: a uidlist may end in the middle of a name; the message has its UID from the index then.
func TestNameThatIsCutOffNamesNoFile(t *testing.T) {
	x := &dovecot.NewIndex{IndexID: 7, UIDValidity: 7, NextUID: 9, Exts: []dovecot.NewExt{{Name: "maildir", Header: make([]byte, 36)}}}
	for uid := range dovecot.UID(4) {
		x.Records = append(x.Records, dovecot.NewRecord{UID: uid + 1, Data: [][]byte{nil}})
	}
	index, err := x.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for list, faults := range map[string]int{
		"3 V7 N9\n1 :100.a\n2 :101.b\n3 :102":     1,
		"3 V7 N9\n1 :100.a\n2 :101.b\n3 :1":       1,
		"3 V7 N9\n1 :100.a\n2 :101.b\n3 :":        2,
		"3 V7 N9\n1 :100.a\n2 :101.b\n3 :102.c":   1, // only the line's end is missing
		"3 V7 N9\n1 :100.a\n2 :101.b\n3 :102.c\n": 0,
	} {
		s := read(t, store.Maildir, fstest.MapFS{"dovecot-uidlist": file([]byte(list)), "dovecot.index": file(index),
			"cur/100.a:2,": file(nil), "cur/101.b:2,": file(nil), "cur/102.c:2,": file(nil), "cur/103.d:2,": file(nil)})
		for i, m := range s.Messages {
			if m.UID != dovecot.UID(i+1) {
				t.Errorf("%q: %s has UID %d", list, m.File, m.UID)
			}
		}
		if len(s.Messages) != 4 || len(s.Faults) != faults {
			t.Errorf("%q: %d messages, %v", list, len(s.Messages), s.Faults)
		}
	}
}

// TestKeywordThatIsCutOffIsTheOneOfTheIndex: dovecot-keywords may end in the middle of a name.
func TestKeywordThatIsCutOffIsTheOneOfTheIndex(t *testing.T) {
	x := &dovecot.NewIndex{IndexID: 7, UIDValidity: 7, NextUID: 9, Keywords: []string{"Work", "Later"}, Exts: []dovecot.NewExt{{Name: "maildir", Header: make([]byte, 36)}},
		Records: []dovecot.NewRecord{{UID: 1, Keywords: []int{0}, Data: [][]byte{nil}}, {UID: 2, Keywords: []int{1}, Data: [][]byte{nil}}}}
	index, err := x.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keywords string
		index    []byte
		want     string
	}{
		{"0 Work\n1 Lat", index, "[Work] [Later]"},
		{"0 Work\n1 Later", index, "[Work] [Later]"},
		{"0 Work\n1 ", index, "[Work] [Later]"},
		{"0 Work\n1 Lat", nil, "[Work] [Lat]"},
	} {
		fsys := fstest.MapFS{"dovecot-uidlist": file([]byte("3 V7 N9\n1 :100.a\n2 :101.b\n")), "dovecot-keywords": file([]byte(c.keywords)),
			"cur/100.a:2,a": file(nil), "cur/101.b:2,b": file(nil)}
		if c.index != nil {
			fsys["dovecot.index"] = file(c.index)
		}
		s := read(t, store.Maildir, fsys)
		if got := fmt.Sprint(s.Messages[0].Keywords, " ", s.Messages[1].Keywords); got != c.want {
			t.Errorf("%q: %s, want %s", c.keywords, got, c.want)
		}
	}
}
