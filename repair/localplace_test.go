//go:build unix

package repair

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dovemend/repair/salvage"
)

// TestAnyPartOfAnAccountIsReadForTheMailThatIsInIt: people copy the folder that looks like mail, and programs leave out empty ones.
func TestAnyPartOfAnAccountIsReadForTheMailThatIsInIt(t *testing.T) {
	for _, tt := range []struct {
		name, layout, part string
		as                 string // what the part is called on this machine
		without            []string
		box                string // the mailbox its messages are in
	}{
		{"mailboxes of sdbox", "sdbox", "mailboxes", "saved", nil, "INBOX"},
		{"a mailbox's folder", "sdbox", "mailboxes/Archive", "Archive", nil, "Archive"},
		{"a mailbox's own files", "sdbox", "mailboxes/INBOX/dbox-Mails", "dbox-Mails", nil, "INBOX"},
		{"a mailbox's own files under another name", "sdbox", "mailboxes/INBOX/dbox-Mails", "found", nil, "INBOX"},
		{"a Maildir's cur", "maildir", "cur", "cur", nil, "INBOX"},
		{"a Maildir's cur under another name", "maildir", "cur", "mail", nil, "INBOX"},
		{"a Maildir without empty folders", "maildir", ".", "Maildir", []string{"new", "tmp"}, "INBOX"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := account(t, tt.layout)
			_, all := salvaged(t, root, t.TempDir(), salvage.Mbox)
			want := inBox(all, tt.box)
			for _, d := range tt.without {
				if err := os.RemoveAll(filepath.Join(root, d)); err != nil {
					t.Fatal(err)
				}
			}
			as := filepath.Join(t.TempDir(), tt.as)
			if err := os.Rename(filepath.Join(root, filepath.FromSlash(tt.part)), as); err != nil {
				t.Fatal(err)
			}
			s, entries := salvaged(t, as, t.TempDir(), salvage.EML)
			n := inBox(entries, tt.box)
			if n != want || want == 0 || len(s.Unread) > 0 {
				t.Errorf("%d messages in %s, want %d; %+v %+v", n, tt.box, want, s.Ledger, s.Unread)
			}
		})
	}
}

// inBox is how many messages are in a mailbox.
func inBox(entries []salvage.Entry, box string) (n int) {
	for _, e := range ofClass(entries, salvage.Current) {
		if string(e.Mailbox) == box {
			n++
		}
	}
	return n
}

func TestTheStorageAloneHoldsAllMessages(t *testing.T) {
	root := account(t, "mdbox")
	whole, _ := salvaged(t, root, t.TempDir(), salvage.Mbox)
	s, _ := salvaged(t, filepath.Join(root, "storage"), t.TempDir(), salvage.Mbox)
	if s.Ledger.Stored != whole.Ledger.Stored || s.Ledger.Written != s.Ledger.Stored-s.Ledger.Duplicates {
		t.Errorf("%+v, want %+v", s.Ledger, whole.Ledger)
	}
}

func TestMailboxesOfMdboxAloneSayWhereTheMailIs(t *testing.T) {
	s, entries := salvaged(t, filepath.Join(account(t, "mdbox"), "mailboxes"), t.TempDir(), salvage.Mbox)
	if len(s.Unread) != 1 || s.Unread[0].Why != "the mail itself is in storage/, which is not in this copy" || len(entries) < 100 {
		t.Errorf("%+v, %d messages", s.Unread, len(entries))
	}
}

