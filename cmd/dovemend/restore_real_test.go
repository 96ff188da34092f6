package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
)

// sameMessages compares two mailboxes, but for UIDs: texts, flags, labels and dates.
func (c *realCase) sameMessages(what string, want, got *fill.Mailbox) {
	c.t.Helper()
	if want == nil || got == nil {
		c.t.Fatalf("%s: a mailbox is not there", what)
	}
	lines := func(m *fill.Mailbox) (all []string) {
		for _, x := range m.Messages {
			var words []string
			for _, k := range x.Keywords {
				words = append(words, strings.ToLower(k))
			}
			slices.Sort(words)
			all = append(all, fmt.Sprintf("%x %d %v %v %s", x.Sum[:6], x.Size, x.Flags, words, x.Date.UTC().Format(time.RFC3339)))
		}
		slices.Sort(all)
		return slices.Compact(all) // the same message twice is restored once
	}
	w, g := lines(want), lines(got)
	for _, l := range w {
		if !slices.Contains(g, l) {
			c.t.Errorf("%s: missing %s", what, l)
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			c.t.Errorf("%s: too much %s", what, l)
		}
	}
}

func counts(t *testing.T, doc map[string]any) map[string]int {
	t.Helper()
	all := map[string]int{}
	sum := 0
	for k, v := range doc["counts"].(map[string]any) {
		all[k] = int(v.(float64))
		sum += all[k]
	}
	if total := int(doc["total"].(float64)); sum != total {
		t.Errorf("%d messages, and the counts add up to %d: %v", total, sum, all)
	}
	b, err := os.ReadFile(doc["result"].(string))
	if err != nil || bytes.Count(b, []byte{'\n'}) != sum {
		t.Errorf("the result file has %d lines, not %d: %v", bytes.Count(b, []byte{'\n'}), sum, err)
	}
	return all
}

// overTLS is the account reached over IMAP alone.
func (c *realCase) overTLS(args ...string) []string {
	return append(args, "--imap", c.h.IMAPS(), "--imap-ca", c.h.CA(), "--imap-user", c.h.Account())
}

// TestRestoreOnTheRealHost puts a mailbox's messages into another one, without a password and over TLS, from a copy and from every form of
// file that salvage writes, and takes them out again.
func TestRestoreOnTheRealHost(t *testing.T) {
	forms := map[string][]string{"mdbox": {"eml"}, "sdbox": {"mbox"}, "maildir": {"maildir"}}
	for _, l := range realLayouts[:3] {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.o.RotateLogs = true
			c := newRealCase(t, remotetest.Options{Options: l.o, Fill: &fill.Shape{}})
			inbox := c.h.Truth.Mailboxes[fill.Inbox]
			run := c.run(0, "backup", "--all-mailboxes")["run"].(string)

			args := []string{"restore", "--run", run, "--source-mailbox", "INBOX", "--mailbox", "Back/Größe"}
			doc := c.run(3, args...)
			n := counts(t, doc)
			if n["pending"]+n["twin"] != len(inbox.Messages) || doc["new_mailbox"] != true || doc["imap"] != "preauth" || doc["applied"] != false {
				t.Fatalf("%d messages in INBOX, told: %v", len(inbox.Messages), doc)
			}
			if now := remotetest.ReadTruth(t, c.h); now.Mailboxes["Back/Größe"] != nil {
				t.Fatal("without --apply the mailbox was made")
			}
			first := c.run(0, append(args, "--apply", "--verify", "full")...)
			if got := counts(t, first); got["added"] != n["pending"] {
				t.Fatalf("added %v of %v", got, n)
			}
			c.sameMessages("from the copy", inbox, remotetest.ReadTruth(t, c.h).Mailboxes["Back/Größe"])
			again := counts(t, c.run(0, append(args, "--apply")...))
			if again["added"] != 0 || again["there"] != n["pending"] {
				t.Errorf("the second time: %v", again)
			}
			// Into the mailbox they come from, where GUIDs tell them.
			if back := counts(t, c.run(0, "restore", "--run", run, "--source-mailbox", "INBOX", "--mailbox", "INBOX", "--apply")); back["added"] != 0 {
				t.Errorf("into INBOX itself: %v", back)
			}
			now := remotetest.ReadTruth(t, c.h)
			if diff := c.h.Truth.Diff(&fill.Truth{Mailboxes: without(now.Mailboxes, "Back/Größe", "Back")}); len(diff) > 0 {
				t.Errorf("restoring into INBOX what it has changed the account:\n%s", strings.Join(diff, "\n"))
			}

			c.env = append(c.env, "DOVEMEND_HOST=", "DOVEMEND_ACCOUNT=", "DOVEMEND_IMAP_PASSWORD="+c.h.Password())
			all := forms[l.name]
			if os.Getenv("DOVEMEND_TEST_FULL") != "" {
				all = []string{"eml", "mbox", "maildir"}
			}
			for _, format := range all {
				out := filepath.Join(t.TempDir(), format)
				c.run(0, "salvage", "--run", run, "--mailbox", "INBOX", "--format", format, "--to", out)
				args := c.overTLS("restore", "--from", out, "--mailbox", "From "+format, "--apply")
				doc := c.run(0, args...)
				if got := counts(t, doc); got["added"] != n["pending"] || doc["imap"] != "tls" {
					t.Fatalf("from %s: %v over %v", format, got, doc["imap"])
				}
				c.sameMessages("from "+format, inbox, remotetest.ReadTruth(t, c.h).Mailboxes["From "+format])
				if again := counts(t, c.run(0, args...)); again["added"] != 0 {
					t.Errorf("from %s, the second time: %v", format, again)
				}
				if format == "eml" {
					undone := c.run(0, append([]string{"undo", "--run", doc["run"].(string)}, c.overTLS()[2:]...)...)
					left := remotetest.ReadTruth(t, c.h).Mailboxes["From eml"]
					if undone["removed"].(float64) != float64(n["pending"]) || len(left.Messages) != 0 {
						t.Errorf("undone: %v, %d left", undone, len(left.Messages))
					}
				}
			}
			c.env = append(c.env, "DOVEMEND_HOST="+c.h.User()+"@"+c.h.Addr(), "DOVEMEND_IMAP_PASSWORD=")
			undone := c.run(0, "undo", "--run", first["run"].(string))
			if undone["removed"].(float64) != float64(n["pending"]) || len(remotetest.ReadTruth(t, c.h).Mailboxes["Back/Größe"].Messages) != 0 {
				t.Errorf("undone: %v", undone)
			}
		})
	}
}

