package rebuild_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"dovemend/repair/check"
	"dovemend/repair/dovecot"
	"dovemend/repair/rebuild"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// names are the files of a small account in each layout. Each is what of the fuzzer's bytes falls to it.
var names = []struct {
	layout store.Layout
	box    store.Mailbox
	files  []string
}{
	{store.MDBox, store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: "mailboxes/INBOX/dbox-Mails"}, []string{
		"mailboxes/INBOX/dbox-Mails/dovecot.index", "mailboxes/INBOX/dbox-Mails/dovecot.index.log", "mailboxes/INBOX/dbox-Mails/dovecot.index.log.2",
		"mailboxes/INBOX/dbox-Mails/dovecot.index.backup", "mailboxes/INBOX/dbox-Mails/dovecot.index.cache",
		"storage/dovecot.map.index", "storage/dovecot.map.index.log", "storage/m.1", "storage/m.2", "dovecot.list.index"}},
	{store.SDBox, store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: "mailboxes/INBOX/dbox-Mails"}, []string{
		"mailboxes/INBOX/dbox-Mails/dovecot.index", "mailboxes/INBOX/dbox-Mails/dovecot.index.log", "mailboxes/INBOX/dbox-Mails/dovecot.index.cache",
		"mailboxes/INBOX/dbox-Mails/u.1", "mailboxes/INBOX/dbox-Mails/u.2", "mailboxes/INBOX/dbox-Mails/u.7", "dovecot.list.index"}},
	{store.Maildir, store.Mailbox{Name: "INBOX", Storage: "INBOX", Dir: "."}, []string{
		"dovecot-uidlist", "dovecot-keywords", "dovecot.index", "dovecot.index.log", "dovecot.index.cache",
		"cur/1577836800.M1P1.host,S=20,W=22:2,Sa", "cur/1577836801.M1P1.host:2,b", "new/1577836801.M1P1.host", "new/1577836802.M1P1.host,W=9"}},
}

// lay makes the account that the bytes stand for: for each file a length and that many bytes; 0 leaves it away.
func lay(b []byte) (layout int, all fstest.MapFS) {
	all = fstest.MapFS{}
	if len(b) == 0 {
		return 0, all
	}
	layout = int(b[0]) % len(names)
	b = b[1:]
	for _, name := range names[layout].files {
		n, k := binary.Uvarint(b)
		if k <= 0 {
			break
		}
		b = b[k:]
		n = min(n, uint64(len(b)))
		if n > 0 {
			all[name] = &fstest.MapFile{Data: bytes.Clone(b[:n]), Mode: 0o600, ModTime: time.Unix(1577836800, 0)}
			b = b[n:]
		}
	}
	return layout, all
}

type memory map[string]*bytes.Buffer

func (m memory) Create(name string) (io.WriteCloser, error) {
	if m[name] != nil {
		return nil, errors.New("it is there")
	}
	m[name] = &bytes.Buffer{}
	return nopCloser{m[name]}, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// FuzzRebuild makes an account of any bytes. Whatever they are, it is reconstructed, examined and rebuilt without a panic; what
// cannot be proven is said; and every index that is written is one that Dovecot takes as it is.
func FuzzRebuild(f *testing.F) {
	of := map[string]string{"dovecot.index.log": "log", "dovecot.index.log.2": "log", "dovecot.map.index.log": "log", "dovecot.index.cache": "cache", "dovecot-uidlist": "uidlist", "dovecot-keywords": "keywords"}
	for layout := range names {
		for _, kind := range []string{"whole", "cut-half", "garbage-middle", "bad-line", "garbage-end"} {
			b := []byte{byte(layout)}
			for _, name := range names[layout].files {
				format := of[filepath.Base(name)]
				switch base := filepath.Base(name); {
				case format != "":
				case strings.HasPrefix(base, "u.") || strings.HasPrefix(base, "m."):
					format = "dbox"
				case strings.Contains(name, "cur/") || strings.Contains(name, "new/"):
					b = append(binary.AppendUvarint(b, 20), "Subject: a\n\ntext.....\n"[:20]...)
					continue
				default:
					format = "index"
				}
				data := vector(format, kind)
				if data == nil {
					data = vector(format, "whole")
				}
				b = append(binary.AppendUvarint(b, uint64(len(data))), data...)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer time.AfterFunc(time.Minute, func() { panic("it does not come to an end") }).Stop()
		layout, fsys := lay(b)
		n := names[layout]
		acct, err := reconstruct.Read(t.Context(), fsys, store.Account{Layout: n.layout, Tree: n.layout != store.Maildir}, []store.Mailbox{n.box})
		if err != nil {
			t.Fatal(err)
		}
		var reports []*check.Report
		for _, s := range acct.Boxes {
			r, err := check.Examine(t.Context(), fsys, acct, s)
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, r)
		}
		out := memory{}
		w, err := rebuild.Build(t.Context(), rebuild.Input{FS: fsys, Account: acct, Reports: reports, Shared: check.Account(fsys, acct), Now: time.Unix(1700000000, 0), Force: true, Out: out})
		var not *rebuild.UnprovenError
		if errors.As(err, &not) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		byFlag := w.Boxes[0].How == rebuild.ByFlag
		for _, p := range w.Put {
			if filepath.Base(string(p.Path)) != "dovecot.index" || byFlag {
				continue
			}
			if _, verdict, faults := dovecot.Sees(dovecot.Files{Index: out[p.Source].Bytes()}); verdict != dovecot.VerdictSame || len(faults) > 0 {
				t.Errorf("%s: %s %v", p.Path, verdict, faults)
			}
		}
		for _, x := range w.Boxes {
			if x.How == rebuild.Exact && x.Messages+len(x.LeftOut) < acct.Boxes[0].Counts().Messages-lost(acct.Boxes[0]) {
				t.Errorf("%d of %d messages", x.Messages, acct.Boxes[0].Counts().Messages)
			}
		}
	})
}

func lost(s *reconstruct.State) int {
	n := 0
	for i := range s.Messages {
		if m := &s.Messages[i]; m.Lost {
			n++
		}
	}
	return n
}

// vector is a file that a real Dovecot 2.3.19 wrote, whole or damaged; nil where there is none of that kind.
func vector(format, kind string) []byte {
	b, err := os.ReadFile(filepath.Join("..", "dovecot", "testdata", format, kind+".vec"))
	if err != nil {
		return nil
	}
	_, data, _ := bytes.Cut(b, []byte("\n\n"))
	return data
}