func TestWhatIsNoMailIsNotTakenForAPartOfAnAccount(t *testing.T) {
	for _, names := range [][]string{{"1234567890.txt", "notes.txt"}, {"m.txt", "u.txt"}, {"dovecot.index"}, {"sub/cur/readme"}} {
		dir := t.TempDir()
		for _, n := range names {
			name := filepath.Join(dir, filepath.FromSlash(n))
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if l, err := OpenLocal(t.Context(), dir, ""); err == nil {
			t.Errorf("%v is taken for %s", names, l.Account.Layout)
			_ = l.Close()
		}
	}
}

// TestNamesThatLostTheirColonTellTheirFlags: some file systems and archives cannot hold it, and put something else there.
func TestNamesThatLostTheirColonTellTheirFlags(t *testing.T) {
	_, want := salvaged(t, account(t, "maildir"), t.TempDir(), salvage.EML)
	for _, as := range []string{"_", ";", "!", "%3A", "\uf03a"} {
		root := account(t, "maildir")
		cur := filepath.Join(root, "cur")
		entries, err := os.ReadDir(cur)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.Rename(filepath.Join(cur, e.Name()), filepath.Join(cur, strings.Replace(e.Name(), ":2,", as+"2,", 1))); err != nil {
				t.Fatal(err)
			}
		}
		l, err := OpenLocal(t.Context(), root, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Notes) != 1 {
			t.Errorf("%s: %q", as, l.Notes)
		}
		_ = l.Close()
		_, got := salvaged(t, root, t.TempDir(), salvage.EML)
		if len(got) != len(want) {
			t.Fatalf("%s: %d messages, want %d", as, len(got), len(want))
		}
		flagged := 0
		for i := range got {
			if got[i].UID != want[i].UID || !slices.Equal(got[i].Flags, want[i].Flags) || !slices.Equal(got[i].Keywords, want[i].Keywords) || got[i].SHA256 != want[i].SHA256 {
				t.Errorf("%s: %+v, want %+v", as, got[i], want[i])
			}
			flagged += len(got[i].Flags)
		}
		if flagged == 0 {
			t.Error("no flags at all")
		}
	}
}

// TestWhatIsLeftOfADeletedMailboxIsWrittenAsRemoved: Dovecot moves its folder away before it empties it.
func TestWhatIsLeftOfADeletedMailboxIsWrittenAsRemoved(t *testing.T) {
	for layout, trash := range map[string]string{"maildir": "..DOVECOT-TRASHED", "sdbox": "trash/00112233445566778899aabbccddeeff"} {
		root := account(t, layout)
		before, all := salvaged(t, root, t.TempDir(), salvage.EML)
		dir := filepath.Join(root, filepath.FromSlash(trash))
		if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if layout == "maildir" {
			err = errors.Join(os.MkdirAll(filepath.Join(dir, "new"), 0o700), os.Rename(filepath.Join(root, "cur"), filepath.Join(dir, "cur")), os.Mkdir(filepath.Join(root, "cur"), 0o700))
		} else {
			err = os.Rename(filepath.Join(root, "mailboxes", "Archive", "dbox-Mails"), dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		s, entries := salvaged(t, root, t.TempDir(), salvage.EML)
		left := 0
		for _, e := range ofClass(entries, salvage.Expunged) {
			if e.Mailbox == "deleted mailbox" && strings.HasPrefix(string(e.Source.File), trash) {
				left++
			}
		}
		if left < 10 || s.Ledger.Stored != before.Ledger.Stored || len(entries) < len(all) {
			t.Errorf("%s: %d left; %+v, before %+v", layout, left, s.Ledger, before.Ledger)
		}
	}
}

// TestMessagesInTheAlternativeStorageAreNotTakenForGone: it lies outside the mail root, and only the link says where.
func TestMessagesInTheAlternativeStorageAreNotTakenForGone(t *testing.T) {
	const alt = "/archive/anna"
	root := account(t, "mdbox")
	before, _ := salvaged(t, root, t.TempDir(), salvage.EML)
	if err := errors.Join(os.Symlink(alt, filepath.Join(root, "dbox-alt-root")), os.Remove(filepath.Join(root, "storage", "m.1"))); err != nil {
		t.Fatal(err)
	}
	s, entries := salvaged(t, root, t.TempDir(), salvage.EML)
	if s.Ledger.Away == 0 || s.Ledger.Lost > 0 || s.Ledger.Away+s.Ledger.Written+s.Ledger.Copies < before.Ledger.Written-before.Classes[salvage.Expunged].Messages || s.Alternative != alt {
		t.Errorf("%+v, before %+v; at %q", s.Ledger, before.Ledger, s.Alternative)
	}
	if e := ofClass(entries, salvage.Damaged); len(e) == 0 || !strings.Contains(e[0].Problem, "on the host at \""+alt+"\"") {
		t.Errorf("%+v", e)
	}
	for _, layout := range []string{"mdbox", "sdbox"} {
		root := account(t, layout)
		if err := os.Symlink(alt, filepath.Join(root, "dbox-alt-root")); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLocal(t.Context(), root, "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Check(t.Context(), l.Account.Mailboxes, Silent{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(c.Account, func(f Finding) bool { return f.Rule == "alternative-storage" && strings.Contains(f.Text, alt) }) {
			t.Errorf("%s: %+v", layout, c.Account)
		}
		_ = l.Close()
	}
}
