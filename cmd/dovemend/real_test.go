package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
	"dovemend/remote/remotetest/realhost"
)

// realCase is one layout on the real OpenSSH and the real Dovecot, and the command line as a script has it.
type realCase struct {
	t     *testing.T
	h     *remotetest.RealHost
	state string
	env   []string
	quick bool // watch only shortly that no process comes back, and not for the time that is the default
}

var realLayouts = []struct {
	name string
	o    realhost.Options
}{
	{"mdbox", realhost.Options{Layout: "mdbox"}},
	{"sdbox", realhost.Options{Layout: "sdbox"}},
	{"maildir", realhost.Options{Layout: "maildir"}},
	{"maildir-fs", realhost.Options{Layout: "maildir", LayoutFS: true}},
}

// eachLayout runs a test once for each layout, on a fresh host with the account of the table of damages, logs rotated.
func eachLayout(t *testing.T, test func(c *realCase)) {
	t.Helper()
	for _, l := range realLayouts {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.o.RotateLogs = true
			test(newRealCase(t, remotetest.Options{Options: l.o, Fill: &fill.Shape{}}))
		})
	}
}

// TestRealHostAsAScript goes through every remedy as a script would, with exit codes and JSON, and compares mails and
// flags over IMAP before and after. Each step leaves the account as it found it.
func TestRealHostAsAScript(t *testing.T) {
	eachLayout(t, func(c *realCase) {
		step := func(name string, do func()) {
			if c.t.Failed() {
				return // what comes after builds on it
			}
			c.t.Log(name)
			do()
		}
		step("accounts", c.accountsAreFoundAndMeasured)
		step("backup", c.backupIsTheTree)
		step("plan", c.planWithoutApplyChangesNothing)
		c.quick = true // from here on most commands end processes
		step("undo", c.undoIsByteForByte)
		for _, then := range []string{"undo", "resume"} {
			for _, size := range []int64{1, 500, 1000} {
				step(fmt.Sprintf("kill at %d bytes, %s", size, then), func() { c.killAnd(then, size) })
			}
		}
		c.quick = false
		step("clear", func() { c.clearAndUndo(false) })
		c.quick = true
		step("clear --aside", func() { c.clearAndUndo(true) })
		step("drop-cache", c.dropCacheKeepsEverything)
		step("drop-index", c.dropIndexAndUndo)
	})
}

func newRealCase(t *testing.T, o remotetest.Options) *realCase {
	t.Helper()
	h := remotetest.Real(t, o)
	c := &realCase{t: t, h: h, state: filepath.Join(t.TempDir(), "state")}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DOVEMEND_") && !strings.HasPrefix(v, "SSH_AUTH_SOCK=") && !strings.HasPrefix(v, "HOME=") {
			c.env = append(c.env, v)
		}
	}
	c.env = append(c.env, "HOME="+t.TempDir(), "DOVEMEND_HOST="+h.User()+"@"+h.Addr(), "DOVEMEND_IDENTITY="+h.Identity(),
		"DOVEMEND_KNOWN_HOSTS="+h.KnownHosts(), "DOVEMEND_SSH_CONFIG=none", "DOVEMEND_ACCOUNT="+h.Account(),
		"DOVEMEND_STATE_DIR="+c.state)
	c.env = append(c.env, goEnv()...)
	return c
}

// command is dovemend with these arguments, in a process of its own.
func (c *realCase) command(args ...string) *exec.Cmd {
	name := "dovemend"
	if c.quick {
		name = "dovemend-quick"
	}
	cmd := exec.Command(ownBinary(c.t, name), args...)
	cmd.Env = c.env
	return cmd
}

// quiet ends the mail sessions that are left, if there are any.
func (c *realCase) quiet() {
	_, _ = c.h.Host.Doveadm(c.t.Context(), "kick", "*") // it fails where there are none
}

