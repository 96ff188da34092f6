//go:build unix

package dovecot

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func (s *realStore) read(path ...string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// TestParseLogTellsWhatDoveadmDumpTells compares offset, type, size and modification sequence of every log record.
func TestParseLogTellsWhatDoveadmDumpTells(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		s := newRealStore(t, layout, rotating+"mail_attribute_dict = file:%h/attributes\nimap_metadata = yes\n")
		s.fill(60)
		s.IMAP("ENABLE CONDSTORE", "SELECT INBOX", `UID STORE 10:12 +FLAGS (\Deleted)`, "EXPUNGE", `UID STORE 20 FLAGS (\Seen x)`)
		s.Doveadm("mailbox", "metadata", "set", "INBOX", "/private/comment", "a test")
		if layout == "mdbox" {
			s.Doveadm("purge")
		}
		n, seen := 0, map[LogType]bool{}
		err := filepath.WalkDir(s.root, func(path string, _ os.DirEntry, err error) error {
			name := filepath.Base(path)
			if err != nil || name == "dovecot.mailbox.log" || !strings.HasSuffix(name, ".log") && !strings.HasSuffix(name, ".log.2") {
				return err
			}
			l, list := ParseLog(s.read(path))
			if len(list) > 0 || l.SyncOffset != l.Size {
				t.Errorf("%s: %v", path, list)
			}
			var got, want []string
			for _, r := range l.Records {
				line := fmt.Sprintf("record: offset=%d, type=%s", r.Offset, r.Type)
				if r.External {
					line += " (ext)"
				}
				if r.Sync {
					line += " (sync)"
				}
				got = append(got, fmt.Sprintf("%s, size=%d", line, r.End()-r.Offset))
				seen[r.Type] = true
			}
			dump := s.Doveadm("dump", "-t", "log", path)
			modseqs := map[string]string{}
			for _, line := range strings.Split(dump, "\n") {
				if strings.HasPrefix(line, "record: ") {
					head, modseq, _ := strings.Cut(line, ", modseq=")
					want = append(want, head)
					modseqs[head] = modseq
				}
			}
			if d := diffLines(got, want); d != "" {
				t.Errorf("%s: %s", path, d)
			}
			for i, r := range l.Records {
				if m := modseqs[got[i]]; m != "" && m != fmt.Sprint(r.ModSeq) {
					t.Errorf("%s: modseq at %d is %d, want %s", path, r.Offset, r.ModSeq, m)
				}
			}
			n += len(got)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d records", layout, n)
		for _, want := range []LogType{LogAppend, LogFlagUpdate, LogKeywordUpdate, LogExpungeGUID, LogExtIntro, LogExtRecUpdate, LogBoundary, LogAttributeUpdate} {
			if !seen[want] {
				t.Errorf("%s: no %s record was compared", layout, want)
			}
		}
	}
}

func TestMaildirFilesTellWhatDovecotTells(t *testing.T) {
	s := newRealStore(t, "maildir", "")
	s.fill(60)
	for _, mailbox := range []string{"INBOX", "Archive/2020", "Work"} {
		dir := s.mailboxDir(mailbox)
		rows, errs, ok := s.Fetch(mailbox, "uid flags guid size.virtual size.physical")
		if !ok {
			t.Fatal(errs)
		}
		l, list := ParseUIDList(s.read(dir, "dovecot-uidlist"))
		if len(list) > 0 {
			t.Errorf("uidlist: %v", list)
		}
		k := &MaildirKeywords{}
		if mailbox != "Work" { // may have none
			if k, list = ParseMaildirKeywords(s.read(dir, "dovecot-keywords")); len(list) > 0 {
				t.Errorf("keywords: %v", list)
			}
		} else if b, err := os.ReadFile(filepath.Join(dir, "dovecot-keywords")); err == nil {
			k, _ = ParseMaildirKeywords(b)
		}
		files := map[string]MaildirName{}
		for _, sub := range []string{"cur", "new"} {
			entries, err := os.ReadDir(filepath.Join(dir, sub))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				n := ParseMaildirName(e.Name())
				files[n.Base] = n
			}
		}
		var got, want []string
		for _, e := range l.Entries {
			n, ok := files[e.Name]
			if !ok {
				continue // expunged
			}
			words := append(strings.Fields(n.Flags.String()), k.Names(n.Keywords)...)
			slices.Sort(words)
			guid := e.GUID
			if guid == "" {
				guid = e.Name
			}
			got = append(got, fmt.Sprintf("%d %v %s %d %d", e.UID, words, guid, max(n.Virtual, e.Virtual), n.Size))
		}
		for _, row := range rows {
			words := slices.DeleteFunc(strings.Fields(row["flags"]), func(w string) bool { return w == `\Recent` })
			slices.Sort(words)
			want = append(want, fmt.Sprintf("%s %v %s %s %s", row["uid"], words, row["guid"], row["size.virtual"], row["size.physical"]))
		}
		if d := diffLines(got, want); d != "" {
			t.Errorf("%s: %s", mailbox, d)
		}
		status := strings.Fields(s.Doveadm("-f", "tab", "mailbox", "status", "uidvalidity uidnext guid", mailbox))
		if got := fmt.Sprintf("%d %d %s", l.NextUID, l.UIDValidity, l.MailboxGUID); !strings.HasSuffix(strings.Join(status, " "), got) {
			t.Errorf("%s: got %s, want %v", mailbox, got, status)
		}
	}
}

func TestSubscriptionsAndListTellWhatDovecotTells(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		s := newRealStore(t, layout, "")
		s.fill(30)
		s.Doveadm("mailbox", "status", "all", "*")
		subs, list := ParseSubscriptions(s.read(s.root, "subscriptions"))
		if len(list) > 0 || subs.Version != 2 {
			t.Errorf("%s: version %d, %v", layout, subs.Version, list)
		}
		var got []string
		for _, n := range subs.Names {
			got = append(got, strings.ReplaceAll(strings.Join(n.Components, "/"), "&AOQ-", "ä"))
		}
		want := strings.Fields(s.Doveadm("mailbox", "list", "-s"))
		slices.Sort(got)
		slices.Sort(want)
		if d := diffLines(got, want); d != "" {
			t.Errorf("%s: subscriptions: %s", layout, d)
		}

		st, list := Replay(s.files(filepath.Join(s.root, "dovecot.list.index")))
		l, list2, ok := st.List()
		if len(list) > 0 || len(list2) > 0 || !ok {
			t.Fatalf("%s: %v %v %v", layout, list, list2, ok)
		}
		got, want = nil, nil
		for i, n := range l.Nodes {
			path, ok := l.Path(i)
			if !ok {
				t.Errorf("%s: no path to %q", layout, n.Name)
			}
			if n.HasCounts {
				got = append(got, fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%s", strings.ReplaceAll(strings.Join(path, "/"), "&AOQ-", "ä"), n.Messages, n.NextUID, n.UIDValidity, n.Unseen, n.GUID))
			}
		}
		want = strings.Split(strings.TrimSpace(s.Doveadm("-f", "tab", "mailbox", "status", "uidvalidity uidnext messages unseen guid", "*")), "\n")[1:]
		want = slices.DeleteFunc(want, func(line string) bool { return strings.HasPrefix(line, "INBOX\t") }) // kept only with mailbox_list_index_include_inbox
		slices.Sort(got)
		slices.Sort(want)
		if d := diffLines(got, want); d != "" {
			t.Errorf("%s: list: %s", layout, d)
		}
	}
}

func TestCacheTellsWhatDovecotTells(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		s := newRealStore(t, layout, "")
		s.fill(60)
		rows, errs, ok := s.Fetch("INBOX", "uid hdr.subject size.virtual date.received")
		if !ok {
			t.Fatal(errs)
		}
		prefix := filepath.Join(s.mailboxDir("INBOX"), "dovecot.index")
		st, _ := Replay(s.files(prefix))
		c, list := ParseCache(s.read(prefix + ".cache"))
		if len(list) > 0 || c.IndexID != st.IndexID {
			t.Errorf("%s: index id %d, want %d; %v", layout, c.IndexID, st.IndexID, list)
		}
		fields := 0
		for i := range st.Records {
			offset, seq, ok := st.CacheOffset(&st.Records[i])
			if !ok || seq != c.Seq {
				continue
			}
			values, list := c.Lookup(offset)
			if len(list) > 0 {
				t.Errorf("%s: UID %d: %v", layout, st.Records[i].UID, list)
			}
			if v, ok := values["hdr.subject"]; ok {
				fields++
				if !bytes.Contains(v, []byte("ubject: "+rows[i]["hdr.subject"]+"\n")) {
					t.Errorf("%s: UID %d has subject %q, want %q", layout, st.Records[i].UID, v, rows[i]["hdr.subject"])
				}
			}
			if v, ok := values["size.virtual"]; ok {
				fields++
				if got := fmt.Sprint(le.Uint64(v)); got != rows[i]["size.virtual"] {
					t.Errorf("%s: UID %d has virtual size %s, want %s", layout, st.Records[i].UID, got, rows[i]["size.virtual"])
				}
			}
			if v, ok := st.VirtualSize(&st.Records[i]); ok {
				fields++
				if fmt.Sprint(v) != rows[i]["size.virtual"] {
					t.Errorf("%s: UID %d has vsize %d, want %s", layout, st.Records[i].UID, v, rows[i]["size.virtual"])
				}
			}
		}
		if fields < 50 {
			t.Errorf("%s: only %d fields could be compared", layout, fields)
		}
	}
}
