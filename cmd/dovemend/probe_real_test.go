package main

import (
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dovemend/remote/imap"
	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
)

// looks gives, of a probe's JSON, how each look at a mailbox ended: "sort works".
func looks(t *testing.T, doc map[string]any, mailbox string) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, m := range doc["looked"].([]any) {
		if m := m.(map[string]any); m["mailbox"] == mailbox {
			for _, l := range m["looks"].([]any) {
				out[l.(map[string]any)["look"].(string)] = l.(map[string]any)
			}
		}
	}
	return out
}

// failing names the looks that do not work.
func failing(all map[string]map[string]any) (names []string) {
	for name, l := range all {
		if l["state"] != "works" {
			names = append(names, name+" "+l["state"].(string))
		}
	}
	return names
}

// classes are those of all answers and log lines in a JSON document.
func classes(x any, into map[string]bool) map[string]bool {
	switch x := x.(type) {
	case map[string]any:
		if c, ok := x["class"].(string); ok {
			into[c] = true
		}
		for _, v := range x {
			classes(v, into)
		}
	case []any:
		for _, v := range x {
			classes(v, into)
		}
	}
	return into
}

func TestProbeOfRealMailboxes(t *testing.T) {
	eachLayout(t, func(c *realCase) {
		doc := c.run(0, "probe", "--all-mailboxes")
		if doc["way"] != "preauth" || doc["healthy"] != true || doc["connections"].(float64) != 1 {
			c.t.Errorf("probe: way %v, healthy %v, %v connections", doc["way"], doc["healthy"], doc["connections"])
		}
		for name, m := range c.h.Truth.Mailboxes {
			l := looks(c.t, doc, name)
			if len(l) != 10 || len(failing(l)) > 0 || int(l["flags"]["answered"].(float64)) != len(m.Messages) {
				c.t.Errorf("%s: %d looks, %v, flags of %v messages", name, len(l), failing(l), l["flags"]["answered"])
			}
		}
		if now := remotetest.ReadTruth(c.t, c.h); !reflect.DeepEqual(now.Mailboxes, c.h.Truth.Mailboxes) {
			c.t.Error("a look has changed messages, flags or numbers")
		}
		c.refusedLook()
	})
}

// refusedLook damages the index so that a look would lose flags: nothing may open the mailbox before it is said so.
func (c *realCase) refusedLook() {
	c.quiet()
	kind := "index-header-garbage"
	if c.h.Layout() == "maildir" {
		kind = "uidlist-missing"
	}
	remotetest.Damage(c.t, c.h, "INBOX", kind, 1)
	before := c.tree(".")
	doc := c.run(4, "probe")
	if after := c.tree("."); !maps.Equal(before, after) {
		c.t.Error("the refused look changed the account")
	}
	not := doc["not_looked"].([]any)
	if len(not) != 1 || !strings.Contains(fmt.Sprint(not[0]), "INBOX") || len(doc["looked"].([]any)) != 0 || doc["healthy"] != false {
		c.t.Errorf("not looked %v, looked %v", not, doc["looked"])
	}
	hint := doc["hint"].(string)
	if !strings.Contains(hint, "repair --host") || !strings.Contains(hint, "--look-anyway") {
		c.t.Errorf("next: %s", hint)
	}
	c.quick = true
	if c.h.Layout() != "maildir" { // where INBOX is a folder of its own
		inbox := c.tree("mailboxes/INBOX")
		doc = c.run(4, "probe", "--all-mailboxes")
		if n := len(doc["looked"].([]any)); n != len(c.h.Truth.Mailboxes)-1 || len(looks(c.t, doc, "INBOX")) != 0 {
			c.t.Errorf("%d of the other mailboxes were looked at", n)
		}
		if !maps.Equal(inbox, c.tree("mailboxes/INBOX")) {
			c.t.Error("a look at the other mailboxes changed the damaged one")
		}
	}
	doc = c.run(3, "probe", "--look-anyway", "--mailbox", "INBOX")
	if len(looks(c.t, doc, "INBOX")) != 10 {
		c.t.Errorf("with --look-anyway: %v", doc["looked"])
	}
	if all := classes(doc, map[string]bool{}); c.h.Layout() != "maildir" && (!all["silent-loss"] || !all["uidvalidity-changed"]) {
		c.t.Errorf("the server shows an empty mailbox, and all is well with it: %v", all)
	}
}

// TestProbeShowsTheTrueErrorOfDamagedMessages has a message file damaged in a way that a look does not make worse: the true
// reason stands beside the answer, though the server tells it to nobody.
func TestProbeShowsTheTrueErrorOfDamagedMessages(t *testing.T) {
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "sdbox", RotateLogs: true}, Fill: &fill.Shape{Inbox: 12}})
	c.quick = true
	remotetest.Damage(t, c.h, "INBOX", "message-half", 1)
	doc := c.run(3, "probe", "--mailbox", "INBOX")
	l := looks(t, doc, "INBOX")
	body := l["body"]
	if body["state"] != "fails" || l["flags"]["state"] != "works" || l["status"]["state"] != "works" {
		t.Errorf("%v", failing(l))
	}
	all := classes(body, map[string]bool{})
	if !all["message-file-damaged"] && !all["cached-size"] || body["suspects"] == nil {
		t.Errorf("body: %v", body)
	}
	if !strings.Contains(doc["hint"].(string), "dovemend repair --host") {
		t.Errorf("next: %v", doc["hint"])
	}
	cmd := c.command("probe", "--mailbox", "INBOX")
	out, _ := cmd.CombinedOutput()
	for _, want := range []string{"FAILS", "the host's log:", "it means:", "whose problem:", "what to do:", "next: dovemend repair"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	t.Logf("%s", out)
}

