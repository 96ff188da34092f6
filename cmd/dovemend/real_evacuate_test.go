package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/evacuate"
)

var evacuateIt = []string{"repair", "--remedy", "evacuate", "--confirm", "INBOX", "--accept-loss", "uids"}

// contents tells what each mailbox holds, whatever the UIDs: text, flags, keywords and date of each message, sorted.
func contents(t *fill.Truth) map[string][]string {
	all := map[string][]string{}
	for name, m := range t.Mailboxes {
		list := []string{}
		for _, x := range m.Messages {
			list = append(list, fmt.Sprintf("%x %v %v %v %d", x.Sum[:8], x.Flags, x.Keywords, x.Date.UTC(), x.Size))
		}
		slices.Sort(list)
		all[name] = list
	}
	return all
}

// sameContents wants every message where it was, once, with its flags, keywords and date.
func (c *realCase) sameContents(what string, want map[string][]string) {
	c.t.Helper()
	now := contents(remotetest.ReadTruth(c.t, c.h))
	for name, list := range want {
		if !slices.Equal(list, now[name]) {
			c.t.Fatalf("%s: %s had %d messages and has %d, or they are others", what, name, len(list), len(now[name]))
		}
	}
	for name := range now {
		if want[name] == nil {
			c.t.Fatalf("%s: mailbox %s is new", what, name)
		}
	}
}

// TestEvacuateAsAScript: the plan changes nothing, what was not agreed to is refused, and the messages are in the backup mailbox;
// undo moves them back.
func TestEvacuateAsAScript(t *testing.T) {
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "sdbox", RotateLogs: true}, Fill: &fill.Shape{}})
	c.quick = true
	c.quiet()
	tree, before := c.tree("."), contents(c.h.Truth)
	doc := c.run(3, evacuateIt...)
	p, _ := doc["plan"].(map[string]any)
	moves, _ := p["moves"].(map[string]any)
	if moves["messages"] != 45.0 || !strings.HasPrefix(fmt.Sprint(moves["backup"]), "BACKUP2") || costOf(doc, "uids") != 45 {
		t.Errorf("the plan: %v", p)
	}
	c.run(4, "repair", "--remedy", "evacuate", "--confirm", "INBOX")                                          // the cost is not accepted
	c.run(2, "repair", "--remedy", "evacuate", "--accept-loss", "uids", "--apply")                            // not named again
	c.run(2, append(evacuateIt, "--imap", "off")...)                                                          // it cannot be done so
	c.run(2, "repair", "--remedy", "clear", "--move-back", "--confirm", "INBOX")                              // that goes with evacuate only
	c.run(2, append(evacuateIt, "--all-mailboxes")...)                                                        // one at a time
	c.run(1, append(evacuateIt, "--apply", "--preauth", "off", "--imap-ca", c.h.CA(), "--imap", "[::]:1")...) // no way to look
	c.sameTree(tree, c.tree("."))

	done := c.run(0, append(evacuateIt, "--apply")...)
	c.wantIMAP(done, "preauth")
	x, _ := done["evacuated"].(map[string]any)
	backup := fmt.Sprint(x["backup"])
	if x["moved"] != 45.0 || backup == "" {
		t.Fatalf("evacuated: %v", x)
	}
	want := map[string][]string{}
	for name, list := range before {
		want[name] = list
	}
	want[backup], want[fill.Inbox] = before[fill.Inbox], []string{}
	c.sameContents("after evacuate", want)
	if got := c.h.Doveadm(t, "mailbox", "list", "-s", "-u", c.h.Account(), "BACKUP*"); strings.TrimSpace(got) != backup {
		t.Errorf("subscribed: %q", got)
	}
	c.run(0, "undo")
	c.sameContents("after undo", before)
	c.run(2, "undo", "--run", c.runOf(done))
}

// TestKillEvacuateAtAnyLine kills an evacuation, with the way back, with SIGKILL once its journal has so many lines, and finishes
// it or takes it back: every message is in INBOX once. With DOVEMEND_TEST_FULL=1 at every line and in each layout; else at some.
func TestKillEvacuateAtAnyLine(t *testing.T) {
	full := os.Getenv("DOVEMEND_TEST_FULL") != ""
	for i, layout := range []string{"sdbox", "mdbox", "maildir"} {
		if !full && i > 0 {
			break
		}
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: layout, RotateLogs: true}, Fill: &fill.Shape{}})
			c.quick = true
			before := contents(c.h.Truth)
			for lines, ended := 1, false; !ended; lines++ {
				for j, then := range []string{"resume", "undo"} {
					if full || lines == []int{4, 7}[j] {
						ended = c.killEvacuate(lines, then, before)
					}
				}
				ended = ended || !full && lines > 7
			}
		})
	}
}

// killEvacuate tells whether the evacuation was faster than the kill at its last line.
func (c *realCase) killEvacuate(lines int, then string, before map[string][]string) (ended bool) {
	old := c.runIDs()
	cmd := c.command(append(evacuateIt, "--apply", "--move-back", "--json")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is told by the run
		close(over)
	}()
	id := ""
	for running := true; running; time.Sleep(100 * time.Microsecond) {
		select {
		case <-over:
			running, ended = false, true
		default:
		}
		for _, run := range c.runIDs() {
			b, err := os.ReadFile(filepath.Join(c.state, "runs", run, evacuate.JournalFile))
			if err != nil || slices.Contains(old, run) {
				continue
			}
			if id = run; bytes.Count(b, []byte("\n")) >= lines {
				running = false
			}
		}
	}
	_ = cmd.Process.Kill() // it may have ended
	<-over
	if id == "" {
		c.t.Fatalf("it ended without a journal: %s", out.Bytes())
	}
	b, err := os.ReadFile(filepath.Join(c.state, "runs", id, "run.json"))
	var meta struct{ Stage string }
	if err == nil {
		err = json.Unmarshal(b, &meta)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	what := fmt.Sprintf("killed at line %d (%s), %s", lines, meta.Stage, then)
	c.t.Log(what)
	switch {
	case meta.Stage == "applying", meta.Stage == "applied":
		c.run(0, then, "--run", id)
	case then == "undo" && meta.Stage == "verified":
		c.run(0, "undo", "--run", id)
	}
	c.sameContents(what, before)
	return ended
}
