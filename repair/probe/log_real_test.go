//go:build unix

package probe

import (
	"slices"
	"strings"
	"testing"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest/damage"
)

// TestRealDovecotsLogIsExplained damages mailboxes in ways whose lines in the log are known, and looks: each line must stand
// beside the answers, explained. The texts that cannot be provoked at will are in package imap's own test, word for word.
func TestRealDovecotsLogIsExplained(t *testing.T) {
	tests := []struct {
		layout, kind, text string
		class              imap.Class
	}{
		{"mdbox", "log-header-cut", "Corrupted transaction log file", imap.ClassLog},
		{"mdbox", "log-torn", "Lost log for seq=", imap.ClassLog},
		{"sdbox", "log-tail-garbage", "Failed to map transaction log", imap.ClassLog},
		{"mdbox", "cache-empty", "Deleting corrupted cache", imap.ClassCache},
		{"mdbox", "message-empty", "Corrupted dbox file", imap.ClassMessageFile},
		{"mdbox", "message-missing", "Unexpectedly lost", imap.ClassMap},
		{"mdbox", "message-nuls", "Cached message size smaller than expected", imap.ClassCachedSize},
		{"mdbox", "map-garbage", "Log synchronization error", imap.ClassMap},
		{"mdbox", "map-log-garbage", "map uidvalidity mismatch|Unexpectedly lost", imap.ClassMap}, // which of them depends on the second in which the store was made,
		{"maildir", "list-index-torn", "dovecot.list.index", imap.ClassIndex},
	}
	for _, tt := range tests {
		t.Run(tt.layout+", "+tt.kind, func(t *testing.T) {
			s := newStore(t, tt.layout)
			s.fill()
			if _, err := damage.Break(damage.Target{MailRoot: s.root, Layout: tt.layout, Mailbox: "INBOX"}, tt.kind, 1); err != nil {
				t.Fatal(err)
			}
			got := s.lookAt()
			var all []string
			for _, r := range got.Mailboxes[0].Looks {
				for _, line := range r.Log {
					all = append(all, line.Text)
					if !slices.ContainsFunc(strings.Split(tt.text, "|"), func(text string) bool { return strings.Contains(line.Text, text) }) {
						continue
					}
					if line.Class != tt.class || line.Meaning == "" || line.Next == "" {
						t.Errorf("%q is explained as %+v; want %s", line.Text, line.Explanation, tt.class)
					}
					if got.Healthy() {
						t.Error("the mailbox counts as healthy")
					}
					return
				}
			}
			t.Errorf("the log does not tell of %q, but of\n%s", tt.text, strings.Join(all, "\n"))
		})
	}
}
