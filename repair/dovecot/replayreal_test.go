//go:build unix

package dovecot

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// rotating are settings that make Dovecot write snapshots and rotate logs after a few changes.
const rotating = `mail_index_rewrite_min_log_bytes = 1k
mail_index_rewrite_max_log_bytes = 2k
mail_index_log_rotate_min_size = 4k
mail_index_log_rotate_min_age = 0
mail_index_log_rotate_max_size = 16k
`

func TestReplayTellsWhatDovecotTells(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		for name, settings := range map[string]string{"fresh": "", "rotating": rotating} {
			t.Run(layout+"/"+name, func(t *testing.T) {
				s := newRealStore(t, layout, settings)
				s.fill(120)
				s.IMAP("SELECT INBOX", `UID STORE 7:9 +FLAGS (\Flagged)`, "UID FETCH 1:* (RFC822.SIZE)")
				if layout == "mdbox" {
					s.Doveadm("purge")
				}
				for _, mailbox := range []string{"INBOX", "Archive/2020", "Work", "J&AOQ-nner"} {
					comparesWithDoveadm(t, s, mailbox)
				}
			})
		}
	}
}

// comparesWithDoveadm compares a replay with doveadm fetch and status.
func comparesWithDoveadm(t *testing.T, s *realStore, mailbox string) {
	t.Helper()
	utf8 := strings.ReplaceAll(mailbox, "&AOQ-", "ä")
	rows, errs, ok := s.Fetch(utf8, "uid flags guid date.saved size.virtual")
	if !ok {
		t.Fatalf("fetch: %s", errs)
	}
	f := s.files(filepath.Join(s.mailboxDir(mailbox), "dovecot.index"))
	t.Logf("%s: index %d, backup %d, log %d, log.2 %d bytes", mailbox, len(f.Index), len(f.Backup), len(f.Log), len(f.Log2))
	st, list := Replay(f)
	if len(list) > 0 {
		t.Errorf("%s: a healthy mailbox has faults: %v", mailbox, list)
	}
	if d := diffLines(summary(st), fetchSummary(rows)); d != "" {
		t.Errorf("%s: %s", mailbox, d)
	}
	status := s.Doveadm("-f", "tab", "mailbox", "status", "uidvalidity uidnext messages unseen guid", utf8)
	unseen := int(st.Header.Messages - st.Header.Seen)
	fields := strings.Split(strings.Split(strings.TrimSpace(status), "\n")[1], "\t")
	g, _ := st.MailboxGUID()
	want := []string{utf8, fmt.Sprint(len(st.Records)), fmt.Sprint(st.NextUID), fmt.Sprint(st.UIDValidity), fmt.Sprint(unseen), g.String()}
	if s.layout == "maildir" {
		want = append(want[:5], fields[5])
	}
	if d := diffLines(fields, want); d != "" {
		t.Errorf("%s: status: %s", mailbox, d)
	}
	if s.layout == "mdbox" {
		for i, row := range rows {
			r := &st.Records[i]
			if g, _ := st.GUID(r); g.String() != row["guid"] {
				t.Errorf("%s: UID %d has GUID %s, want %s", mailbox, r.UID, g, row["guid"])
			}
		}
	}
	for _, base := range []Base{BaseIndex, BaseBackup, BaseZero} { // every chain that is complete tells the same
		if other, list, ok := ReplayFrom(f, base); ok && other.Complete {
			if d := diffLines(summary(other), summary(st)); d != "" || len(list) > 0 || other.UIDValidity != st.UIDValidity || other.NextUID != st.NextUID {
				t.Errorf("%s: from %q: %s %v", mailbox, base, d, list)
			}
			for i := range other.Records {
				for _, e := range st.Exts {
					x, y := other.Value(&other.Records[i], other.Ext(e.Name)), st.Value(&st.Records[i], st.Ext(e.Name))
					if e.Name != "keywords" && !bytes.Equal(bytes.TrimRight(x, "\x00"), bytes.TrimRight(y, "\x00")) {
						t.Errorf("%s: from %q: UID %d has %s %x, from %q %x", mailbox, base, other.Records[i].UID, e.Name, x, st.Base, y)
					}
				}
			}
		}
	}
	if _, verdict, _ := Sees(f); verdict != VerdictSame {
		t.Errorf("%s: Dovecot opens a healthy mailbox with verdict %q", mailbox, verdict)
	}
}