// TestProbeWithoutAHost needs an IMAP server and a password, and nothing else.
func TestProbeWithoutAHost(t *testing.T) {
	c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "maildir"}, Fill: &fill.Shape{Inbox: 12}})
	withHost := c.env
	var env []string
	for _, v := range c.env {
		if !strings.HasPrefix(v, "DOVEMEND_") {
			env = append(env, v)
		}
	}
	c.env = append(env, "DOVEMEND_IMAP_PASSWORD="+c.h.Password(), "DOVEMEND_STATE_DIR="+c.state)
	for _, way := range [][]string{
		{"--imap", c.h.IMAPS(), "--imap-ca", c.h.CA()},
		{"--imap", c.h.IMAP(), "--imap-ca", c.h.CA(), "--imap-tls", "starttls"},
		{"--imap", c.h.IMAP(), "--imap-tls", "none"},
	} {
		doc := c.run(0, append([]string{"probe", "--account", c.h.Account(), "--all-mailboxes"}, way...)...)
		if len(doc["looked"].([]any)) != len(c.h.Truth.Mailboxes) || doc["healthy"] != true || doc["way"] == "preauth" || len(doc["warnings"].([]any)) != 1 {
			t.Errorf("%v: %v", way, doc)
		}
	}
	if doc := c.run(5, "probe", "--account", c.h.Account(), "--imap", c.h.IMAPS()); !classes(doc, map[string]bool{})["certificate"] {
		t.Errorf("unknown certificate: %v", doc)
	}
	c.run(2, "probe", "--imap", c.h.IMAPS())
	c.env = append(c.env, "DOVEMEND_IMAP_PASSWORD=wrong")
	doc := c.run(5, "probe", "--account", c.h.Account(), "--imap", c.h.IMAP(), "--imap-tls", "none")
	if !classes(doc, map[string]bool{})["password-refused"] || doc["connections"].(float64) != 1 {
		t.Errorf("wrong password: %v", doc)
	}
	// Through the host's side, and besides the host's own imap program.
	c.env = append(withHost, "DOVEMEND_IMAP_PASSWORD="+c.h.Password())
	doc = c.run(0, "probe", "--imap", c.h.IMAP(), "--imap-tls", "none", "--imap-through-ssh", "--preauth", "off")
	if doc["way"] != "none through SSH" {
		t.Errorf("way %v", doc["way"])
	}
	doc = c.run(0, "probe", "--imap", c.h.IMAPS(), "--imap-ca", c.h.CA())
	if login, ok := doc["login"].(map[string]any); doc["way"] != "preauth" || !ok || login["state"] != "works" {
		t.Errorf("way %v, login %v", doc["way"], doc["login"])
	}
	kept, err := os.ReadFile(filepath.Join(doc["folder"].(string), "probe.json"))
	if err != nil || !strings.Contains(string(kept), `"way": "preauth"`) {
		t.Errorf("what was told is not kept: %v, %.200s", err, kept)
	}
	err = filepath.WalkDir(c.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.Contains(path, "files") {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), c.h.Password()) {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestProbeTellsWhoHoldsTheConnections fills up what the host allows, as a mail program in a loop does.
func TestProbeTellsWhoHoldsTheConnections(t *testing.T) {
	for _, titles := range []bool{true, false} {
		c := newRealCase(t, remotetest.Options{Options: realhost.Options{Layout: "maildir", MaxUserIP: 3, NoTitles: !titles}, Fill: &fill.Shape{Inbox: 5}})
		for range 3 {
			client, err := imap.Connect(t.Context(), imap.Config{Addr: c.h.IMAP(), Security: imap.None})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.Login(t.Context(), c.h.Account(), c.h.Password()); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Examine(t.Context(), "INBOX"); err != nil { // the login has reached the imap process
				t.Fatal(err)
			}
		}
		c.env = append(c.env, "DOVEMEND_IMAP_PASSWORD="+c.h.Password())
		args := []string{"probe", "--imap", c.h.IMAPS(), "--imap-ca", c.h.CA()}
		ways := [][]string{nil, {"--preauth", "off"}}
		if !titles {
			ways = nil // there is nothing else in the JSON
		}
		for _, more := range ways {
			doc := c.run(1, append(args, more...)...)
			processes, _ := doc["processes"].([]any)
			if !classes(doc, map[string]bool{})["connection-limit"] || doc["connection_limit"].(float64) != 3 || len(processes) != 3 {
				t.Errorf("limit %v, processes %v", doc["connection_limit"], processes)
			}
			host, _, err := net.SplitHostPort(c.h.IMAP())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range processes {
				if p := p.(map[string]any); p["client"] != host || p["account"] != c.h.Account() {
					t.Errorf("process %v", p)
				}
			}
			if !strings.Contains(doc["hint"].(string), "dovemend processes --host") || !strings.Contains(doc["hint"].(string), "--stop") {
				t.Errorf("next: %v", doc["hint"])
			}
			// By its own imap program, the host still answers: the login alone is full.
			if more == nil && len(failing(looks(t, doc, "INBOX"))) > 0 {
				t.Errorf("looks %v", failing(looks(t, doc, "INBOX")))
			}
		}
		out, _ := c.command(args...).CombinedOutput()
		want := []string{"3 imap processes", "the host allows 3", "The host does not tell which mail program"}
		if titles {
			want[2] = "3 connections from 127.0.0.1 to " + c.h.Account()
		}
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("no %q in\n%s", w, out)
			}
		}
	}
}
