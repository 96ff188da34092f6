package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/report"
)

// reportOf is what dovemend report tells, as JSON.
func (c *realCase) reportOf(args ...string) *report.Report {
	c.t.Helper()
	b, err := json.Marshal(c.run(0, append([]string{"report"}, args...)...))
	if err != nil {
		c.t.Fatal(err)
	}
	r := &report.Report{}
	if err := json.Unmarshal(b, r); err != nil {
		c.t.Fatal(err)
	}
	return r
}

// TestReportOfARealHost repairs on a real Dovecot and has it reported: what Dovecot itself answered and logged is in it, with its
// version and the times, and the password is in none of it, nor anywhere in the runs' folders.
func TestReportOfARealHost(t *testing.T) {
	t.Parallel()
	const wrong = "wr0ng-but-secret"
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "sdbox", RotateLogs: true}, Fill: &fill.Shape{}})
	c.quick = true
	c.env = append(c.env, "DOVEMEND_IMAP_PASSWORD="+wrong, "DOVEMEND_PING_URL=https://hc.example/"+wrong)
	index := filepath.Join(c.h.MailRoot(), "mailboxes/INBOX/dbox-Mails/dovecot.index")
	b, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	copy(b, bytes.Repeat([]byte{0xa5}, 16))
	if err := c.h.WriteFile(index, b, 0o600); err != nil {
		t.Fatal(err)
	}

	c.run(0, "repair", "--remedy", "auto", "--apply")
	r := c.reportOf()
	run := r.Newest()
	if r.Verdict.State != report.StateRepaired || r.Verdict.Tone != report.ToneGood {
		t.Errorf("verdict is %+v", r.Verdict)
	}
	if !strings.HasPrefix(r.Host.Dovecot, "2.") || !strings.HasPrefix(r.Host.SSHServer, "SSH-2.0-OpenSSH") || r.Host.Shell == nil || !*r.Host.Shell {
		t.Errorf("the host is %+v", r.Host)
	}
	if f := run.Findings; len(f) == 0 || f[0].Severity != "broken" || f[0].File != "mailboxes/INBOX/dbox-Mails/dovecot.index" || f[0].Offset != 0 {
		t.Errorf("found: %+v", f)
	}
	if v := run.Verification; v == nil || !v.OK || v.IMAP != "preauth" || len(v.Boxes) != 1 || v.Boxes[0].Messages != 45 || v.Boxes[0].Expected != 45 {
		t.Errorf("verification is %+v", v)
	}
	if run.Steps == 0 || run.StepsDone != run.Steps || run.Copy == nil || run.Copy.Files == 0 || run.Copy.Verified != "hash" {
		t.Errorf("%d of %d steps, copy %+v", run.StepsDone, run.Steps, run.Copy)
	}
	var order []string
	for i, e := range run.Timeline {
		if i > 0 && e.At.Before(run.Timeline[i-1].At) {
			t.Errorf("%s comes before %s", e.What, run.Timeline[i-1].What)
		}
		if e.At.IsZero() {
			t.Errorf("%s has no time", e.What)
		}
		if e.What != "stage" {
			order = append(order, e.What)
		}
	}
	if got := strings.Join(order, " "); !strings.HasPrefix(got, "begin copied") || !strings.HasSuffix(got, "applied verified end") || !strings.Contains(got, "apply steps") {
		t.Errorf("what happened: %s", got)
	}

	// Dovecot makes the index anew, and says so in its log, which its own user otherwise never sees.
	c.run(0, "repair", "--remedy", "drop-index", "--accept-loss", "flags,keywords,uids", "--apply")
	run = c.reportOf().Newest()
	logged := false
	for _, m := range run.Replies {
		logged = logged || m.FromLog && !m.At.IsZero() && m.Mailbox == "INBOX" && m.Meaning != "" && strings.Contains(m.Text, "imap(")
	}
	if !logged {
		t.Errorf("no line of the server's log is told: %+v", run.Replies)
	}

	// A login that is refused: the answer is told with its time.
	c.run(0, "repair", "--remedy", "drop-cache", "--apply", "--preauth", "off", "--imap", c.h.IMAPS(), "--imap-ca", c.h.CA())
	r = c.reportOf("--language", "de")
	run = r.Newest()
	if len(run.Replies) != 1 || run.Replies[0].Class != "password-refused" || run.Replies[0].At.Before(run.Begun) || !strings.Contains(run.Replies[0].Text, "AUTHENTICATIONFAILED") ||
		!strings.HasPrefix(run.Replies[0].Meaning, "Der Server nimmt") {
		t.Errorf("answers are %+v", run.Replies)
	}
	if all := c.reportOf("--run", "all"); len(all.Runs) != 3 {
		t.Errorf("%d runs", len(all.Runs))
	}

	dir := t.TempDir()
	for _, form := range []string{"text", "html", "json"} {
		for _, redact := range []string{"", "--redact"} {
			out := filepath.Join(dir, form+redact)
			args := []string{"report", "--run", "all", "--format", form, "--output", out}
			if redact != "" {
				args = append(args, redact)
			}
			c.run(0, args...)
			text, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if fi, err := os.Stat(out); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", out, fi.Mode(), err)
			}
			name, domain, _ := strings.Cut(c.h.Account(), "@")
			for _, word := range []string{c.h.Account(), domain, "/" + name + "/", c.h.User() + "/", c.h.Host.Addr(), c.h.MailRoot()} {
				if has := bytes.Contains(text, []byte(word)); has && redact != "" {
					t.Errorf("%s%s: %q is in it", form, redact, word)
				}
			}
			if redact == "" && !bytes.Contains(text, []byte(c.h.Account())) {
				t.Errorf("%s: the account is not in it", form)
			}
		}
	}
	for _, place := range []string{dir, c.state} {
		err := filepath.WalkDir(place, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(p)
			if bytes.Contains(b, []byte(wrong)) {
				t.Errorf("%s holds the password", p)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
