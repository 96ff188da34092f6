//go:build unix

package dovecot

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rewritten is an index that tells what a state tells, with the extensions a mailbox or a map needs.
func rewritten(st *State, id uint32) *NewIndex {
	n := &NewIndex{IndexID: id, UIDValidity: st.UIDValidity, NextUID: st.NextUID, FirstRecent: st.FirstRecent, Keywords: st.Keywords}
	for _, e := range st.Exts {
		if slices.Contains([]string{"dbox-hdr", "mdbox-hdr", "hdr-pop3-uidl", "mdbox", "guid", "map", "ref", "vsize"}, e.Name) {
			n.Exts = append(n.Exts, NewExt{Name: e.Name, Header: padded(e.Header, int(e.HeaderSize)), Size: int(e.RecordSize), Align: int(e.RecordAlign)})
		}
	}
	modseq := NewExt{Name: "modseq", Header: make([]byte, 16), Size: 8, Align: 8} // mail programs remember the highest
	le.PutUint64(modseq.Header, st.ModSeq)
	for i := range st.Records {
		r := &st.Records[i]
		w := NewRecord{UID: r.UID, Flags: r.Flags}
		for _, name := range st.KeywordNames(r) {
			w.Keywords = append(w.Keywords, slices.Index(st.Keywords, name))
		}
		for _, e := range n.Exts {
			w.Data = append(w.Data, st.Value(r, st.Ext(e.Name)))
		}
		w.Data = append(w.Data, le.AppendUint64(nil, st.ModSeq))
		n.Records = append(n.Records, w)
	}
	n.Exts = append(n.Exts, modseq)
	return n
}

// TestDovecotTakesAWrittenIndexAsItIs writes the index of every mailbox, and mdbox's map index, anew and alone: Dovecot must
// show the same messages, without a word in its log, and go on working.
func TestDovecotTakesAWrittenIndexAsItIs(t *testing.T) {
	boxes := []string{"INBOX", "Archive/2020", "Work", "J&AOQ-nner"}
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		for name, settings := range map[string]string{"fresh": "", "rotating": rotating} {
			t.Run(layout+"/"+name, func(t *testing.T) {
				s := newRealStore(t, layout, settings)
				s.fill(60)
				s.IMAP("ENABLE CONDSTORE", "SELECT INBOX", `UID STORE 10:12 +FLAGS (\Flagged)`)
				const facts = "uid flags guid date.received date.saved size.virtual hdr.message-id text"
				before := map[string][]string{}
				status := "uidvalidity uidnext messages unseen highestmodseq guid"
				for _, box := range boxes {
					before[box] = s.told(box, facts, status)
				}
				write := func(prefix string) {
					st, list := Replay(s.files(prefix))
					if len(list) > 0 {
						t.Fatalf("%s: %v", prefix, list)
					}
					b, err := rewritten(st, st.IndexID+7).Append(nil)
					if err != nil {
						t.Fatal(err)
					}
					s.put(prefix, Files{Index: b})
				}
				for _, box := range boxes {
					write(filepath.Join(s.mailboxDir(box), "dovecot.index"))
				}
				if layout == "mdbox" {
					write(filepath.Join(s.root, "storage", "dovecot.map.index"))
				}
				for _, box := range boxes {
					if d := diffLines(s.told(box, facts, status), before[box]); d != "" {
						t.Errorf("%s: %s", box, d)
					}
				}
				s.IMAP(appendCommand("INBOX", `\Seen new`, "03-Mar-2023 10:00:00 +0000", message(1001)), "SELECT INBOX", `STORE * +FLAGS (\Deleted)`, "EXPUNGE", "UID COPY 15:20 Work",
					"UID MOVE 15:20 Archive/2020", "UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
				if layout == "mdbox" {
					s.Doveadm("purge")
				}
				if _, errs, ok := s.Run("", "force-resync", "*"); !ok {
					t.Errorf("force-resync: %s", errs)
				}
			})
		}
	}
}

// told is what doveadm tells of a mailbox and its messages; nothing may be said on standard error.
func (s *realStore) told(box, facts, status string) []string {
	s.t.Helper()
	utf8 := strings.ReplaceAll(box, "&AOQ-", "ä")
	out, errs, ok := s.Run("", "-f", "pager", "fetch", facts, "mailbox", utf8)
	if !ok || errs != "" {
		s.t.Errorf("doveadm fetch %s: %s", box, errs)
	}
	st, errs, ok := s.Run("", append(append([]string{"-f", "flow", "mailbox", "status"}, status), utf8)...)
	if !ok || errs != "" {
		s.t.Errorf("doveadm mailbox status %s: %s", box, errs)
	}
	var lines []string
	for _, l := range strings.SplitAfter(out, "\f\n") {
		lines = append(lines, fmt.Sprintf("%.60s %x", l, sha256.Sum256([]byte(l))))
	}
	return append(lines, st)
}