// run runs dovemend, wants an exit code, and gives what --json printed.
func (c *realCase) run(want int, args ...string) map[string]any {
	c.t.Helper()
	cmd := c.command(append(args, "--json")...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("dovemend %v: %v", args, err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		c.t.Fatalf("dovemend %v: exit %d, want %d\nstdout: %s\nstderr: %s", args, got, want, stdout.Bytes(), stderr.Bytes())
	}
	var doc map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		c.t.Fatalf("dovemend %v: stdout is not one JSON document: %v\n%s", args, err, stdout.Bytes())
	}
	return doc
}

// tree gives what the mail root holds, but for what was set aside: bytes, modes and times in whole seconds.
func (c *realCase) tree(beneath string) map[string]string {
	c.t.Helper()
	all := map[string]string{}
	root := filepath.Join(c.h.MailRoot(), beneath)
	err := filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(c.h.MailRoot(), p)
		if rel == "dovemend-aside" {
			return filepath.SkipDir
		}
		line := fmt.Sprintf("%v %d", info.Mode(), info.ModTime().Unix())
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", b)
		}
		all[rel] = line
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	// Making dovemend-aside/ changes the time of the directory it lies in.
	delete(all, ".")
	return all
}

func (c *realCase) sameTree(before, after map[string]string) {
	c.t.Helper()
	for p, was := range before {
		if is, ok := after[p]; !ok {
			c.t.Errorf("%s is gone", p)
		} else if is != was {
			c.t.Errorf("%s was %.60s and is %.60s", p, was, is)
		}
	}
	for p := range after {
		if _, ok := before[p]; !ok {
			c.t.Errorf("%s is new", p)
		}
	}
}

func (c *realCase) sameTruth(what string, want *fill.Truth) {
	c.t.Helper()
	if diff := want.Diff(remotetest.ReadTruth(c.t, c.h)); len(diff) > 0 {
		c.t.Errorf("%s: mails and flags are not as before:\n%s", what, strings.Join(diff, "\n"))
	}
}

// rest is a truth without the INBOX.
func rest(t *fill.Truth) *fill.Truth {
	r := &fill.Truth{Mailboxes: map[string]*fill.Mailbox{}}
	for name, m := range t.Mailboxes {
		if name != fill.Inbox {
			r.Mailboxes[name] = m
		}
	}
	return r
}

func (c *realCase) dbox() bool { return c.h.Layout() != "maildir" }

func (c *realCase) runOf(doc map[string]any) string {
	c.t.Helper()
	id, _ := doc["run"].(string)
	if id == "" {
		c.t.Fatalf("no run in %v", doc)
	}
	return id
}

