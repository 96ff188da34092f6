package check

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
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
