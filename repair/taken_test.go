//go:build unix

package repair

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/doveadm"
	"dovemend/repair/plan"
)

// TestDovecotTakesWhatARebuildWrites breaks accounts in ways that leave everything told, rebuilds them, and compares all that Dovecot
// tells of all messages, texts included, before and after; it may complain of nothing. With DOVEMEND_TEST_DOVECOT24 it is
// Dovecot 2.4 that made them and reads them.
func TestDovecotTakesWhatARebuildWrites(t *testing.T) {
	kinds := map[string][]string{
		"mdbox":   {"index-empty", "index-header-garbage", "log-marked", "map-garbage", "message-metadata-magic"},
		"sdbox":   {"index-empty", "index-header-garbage", "log-marked", "message-metadata-magic"},
		"maildir": {"uidlist-garbage", "uidlist-missing", "keywords-missing"},
	}
	for layout, list := range kinds {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			made := doveadm.New(t, layout+":%s/mail", "mail_index_rewrite_min_log_bytes = 1k\nmail_index_rewrite_max_log_bytes = 2k\n")
			boxes := fillWithout(made)
			for _, kind := range list {
				t.Run(kind, func(t *testing.T) {
					a := made.Clone()
					root := filepath.Join(a.Dir, "mail")
					before := tellAll(t, a, boxes)
					if _, err := damage.Break(damage.Target{MailRoot: root, Layout: layout, Mailbox: "INBOX"}, kind, 1); err != nil {
						t.Fatal(err)
					}
					h := remotetest.Embedded(t, remotetest.EmbeddedOptions{Layout: layout, Lay: func(to string) error { return copyInto(root, to) }, NoCanaries: true})
					b := &bench{T: t, h: h, state: filepath.Join(t.TempDir(), "state"), said: &said{}}
					r := b.begin("repair")
					if _, err := r.Plan(t.Context(), plan.Rebuild); err != nil {
						t.Fatal(err)
					}
					if err := r.Apply(t.Context()); err != nil {
						t.Fatal(err)
					}
					b.verified(r)
					if err := os.RemoveAll(root); err != nil {
						t.Fatal(err)
					}
					if err := copyInto(b.h.MailRoot(), root); err != nil {
						t.Fatal(err)
					}
					a.Own()
					after := tellAll(t, a, boxes)
					for i := range boxes {
						now, was := strings.SplitAfter(after[i], "\f"), strings.SplitAfter(before[i], "\f")
						for k := range max(len(now), len(was)) {
							if k >= len(now) || k >= len(was) || now[k] != was[k] {
								t.Errorf("%s: Dovecot tells %q and told %q", boxes[i], now[min(k, len(now)-1)], was[min(k, len(was)-1)])
							}
						}
					}
				})
			}
		})
	}
}

func copyInto(from, to string) error {
	if out, err := exec.Command("sh", "-c", `mkdir -p "$2" && cp -r --preserve=mode,timestamps,links "$1/." "$2"`, "sh", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy: %w: %s", err, out)
	}
	return nil
}

// fillWithout fills an account through IMAP, without a server, and gives its mailboxes.
func fillWithout(a *doveadm.Account) []string {
	c := []string{"CREATE Archive", "CREATE Work/2026"}
	for i := 1; i <= 40; i++ {
		text := fmt.Sprintf("From: someone@example.org\r\nSubject: message %d\r\nMessage-ID: <m%d@example.org>\r\n\r\n%s", i, i, strings.Repeat(fmt.Sprintf("line of %d\r\n", i), i%9))
		flags := []string{``, `\Seen`, `\Seen \Answered`, `\Flagged Work`, `\Draft $Forwarded`, `\Seen Work NonJunk`}[i%6]
		c = append(c, fmt.Sprintf("APPEND INBOX (%s) \"%02d-Feb-2021 08:%02d:07 +0100\" {%d+}\r\n%s", flags, i%27+1, i, len(text), text))
	}
	a.IMAP(append(c, "SELECT INBOX", `UID STORE 3:6 +FLAGS (\Deleted)`, "EXPUNGE", "UID COPY 8:12 Archive", "UID MOVE 20:25 Work/2026",
		`UID STORE 30:33 +FLAGS (later $Label1 \Flagged)`, `UID STORE 31 -FLAGS (\Seen Work)`, "UID FETCH 1:* (RFC822.SIZE ENVELOPE)",
		"SELECT Archive", `STORE 1:2 +FLAGS (\Flagged Done)`, "UID FETCH 1:* (RFC822.SIZE)")...)
	return []string{"INBOX", "Archive", "Work/2026"}
}

// tellAll is what Dovecot tells of each mailbox.
func tellAll(t *testing.T, a *doveadm.Account, boxes []string) []string {
	t.Helper()
	var list []string
	for _, box := range boxes {
		var told string
		for _, args := range [][]string{
			{"-f", "pager", "fetch", "uid guid flags date.received size.virtual size.physical text", "mailbox", box},
			{"-f", "flow", "mailbox", "status", "messages uidvalidity unseen guid", box},
		} {
			out, errs, ok := a.Run("", args...)
			if !ok || errs != "" {
				t.Errorf("doveadm %q: %s", args, errs)
			}
			told += out
		}
		list = append(list, told)
	}
	return list
}
