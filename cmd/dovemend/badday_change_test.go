//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/sshhost"
)

// mailProgram changes the account while dovemend works on it, as a mail program does: at the first request of a kind for a
// file of some name.
type mailProgram struct {
	once  sync.Once
	armed atomic.Bool
	op    string
	name  string
	act   func()
}

func (m *mailProgram) fault(op, path string) error {
	if m.armed.Load() && op == m.op && strings.HasSuffix(path, m.name) {
		m.once.Do(m.act)
	}
	return nil
}

// appendTo changes a file as Dovecot does with its log.
func (d *badDay) appendTo(name string) {
	f, err := os.OpenFile(filepath.Join(d.h.MailRoot(), name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		d.t.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteString("\x10\x00\x00\x00more"); err != nil {
		d.t.Error(err)
	}
}

const inboxFolder = "mailboxes/INBOX/dbox-Mails/"

// TestFileChangedMidwayIsToldAndTheSameCommandDoesTheRest has a mail program change the log when the cache is gone already.
func TestFileChangedMidwayIsToldAndTheSameCommandDoesTheRest(t *testing.T) {
	m := &mailProgram{op: "remove", name: "dovecot.index.cache"}
	d := newBadDay(t, "sdbox", 20, remotetest.EmbeddedOptions{Options: sshhost.Options{Fault: m.fault}})
	m.act = func() { d.appendTo(inboxFolder + "dovecot.index.log") }
	before := d.tree()
	m.armed.Store(true)
	o := d.want(6, "repair", clearIt, `stopped after 1 of \d+ steps`, "dovecot.index.log.* changed since the plan was made",
		`next: close the mail programs that use this mailbox; then the same "dovemend repair …" command again does the rest, or dovemend undo`)
	changed := d.tree()
	first := d.runs()[0]
	if !strings.Contains(o.stderr, first.ID) || first.Stage != "applying" {
		t.Errorf("run %s is at stage %s:\n%s", first.ID, first.Stage, o.stderr)
	}
	// To resume does not do what was not agreed to: it stops again, with the same advice.
	d.want(6, "resume", []string{"--run", first.ID}, `next: close the mail programs`)
	d.same("after resume", changed)

	d.want(0, "repair", clearIt, "Verified")
	if n := d.messages(); n != 0 {
		t.Errorf("%d messages after the second clear", n)
	}
	second := d.runs()[0]
	// The first cannot be taken back before the second, and that is said.
	d.want(2, "undo", []string{"--run", first.ID}, "run "+second.ID+" changed the same mailbox after run "+first.ID,
		"next: dovemend undo --run "+second.ID)
	d.want(2, "undo", nil, "next: dovemend undo --run "+second.ID) // nobody can be asked which
	d.want(0, "undo", []string{"--run", second.ID}, "Verified")
	d.same("after the undo of the second", changed)
	d.want(0, "undo", []string{"--run", first.ID}, "Verified")
	// The first run had taken nothing but the cache: what the mail program wrote since stays, and nothing is set aside.
	d.same("after the undo of the first", withLineOf(before, changed, "dovecot.index.log"))
	kept, err := filepath.Glob(filepath.Join(d.h.MailRoot(), "dovemend-aside", "*", inboxFolder, "dovecot.index.log"))
	if err != nil || len(kept) != 0 {
		t.Errorf("what the mail program wrote is set aside in %q (%v)", kept, err)
	}
}

// withLineOf is a tree with the line of one file taken from another tree.
func withLineOf(tree, other, name string) string {
	lineOf := func(tree string) string {
		for line := range strings.Lines(tree) {
			if path, _, _ := strings.Cut(line, "\" "); strings.HasSuffix(path, name) {
				return line
			}
		}
		return ""
	}
	return strings.Replace(tree, lineOf(tree), lineOf(other), 1)
}

// TestUndoOfAMidwayStopBringsBack takes back at once.
func TestUndoOfAMidwayStopBringsBack(t *testing.T) {
	m := &mailProgram{op: "rename", name: "dovecot.index.cache"}
	d := newBadDay(t, "maildir", 20, remotetest.EmbeddedOptions{Options: sshhost.Options{Fault: m.fault}})
	m.act = func() { d.appendTo("dovecot.index.log") }
	before := d.tree()
	m.armed.Store(true)
	d.want(6, "repair", clearIt, "changed since the plan was made")
	changed := d.tree()
	d.want(0, "undo", nil, "Verified")
	d.same("after the undo", withLineOf(before, changed, "dovecot.index.log"))
}

// TestFileChangedBeforeTheFirstStepIsLookedAtAnew has a new message come between the plan and its first step: it is in the
// copy, and comes back with the undo.
func TestFileChangedBeforeTheFirstStepIsLookedAtAnew(t *testing.T) {
	var d *badDay
	var once sync.Once
	d = newBadDay(t, "sdbox", 20, remotetest.EmbeddedOptions{Options: sshhost.Options{NoShell: true, Fault: func(op, path string) error {
		if op == "opendir" && strings.HasSuffix(path, "dbox-Mails") && len(planned(d)) > 0 {
			once.Do(func() {
				from := filepath.Join(d.h.MailRoot(), inboxFolder)
				b, err := os.ReadFile(from + "/u.1")
				if err == nil {
					err = os.WriteFile(from+"/u.777", b, 0o600)
				}
				if err != nil {
					d.t.Error(err)
				}
			})
		}
		return nil
	}}})
	d.want(0, "repair", clearIt, "1 file has changed|2 files have changed|files have changed", "Verified")
	if n := d.messages(); n != 0 {
		t.Errorf("%d messages stay", n)
	}
	d.want(0, "undo", nil, "Verified")
	if n := d.messages(); n != 21 {
		t.Errorf("%d messages after the undo, want 21", n)
	}
}

// planned gives the plans that are on the local disk.
func planned(d *badDay) []string {
	all, _ := filepath.Glob(filepath.Join(d.state, "runs", "*", "plan.json"))
	return all
}

// TestMailboxThatChangesAllTheTimeIsLeftAlone has a file change whenever it was compared for the last time.
func TestMailboxThatChangesAllTheTimeIsLeftAlone(t *testing.T) {
	var armed atomic.Bool
	var d *badDay
	d = newBadDay(t, "sdbox", 10, remotetest.EmbeddedOptions{Options: sshhost.Options{NoShell: true, Fault: func(op, path string) error {
		// Whenever the cache was read for the last comparison before it goes, it changes.
		if armed.Load() && op == "open" && strings.HasSuffix(path, "dovecot.index.cache") && len(planned(d)) > 0 {
			d.appendTo(inboxFolder + "dovecot.index.cache")
		}
		return nil
	}}})
	armed.Store(true)
	files := d.messages()
	o := d.do("repair", clearIt...)
	o.check(t, 1, "nothing was changed", "next: close the mail programs that use this mailbox|next: .*processes --stop|next: close")
	if n := d.messages(); n != files {
		t.Errorf("%d of %d messages are left", n, files)
	}
	if all := d.runs(); all[0].Undo {
		t.Errorf("the run is offered to be taken back: %+v", all[0])
	}
	armed.Store(false)
	d.want(0, "repair", clearIt, "Verified")
}

// TestHostWithoutRoomDuringUndo has the host refuse what is written, as a full quota does.
func TestHostWithoutRoomDuringUndo(t *testing.T) {
	for op, errno := range map[string]syscall.Errno{"write": syscall.EDQUOT, "open": syscall.ENOSPC} {
		t.Run(errno.Error()+" at "+op, func(t *testing.T) {
			var full atomic.Bool
			var writes atomic.Int32
			d := newBadDay(t, "sdbox", 20, remotetest.EmbeddedOptions{Options: sshhost.Options{Fault: func(o, path string) error {
				if full.Load() && o == op && strings.Contains(path, ".dovemend-") && writes.Add(1) > 10 {
					return errno
				}
				return nil
			}}})
			before := d.tree()
			d.want(0, "repair", clearIt)
			full.Store(true)
			d.want(6, "undo", nil, `stopped after \d+ of \d+ steps`, "the disk or the quota may be full",
				"next: make room on the host .* dovemend resume --run [0-9a-f-]+.*; nothing is lost")
			if left, _ := filepath.Glob(filepath.Join(d.h.MailRoot(), inboxFolder, ".dovemend-*")); len(left) > 0 {
				t.Errorf("half a file takes up room: %q", left)
			}
			undo := d.runs()[0]
			d.want(6, "resume", []string{"--run", undo.ID}, "next: make room on the host")
			full.Store(false)
			d.want(0, "resume", []string{"--run", undo.ID}, "Verified")
			d.same("after the room was made", before)
		})
	}
}

// TestTwoRunsAtOnce holds one run in the middle of its copy while a second one begins.
func TestTwoRunsAtOnce(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d := newBadDay(t, "sdbox", 10, remotetest.EmbeddedOptions{Options: sshhost.Options{NoShell: true, Fault: func(op, path string) error {
		if op == "read" && strings.HasSuffix(path, "u.5") {
			once.Do(func() { close(held); <-hold })
		}
		return nil
	}}})
	first := make(chan outcome, 1)
	go func() { first <- d.do("repair", clearIt...) }()
	select {
	case <-held:
	case <-time.After(20 * time.Second):
		t.Fatal("the first run never read")
	}
	id := d.runs()[0].ID
	for _, verb := range []string{"backup", "repair"} {
		var args []string
		if verb == "repair" {
			args = clearIt
		}
		d.want(1, verb, args, "in use by another dovemend, run "+id, "next: wait until")
	}
	close(hold)
	o := <-first
	o.check(t, 0, "Verified")
	d.want(0, "undo", []string{"--run", id}, "Verified")
}
