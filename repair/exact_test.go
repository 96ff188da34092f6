//go:build unix

package repair

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/mailgen"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/check"
	"dovemend/repair/reconstruct"
	"dovemend/repair/salvage"
	"dovemend/repair/store"
)

// TestReadingTellsWhatDovecotTells fills an account on a real Dovecot, lets it live on and its logs be rotated, and compares all that
// is read from a copy of its files, messages' texts included, with what doveadm and IMAP tell. With DOVEMEND_TEST_FULL=1
// more than 10,000 messages are in it.
func TestReadingTellsWhatDovecotTells(t *testing.T) {
	shape, more := fill.Shape{Seed: 5}, 24
	if os.Getenv("DOVEMEND_TEST_FULL") != "" {
		shape = fill.Shape{Seed: 5, Inbox: 8000, Seen: 5000, Work: 900, Expunged: 700, Moved: 1200, Copied: 500, InSent: 900, InUmlauts: 300, InAside: 200}
		more = 400
	}
	for _, l := range []realhost.Options{{Layout: "mdbox"}, {Layout: "sdbox"}, {Layout: "maildir"}, {Layout: "maildir", LayoutFS: true}} {
		name := l.Layout
		if l.LayoutFS {
			name = "fs"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l.RotateLogs, l.NoSSHD = true, true
			h := remotetest.Real(t, remotetest.Options{Options: l, NoCanaries: true})
			there := fill.Target{Addr: h.IMAP(), User: h.Account(), Password: h.Password()}
			shape := shape
			shape.MailRoot, shape.Backups = h.MailRoot(), l.Layout != "maildir"
			if _, err := fill.Fill(t.Context(), there, shape); err != nil {
				t.Fatal(err)
			}
			mails := mailgen.Series(shape.Seed+1, more)
			goOn := func(from, to int) *fill.Truth {
				truth, err := fill.GoOn(t.Context(), there, fill.Later{Seed: shape.Seed + uint64(to), Mail: mails[from:to]})
				if err != nil {
					t.Fatal(err)
				}
				return truth
			}
			goOn(0, more/2)
			h.Doveadm(t, "fetch", "-u", h.Account(), "modseq", "mailbox", fill.Inbox, "or", "mailbox", fill.Sent) // which makes Dovecot keep count of changes
			if l.Layout == "mdbox" {
				h.Doveadm(t, "purge", "-u", h.Account())
			}
			truth := goOn(more/2, more)

			f := &forecastHost{RealHost: h}
			f.kick(t)
			copied := filepath.Join(t.TempDir(), "anna")
			f.copy(t, h.MailRoot(), copied)
			exact{f, copied}.compare(t, truth)
		})
	}
}

// exact compares a copy of an account's files with what its Dovecot tells.
type exact struct {
	*forecastHost
	copied string
}