func without(all map[string]*fill.Mailbox, names ...string) map[string]*fill.Mailbox {
	left := maps.Clone(all)
	for _, name := range names {
		delete(left, name)
	}
	return left
}

// TestRestoreKilled kills restores of the real program, at several sizes of the journal, and goes on: by the same command, by resume, or takes it back.
func TestRestoreKilled(t *testing.T) {
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "sdbox"}})
	const texts = 400
	dir := t.TempDir()
	for i := range texts {
		text := fmt.Sprintf("Message-ID: <%d@example.org>\nSubject: number %d\n\n%s\n", i, i, strings.Repeat("text ", i%300))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.eml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	byHost := c.env
	noHost := append(slices.Clone(c.env), "DOVEMEND_HOST=", "DOVEMEND_ACCOUNT=", "DOVEMEND_IMAP_PASSWORD="+c.h.Password())
	for i, how := range []string{"again", "resume", "undo", "ctrl-C"} {
		sizes := []int64{[]int64{300, 9_000, 60_000, 20_000}[i]}
		if os.Getenv("DOVEMEND_TEST_FULL") != "" {
			sizes = []int64{1, 300, 2_000, 9_000, 20_000, 60_000, 90_000}
		}
		for _, size := range sizes {
			target := fmt.Sprintf("Killed%d-%d", i, size)
			args := []string{"restore", "--from", dir, "--mailbox", target, "--apply", "--all"}
			var over []string
			if c.env = byHost; how != "resume" { // the account's folder is there by then
				c.env, over = noHost, c.overTLS()
			}
			args = append(args, over...)
			old := c.runIDs()
			cmd := c.command(append(args, "--json")...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { _ = cmd.Wait(); close(ended) }()
			id := c.journalOf(old, size, ended)
			if how == "ctrl-C" {
				_ = cmd.Process.Signal(os.Interrupt)
			} else {
				_ = cmd.Process.Kill()
			}
			<-ended
			if code := cmd.ProcessState.ExitCode(); how == "ctrl-C" && code != 130 && code != 0 {
				t.Errorf("interrupted: exit %d", code)
			}
			if id == "" {
				t.Fatal("the run never wrote its journal")
			}
			b, err := os.ReadFile(filepath.Join(c.state, "runs", id, "run.json"))
			if err != nil {
				t.Fatal(err)
			}
			var meta struct{ Stage string }
			if err := json.Unmarshal(b, &meta); err != nil {
				t.Fatal(err)
			}
			open := openRecords(t, filepath.Join(c.state, "runs", id, "journal.jsonl"))
			t.Logf("%s at %d: killed at stage %s with %d messages on their way", how, size, meta.Stage, open)
			if meta.Stage == "verified" && how != "undo" { // it had just ended
				continue
			}
			expected := texts
			switch how {
			case "again":
				if got := counts(t, c.run(0, args...)); got["added"] != texts {
					t.Errorf("again at %d: %v", size, got)
				}
			case "resume", "ctrl-C":
				if got := counts(t, c.run(0, append([]string{"resume", "--run", id}, over...)...)); got["added"] != texts {
					t.Errorf("resumed at %d: %v", size, got)
				}
				// What may still be at work on the host is ended before anything is looked for.
				if ended := c.logged(id, "imap processes ended before messages are looked for"); how == "resume" && ended != (open > 0) {
					t.Errorf("resumed at %d: with %d messages on their way, processes were ended: %v", size, open, ended)
				}
			case "undo":
				want := 0
				if !sentAny(t, filepath.Join(c.state, "runs", id, "journal.jsonl")) {
					want = 2 // there is nothing to take back
				}
				c.run(want, append([]string{"undo", "--run", id}, c.overTLS()...)...)
				expected = 0
			}
			m := remotetest.ReadTruth(t, c.h).Mailboxes[target]
			sums := map[[32]byte]int{}
			for _, x := range m.Messages {
				sums[x.Sum]++
			}
			if len(m.Messages) != expected || len(sums) != expected {
				t.Errorf("%s at %d: %d messages, %d different ones, want %d", how, size, len(m.Messages), len(sums), expected)
			}
		}
	}
}

// sentAny says whether a journal has a whole line that announces a message.
func sentAny(t *testing.T, path string) bool {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(b[:bytes.LastIndexByte(b, '\n')+1], []byte(`"kind":"intent"`))
}

// openRecords counts the messages that a journal leaves open.
func openRecords(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{}
	for _, m := range regexp.MustCompile(`"kind":"([a-z]+)"[^\n]*?"id":"([^"]+)"`).FindAllStringSubmatch(string(b), -1) {
		open[m[2]] = m[1] == "intent"
	}
	maps.DeleteFunc(open, func(_ string, is bool) bool { return !is })
	return len(open)
}

// logged says whether a run's log has a text.
func (c *realCase) logged(id, text string) bool {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.state, "runs", id, "log.txt"))
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Contains(string(b), text)
}

