package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dovemend/remote/remotetest"
	"dovemend/remote/remotetest/fill"
)

// killAnd kills a clear with SIGKILL as soon as its journal has so many bytes, and then finishes it or takes it back.
func (c *realCase) killAnd(then string, size int64) {
	c.quiet()
	before := c.tree(".")
	old := c.runIDs()
	cmd := c.command("repair", "--remedy", "clear", "--apply", "--confirm", "INBOX", "--imap", "off", "--preauth", "off",
		"--accept-loss", "messages,flags,keywords,uids", "--json")
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is told by the run
		close(ended)
	}()
	id := c.journalOf(old, size, ended)
	_ = cmd.Process.Kill() // it may have ended
	<-ended
	if id == "" {
		c.t.Fatal("the run never wrote its journal")
	}
	b, err := os.ReadFile(filepath.Join(c.state, "runs", id, "run.json"))
	if err != nil {
		c.t.Fatal(err)
	}
	var meta struct{ Stage string }
	if err := json.Unmarshal(b, &meta); err != nil {
		c.t.Fatal(err)
	}
	c.t.Logf("killed at stage %s", meta.Stage)
	switch {
	case meta.Stage == "planned": // nothing was changed: both say so
		c.run(2, then, "--run", id)
		c.sameTree(before, c.tree("."))
	case then == "undo" && meta.Stage == "applying":
		c.run(0, "undo", "--run", id)
		c.sameTree(before, c.tree("."))
		c.sameTruth("after undo", c.h.Truth)
	case meta.Stage == "applying":
		c.run(0, "resume", "--run", id, "--imap", "off", "--preauth", "off")
		if now := remotetest.ReadTruth(c.t, c.h); len(now.Mailboxes[fill.Inbox].Messages) != 0 {
			c.t.Errorf("INBOX has %d messages after resume", len(now.Mailboxes[fill.Inbox].Messages))
		}
		fallthrough
	default: // it had just ended
		c.run(0, "undo", "--run", id)
		c.sameTruth("after undo of the resumed run", c.h.Truth)
	}
}

// runIDs are the runs in the state directory.
func (c *realCase) runIDs() (ids []string) {
	all, err := os.ReadDir(filepath.Join(c.state, "runs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.t.Fatal(err)
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), ".") { // such a one is just being made
			ids = append(ids, e.Name())
		}
	}
	return ids
}

// journalOf waits until a run that is none of the old ones has a journal of so many bytes, or has ended with one, and gives
// its ID.
func (c *realCase) journalOf(old []string, size int64, ended <-chan struct{}) (id string) {
	for running := true; ; time.Sleep(200 * time.Microsecond) {
		select {
		case <-ended: // faster than we could look
			running = false
		default:
		}
		if id == "" {
			for _, run := range c.runIDs() {
				if !slices.Contains(old, run) {
					id = run
				}
			}
		}
		if info, err := os.Stat(filepath.Join(c.state, "runs", id, "journal.jsonl")); id != "" && err == nil && (info.Size() >= size || !running) {
			return id
		}
		if !running {
			return ""
		}
	}
}
