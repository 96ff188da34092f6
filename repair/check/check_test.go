package check

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
	"unicode/utf8"

	"dovemend/repair/reconstruct"
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

func examineDbox(t testing.TB, layout store.Layout, fsys fs.FS) *Report {
	t.Helper()
	r, err := Mailbox(t.Context(), fsys, store.Account{Layout: layout, Tree: true}, store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: dboxDir})
	if err != nil {
		t.Fatal(err)
	}
	wantPlain(t, r)
	return r
}

func examineMaildir(t testing.TB, fsys fs.FS) *Report {
	t.Helper()
	r, err := Mailbox(t.Context(), fsys, store.Account{Layout: store.Maildir}, store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: "."})
	if err != nil {
		t.Fatal(err)
	}
	wantPlain(t, r)
	return r
}

// wantPlain wants findings that a frightened person can read: bounded, complete, without the words of Dovecot's sources.
func wantPlain(t testing.TB, r *Report) {
	t.Helper()
	if len(r.Findings) > 150 {
		t.Errorf("%d findings", len(r.Findings))
	}
	for _, f := range r.Findings {
		if f.Text == "" || f.Rule == "" || f.File == "" {
			t.Errorf("a finding lacks something: %+v", f)
		}
		if f.Severity != Note && (f.Effect == "" || f.Advice == "") && f.Rule != "more-unreadable" && f.Rule != "leftover-broken" && f.Rule != "more-messages" {
			t.Errorf("a finding does not say what follows and what to do: %+v", f)
		}
		for _, text := range []string{f.Text, f.Effect, f.Advice} {
			if len(text) > 700 || !utf8.ValidString(text) {
				t.Errorf("a text is too long, or no text: %.800q", text)
			}
			if strings.HasSuffix(text, ".") || strings.IndexFunc(text, unicode.IsControl) >= 0 {
				t.Errorf("text %q", text)
			}
			for _, word := range []string{"SERVERBUG", "fsck", "panic", "corrupt ", "rebuild-loses", "%!"} {
				if strings.Contains(text, word) {
					t.Errorf("%q in text %q", word, text)
				}
			}
		}
	}
}

func find(r *Report, rule string) *Finding {
	for i := range r.Findings {
		if r.Findings[i].Rule == rule {
			return &r.Findings[i]
		}
	}
	return nil
}

func TestEveryDamagedVectorIsExaminedToItsEnd(t *testing.T) {
	for _, format := range []string{"index", "log", "cache"} {
		names, err := filepath.Glob(filepath.Join("..", "dovecot", "testdata", format, "*.vec"))
		if err != nil || len(names) < 10 {
			t.Fatalf("%d vectors, %v", len(names), err)
		}
		for _, path := range names {
			name := strings.TrimSuffix(filepath.Base(path), ".vec")
			for _, layout := range []store.Layout{store.MDBox, store.SDBox, store.Maildir} {
				t.Run(fmt.Sprintf("%s/%s/%s", format, name, layout), func(t *testing.T) {
					dir := dboxDir + "/"
					if layout == store.Maildir {
						dir = ""
					}
					all := fstest.MapFS{dir + "dovecot.index": file(vector(t, "index", "whole")), dir + "dovecot.index.log": file(vector(t, "log", "whole")),
						dir + "dovecot.index.cache": file(vector(t, "cache", "whole"))}
					end := map[string]string{"index": "", "log": ".log", "cache": ".cache"}[format]
					all[dir+"dovecot.index"+end] = file(vector(t, format, name))
					var r *Report
					if layout == store.Maildir {
						r = examineMaildir(t, all)
					} else {
						r = examineDbox(t, layout, all)
					}
					r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return f.Rule == "storage-missing" }) // no vector is one
					if name == "whole" && layout == store.MDBox && (len(r.Findings) > 0 || r.AsIs.Loses()) {
						t.Errorf("a sound mailbox has findings: %+v, %+v", r.Findings, r.AsIs)
					}
				})
			}
		}
	}
}

func TestDamagedFileIsNamedOnceHoweverManyFaultsItHas(t *testing.T) {
	index := vector(t, "index", "whole")
	noise := bytes.Clone(index)
	for i := 464; i < len(noise); i++ {
		noise[i] = byte(i * 7)
	}
	r := examineDbox(t, store.MDBox, fstest.MapFS{dboxDir + "/dovecot.index": file(noise), dboxDir + "/dovecot.index.log": file(vector(t, "log", "whole"))})
	n := 0
	for _, f := range r.Findings {
		if f.File == dboxDir+"/dovecot.index" {
			n++
			if !strings.Contains(f.Text, "more fault") {
				t.Errorf("the other faults are not counted: %s", f.Text)
			}
		}
	}
	if n != 1 {
		t.Errorf("dovecot.index is named %d times", n)
	}
}