// TestRestoreWithinAQuota: a message over the limit is refused by itself, and a full mailbox stops the rest, which goes on when there is room.
func TestRestoreWithinAQuota(t *testing.T) {
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "mdbox", Extra: "mail_plugins = quota\nplugin {\n quota = count:User quota\n quota_vsizes = yes\n quota_rule = *:storage=300K\n quota_grace = 0\n quota_max_mail_size = 100K\n}"}})
	dir := t.TempDir()
	for i := range 40 {
		size := 20_000
		if i == 3 {
			size = 200_000
		}
		text := fmt.Sprintf("Message-ID: <%d@example.org>\nSubject: number %d\n\n%s\n", i, i, strings.Repeat("x", size))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.eml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.env = append(c.env, "DOVEMEND_HOST=", "DOVEMEND_ACCOUNT=", "DOVEMEND_IMAP_PASSWORD="+c.h.Password())
	args := c.overTLS("restore", "--from", dir, "--mailbox", "Back", "--apply")
	doc := c.run(6, args...)
	n := counts(t, doc)
	if n["refused"] != 1 || n["added"] < 10 || n["added"] > 15 || n["added"]+n["pending"] != 39 || !strings.Contains(doc["hint"].(string), "dovemend resume --run") {
		t.Fatalf("%v, next: %v", n, doc["hint"])
	}
	c.h.Doveadm(t, "expunge", "-u", c.h.Account(), "mailbox", "Back", "all")
	doc = c.run(6, append([]string{"resume", "--run", doc["run"].(string)}, c.overTLS()...)...)
	if again := counts(t, doc); again["added"] <= n["added"] || again["refused"] != 1 {
		t.Errorf("with room: %v", again)
	}
}

