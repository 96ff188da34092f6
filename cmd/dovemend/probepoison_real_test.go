package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
	"dovemend/repair/probe"
)

// poisonOf gives the poison messages of one mailbox in a probe's JSON.
func poisonOf(t *testing.T, doc map[string]any, mailbox string) (search map[string]any, messages []any) {
	t.Helper()
	all, _ := doc["poison"].([]any)
	for _, p := range all {
		if p := p.(map[string]any); p["mailbox"] == mailbox {
			return p, p["poison_messages"].([]any)
		}
	}
	t.Fatalf("nothing is told of %s: %v", mailbox, doc["poison"])
	return nil, nil
}

// TestProbeFindsThePoisonMessage has one message at which the real imap process fails, each time, among others that are well.
func TestProbeFindsThePoisonMessage(t *testing.T) {
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "maildir"}, Fill: &fill.Shape{Inbox: 30}})
	c.quiet()
	c.quick = true
	remotetest.Damage(t, c.h, "INBOX", "message-half", 1)
	doc := c.run(3, "probe", "--find-poison", "--mailbox", "INBOX")
	search, messages := poisonOf(t, doc, "INBOX")
	if len(messages) != 1 || search["stop"] != nil {
		t.Fatalf("found %v, %v", messages, search)
	}
	m := messages[0].(map[string]any)
	if m["damaged"] != true || m["next"] == "" {
		t.Errorf("found %v", m)
	}
	if !classes(m, map[string]bool{})["cached-size"] {
		t.Errorf("the true error is not told: %v", m["log"])
	}
	state := filepath.Join(doc["folder"].(string), "poison.json")
	info, err := os.Stat(state)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the search is not kept: %v, %v", info, err)
	}
	// After drop-cache the proof is asked for: it still fails, so the message is to blame.
	doc = c.run(3, "probe", "--find-poison", "--mailbox", "INBOX", "--poison-state", state, "--after-drop-cache")
	if _, messages = poisonOf(t, doc, "INBOX"); len(messages) != 1 || messages[0].(map[string]any)["verdict"] != string(probe.BlameMessage) {
		t.Errorf("the proof: %v", messages)
	}
	out, _ := c.command("probe", "--find-poison", "--mailbox", "INBOX").CombinedOutput()
	for _, want := range []string{fmt.Sprintf("UID %.0f fails at", m["uid"]), "the host's log:", "what to do:", "next: dovemend"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	t.Logf("%s", out)
}

// TestSearchForPoisonIsGoneOnWith has the search stop after each of its steps in turn, as if it had been killed there, and goes
// on from the file.
func TestSearchForPoisonIsGoneOnWith(t *testing.T) {
	s := newPoisonServer(t, 60, 17)
	state := filepath.Join(t.TempDir(), "state.json")
	t.Setenv("DOVEMEND_IMAP_PASSWORD", "secret")
	args := []string{"probe", "--imap", s.addr, "--imap-tls", "none", "--imap-user", "anna", "--find-poison", "--poison-state", state, "--json"}
	for try := 0; ; try++ {
		if try > 200 {
			t.Fatal("the search never ends")
		}
		s.allow(1 + try%3) // then the server is gone for this call
		var stdout, stderr strings.Builder
		p := &program{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, engine: newFake(), pause: -1}
		code := p.run(append([]string{"dovemend"}, args...))
		out, errs := stdout.String(), stderr.String()
		var doc map[string]any
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Fatalf("exit %d: %v in %q, %s", code, err, out, errs)
		}
		if doc["poison"] == nil {
			continue // the mailbox was not even opened
		}
		search, messages := poisonOf(t, doc, "INBOX")
		if search["complete"] != true {
			if code == 0 || doc["hint"] == nil {
				t.Fatalf("exit %d, next %v though the search is not at its end", code, doc["hint"])
			}
			continue
		}
		if code != exitFindings || len(messages) != 1 || messages[0].(map[string]any)["uid"] != 17.0 || try < 2 {
			t.Errorf("exit %d after %d tries: %v", code, try, messages)
		}
		return
	}
}

func TestStateOfASearchIsChecked(t *testing.T) {
	s := newPoisonServer(t, 5, 0)
	t.Setenv("DOVEMEND_IMAP_PASSWORD", "secret")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"no JSON":         "{",
		"later version":   `{"version": 99}`,
		"another account": `{"version": 1, "account": "bob", "searches": []}`,
	} {
		file := filepath.Join(dir, "state.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.allow(1000)
		code, _, errs := runFake(t, newFake(), "probe", "--imap", s.addr, "--imap-tls", "none", "--imap-user", "anna", "--find-poison", "--poison-state", file)
		if code != exitUsage || !strings.Contains(errs, "poison-state") {
			t.Errorf("%s: exit %d, %s", name, code, errs)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != text {
			t.Errorf("%s: the file is changed to %q, %v", name, b, err)
		}
	}
}