func TestMaildirFindings(t *testing.T) {
	text := []byte("Subject: x\n\nhello\n") // 18 bytes, 21 with full line ends
	list := []byte("3 V7 N5 G61180f2d888e046bb468000083ecc375\n1 :1.a,S=18,W=21\n2 :2.b,S=18,W=21\n")
	for _, c := range []struct {
		name string
		put  fstest.MapFS
		rule string // "" for none above a note
		sev  Severity
	}{
		{"sound", nil, "", ""},
		{"cut", fstest.MapFS{"cur/2.b,S=18,W=21:2,S": file(text[:9])}, "maildir-cut", Broken},
		{"empty", fstest.MapFS{"cur/2.b,S=18,W=21:2,S": file(nil)}, "maildir-cut", Broken},
		{"a line end overwritten", fstest.MapFS{"cur/2.b,S=18,W=21:2,S": file(bytes.Replace(text, []byte("\n"), []byte("x"), 1))}, "maildir-virtual-size", Suspect},
		{"beginning overwritten", fstest.MapFS{"cur/2.b,S=18,W=21:2,S": file(append([]byte{0, 1, 2}, text[3:]...))}, "maildir-head", Note},
		{"compressed", fstest.MapFS{"cur/2.b,S=18,W=21:2,S": file([]byte{0x1f, 0x8b, 8, 0})}, "", ""},
		{"no sizes in the name", fstest.MapFS{"cur/3.c:2,S": file(text)}, "", ""},
		{"uidlist gone", fstest.MapFS{"dovecot-uidlist": nil, "dovecot.index.log": file(vector(t, "log", "whole"))}, "uidlist-missing", Broken},
		{"uidlist not made yet", fstest.MapFS{"dovecot-uidlist": nil}, "uidlist-missing", Note},
		{"uidlist line", fstest.MapFS{"dovecot-uidlist": file(append([]byte("3 V7 N5 G61180f2d888e046bb468000083ecc375\nnoise\n"), list[42:]...))}, "uidlist-line", Broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := fstest.MapFS{"cur/1.a,S=18,W=21:2,S": file(text), "cur/2.b,S=18,W=21:2,S": file(text), "new/.hidden": file(nil), "dovecot-uidlist": file(list)}
			for name, f := range c.put {
				if all[name] = f; f == nil {
					delete(all, name)
				}
			}
			r := examineMaildir(t, all)
			if c.rule == "" {
				for _, f := range r.Findings {
					if f.Severity != Note {
						t.Errorf("finding %+v", f)
					}
				}
				return
			}
			f := find(r, c.rule)
			if f == nil || f.Severity != c.sev {
				t.Fatalf("want %s %s, found %+v", c.sev, c.rule, r.Findings)
			}
		})
	}
}

func TestMessagesBehindDamageInTheUIDListGetNewNumbers(t *testing.T) {
	all := fstest.MapFS{"dovecot-uidlist": file([]byte("3 V7 N9 G61180f2d888e046bb468000083ecc375\n1 :1.a\nnoise\n2 :2.b\n3 :3.c\n"))}
	for _, n := range []string{"1.a", "2.b", "3.c"} {
		all["cur/"+n+":2,"] = file([]byte("A: b\n\n"))
	}
	r := examineMaildir(t, all)
	if r.AsIs.UIDs != 2 || r.NoIndex.UIDs != 2 || r.AsIs.Gone != 0 {
		t.Errorf("foretold %+v and %+v", r.AsIs, r.NoIndex)
	}
}