func (c *realCase) accountsAreFoundAndMeasured() {
	b, err := json.Marshal(c.run(0, "accounts"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, want := range []string{c.h.Account(), `"` + c.h.Layout() + `"`, fill.Umlauts, fill.Archive, `"messages":45`} {
		if !strings.Contains(string(b), want) {
			c.t.Errorf("accounts does not tell %s: %s", want, b)
		}
	}
}

func (c *realCase) backupIsTheTree() {
	c.quiet()
	before := c.tree(".")
	first := c.run(0, "backup", "--all-mailboxes")
	copied := 0
	for p, line := range before {
		b, err := os.ReadFile(filepath.Join(c.state, "runs", c.runOf(first), "snapshot", "files", p))
		switch {
		case strings.HasPrefix(line, "d") || strings.HasPrefix(line, "L"):
		case err != nil:
			c.t.Errorf("the backup lacks %s: %v", p, err)
		case !strings.HasSuffix(line, fmt.Sprintf(" %x", b)):
			c.t.Errorf("the backup of %s differs", p)
		default:
			copied++
		}
	}
	if copied < 5 {
		c.t.Errorf("only %d files in the backup", copied)
	}
	// A second backup takes every file from the first one: the same file on the local disk, not a second download.
	second := c.run(0, "backup", "--all-mailboxes")
	for p, line := range before {
		if strings.HasPrefix(line, "d") || strings.HasPrefix(line, "L") {
			continue
		}
		x, err1 := os.Stat(filepath.Join(c.state, "runs", c.runOf(first), "snapshot", "files", p))
		y, err2 := os.Stat(filepath.Join(c.state, "runs", c.runOf(second), "snapshot", "files", p))
		if err := errors.Join(err1, err2); err != nil || !os.SameFile(x, y) {
			c.t.Errorf("the second backup copied %s again (%v)", p, err)
		}
	}
	c.sameTree(before, c.tree("."))
}

func (c *realCase) planWithoutApplyChangesNothing() {
	before := c.tree(".")
	for _, remedy := range []string{"drop-cache", "clear"} {
		want := 3
		if remedy == "clear" { // its cost is not accepted
			want = 4
		}
		c.run(want, "repair", "--remedy", remedy)
	}
	want := 3
	if c.dbox() { // the logs were rotated: flags would be lost
		want = 4
	}
	c.run(want, "repair", "--remedy", "drop-index")
	c.sameTree(before, c.tree("."))
}

func (c *realCase) dropCacheKeepsEverything() {
	doc := c.run(0, "repair", "--remedy", "drop-cache", "--apply")
	c.wantIMAP(doc, "preauth")
	c.sameTruth("after drop-cache", c.h.Truth)
}

// wantIMAP wants the result to have been verified over IMAP in this way.
func (c *realCase) wantIMAP(doc map[string]any, how string) {
	c.t.Helper()
	v, _ := doc["verification"].(map[string]any)
	if v["imap"] != how || v["ok"] != true {
		c.t.Errorf("verification over IMAP (%s): %v", how, v)
	}
}

func (c *realCase) dropIndexAndUndo() {
	args := []string{"repair", "--remedy", "drop-index", "--apply"}
	if c.dbox() {
		c.run(4, args...)
		args = append(args, "--accept-loss", "flags,keywords,uids,messages")
	}
	doc := c.run(0, args...)
	id := c.runOf(doc)
	now := remotetest.ReadTruth(c.t, c.h)
	want := len(c.h.Truth.Mailboxes[fill.Inbox].Messages) - int(costOf(doc, "messages"))
	if got := len(now.Mailboxes[fill.Inbox].Messages); got != want || want < 40 {
		c.t.Errorf("INBOX has %d messages after drop-index, and %d were foretold", got, want)
	}
	if !c.dbox() {
		c.sameTruth("after drop-index", c.h.Truth)
	}
	c.run(0, "undo", "--run", id)
	c.sameTruth("after undo", c.h.Truth)
}

// costOf is how many messages a loss of the plan concerns.
func costOf(doc map[string]any, loss string) (n float64) {
	p, _ := doc["plan"].(map[string]any)
	costs, _ := p["costs"].([]any)
	for _, c := range costs {
		if c, _ := c.(map[string]any); c["loss"] == loss {
			count, _ := c["count"].(float64)
			n += count
		}
	}
	return n
}

func (c *realCase) clearAndUndo(aside bool) {
	args := []string{"repair", "--remedy", "clear", "--apply", "--confirm", "INBOX"}
	if aside {
		args = append(args, "--aside")
	}
	c.run(4, args...) // the cost is not accepted
	id := c.runOf(c.run(0, append(args, "--accept-loss", "messages,flags,keywords,uids")...))
	now := remotetest.ReadTruth(c.t, c.h)
	if got := len(now.Mailboxes[fill.Inbox].Messages); got != 0 {
		c.t.Errorf("INBOX has %d messages after clear", got)
	}
	if diff := rest(c.h.Truth).Diff(rest(now)); len(diff) > 0 {
		c.t.Errorf("clear of INBOX changed other mailboxes:\n%s", strings.Join(diff, "\n"))
	}
	c.run(0, "undo", "--run", id)
	c.sameTruth("after undo", c.h.Truth)
}

func (c *realCase) undoIsByteForByte() {
	c.quiet()
	before := c.tree(".")
	id := c.runOf(c.run(0, "repair", "--remedy", "clear", "--apply", "--confirm", "INBOX", "--imap", "off", "--preauth", "off",
		"--accept-loss", "messages,flags,keywords,uids"))
	c.run(0, "undo", "--run", id)
	c.sameTree(before, c.tree("."))
	c.sameTruth("after undo", c.h.Truth)
}
