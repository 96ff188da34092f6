//go:build unix

package repair

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/plan"
)

// TestMailProgramsKeepTheirStateAcrossARebuild has a mail program that keeps a copy of everything (mbsync) take all mail, breaks
// the INBOX, repairs it with auto, and lets the program synchronise again: it must find nothing to load, to delete or to change.
// Then another one (imapfilter) runs its filters. All the while Dovecot has nothing to complain of.
func TestMailProgramsKeepTheirStateAcrossARebuild(t *testing.T) {
	remotetest.Programs(t, "mbsync", "imapfilter")
	for _, c := range []struct {
		o     realhost.Options
		kinds []string
	}{
		{realhost.Options{Layout: "mdbox", RotateLogs: true}, []string{"index-header-garbage", "map-garbage"}},
		{realhost.Options{Layout: "sdbox", RotateLogs: true}, []string{"index-records-garbage"}},
		{realhost.Options{Layout: "maildir", RotateLogs: true}, []string{"uidlist-cut"}},
	} {
		t.Run(c.o.Layout, func(t *testing.T) {
			t.Parallel()
			h := newForecastHost(t, c.o)
			for _, kind := range c.kinds {
				t.Run(kind, func(t *testing.T) { h.mailPrograms(t, kind) })
			}
		})
	}
}

func (h *forecastHost) mailPrograms(t *testing.T, kind string) {
	h.restore(t)
	local := t.TempDir()
	config := h.mbsyncConfig(t, local)
	first := h.mbsync(t, config)
	taken := tree(t, local)
	want := 0
	for name := range h.Truth.Mailboxes {
		want += h.undeleted(name)
	}
	const skipped = "has incomplete header; skipping" // what has no empty line behind its header
	if n := strings.Count(taken, "\n") + strings.Count(first, skipped); n != want {
		t.Fatalf("mbsync took %d messages of %d:\n%s", n, want, first)
	}
	h.kick(t)
	if _, err := damage.Break(damage.Target{MailRoot: h.MailRoot(), Layout: h.Layout(), LayoutFS: h.LayoutFS(), Mailbox: "INBOX"}, kind, 3); err != nil {
		t.Fatal(err)
	}
	r := h.begin(t, true)
	p, err := r.Plan(t.Context(), plan.Auto)
	if err != nil {
		t.Fatal(err)
	}
	if p.Remedy != plan.Rebuild || len(p.Costs) > 0 {
		t.Fatalf("auto takes %s, at a cost of %v", p.Remedy, p.Costs)
	}
	at := len(h.DovecotLog())
	if err := r.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Verify(t.Context()); err != nil || !v.OK {
		t.Fatalf("verification: %+v, %v", v, err)
	}

	said := h.mbsync(t, config)
	if strings.Contains(said, "UIDVALIDITY") || strings.Contains(said, "lost track") {
		t.Errorf("mbsync has to find its way again: %s", said)
	}
	if now := tree(t, local); now != taken {
		t.Errorf("mbsync changed its copy:\n%s\nwas\n%s", now, taken)
	}

	h.imapfilter(t)
	for line := range strings.Lines(h.DovecotLog()[at:]) {
		if regexp.MustCompile(`(Warning|Error|Fatal|Panic):`).MatchString(line) {
			t.Errorf("Dovecot says: %s", line)
		}
	}
}

// undeleted is how many messages of a mailbox stay when mbsync expunges those that are marked as deleted.
func (h *forecastHost) undeleted(mailbox string) int {
	n := 0
	for _, m := range h.Truth.Mailboxes[mailbox].Messages {
		if !slices.Contains(m.Flags, `\Deleted`) {
			n++
		}
	}
	return n
}

// mbsyncConfig writes the configuration of an mbsync that keeps a copy of the account.
func (h *forecastHost) mbsyncConfig(t *testing.T, local string) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "mbsyncrc")
	if err := os.WriteFile(config, []byte(h.mbsyncText(t, local)), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

func (h *forecastHost) mbsyncText(t *testing.T, local string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(h.IMAP())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`IMAPAccount far
Host %s
Port %s
User %s
Pass "%s"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account far

MaildirStore near
Path %[5]s/
Inbox %[5]s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Expunge Both
SyncState *
`, host, port, h.Account(), h.Password(), local)
}

func (h *forecastHost) mbsync(t *testing.T, config string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "mbsync", "-c", config, "-V", "-a")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("mbsync: %v: %s", err, out.String())
	}
	return out.String()
}

// imapfilter has a real filter program mark and count mail.
func (h *forecastHost) imapfilter(t *testing.T) {
	t.Helper()
	host, port, err := net.SplitHostPort(h.IMAP())
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	config := filepath.Join(home, "config.lua")
	want := h.undeleted("INBOX")
	text := fmt.Sprintf(`options.timeout = 30
options.create = false
options.starttls = false
account = IMAP { server = %q, port = %s, username = %q, password = %q }
all = account['INBOX']:select_all()
print('messages ' .. #all)
seen = account['INBOX']:is_seen() * account['INBOX']:contain_from('@')
seen:add_flags({ 'Filtered' })
print('filtered ' .. #account['INBOX']:has_keyword('Filtered') .. ' of ' .. #seen)
`, host, port, h.Account(), h.Password())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "imapfilter", "-c", config)
	cmd.Env = append(os.Environ(), "HOME="+home, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("imapfilter: %v: %s", err, out)
	}
	if !strings.Contains(string(out), fmt.Sprintf("messages %d\n", want)) {
		t.Errorf("imapfilter sees %s, want %d messages", out, want)
	}
	m := regexp.MustCompile(`filtered (\d+) of (\d+)`).FindStringSubmatch(string(out))
	if m == nil || m[1] != m[2] || m[1] == "0" {
		t.Errorf("the filter did not filter: %s", out)
	}
}

// tree tells the names and sizes of all files.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		all = append(all, fmt.Sprintf("%s %d\n", rel, info.Size()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "")
}