func TestMaildirWithoutItsListGetsNewNumbers(t *testing.T) {
	all := fstest.MapFS{"dovecot.index.log": file(vector(t, "log", "whole")), "cur/a:2,": file([]byte("A: b\n")), "cur/b:2,": file([]byte("A: b\n"))}
	if r := examineMaildir(t, all); r.AsIs.UIDs != 2 || r.NoIndex.UIDs != 2 {
		t.Errorf("foretold %+v and %+v", r.AsIs, r.NoIndex)
	}
	all["dovecot-uidlist"] = file([]byte("3 V7 N9 G61180f2d888e046bb468000083ecc375\n1 :a\n"))
	if r := examineMaildir(t, all); r.NoIndex.UIDs != 0 {
		t.Errorf("a message that has just come is foretold to change: %+v", r.NoIndex)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	all := fstest.MapFS{}
	for i := range 3000 {
		all[fmt.Sprintf("cur/%d.x,S=99:2,", i)] = file([]byte("A: b\n"))
		all[fmt.Sprintf("u.%d.broken", i)] = file(nil)
		all[fmt.Sprintf(".temp.%d", i)] = file(nil)
	}
	r := examineMaildir(t, all)
	if f := find(r, "more-messages"); f == nil || !strings.Contains(f.Text, "2950 more messages") {
		t.Errorf("the rest is not counted: %+v", f)
	}
	if r.Damaged == 0 {
		t.Error("no message counts as damaged")
	}
}

func TestHostileUIDListTakesNeitherTimeNorWords(t *testing.T) {
	for name, b := range map[string][]byte{
		"one line":        bytes.Repeat([]byte("x"), 8<<20),
		"one header":      append([]byte("3 V"), bytes.Repeat([]byte("9"), 8<<20)...),
		"no fields":       bytes.Repeat([]byte(" "), 8<<20),
		"only lines":      bytes.Repeat([]byte("\n"), 1<<20),
		"all one message": bytes.Repeat([]byte("1 :a\n"), 1<<18),
	} {
		t.Run(name, func(t *testing.T) {
			r := examineMaildir(t, fstest.MapFS{"dovecot-uidlist": file(b), "cur/a:2,": file([]byte("A: b\n"))})
			if len(r.Findings) == 0 || len(r.Findings) > 5 {
				t.Errorf("%d findings", len(r.Findings))
			}
		})
	}
}

// denied is a copy that lacks what the host did not let be read.
type denied struct {
	fstest.MapFS
	name string
}

func (d denied) Open(name string) (fs.File, error) {
	if name == d.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("%w: permission denied", snapshot.ErrNotCopied)}
	}
	return d.MapFS.Open(name)
}

func TestWhatCouldNotBeCopiedIsAFindingAndNoError(t *testing.T) {
	dbox := fstest.MapFS{dboxDir + "/dovecot.index": file(vector(t, "index", "whole")), dboxDir + "/dovecot.index.log": file(vector(t, "log", "whole")),
		dboxDir + "/dovecot.index.cache": file(vector(t, "cache", "whole"))}
	for _, name := range []string{"dovecot.index", "dovecot.index.log", "dovecot.index.cache"} {
		r := examineDbox(t, store.MDBox, denied{dbox, dboxDir + "/" + name})
		f := find(r, "unreadable")
		if f == nil || f.Severity == Note || string(f.File) != dboxDir+"/"+name {
			t.Errorf("%s: %+v", name, r.Findings)
		}
		if name != "dovecot.index.cache" && r.AsIs.Gone == 0 && len(r.State.Messages) > 0 {
			t.Errorf("%s: nothing is foretold to be missing", name)
		}
	}
	r := examineMaildir(t, denied{fstest.MapFS{"cur/a:2,": file([]byte("A: b\n")), "dovecot-uidlist": file([]byte("3 V1 N2\n"))}, "cur/a:2,"})
	if find(r, "unreadable") == nil {
		t.Errorf("a message: %+v", r.Findings)
	}
}

func TestDirectoryInPlaceOfAnIndexIsAFinding(t *testing.T) {
	r := examineDbox(t, store.SDBox, fstest.MapFS{dboxDir + "/dovecot.index/x": file(nil), dboxDir + "/dovecot.index.log": file(vector(t, "log", "whole"))})
	if f := find(r, "unreadable"); f == nil || string(f.File) != dboxDir+"/dovecot.index" {
		t.Errorf("findings %+v", r.Findings)
	}
}

func TestStrayMessagesTellALostListFromANewMailbox(t *testing.T) {
	lost := fstest.MapFS{dboxDir + "/u.4": file(vector(t, "dbox", "whole")), "dovecot.list.index.log": file(nil)}
	if f := find(examineDbox(t, store.SDBox, lost), "index-files-missing"); f == nil || f.Severity != Broken {
		t.Errorf("lost: %+v", f)
	}
	delete(lost, "dovecot.list.index.log")
	r := examineDbox(t, store.SDBox, lost)
	if f := find(r, "index-elsewhere"); f == nil || f.Severity != Suspect || r.Needs(CureRebuild) {
		t.Errorf("lost, or kept elsewhere: %+v", r.Findings)
	}
	emptied := fstest.MapFS{dboxDir: &fstest.MapFile{Mode: fs.ModeDir | 0o700}, "dovecot.list.index.log": file(nil)}
	if f := find(examineDbox(t, store.SDBox, emptied), "folder-emptied"); f == nil || f.Severity != Suspect {
		t.Errorf("emptied: %+v", f)
	}
	if f := find(examineDbox(t, store.SDBox, fstest.MapFS{dboxDir: &fstest.MapFile{Mode: fs.ModeDir | 0o700}}), "index-files-missing"); f == nil || f.Severity != Note {
		t.Errorf("new: %+v", f)
	}
}

