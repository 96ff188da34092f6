package check

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/large"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// laid is a small account without a fault, in a folder of its own.
func laid(t testing.TB, layout store.Layout) (dir string, a store.Account) {
	t.Helper()
	dir = t.TempDir()
	boxes, err := large.Account{Layout: layout, Messages: 12, Mailboxes: 3}.Lay(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, store.Account{Layout: layout, Tree: layout != store.Maildir, Mailboxes: boxes}
}

func accountFindings(t testing.TB, fsys fs.FS, a store.Account) []Finding {
	t.Helper()
	acct, err := reconstruct.Read(t.Context(), fsys, a, a.Mailboxes)
	if err != nil {
		t.Fatal(err)
	}
	list := Account(fsys, acct)
	wantPlain(t, &Report{Findings: list})
	return list
}

func pick(list []Finding, rule string) *Finding { return find(&Report{Findings: list}, rule) }

// inUseFS tells when the copying began, as a snapshot does.
type inUseFS struct {
	fs.FS
	began time.Time
}

type begunInfo struct {
	fs.FileInfo
	began time.Time
}

func (i begunInfo) Sys() any         { return i }
func (i begunInfo) Begun() time.Time { return i.began }

func (f inUseFS) Lstat(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(f.FS, name)
	return begunInfo{info, f.began}, err
}

func (f inUseFS) ReadLink(name string) (string, error) { return fs.ReadLink(f.FS, name) }

func TestCountsOfReferencesThatAreTooLowAreAFinding(t *testing.T) {
	dir, a := laid(t, store.MDBox)
	name := filepath.Join(dir, string(reconstruct.MapFile))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := dovecot.ParseIndex(b)
	var at int64
	for _, e := range x.Exts {
		if e.Name == "ref" {
			at = x.Records[3].Offset + int64(e.RecordOffset)
		}
	}
	for _, c := range []struct {
		refs uint16
		want Severity
		wait time.Duration // from the last change to the copying
	}{{1, "", time.Hour}, {2, "", time.Hour}, {0, Broken, time.Hour}, {0, Note, -time.Second}} {
		binary.LittleEndian.PutUint16(b[at:], c.refs)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f := pick(accountFindings(t, inUseFS{os.DirFS(dir), time.Now().Add(c.wait)}, a), "map-refs-low")
		switch {
		case c.want == "" && f != nil, c.want != "" && (f == nil || f.Severity != c.want):
			t.Errorf("counted %d: %+v", c.refs, f)
		case c.want == Broken && f.Cure != CureRebuild:
			t.Errorf("no cure: %+v", f)
		}
	}
}

func TestMailboxOfTheListThatIsNotThereIsAFinding(t *testing.T) {
	for _, layout := range []store.Layout{store.SDBox, store.MDBox, store.Maildir} {
		dir, a := laid(t, layout)
		if f := pick(accountFindings(t, os.DirFS(dir), a), "mailbox-gone"); f != nil {
			t.Errorf("%s: nothing is gone: %+v", layout, f)
		}
		lost := a
		lost.Mailboxes = a.Mailboxes[:2]
		f := pick(accountFindings(t, os.DirFS(dir), lost), "mailbox-gone")
		if f == nil || f.Severity != Suspect || !strings.Contains(f.Text, a.Mailboxes[2].Name) || !strings.Contains(f.Text, "4 messages") {
			t.Errorf("%s: %+v", layout, f)
		}
		lost.Partial = true
		if f := pick(accountFindings(t, os.DirFS(dir), lost), "mailbox-gone"); f != nil {
			t.Errorf("%s: only some were copied: %+v", layout, f)
		}
	}
}

func TestLostListOfMailboxesWhoseFoldersAreNumbersIsAFinding(t *testing.T) {
	const id = "220d0914b22b086b507d000083ecc375"
	a := store.Account{Layout: store.SDBox, Tree: true, Mailboxes: []store.Mailbox{{Name: id, Storage: id, Dir: "mailboxes/" + id}}}
	all := fstest.MapFS{"mailboxes/" + id + "/dovecot.index.log": file(vector(t, "log", "whole"))}
	if f := pick(accountFindings(t, all, a), "list-missing"); f == nil || f.Severity != Broken || f.Cure != CureNone {
		t.Errorf("gone: %+v", f)
	}
	all["dovecot.list.index.log"] = file(nil)
	if f := pick(accountFindings(t, all, a), "list-missing"); f != nil {
		t.Errorf("there: %+v", f)
	}
}

func TestFilesWithoutAByteAreTracesOfAFullDiskWhereFilesHaveBytes(t *testing.T) {
	for name, want := range map[string]bool{"dovecot-keywords": true, "dovecot.index.log.2": true, "dovecot.list.index": true, "dovecot.list.index.log": true, "dovecot-uidvalidity": true,
		"dovecot-uidvalidity.6b08267b": false, "maildirfolder": false, "subscriptions": false} {
		a := store.Account{Layout: store.Maildir, Mailboxes: []store.Mailbox{{Name: "INBOX", Storage: "INBOX", Dir: "."}}}
		all := fstest.MapFS{"cur/1.a:2,": file([]byte("A: b\n")), "dovecot-uidlist": file([]byte("3 V7 N5 G61180f2d888e046bb468000083ecc375\n1 :1.a\n")), name: file(nil)}
		if f := pick(accountFindings(t, all, a), "disk-full-traces"); (f != nil) != want {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestSentencesFitTheirNumber(t *testing.T) {
	for n, want := range map[int]string{1: "1 message is", 2: "2 messages are"} {
		a := &reconstruct.Account{Orphans: make([]reconstruct.Orphan, n)}
		for i := range a.Orphans {
			a.Orphans[i] = reconstruct.Orphan{Message: reconstruct.Message{File: "storage/m.1"}, Fate: reconstruct.Unplaced}
		}
		if f := pick(Account(fstest.MapFS{}, a), "orphans-unplaced"); f == nil || !strings.HasPrefix(f.Text, want) {
			t.Errorf("%d: %+v", n, f)
		}
	}
}

// ownedFS tells owners and modes, as a snapshot does.
type ownedFS struct {
	fstest.MapFS
	uids map[string]int // 1000 for what is not in it
}

type ownedInfo struct {
	fs.FileInfo
	uid int
}

func (i ownedInfo) Sys() any                      { return i }
func (i ownedInfo) Owned() (uid, gid int)         { return i.uid, i.uid }
func (f ownedFS) ReadLink(string) (string, error) { return "", fs.ErrInvalid }
func (f ownedFS) Lstat(name string) (fs.FileInfo, error) {
	info, err := f.MapFS.Stat(name)
	if err != nil {
		return nil, err
	}
	if uid, ok := f.uids[name]; ok {
		return ownedInfo{info, uid}, nil
	}
	return ownedInfo{info, 1000}, nil
}

func TestWhatDovecotMayNotUseIsToldOnceForEachKind(t *testing.T) {
	dir := func(mode fs.FileMode) *fstest.MapFile { return &fstest.MapFile{Mode: fs.ModeDir | mode} }
	with := func(mode fs.FileMode) *fstest.MapFile { return &fstest.MapFile{Mode: mode, Data: []byte("A: b\n")} }
	box := store.Mailbox{Name: "A/B", Storage: "A/B", Dir: "mailboxes/A/B/dbox-Mails"}
	sound := func() fstest.MapFS {
		return fstest.MapFS{".": dir(0o700), "mailboxes": dir(0o750), "mailboxes/A": dir(0o700), "mailboxes/A/B": dir(0o700), string(box.Dir): dir(0o700), "storage": dir(0o700),
			"storage/m.1": with(0o600), "storage/m.2": with(0o660), "storage/dovecot.map.index": with(0o600), "subscriptions": with(0o644), "dovecot-uidvalidity.6b08267b": with(0o444),
			string(box.Dir) + "/dovecot.index.log": with(0o640), string(box.Dir) + "/dovecot.index": with(0o600)}
	}
	for _, c := range []struct {
		name string
		mode fs.FileMode
		uid  int
		rule string
	}{
		{"subscriptions", 0o644, 1000, ""},
		{"mailboxes/A", fs.ModeDir | 0o500, 1000, "folder-mode"},
		{"mailboxes", fs.ModeDir | 0o700, 0, "folder-owner"},
		{"mailboxes", fs.ModeDir | 0o777, 0, ""},
		{"storage", fs.ModeDir | 0o600, 1000, "folder-mode"},
		{"storage/m.2", 0o400, 1000, "file-mode"},
		{"storage/m.2", 0o600, 0, "file-owner"},
		{"storage/m.2", 0o666, 0, ""},
		{"subscriptions", 0o200, 1000, "file-mode"},
		{string(box.Dir) + "/dovecot.index.log", 0o440, 1000, "file-mode"},
		{string(box.Dir), fs.ModeDir | 0o300, 1000, "folder-mode"},
	} {
		all := ownedFS{sound(), map[string]int{c.name: c.uid}}
		all.MapFS[c.name] = &fstest.MapFile{Mode: c.mode, Data: all.MapFS[c.name].Data}
		a := store.Account{Layout: store.MDBox, Tree: true, Mailboxes: []store.Mailbox{box}, Files: []store.RelPath{"subscriptions", "dovecot-uidvalidity.6b08267b"}}
		acct, err := reconstruct.Read(t.Context(), all, a, a.Mailboxes)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Examine(t.Context(), all, acct, acct.Boxes[0])
		if err != nil {
			t.Fatal(err)
		}
		var rules []string
		for _, f := range append(Account(all, acct), r.Findings...) {
			if strings.HasPrefix(f.Rule, "file-") || strings.HasPrefix(f.Rule, "folder-") {
				rules = append(rules, f.Rule+" "+string(f.File))
			}
		}
		if want := c.rule + " " + c.name; c.rule == "" && len(rules) > 0 || c.rule != "" && (len(rules) != 1 || rules[0] != want) {
			t.Errorf("%s %v of %d: %q", c.name, c.mode, c.uid, rules)
		}
	}
	many := ownedFS{fstest.MapFS{".": dir(0o700), "cur": dir(0o700)}, nil}
	for i := range 30 {
		many.MapFS[fmt.Sprintf("cur/%d.x:2,", i)] = with(0o200)
	}
	r := examineMaildir(t, many)
	if f := find(r, "file-mode"); f == nil || !strings.Contains(f.Text, "29 more files") {
		t.Errorf("messages: %+v", r.Findings)
	}
}

func TestLeftoversAreNotes(t *testing.T) {
	now := time.Unix(1700000000, 0)
	at := func(d time.Duration) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("x"), Mode: 0o600, ModTime: now.Add(-d)}
	}
	for name, rule := range map[string]string{"dovecot-uidlist.lock": "leftover-lock", "dovecot.index.log.lock": "leftover-lock", "maildirlock": "leftover-lock", "dovecot-vsize.lock": "leftover-lock",
		"dovecot-uidlist.tmp": "leftover-temp", "dovecot.index.log.newlock": "leftover-temp", "tmp/1.x": "leftover-delivery", "dovecot.index.log.2": ""} {
		r := examineMaildir(t, fstest.MapFS{"dovecot-uidlist": {Data: []byte("3 V7 N5 G61180f2d888e046bb468000083ecc375\n"), Mode: 0o600, ModTime: now}, name: at(48 * time.Hour), "tmp/2.young": at(time.Hour)})
		for _, f := range r.Findings {
			if strings.HasPrefix(f.Rule, "leftover") && (f.Rule != rule || f.Severity != Note || string(f.File) != name) {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if rule != "" && find(r, rule) == nil {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
	dir, a := laid(t, store.MDBox)
	for _, c := range []struct{ name, rule string }{{"storage/m.1.lock", "leftover-lock"}, {"storage/.temp.1", "leftover-temp"}, {"subscriptions.lock", "leftover-lock"}, {"..DOVECOT-TrasH/x/u.1", "leftover-trash"}} {
		name := filepath.Join(dir, c.name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		list := accountFindings(t, os.DirFS(dir), a)
		if f := pick(list, c.rule); f == nil || f.Severity != Note {
			t.Errorf("%s: %+v", c.name, list)
		}
	}
}

func TestDamagedSubscriptionsAreAFinding(t *testing.T) {
	for text, rule := range map[string]string{"": "", "V\t2\n\nSent\nA\tB\n": "", "Sent\nSent\n\nA/B\n": "", "Sent\r\n": "subscriptions-name", "V\t2\n\nSent\n\x00\x00\x00": "subscriptions-name",
		"V\t2\n\nSe\xffnt\n": "subscriptions-name", "V\t2\n\nSent\nTra": "subscriptions-cut"} {
		list := accountFindings(t, fstest.MapFS{"subscriptions": file([]byte(text))}, store.Account{Layout: store.SDBox})
		n := slices.IndexFunc(list, func(f Finding) bool { return strings.HasPrefix(f.Rule, "subscriptions") })
		if rule == "" && n >= 0 || rule != "" && (n < 0 || list[n].Rule != rule || list[n].Severity != Suspect) {
			t.Errorf("%q: %+v", text, list)
		}
	}
	list := accountFindings(t, fstest.MapFS{"dovecot.mailbox.log": file(make([]byte, 48))}, store.Account{Layout: store.SDBox})
	if f := pick(list, "mailbox-log-record"); f == nil || f.Severity != Note {
		t.Errorf("%+v", list)
	}
}

// TestACacheOfAnotherGenerationIsAFindingWhereNobodyExchangesIt: neither it nor the log was changed after the copying began.
func TestACacheOfAnotherGenerationIsAFindingWhereNobodyExchangesIt(t *testing.T) {
	other := vector(t, "cache", "whole")
	other[8]++ // file_seq
	now := time.Unix(1700000000, 0)
	for what, c := range map[string]struct {
		log, cache, began time.Time
		want              Severity
	}{
		"long unchanged":              {now.Add(1), now.Add(1), now.Add(time.Minute), Suspect},
		"the log is newer":            {now.Add(2 * time.Minute), now.Add(1), now.Add(time.Minute), Note},
		"the cache is newer":          {now.Add(1), now.Add(2 * time.Minute), now.Add(time.Minute), Note},
		"in the same second, perhaps": {now, now.Add(1), now.Add(time.Millisecond), Note},
		"nobody knows":                {now.Add(1), now.Add(1), time.Time{}, Note},
	} {
		cached, log := file(other), file(vector(t, "log", "whole"))
		cached.ModTime, log.ModTime = c.cache, c.log
		fsys := inUseFS{fstest.MapFS{dboxDir + "/dovecot.index": file(vector(t, "index", "whole")), dboxDir + "/dovecot.index.log": log,
			dboxDir + "/dovecot.index.cache": cached}, c.began}
		f := find(examineDbox(t, store.MDBox, fsys), "cache-other")
		if f == nil || f.Severity != c.want || (f.Cure == CureCache) != (c.want == Suspect) {
			t.Errorf("%s: %+v", what, f)
		}
	}
}
