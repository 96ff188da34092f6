package fill

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/remotetest/mailgen"
	"dovemend/remote/remotetest/realhost"
)

func TestFillGivesTheAccountItsShape(t *testing.T) {
	for _, o := range []realhost.Options{{Layout: "mdbox", RotateLogs: true}, {Layout: "sdbox", RotateLogs: true}, {Layout: "maildir"}, {Layout: "maildir", LayoutFS: true}} {
		t.Run(o.Layout, func(t *testing.T) {
			o.NoSSHD = true
			h, err := realhost.Start(t.Context(), o)
			if errors.Is(err, realhost.ErrMissing) && os.Getenv("DOVEMEND_TEST_REQUIRE") == "" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}()
			target := Target{Addr: h.IMAPAddr(), User: h.Account(), Password: h.Password()}
			s := Shape{Seed: 3}
			if o.RotateLogs {
				s.MailRoot = h.MailRoot("")
			}
			truth, err := Fill(t.Context(), target, s)
			if err != nil {
				t.Fatal(err, h.DovecotLog())
			}
			for name, want := range map[string][3]int{Inbox: {45, 22, 5}, Archive: {16, -1, 0}, Sent: {24, -1, -1}, Umlauts: {9, -1, 0}, Empty: {0, 0, 0}, "Archive": {0, 0, 0}} {
				m := truth.Mailboxes[name]
				if m == nil {
					t.Errorf("no mailbox %q", name)
					continue
				}
				for i, flag := range []string{"", `\Seen`, "Work"} {
					if got := m.Count(flag); got != want[i] && want[i] >= 0 {
						t.Errorf("%s: %d messages with %q, want %d", name, got, flag, want[i])
					}
				}
				if m.UIDValidity == 0 || m.UIDNext == 0 {
					t.Errorf("%s: UIDVALIDITY %d, UIDNEXT %d", name, m.UIDValidity, m.UIDNext)
				}
				numbers := map[int]bool{}
				for _, msg := range m.Messages {
					numbers[msg.Number] = true
				}
				if len(numbers) != len(m.Messages) || numbers[-1] {
					t.Errorf("%s: message numbers are not told or double", name)
				}
			}
			mails := mailgen.Series(3, 60)
			for _, msg := range truth.Mailboxes[Inbox].Messages {
				if m := mails[msg.Number]; !msg.Date.Equal(m.Date) || msg.UID != uint32(msg.Number)+1 {
					t.Errorf("number %d has UID %d, date %v, want %v", msg.Number, msg.UID, msg.Date, m.Date)
				}
			}
			raw := 0 // NUL bytes arrived as such in the files
			filepath.WalkDir(h.MailRoot(""), func(p string, e os.DirEntry, err error) error {
				if b, err := os.ReadFile(p); err == nil && strings.Contains(string(b), "before\x00\x00after") {
					raw++
				}
				return err
			})
			if raw == 0 {
				t.Error("NUL bytes did not reach the files")
			}
			again, err := Read(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			if d := truth.Diff(again); len(d) > 0 {
				t.Errorf("a second reading differs: %q", d)
			}
			again.Mailboxes[Inbox].Messages[3].Flags = []string{`\Draft`, `\Flagged`, `\Seen`}
			again.Mailboxes[Inbox].Messages = slices.Delete(again.Mailboxes[Inbox].Messages, 5, 6)
			again.Mailboxes[Sent].UIDValidity++
			delete(again.Mailboxes, Empty)
			if d := truth.Diff(again); len(d) != 4 {
				t.Errorf("four changes, but Diff tells %q", d)
			}
			mails = mailgen.Series(3, 107)[95:]
			later, err := GoOn(t.Context(), target, Later{Seed: 4, Mail: mails})
			if err != nil {
				t.Fatal(err)
			}
			for name, m := range later.Mailboxes {
				numbers := map[int]bool{}
				for _, msg := range m.Messages {
					numbers[msg.Number] = true
				}
				if len(numbers) != len(m.Messages) || numbers[-1] {
					t.Errorf("%s, later: message numbers are not told or double", name)
				}
			}
			if got := [2]int{later.Mailboxes[Inbox].Count(""), later.Mailboxes[Sent].Count("")}; got != [2]int{45 - 2 - 4 + 6, 24 - 2 + 3 + 2} {
				t.Errorf("later, INBOX and Sent have %d messages", got)
			}
			if err := Use(t.Context(), target, []string{Inbox, Archive, Umlauts, Sent, Empty}); err != nil {
				t.Error(err)
			}
			if again, err = Read(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			if d := later.Diff(again); len(d) > 0 {
				t.Errorf("after use: %q", d)
			}
			if err := Use(t.Context(), target, []string{"no such mailbox", Inbox}); err == nil {
				t.Error("a mailbox that is not there was used")
			}
			if log := h.DovecotLog(); strings.Contains(log, "Error") || strings.Contains(log, "Warning") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestStorageNamesAreModifiedUTF7(t *testing.T) {
	for name, want := range map[string]string{"INBOX": "INBOX", "Entwürfe": "Entw&APw-rfe", "Größe & Co": "Gr&APYA3w-e &- Co", "日本語": "&ZeVnLIqe-", "a\U0001F600": "a&2D3eAA-"} {
		if got := StorageName(name); got != want {
			t.Errorf("StorageName(%q) = %q, want %q", name, got, want)
		}
		if got := displayName(want); got != name {
			t.Errorf("displayName(%q) = %q, want %q", want, got, name)
		}
	}
}