func TestOutcomesAreCompared(t *testing.T) {
	for _, c := range []struct {
		a, b  Outcome
		worse bool
	}{
		{Outcome{}, Outcome{}, false},
		{Outcome{Flags: 1}, Outcome{}, true},
		{Outcome{Gone: 4, Flags: 24, UIDs: 41}, Outcome{Gone: 45}, false},
		{Outcome{Gone: 45}, Outcome{Gone: 4, Flags: 24, UIDs: 41}, true},
		{Outcome{Keywords: 3}, Outcome{Flags: 3}, true},
		{Outcome{UIDs: 3}, Outcome{Gone: 3}, false},
	} {
		if got := c.a.WorseThan(c.b); got != c.worse {
			t.Errorf("%+v worse than %+v: %v", c.a, c.b, got)
		}
	}
}

func TestCacheOfAnotherGenerationIsAFindingWhereTheLogIsGone(t *testing.T) {
	index, log, cache := vector(t, "index", "whole"), vector(t, "log", "whole"), vector(t, "cache", "whole")
	other := bytes.Clone(cache)
	other[8]++ // file_seq
	for _, c := range []struct {
		what  string
		log   []byte
		cache []byte
		want  Severity
	}{{"the right cache", nil, cache, ""}, {"another one", nil, other, Suspect}, {"another one, perhaps just exchanged", log, other, Note}} {
		files := fstest.MapFS{dboxDir + "/dovecot.index": file(index), dboxDir + "/dovecot.index.cache": file(c.cache)}
		if c.log != nil {
			files[dboxDir+"/dovecot.index.log"] = file(c.log)
		}
		f := find(examineDbox(t, store.MDBox, files), "cache-other")
		switch {
		case c.want == "" && f != nil, c.want != "" && (f == nil || f.Severity != c.want):
			t.Errorf("%s: %+v", c.what, f)
		}
	}
}

func TestMissingStorageIsAFindingOfEveryMailboxWithMail(t *testing.T) {
	for what, storage := range map[string]*fstest.MapFile{"missing": nil, "a file": file([]byte("x"))} {
		files := fstest.MapFS{dboxDir + "/dovecot.index": file(vector(t, "index", "whole")), dboxDir + "/dovecot.index.log": file(vector(t, "log", "whole"))}
		if storage != nil {
			files["storage"] = storage
		}
		if f := find(examineDbox(t, store.MDBox, files), "storage-missing"); f == nil || f.Severity != Broken || f.Cure != CureNone {
			t.Errorf("%s: %+v", what, f)
		}
	}
	if f := find(examineDbox(t, store.MDBox, fstest.MapFS{dboxDir: &fstest.MapFile{Mode: fs.ModeDir | 0o700}}), "storage-missing"); f != nil {
		t.Errorf("an account without mail: %+v", f)
	}
}

func TestEmptiedFolderIsAFindingWhereTheListOfMailboxesCountsMail(t *testing.T) {
	fsys := fstest.MapFS{dboxDir: &fstest.MapFile{Mode: fs.ModeDir | 0o700}}
	box := store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: dboxDir}
	for _, messages := range []uint32{0, 45} {
		acct, err := reconstruct.Read(t.Context(), fsys, store.Account{Layout: store.SDBox, Tree: true, Mailboxes: []store.Mailbox{box}}, []store.Mailbox{box})
		if err != nil {
			t.Fatal(err)
		}
		acct.Boxes[0].Names = reconstruct.Listed{Known: true, HasCounts: true, Messages: messages}
		r, err := Examine(t.Context(), fsys, acct, acct.Boxes[0])
		if err != nil {
			t.Fatal(err)
		}
		if f := find(r, "folder-emptied"); (f != nil) != (messages > 0) || f != nil && (f.Severity != Broken || f.Cure != CureNone) {
			t.Errorf("%d messages: %+v", messages, r.Findings)
		}
	}
}

func TestFilesOfANewerDovecotAreNotWrittenAnew(t *testing.T) {
	index, log := bytes.Clone(vector(t, "index", "whole")), bytes.Clone(vector(t, "log", "whole"))
	index[0] = 8
	for _, c := range []struct {
		log  byte
		cure bool // it may be damage
	}{{1, true}, {2, false}} {
		log[0] = c.log
		r := examineDbox(t, store.MDBox, fstest.MapFS{dboxDir + "/dovecot.index": file(index), dboxDir + "/dovecot.index.log": file(log)})
		f := find(r, "index-major-version")
		if f == nil || !strings.Contains(f.Text, "newer version of Dovecot") || r.Needs(CureRebuild) != c.cure {
			t.Errorf("log of version %d: %+v", c.log, r.Findings)
		}
	}
	index[0], index[12] = 7, 0
	f := find(examineDbox(t, store.MDBox, fstest.MapFS{dboxDir + "/dovecot.index": file(index)}), "index-byte-order")
	if f == nil || !strings.Contains(f.Text, "another byte order") {
		t.Errorf("byte order: %+v", f)
	}
}
