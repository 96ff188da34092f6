package repair

import (
	"os"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/check"
)

// TestHealthyMailboxesHaveNoFindings examines mailboxes in which nothing is wrong: any finding above a note would frighten
// somebody into a repair that is not needed.
func TestHealthyMailboxesHaveNoFindings(t *testing.T) {
	for _, l := range []struct {
		name  string
		o     realhost.Options
		quick bool // done without DOVEMEND_TEST_FULL=1 too
	}{
		{"mdbox", realhost.Options{Layout: "mdbox", RotateLogs: true}, true},
		{"sdbox", realhost.Options{Layout: "sdbox", RotateLogs: true}, false},
		{"maildir", realhost.Options{Layout: "maildir", RotateLogs: true}, true},
		{"fs", realhost.Options{Layout: "maildir", LayoutFS: true}, false},
	} {
		if !l.quick && os.Getenv("DOVEMEND_TEST_FULL") == "" {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			h := newForecastHost(t, l.o)
			h.wantHealthy(t, "just filled, empty mailboxes too")

			c, err := imap.Connect(t.Context(), imap.Config{Addr: h.IMAP(), Security: imap.None, Timeout: 30 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Login(t.Context(), h.Account(), h.Password()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Examine(t.Context(), fill.Inbox); err != nil {
				t.Fatal(err)
			}
			h.Doveadm(t, "flags", "add", "-u", h.Account(), `\Flagged`, "mailbox", "INBOX", "1:7")
			h.wantHealthy(t, "with a session open")

			h.Doveadm(t, "expunge", "-u", h.Account(), "mailbox", "INBOX", "5:15")
			h.wantHealthy(t, "after messages were expunged")
			h.Doveadm(t, "purge", "-u", h.Account())
			h.wantHealthy(t, "after a purge")
			for range 2 { // enough to rotate logs that are rotated after a few kilobytes
				time.Sleep(1100 * time.Millisecond)
				for range 20 {
					h.Doveadm(t, "flags", "add", "-u", h.Account(), `$One`, "mailbox", "INBOX", "all")
					h.Doveadm(t, "flags", "remove", "-u", h.Account(), `$One`, "mailbox", "INBOX", "all")
				}
				h.wantHealthy(t, "while the logs are rotated")
			}
			h.Doveadm(t, "mailbox", "create", "-u", h.Account(), "New")
			h.wantHealthy(t, "with a mailbox that nobody has opened")
			sep := "/"
			if l.name == "maildir" {
				sep = "."
			}
			h.Doveadm(t, "mailbox", "create", "-u", h.Account(), "Tree", "Tree"+sep+"Leaf", "Tree"+sep+"Other", "Only"+sep+"Child")
			h.wantHealthy(t, "with mailboxes in mailboxes")
			h.Doveadm(t, "mailbox", "delete", "-u", h.Account(), "Tree")
			h.wantHealthy(t, "after a mailbox above others was deleted")
			h.Doveadm(t, "mailbox", "list", "-u", h.Account())
			h.wantHealthy(t, "after its list was asked for")
			h.Doveadm(t, "mailbox", "rename", "-u", h.Account(), "Tree"+sep+"Leaf", "Renamed")
			h.Doveadm(t, "mailbox", "delete", "-u", h.Account(), "Tree"+sep+"Other")
			h.wantHealthy(t, "after a mailbox was renamed, and another one deleted")
			h.Doveadm(t, "mailbox", "status", "-u", h.Account(), "all", "*")
			h.wantHealthy(t, "after all were asked for")
			h.Doveadm(t, "expunge", "-u", h.Account(), "mailbox", "INBOX", "all")
			h.wantHealthy(t, "after the mailbox was emptied")
		})
	}
}

// wantHealthy examines all mailboxes.
func (h *forecastHost) wantHealthy(t *testing.T, when string) {
	t.Helper()
	r := h.begin(t, true)
	for _, report := range r.reports {
		for _, f := range report.Findings {
			if f.Severity != check.Note {
				t.Errorf("%s: %s: %+v", when, report.State.Mailbox.Name, f)
			}
		}
		if report.AsIs.Loses() {
			t.Errorf("%s: %s: Dovecot is foretold to lose something: %+v", when, report.State.Mailbox.Name, report.AsIs)
		}
	}
	for _, f := range r.shared {
		if f.Severity != check.Note {
			t.Errorf("%s: the account: %+v", when, f)
		}
	}
	offers, err := r.Offers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offers {
		if o.Recommended && (len(o.Costs) > 0 || !strings.HasPrefix(o.Why, "nothing wrong was found")) {
			t.Errorf("%s: %s is recommended: %s", when, o.Remedy, o.Why)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