// readCopy reconstructs all mailboxes of a copy.
func readCopy(t *testing.T, dir string) (*Local, *reconstruct.Account) {
	t.Helper()
	l, err := OpenLocal(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	boxes, err := l.Choose(nil)
	if err != nil {
		t.Fatal(err)
	}
	acct, err := reconstruct.Read(t.Context(), l.FS, l.Account, boxes)
	if err != nil {
		t.Fatal(err)
	}
	return l, acct
}

func (x exact) compare(t *testing.T, truth *fill.Truth) {
	l, acct := readCopy(t, x.copied)
	looked, err := checked(t.Context(), l.FS, acct)
	if err != nil {
		t.Fatal(err)
	}
	if looked.Worst() != check.Note {
		t.Errorf("findings in a healthy account: %+v", looked)
	}
	to := t.TempDir()
	s, entries := salvaged(t, x.copied, to, salvage.EML)
	if !s.Whole() || s.Ledger.Lost+s.Ledger.Unreadable+s.Ledger.Elsewhere > 0 {
		t.Errorf("%+v; damaged %+v", s.Ledger, s.Incomplete)
	}
	texts := map[string]salvage.Entry{}
	for _, e := range ofClass(entries, salvage.Current) {
		texts[fmt.Sprint(e.Mailbox, " ", e.UID)] = e
	}
	var left []string
	n := 0
	for _, state := range acct.Boxes {
		name := state.Mailbox.Name
		left = append(left, name)
		box := truth.Mailboxes[name]
		if box == nil {
			t.Errorf("%s: Dovecot knows no such mailbox", name)
			continue
		}
		n += x.mailbox(t, state, strings.ReplaceAll(name, "/", truth.Mailboxes[fill.Archive].Storage[len("Archive"):][:1]))
		for _, m := range box.Messages {
			e, ok := texts[fmt.Sprint(name, " ", m.UID)]
			switch {
			case !ok:
				t.Errorf("%s: UID %d is missing", name, m.UID)
			case e.VirtualSize != m.Size || shown(t, filepath.Join(to, e.File)) != m.Sum:
				t.Errorf("%s: UID %d has another text: %d bytes, want %d", name, m.UID, e.VirtualSize, m.Size)
			}
			delete(texts, fmt.Sprint(name, " ", m.UID))
		}
	}
	if want := slices.Collect(maps.Keys(truth.Mailboxes)); !sameStrings(left, want) {
		t.Errorf("mailboxes %q, want %q", left, want)
	}
	for key := range texts {
		t.Errorf("%s is in no mailbox", key)
	}
	if n == 0 {
		t.Error("nothing was compared")
	}
	t.Logf("%d messages compared", n)
}

func sameStrings(a, b []string) bool {
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// mailbox compares a mailbox, which doveadm knows by a name, with its fetch and status, and gives how many messages it has.
func (x exact) mailbox(t *testing.T, s *reconstruct.State, name string) int {
	t.Helper()
	fields := "uid guid flags date.received.unixtime date.saved.unixtime size.virtual size.physical modseq"
	var rows []map[string]string
	if out := x.Doveadm(t, "-f", "json", "fetch", "-u", x.Account(), fields, "mailbox", name); out != "" {
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatalf("doveadm fetch: %v: %.1000q", err, out)
		}
	}
	tracked := s.ModSeq > 0 && s.Index.Ext("modseq") != nil
	var got, want []string
	for i := range s.Messages {
		m := &s.Messages[i]
		guid, size, virtual := m.GUID.String(), m.Body.Size, m.Body.Virtual
		if m.Body.Plain >= 0 {
			size = m.Body.Plain
		}
		if s.Layout == store.Maildir {
			guid, size, virtual = cmp.Or(uidlistField(m.Fields, 'G'), m.Name.Base), m.Size, m.Body.Virtual
		}
		words := append(strings.Fields(m.Flags.String()), m.Keywords...)
		slices.Sort(words)
		saved := "-" // Dovecot takes the time of the file's last change where nothing else tells it, which a copy has not
		if !m.Saved.IsZero() && m.By.Saved != reconstruct.ByFileName && m.By.Saved != reconstruct.ByFileTime {
			saved = strconv.FormatInt(m.Saved.Unix(), 10)
		}
		modseq := "-"
		if tracked {
			modseq = fmt.Sprint(m.ModSeq)
		}
		got = append(got, fmt.Sprintf("%d %s %q %d %s %d %d %s", m.UID, guid, words, m.Received.Unix(), saved, virtual, size, modseq))
	}
	for i, row := range rows {
		words := slices.DeleteFunc(strings.Fields(row["flags"]), func(w string) bool { return w == `\Recent` })
		slices.Sort(words)
		saved, modseq := row["date.saved.unixtime"], "-"
		if i < len(got) && strings.Fields(got[i][strings.Index(got[i], "] ")+2:])[1] == "-" {
			saved = "-"
		}
		if tracked {
			modseq = row["modseq"]
		}
		want = append(want, fmt.Sprintf("%s %s %q %s %s %s %s %s", row["uid"], row["guid"], words, row["date.received.unixtime"], saved, row["size.virtual"], row["size.physical"], modseq))
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s: is missing: %s", name, want[i])
		case i >= len(want):
			t.Errorf("%s: is too much: %s", name, got[i])
		case got[i] != want[i]:
			t.Errorf("%s:\ngot  %s\nwant %s", name, got[i], want[i])
		}
	}
	status := strings.Split(strings.TrimSpace(x.Doveadm(t, "-f", "tab", "mailbox", "status", "-u", x.Account(), "uidvalidity uidnext messages unseen guid highestmodseq", name)), "\n")
	unseen := 0
	for i := range s.Messages {
		if !strings.Contains(s.Messages[i].Flags.String(), `\Seen`) {
			unseen++
		}
	}
	if got, want := fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d\t%s", name, len(s.Messages), s.NextUID, s.UIDValidity, unseen, s.ModSeq, s.GUID), status[len(status)-1]; got != want {
		t.Errorf("%s: status %q, want %q (%q)", name, got, want, status[0])
	}
	return len(rows)
}

// uidlistField is a field of a message in dovecot-uidlist.
func uidlistField(fields string, key byte) string {
	for _, f := range strings.Fields(fields) {
		if f[0] == key {
			return f[1:]
		}
	}
	return ""
}
