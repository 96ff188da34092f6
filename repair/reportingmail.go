package repair

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"dovemend/repair/report"
)

// What changes messages over IMAP keeps lists of its own in the run's folder: a journal of moves, or a line for every message that
// was to be put back. A report counts what is in them.
const (
	movesFile    = "evacuate.jsonl"
	restoredFile = "restored.jsonl"
)

// overIMAP tells what was done over IMAP, in a run that did any such thing.
func (c *collector) overIMAP() error { return errors.Join(c.moves(), c.putBack()) }

// moves counts the messages that were moved out of a mailbox, and back.
func (c *collector) moves() error {
	var out, back, left int
	var returning bool
	var group *report.Event
	err := c.eachLine(movesFile, func(b json.RawMessage) error {
		var l struct {
			Kind   string            `json:"kind"`
			At     time.Time         `json:"at"`
			Backup string            `json:"backup"`
			Back   bool              `json:"back"`
			Left   []json.RawMessage `json:"left"`
			New    []int64           `json:"new"`
		}
		if err := json.Unmarshal(b, &l); err != nil {
			return err
		}
		c.run.Applied = c.run.Applied || l.Kind != "begin" && l.Kind != "look" && l.Kind != "left"
		switch l.Kind {
		case "begin", "look", "left", "bad":
			left += len(l.Left)
		case "create":
			c.event(report.Event{At: l.At, What: "steps", Did: "mailbox-made", Text: l.Backup, Count: 1})
			group = nil
		case "move":
			returning = l.Back
		case "moved":
			n, did := 0, "moved-out"
			for _, uid := range l.New {
				if uid > 0 {
					n++
				}
			}
			if out += n; returning {
				did, out, back = "moved-back", out-n, back+n
			}
			if n == 0 {
				break
			}
			if group != nil && group.Did == did {
				group.Count, group.Until = group.Count+n, l.At
				break
			}
			c.event(report.Event{At: l.At, What: "steps", Did: did, Count: n})
			group = &c.run.Timeline[len(c.run.Timeline)-1]
		case "clear", "fresh", "gone", "end":
			group = nil
		}
		return nil
	})
	for _, d := range []struct {
		what string
		n    int
	}{{"moved-out", out}, {"moved-back", back}, {"left-behind", left}} {
		if d.n > 0 {
			c.run.Done = append(c.run.Done, report.Done{What: d.what, Steps: d.n, Done: d.n})
		}
	}
	return err
}

// putBack counts what became of the messages that were to be put back.
func (c *collector) putBack() error {
	at := map[string]int{}
	err := c.eachLine(restoredFile, func(b json.RawMessage) error {
		var l struct {
			Status string `json:"status"`
			Size   int64  `json:"size"`
		}
		if err := json.Unmarshal(b, &l); err != nil {
			return err
		}
		what := "restore-" + l.Status
		i, ok := at[what]
		if !ok {
			if len(at) == mostGroups {
				return nil
			}
			i = len(c.run.Done)
			at[what] = i
			c.run.Done = append(c.run.Done, report.Done{What: what})
		}
		d := &c.run.Done[i]
		d.Steps, d.Bytes = d.Steps+1, d.Bytes+l.Size
		if l.Status == "added" {
			d.Done++
			c.run.Applied = true
		}
		return nil
	})
	return err
}

// eachLine hands out the JSON lines of a file of the run, one in memory at a time, as far as they are good.
func (c *collector) eachLine(name string, yield func(json.RawMessage) error) error {
	f, err := c.dir.Root().OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	for {
		var b json.RawMessage
		err := dec.Decode(&b)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // the end, or what a kill has torn
			return nil
		}
		if err == nil {
			err = yield(b)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
}
