//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/demoaccount"
	"dovemend/repair/rundir"
)

// badDay is an embedded host with an account, and the command line of somebody who has a bad day with it.
type badDay struct {
	t      *testing.T
	h      *remotetest.EmbeddedHost
	state  string
	engine quickEngine
}

// newBadDay starts a host with an account of this layout: the demo's mdbox, or one made by hand of n messages.
func newBadDay(t *testing.T, layout string, n int, o remotetest.EmbeddedOptions) *badDay {
	t.Helper()
	o.Layout = layout
	o.Lay = func(root string) error {
		switch layout {
		case "sdbox":
			return makeSdbox(filepath.Join(root, "mailboxes", "INBOX", "dbox-Mails"), n)
		case "maildir":
			return makeMaildir(root, n)
		}
		if err := os.Remove(filepath.Join(root, "mailboxes")); err != nil { // an empty one was made
			return err
		}
		return demoaccount.Unpack(root)
	}
	return &badDay{t: t, h: remotetest.Embedded(t, o), state: filepath.Join(t.TempDir(), "state")}
}

// makeSdbox lays a mailbox of n messages with the index files of an older day, whose bytes nothing can read.
func makeSdbox(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	files := map[string]string{"dovecot.index": "index", "dovecot.index.log": "log", "dovecot.index.cache": "cache"}
	for i := 1; i <= n; i++ {
		body := fmt.Sprintf("From: bob@example.net\nSubject: message %d\n\nText of message %d%s.\n", i, i, strings.Repeat(", and more of it", i%40))
		files[fmt.Sprintf("u.%d", i)] = fmt.Sprintf("2 M1e C5e0be100\n\x01\x02N                %016x\n%s\n\x01\x03\nG%032x\nR5e0be1%02x\n\n", len(body), body, i, i%256)
	}
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			return err
		}
		at := time.Unix(1577836800, 0)
		if err := os.Chtimes(file, at, at); err != nil {
			return err
		}
	}
	return nil
}

// flags are those every verb needs to reach the host.
func (d *badDay) flags() []string {
	return []string{"--host", d.h.User() + "@" + d.h.Addr(), "--identity", d.h.Identity(), "--known-hosts", d.h.KnownHosts(),
		"--ssh-config", "none", "--state-dir", d.state, "--no-input"}
}

var clearIt = []string{"--remedy", "clear", "--apply", "--confirm", "INBOX", "--accept-loss", "messages,flags,keywords,uids"}

// line is a whole command line.
func (d *badDay) line(verb string, args ...string) []string {
	line := append([]string{"dovemend", verb}, d.flags()...)
	switch verb {
	case "repair":
		line = append(line, "--account", d.h.Account(), "--imap", "off")
	case "undo", "resume":
		line = append(line, "--imap", "off")
	case "backup":
		line = append(line, "--account", d.h.Account())
	}
	return append(line, args...)
}

// outcome is how a command ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// do runs the program in this process. Tests of this do not run in parallel: reading its flags, urfave/cli writes to variables
// of its own.
func (d *badDay) do(verb string, args ...string) outcome {
	d.t.Helper()
	return d.judged(d.line(verb, args...), func(p *program) int { return p.run(d.line(verb, args...)) })
}

func (d *badDay) judged(line []string, run func(*program) int) outcome {
	d.t.Helper()
	var out, errs bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, engine: d.engine}
	o := outcome{run(p), out.String(), errs.String()}
	o.wellSaid(d.t, line)
	return o
}

// wellSaid checks what holds for every end: a failure names what to try next, and nothing that only a programmer reads.
func (o outcome) wellSaid(t *testing.T, line []string) {
	t.Helper()
	_, hint, hinted := strings.Cut(o.stderr, "next: ")
	if o.code != 0 && (!hinted || !regexp.MustCompile(`dovemend|ssh|the same command|sftp`).MatchString(hint)) {
		t.Errorf("%s: exit %d without the next command to try:\n%s", line[1], o.code, o.stderr)
	}
	if bad := regexp.MustCompile(`context canceled|errgroup|EOF|%!|\x1b|panic|goroutine|<nil>|DATA RACE`).FindString(o.stderr); bad != "" {
		t.Errorf("%s: says %q to its user:\n%s", line[1], bad, o.stderr)
	}
}

// want runs the program and wants an exit code and texts.
func (d *badDay) want(code int, verb string, args []string, texts ...string) outcome {
	d.t.Helper()
	o := d.do(verb, args...)
	o.check(d.t, code, texts...)
	return o
}

func (o outcome) check(t *testing.T, code int, texts ...string) {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.stdout, o.stderr)
	}
	all := strings.Join(strings.Fields(o.stdout+" "+o.stderr), " ")
	for _, want := range texts {
		if !regexp.MustCompile(want).MatchString(all) {
			t.Errorf("nothing says %q:\nstdout: %s\nstderr: %s", want, o.stdout, o.stderr)
		}
	}
}

// process is dovemend in a process of its own, with the quick engine.
func (d *badDay) process(verb string, args ...string) *exec.Cmd {
	d.t.Helper()
	name := ownBinary(d.t, "dovemend-quick")
	cmd := exec.Command(name, d.line(verb, args...)[1:]...)
	cmd.Env = append([]string{"HOME=" + filepath.Dir(name), "PATH=" + os.Getenv("PATH"), "TERM=dumb"}, goEnv()...)
	return cmd
}

// listedRun is a run as "dovemend runs --json" tells of it.
type listedRun struct {
	ID, Kind, Of, Folder string
	Stage                rundir.Stage
	Undo                 bool `json:"can_undo"`
	Resume               bool `json:"can_resume"`
}

// runs gives what "dovemend runs" tells, newest first.
func (d *badDay) runs() []listedRun {
	d.t.Helper()
	var out bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &out, engine: d.engine}
	if code := p.run([]string{"dovemend", "runs", "--json", "--state-dir", d.state}); code != 0 {
		d.t.Fatalf("runs: exit %d: %s", code, out.String())
	}
	var doc struct{ Runs []listedRun }
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		d.t.Fatal(err)
	}
	return doc.Runs
}

// tree is the account as it is: names, modes, times, bytes. What was set aside, and the time of the directory it was made
// in, are left out.
func (d *badDay) tree() string {
	d.t.Helper()
	sum, err := treesum(d.h.MailRoot())
	if err != nil {
		d.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(sum) {
		if !strings.HasPrefix(line, `"dovemend-aside`) && !strings.HasPrefix(line, `"." `) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func (d *badDay) same(what, before string) {
	d.t.Helper()
	if now := d.tree(); now != before {
		d.t.Fatalf("%s: the tree is not as before:\n%s", what, differing(before, now))
	}
}

func differing(a, b string) string {
	in := func(list, line string) bool { return strings.Contains("\n"+list, "\n"+line) }
	var out strings.Builder
	for line := range strings.Lines(a) {
		if !in(b, line) {
			out.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(b) {
		if !in(a, line) {
			out.WriteString("+ " + line)
		}
	}
	return out.String()
}

// messages is how many messages the INBOX has as files.
func (d *badDay) messages() int {
	d.t.Helper()
	pattern := "mailboxes/INBOX/dbox-Mails/u.*"
	if d.h.Layout() == "maildir" {
		pattern = "cur/*"
	}
	all, err := filepath.Glob(filepath.Join(d.h.MailRoot(), pattern))
	if err != nil {
		d.t.Fatal(err)
	}
	return len(all)
}