// TestRestoreRefusesADamagedTarget: IMAP does not get near it.
func TestRestoreRefusesADamagedTarget(t *testing.T) {
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "sdbox", RotateLogs: true}, Fill: &fill.Shape{}})
	index := filepath.Join(c.h.MailRoot(), "mailboxes", "INBOX", "dbox-Mails", "dovecot.index")
	c.quiet()
	b, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(index, int64(len(b)/2)); err != nil {
		t.Fatal(err)
	}
	before := c.tree(".")
	eml := filepath.Join(t.TempDir(), "a.eml")
	if err := os.WriteFile(eml, []byte("Subject: x\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	doc := c.run(4, "restore", "--from", eml, "--mailbox", "INBOX", "--apply")
	if hint := cmp.Or(doc["hint"], any("")).(string); !strings.Contains(hint, "dovemend repair") || !strings.Contains(hint, "--mailbox INBOX") {
		t.Errorf("next: %s", hint)
	}
	c.sameTree(before, c.tree("."))
}

// TestRestoreRefusesDamagedStorage: IMAP does not get near an mdbox account whose shared storage is damaged, whether the target is
// there or would be made; what is named next repairs it, and then the messages come in.
func TestRestoreRefusesDamagedStorage(t *testing.T) {
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "mdbox", RotateLogs: true}, Fill: &fill.Shape{}})
	c.quick = true
	c.quiet()
	remotetest.Damage(t, c.h, "INBOX", "map-missing", 1)
	before := c.tree(".")
	eml := filepath.Join(t.TempDir(), "a.eml")
	if err := os.WriteFile(eml, []byte("Subject: x\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"INBOX", "Made/Anew"} {
		for _, apply := range [][]string{nil, {"--apply"}} {
			doc := c.run(4, append([]string{"restore", "--from", eml, "--mailbox", target}, apply...)...)
			hint := cmp.Or(doc["hint"], any("")).(string)
			if !strings.Contains(hint, "dovemend repair") || !strings.Contains(hint, "--all-mailboxes --remedy auto") || strings.Contains(hint, "--mailbox ") {
				t.Errorf("into %s, next: %s", target, hint)
			}
			if text := cmp.Or(doc["error"], any("")).(string); !strings.Contains(text, "storage") || !strings.Contains(text, "map index") {
				t.Errorf("into %s, told: %s", target, text)
			}
			c.sameTree(before, c.tree("."))
		}
	}
	if t.Failed() {
		return
	}
	c.run(0, "repair", "--all-mailboxes", "--remedy", "auto", "--apply")
	c.run(0, "restore", "--from", eml, "--mailbox", "Made/Anew", "--apply")
	if m := remotetest.ReadTruth(t, c.h).Mailboxes["Made/Anew"]; m == nil || len(m.Messages) != 1 {
		t.Errorf("after the repair: %v", m)
	}
}

// TestRestoreMakesAMailboxBesideADamagedOne: when it makes a mailbox, Dovecot opens the index of a dbox account's INBOX, and drops a
// damaged one; that is refused. Other mailboxes, and a Maildir's INBOX, it leaves alone.
func TestRestoreMakesAMailboxBesideADamagedOne(t *testing.T) {
	for _, tt := range []struct{ layout, box, kind string }{
		{"sdbox", "INBOX", "index-header-garbage"}, {"sdbox", fill.Archive, "index-header-garbage"}, {"maildir", "INBOX", "uidlist-missing"},
	} {
		t.Run(tt.layout+" "+strings.ReplaceAll(tt.box, "/", "."), func(t *testing.T) {
			t.Parallel()
			c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: tt.layout, RotateLogs: true}, Fill: &fill.Shape{}})
			c.quick = true
			c.quiet()
			remotetest.Damage(t, c.h, tt.box, tt.kind, 1)
			// others is the tree without the new mailbox, and what every new one changes.
			others := func() map[string]string {
				all := c.tree(".")
				for p := range all {
					for _, own := range []string{".Made", "mailboxes/Made", "subscriptions", "dovecot.list.index", "dovecot-uidvalidity", "dovecot.mailbox.log"} {
						if strings.HasPrefix(p, own) || p == "mailboxes" {
							delete(all, p)
						}
					}
				}
				return all
			}
			before, whole := others(), c.tree(".")
			eml := filepath.Join(t.TempDir(), "a.eml")
			if err := os.WriteFile(eml, []byte("Subject: x\n\nx\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"restore", "--from", eml, "--mailbox", "Made", "--apply"}
			if tt.layout == "sdbox" && tt.box == "INBOX" {
				doc := c.run(4, args...)
				if hint := cmp.Or(doc["hint"], any("")).(string); !strings.Contains(hint, "dovemend repair") || !strings.Contains(hint, "--mailbox INBOX --remedy auto") {
					t.Errorf("next: %s", hint)
				}
				c.sameTree(whole, c.tree("."))
				c.run(0, "repair", "--mailbox", "INBOX", "--remedy", "auto", "--apply")
				before = others()
			}
			c.run(0, args...)
			c.sameTree(before, others())
		})
	}
}
