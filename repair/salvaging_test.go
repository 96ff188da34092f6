//go:build unix

package repair

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/demoaccount"
	"dovemend/repair/pathtext"
	"dovemend/repair/salvage"
)

// salvaged opens a mail root, writes the mailboxes of these names out, and gives the result with the messages of index.json.
func salvaged(t *testing.T, root, to string, format salvage.Format, names ...string) (*Salvaged, []salvage.Entry) {
	t.Helper()
	l, err := OpenLocal(t.Context(), root, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	boxes, err := l.Choose(names)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Salvage(t.Context(), boxes, func() (*os.Root, error) { return os.OpenRoot(to) }, salvage.Options{Format: format}, Silent{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Index == "" {
		return s, nil
	}
	b, err := os.ReadFile(filepath.Join(to, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct{ Messages []salvage.Entry }
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Messages) != s.Messages {
		t.Errorf("%d messages in the index, %d told", len(index.Messages), s.Messages)
	}
	return s, index.Messages
}

func ofClass(entries []salvage.Entry, c salvage.Class) (list []salvage.Entry) {
	for _, e := range entries {
		if e.Class == c {
			list = append(list, e)
		}
	}
	return list
}

// account lays an unbroken account of a layout, and gives its mail root.
func account(t *testing.T, layout string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "anna")
	var err error
	switch layout {
	case "mdbox":
		err = demoaccount.Unpack(root)
	case "sdbox":
		for _, name := range []string{"INBOX", "Archive"} {
			err = errors.Join(err, laySdbox(filepath.Join(root, "mailboxes", name, "dbox-Mails"), 12))
		}
	default:
		err = errors.Join(os.MkdirAll(root, 0o700), layMaildir(root))
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// breakIt breaks an account; an error says that there is nothing of the kind to break. mail tells whether mail itself was changed.
func breakIt(t *testing.T, root, layout, kind string) (mail bool, err error) {
	t.Helper()
	changes, err := damage.Break(damage.Target{MailRoot: root, Layout: layout, Mailbox: "INBOX"}, kind, 1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, c := range changes {
		dir, name := filepath.Split(c.File)
		mail = mail || strings.HasPrefix(name, "u.") || strings.HasPrefix(name, "m.") || slices.Contains([]string{"cur", "new"}, filepath.Base(dir)) || name == "cur" || name == "dbox-Mails"
	}
	return mail, err
}

// shown is the hash of a text as IMAP shows it: lines end in CR and LF, and NUL bytes are 0x80.
func shown(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	return sha256.Sum256(bytes.ReplaceAll(b, []byte{0}, []byte{0x80}))
}

func TestSalvageWritesEveryMessageOfAWholeAccount(t *testing.T) {
	truth, err := demoaccount.Truth()
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	s, entries := salvaged(t, account(t, "mdbox"), to, salvage.EML)
	have := map[string]salvage.Entry{}
	for _, e := range ofClass(entries, salvage.Current) {
		have[fmt.Sprint(e.Mailbox, " ", e.UID)] = e
	}
	n := 0
	for _, box := range truth.Mailboxes {
		for _, m := range box.Messages {
			n++
			e, ok := have[fmt.Sprint(box.Name, " ", m.UID)]
			if !ok {
				t.Errorf("%s: message %d is missing", box.Name, m.UID)
				continue
			}
			slices.Sort(e.Flags)
			slices.Sort(e.Keywords)
			if !slices.Equal(e.Flags, m.Flags) || !slices.Equal(e.Keywords, pathtext.Of(m.Keywords)) || e.UIDValidity != box.UIDValidity {
				t.Errorf("%s %d: %q %q, want %+v", box.Name, m.UID, e.Flags, e.Keywords, m)
			}
			if e.Received != m.Date.UTC().Format("2006-01-02T15:04:05Z") || e.VirtualSize != m.Size || shown(t, filepath.Join(to, e.File)) != m.Sum {
				t.Errorf("%s %d: %s, %d bytes, or its text is not %+v", box.Name, m.UID, e.Received, e.VirtualSize, m)
			}
		}
	}
	l := s.Ledger
	if len(have) != n || !s.Whole() || l.Lost+l.Unreadable+l.Elsewhere > 0 {
		t.Errorf("%d messages, want %d; %+v; damaged %+v", len(have), n, l, s.Incomplete)
	}
	if c := s.Classes; l.Copies == 0 || c[salvage.Expunged].Messages == 0 { // the account has messages that were copied, and others that were removed
		t.Errorf("%+v, %+v", l, c[salvage.Expunged])
	}
	t.Logf("%+v", l)
}

// TestSalvageAccountsForEveryMessageWhateverIsDamaged breaks accounts in every way there is. That what is stored and what is
// written add up is looked at by Salvage itself; here each text that was there before has to be there afterwards, unless its own
// bytes were broken.
func TestSalvageAccountsForEveryMessageWhateverIsDamaged(t *testing.T) {
	for _, layout := range []string{"mdbox", "sdbox", "maildir"} {
		before := map[string]int{}
		_, entries := salvaged(t, account(t, layout), t.TempDir(), salvage.Mbox)
		for _, e := range entries {
			before[e.SHA256]++
		}
		if len(before) < 10 {
			t.Fatalf("%s: only %d messages", layout, len(before))
		}
		tried := 0
		for _, kind := range damage.Kinds(layout) {
			t.Run(layout+"/"+kind, func(t *testing.T) {
				t.Parallel()
				root := account(t, layout)
				mail, err := breakIt(t, root, layout, kind)
				if err != nil {
					return
				}
				l, err := OpenLocal(t.Context(), root, "")
				if err != nil { // nothing is left of the account
					t.Logf("%v", err)
					return
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				to := t.TempDir()
				s, entries := salvaged(t, root, to, salvage.Mbox)
				now := map[string]bool{}
				for _, e := range entries {
					now[e.SHA256] = true
				}
				gone := 0
				for sum := range before {
					if !now[sum] {
						gone++
					}
				}
				if gone > 0 && !mail {
					t.Errorf("%d of %d texts are gone: %+v", gone, len(before), s.Ledger)
				}
				if !mail && layout != "maildir" && !s.Whole() {
					t.Errorf("only index files were damaged: %+v, %+v", s.Incomplete, s.Unread)
				}
				again, _ := salvaged(t, root, to, salvage.Mbox)
				if again.Written > 0 || again.Messages != s.Messages || again.Ledger != s.Ledger {
					t.Errorf("the second time: %d files written, %+v, want %+v", again.Written, again.Ledger, s.Ledger)
				}
			})
			tried++
		}
		if tried < 10 {
			t.Errorf("%s: %d kinds", layout, tried)
		}
	}
}

func TestWhatIsStoredTwiceIsWrittenOnceUnlessItDiffers(t *testing.T) {
	root := account(t, "mdbox")
	b, err := os.ReadFile(filepath.Join(root, "storage", "m.1"))
	if err != nil {
		t.Fatal(err)
	}
	whole, entries := salvaged(t, root, t.TempDir(), salvage.Mbox)
	n := whole.Ledger.Stored
	for _, c := range []struct {
		name     string
		original func([]byte) []byte // m.1
		again    string              // what the second one is called
		class    salvage.Class       // of what is written besides
		more     int
	}{
		{"a purge that was interrupted", nil, "m.7", "", 0},
		{"set aside, and whole elsewhere", nil, "m.1.broken", "", 0},
		{"a save that was not finished", nil, ".temp.1.2.3", "", 0},
		{"whole only where it was set aside", func(b []byte) []byte { return b[:len(b)-20_000] }, "m.1.broken", salvage.Damaged, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := bytes.Clone(b)
			if c.original != nil {
				first = c.original(first)
			}
			if err := errors.Join(os.WriteFile(filepath.Join(root, "storage", "m.1"), first, 0o600), os.WriteFile(filepath.Join(root, "storage", c.again), b, 0o600)); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(filepath.Join(root, "storage", c.again))
			to := t.TempDir()
			s, got := salvaged(t, root, to, salvage.Mbox)
			texts := map[string]bool{}
			for _, e := range got {
				texts[e.SHA256] = true
			}
			for _, e := range entries {
				if !texts[e.SHA256] {
					t.Errorf("%s %d is gone", e.Mailbox, e.UID)
				}
			}
			if l := s.Ledger; c.more == 0 && (l.Duplicates != n || l.Stored != 2*n || s.Messages != whole.Messages) || c.more > 0 && l.Duplicates >= n {
				t.Errorf("%+v", l)
			}
			if c.more > 0 && s.Classes[c.class].Messages < c.more {
				t.Errorf("%+v", s.Classes[c.class])
			}
			t.Logf("%+v", s.Ledger)
		})
	}
}

func TestSalvageOfSomeMailboxesLeavesTheOthersOut(t *testing.T) {
	root := account(t, "mdbox")
	all, _ := salvaged(t, root, t.TempDir(), salvage.Mbox)
	s, entries := salvaged(t, root, t.TempDir(), salvage.Mbox, "Sent", "Archive/2020")
	for _, e := range entries {
		if e.Mailbox != "Sent" && e.Mailbox != "Archive/2020" {
			t.Errorf("%s %d", e.Mailbox, e.UID)
		}
	}
	l := s.Ledger
	if l.Stored != all.Ledger.Stored || l.Elsewhere == 0 || l.Written+l.Elsewhere != l.Stored || s.Messages < 100 {
		t.Errorf("%+v", l)
	}
}

func TestUnfinishedDeliveriesAreWrittenUnlessTheyWereFinished(t *testing.T) {
	root := account(t, "maildir")
	for name, body := range map[string]string{"1577836899.M7P1.host": "Subject: on its way\n\nText.\n", "1577836800.M1P1.host,S=32": "Subject: message 1\n\nText.\n", "1577836898.M7P1.host": "", "notes": "x"} {
		if err := os.WriteFile(filepath.Join(root, "tmp", name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	finished, err := filepath.Glob(filepath.Join(root, "cur", "1577836800.*"))
	if err != nil || len(finished) != 1 {
		t.Fatal(finished, err)
	}
	base, _, _ := strings.Cut(filepath.Base(finished[0]), ":")
	if err := os.Rename(filepath.Join(root, "tmp", "1577836800.M1P1.host,S=32"), filepath.Join(root, "tmp", base)); err != nil {
		t.Fatal(err)
	}
	s, entries := salvaged(t, root, t.TempDir(), salvage.EML)
	orphans := ofClass(entries, salvage.Orphan)
	if len(orphans) != 1 || orphans[0].Source.File != "tmp/1577836899.M7P1.host" || s.Ledger.Duplicates != 1 || s.Ledger.Stored != 14 {
		t.Errorf("%+v, %+v", orphans, s.Ledger)
	}
}

func TestAttachmentsInFilesOfTheirOwnArePutBack(t *testing.T) {
	root := account(t, "sdbox")
	dir := filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails")
	lay := func(uid int, attachment string) {
		stored := "Subject: parts\n\nbefore\nafter\n"
		text := fmt.Sprintf("2 M1e C5e0be100\n\x01\x02N          %016x\n%s\n\x01\x03\nG%032x\nR5e0be100\nX23 6 - %s\nZ%x\n\n", len(stored), stored, 100+uid, attachment, len(stored)+6)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("u.%d", uid)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lay(21, "aa/bb/hash-guid21")
	lay(22, "aa/bb/hash-guid22")
	lay(23, "../../../../etc/passwd")
	parts := filepath.Join(root, "attachments", "aa", "bb")
	if err := os.MkdirAll(parts, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parts, fmt.Sprintf("hash-guid21-%032x-21", 0)), []byte("inside"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	_, entries := salvaged(t, root, to, salvage.EML, "INBOX")
	found := 0
	for _, e := range entries {
		if e.UID < 21 {
			continue
		}
		found++
		b, err := os.ReadFile(filepath.Join(to, e.File))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.UID == 21 && (e.Class != salvage.Current || string(b) != "Subject: parts\n\nbefore\ninsideafter\n"):
			t.Errorf("%+v: %q", e, b)
		case e.UID > 21 && (e.Class != salvage.Damaged || e.Was != salvage.Current || len(e.Notes) == 0 || !strings.Contains(string(b), "an attachment of 6 bytes is missing here")):
			t.Errorf("%+v: %q", e, b)
		}
	}
	if found != 3 {
		t.Errorf("%d found", found)
	}
}

// A message that a rebuild takes out is in the run's folder before anything is changed, and is not written again when the run is
// resumed.
func TestRebuildSavesWhatItTakesOut(t *testing.T) {
	for layout, lay := range broken {
		t.Run(layout, func(t *testing.T) {
			b := lay(t)
			cutLastMessage(b)
			r, p := b.rebuild()
			out := 0
			for _, promise := range p.Promise {
				out += len(promise.LeftOut)
			}
			if out == 0 {
				t.Fatal("nothing is left out")
			}
			if s, err := r.Saved(); s != nil || err != nil {
				t.Fatalf("saved before it is applied: %+v, %v", s, err)
			}
			before, told := b.everything(true), false
			b.rep = &afterStep{said: b.said, at: -1}
			r.s.rep = &beforeStep{said: b.said, do: func() {
				told = true
				if s, err := r.Saved(); err != nil || s == nil || s.Messages != out {
					t.Errorf("when the repair begins: %+v, %v", s, err)
				}
				b.diff("while messages were saved", b.everything(true), before)
			}}
			if err := r.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			s, err := r.Saved()
			if err != nil || s == nil || s.Messages != out || s.Nothing == out || !told || !b.said.has("written before anything is changed") {
				t.Fatalf("%+v, %v, %v", s, err, told)
			}
			found, err := filepath.Glob(filepath.Join(s.Folder, "damaged", "INBOX", "*.eml"))
			if err != nil || len(found) != out-s.Nothing {
				t.Errorf("%q, %v", found, err)
			}
			if !strings.Contains(strings.Join(p.Notes, "\n"), "salvaged/") {
				t.Errorf("the plan does not say so: %q", p.Notes)
			}
			b.verified(r)
		})
	}
}

// beforeStep calls do when the repair itself begins.
type beforeStep struct {
	*said
	do func()
}

func (s *beforeStep) Stage(text string) {
	if strings.HasPrefix(text, "repairing") {
		s.do()
	}
}

// cutLastMessage cuts the last message of INBOX in its text.
func cutLastMessage(b *bench) {
	b.Helper()
	file := filepath.Join(b.folder("INBOX"), "u.12")
	cut := int64(70)
	if _, err := os.Stat(filepath.Join(b.h.MailRoot(), "storage")); err == nil {
		file = filepath.Join(b.h.MailRoot(), "storage", "m.1")
		info, err := os.Stat(file)
		if err != nil {
			b.Fatal(err)
		}
		cut = info.Size() / 2
	} else if all, _ := filepath.Glob(filepath.Join(b.h.MailRoot(), "cur", "*")); len(all) > 0 {
		file, cut = all[len(all)-1], 10
	}
	if err := os.Truncate(file, cut); err != nil {
		b.Fatal(err)
	}
}

// TestASecondFileOfAMaildirMessageIsADuplicate: its bytes are written once, and it is accounted for.
func TestASecondFileOfAMaildirMessageIsADuplicate(t *testing.T) {
	root := t.TempDir()
	if err := layMaildir(root); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "cur", "*:2,S"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(filepath.Base(files[0]), ":")
	if err := os.WriteFile(filepath.Join(root, "new", base), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, entries := salvaged(t, root, t.TempDir(), salvage.EML)
	if l := s.Ledger; l.Stored != len(files)+1 || l.Duplicates != 1 || l.Written != len(files) || l.Unreadable != 0 || len(entries) != len(files) {
		t.Errorf("%d entries, %+v", len(entries), l)
	}
}
