package repair

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/repair/apply"
	"dovemend/repair/plan"
	"dovemend/repair/report"
	"dovemend/repair/rundir"
)

// did is the word for what a step does, as package report knows it.
func did(s plan.Step) string {
	switch s.Op {
	case plan.OpRename:
		switch {
		case s.ToClass == plan.ClassAside:
			return "set-aside"
		case s.Class == plan.ClassTemp:
			return "into-place"
		case s.Class == s.ToClass:
			return "rename"
		}
		return "move-back"
	case plan.OpPut:
		if s.Class == plan.ClassTemp {
			return "copy-to-host"
		}
	}
	return string(s.Op)
}

// planned tells what the plan is and, by the journal, what of it was done.
func (c *collector) planned() error {
	var p plan.Plan
	ok, err := c.read(rundir.PlanFile, &p)
	run := c.run
	if !ok {
		run.Applied = c.changed()
		return err
	}
	run.Steps, run.Planned = len(p.Steps), some(p.Notes)
	for _, cost := range p.Costs {
		text := cost.Text
		if len(p.Mailboxes) > 1 && cost.Mailbox != "" {
			text = "in " + cost.Mailbox + ": " + text
		}
		run.Costs = append(run.Costs, text)
	}
	run.Costs = some(run.Costs)
	done := map[int]bool{}
	jerr := c.steps(&p, done)
	if m := c.dir.Meta(); !run.Applied && len(done) == 0 && len(p.Steps) > 0 && c.changed() { // the journal is gone
		run.Applied = true
		for i := 1; i <= len(p.Steps) && m.Stage != rundir.StageApplying; i++ {
			done[i] = true
		}
	}
	for _, s := range p.Steps {
		what := did(s)
		last := len(run.Done) - 1
		if last < 0 || run.Done[last].What != what || run.Done[last].Why != s.Why {
			run.Done = append(run.Done, report.Done{What: what, Why: s.Why})
			last++
		}
		d := &run.Done[last]
		d.Steps++
		d.Bytes += max(s.Expect.Size, s.Size)
		if done[s.Seq] {
			d.Done++
			run.StepsDone++
		}
		shown := s.Path
		if s.Op == plan.OpRename && (s.Class == plan.ClassAside || s.Class == plan.ClassTemp) {
			shown = s.To
		}
		if len(d.Paths) < report.MostPaths {
			d.Paths = append(d.Paths, string(shown))
		} else {
			d.PathsLeftOut++
		}
	}
	run.Done = merged(run.Done)
	return errors.Join(err, jerr)
}

// changed tells, by the stage alone, whether the run has changed something on the host.
func (c *collector) changed() bool {
	m := c.dir.Meta()
	return m.CanUndo() || m.Stage == rundir.StageUndone
}

// mostGroups bounds the groups of steps. A plan that goes back and forth between kinds of steps has as many groups as steps.
const mostGroups = 60

// merged joins what is behind the bound by kind.
func merged(list []report.Done) []report.Done {
	if len(list) <= mostGroups {
		return list
	}
	out := slices.Clone(list[:mostGroups])
	for _, d := range list[mostGroups:] {
		i := slices.IndexFunc(out, func(x report.Done) bool { return x.What == d.What && x.Why == d.Why })
		if i < 0 {
			i = slices.IndexFunc(out, func(x report.Done) bool { return x.What == d.What && x.Why == "" })
		}
		if i < 0 {
			d.Why, d.PathsLeftOut, d.Paths = "", d.PathsLeftOut+len(d.Paths), nil
			out = append(out, d)
			continue
		}
		x := &out[i]
		x.Steps, x.Done, x.Bytes = x.Steps+d.Steps, x.Done+d.Done, x.Bytes+d.Bytes
		x.PathsLeftOut += len(d.Paths) + d.PathsLeftOut
	}
	return out
}

// steps reads the journal: which steps are done, and when.
func (c *collector) steps(p *plan.Plan, done map[int]bool) error {
	var last *report.Event
	err := apply.EachEvent(c.dir.Root(), rundir.JournalFile, func(e apply.Event) error {
		switch e.Kind {
		case "begin":
			c.event(report.Event{At: e.At, What: "apply"})
			last = nil
		case "resume":
			c.event(report.Event{At: e.At, What: "resume"})
			last = nil
		case "failed":
			c.event(report.Event{At: e.At, What: "failed", Text: remote.Safe(e.Err)})
			last = nil
		case "end":
			c.event(report.Event{At: e.At, What: "applied"})
			last = nil
		}
		if e.Step < 1 || e.Step > len(p.Steps) {
			return nil
		}
		s := p.Steps[e.Step-1]
		if s.Op != plan.OpMkdir || s.Class != plan.ClassAside {
			c.run.Applied = true
		}
		if e.Kind != "done" {
			return nil
		}
		done[e.Step] = true
		what := did(s)
		if last != nil && last.Did == what && last.Text == s.Why {
			last.Count++
			last.Until = e.At
			return nil
		}
		c.event(report.Event{At: e.At, What: "steps", Did: what, Text: s.Why, Count: 1})
		last = &c.run.Timeline[len(c.run.Timeline)-1]
		return nil
	})
	if errors.Is(err, apply.ErrJournal) {
		c.run.Applied = true
	}
	return err
}

// mostHeld bounds how many events are held while a run is read.
const mostHeld = 20_000

func (c *collector) event(e report.Event) {
	if len(c.run.Timeline) >= mostHeld {
		c.run.EventsLeftOut++
		c.run.Timeline = c.run.Timeline[:mostHeld-1]
	}
	c.run.Timeline = append(c.run.Timeline, e)
}

// timeline puts all that is known in the order of time, and bounds it.
func (c *collector) timeline() error {
	run := c.run
	if v := run.Verification; v != nil {
		for _, m := range run.Replies {
			if m.Whose != "none" && !m.At.IsZero() {
				c.event(report.Event{At: m.At, What: "reply", Text: m.Text})
			}
		}
	}
	if run.UndoneBy != "" {
		if at, ok := idTime(run.UndoneBy); ok {
			c.event(report.Event{At: at, What: "undone", Text: run.UndoneBy})
		}
	}
	slices.SortStableFunc(run.Timeline, func(a, b report.Event) int { return a.At.Compare(b.At) })
	if n := len(run.Timeline) - report.MostEvents; n > 0 {
		// The beginning and the end tell more than the middle of a long run.
		half := report.MostEvents / 2
		run.Timeline = slices.Concat(run.Timeline[:half], run.Timeline[half+n:])
		run.EventsLeftOut += n
	}
	return nil
}

// idTime is when a run with this ID began.
func idTime(id string) (time.Time, bool) {
	if !rundir.ValidID(id) {
		return time.Time{}, false
	}
	at, err := time.Parse("20060102-150405", id[:15])
	return at, err == nil
}

var stageEvents = map[string]string{"snapshot": "copied", "planned": "planned", "verified": "verified"}

// log takes what log.txt tells of stages. Lines that are not known are left alone: they may hold anything.
func (c *collector) log() error {
	f, err := c.dir.Root().Open(rundir.LogFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) { // a line that long is none of those below
			continue
		}
		if e, ok := logEvent(string(line)); ok {
			c.event(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// logEvent reads one line of a log, as log/slog writes it.
func logEvent(line string) (report.Event, bool) {
	v := attributes(line)
	at, err := time.Parse(time.RFC3339Nano, v["time"])
	if err != nil {
		return report.Event{}, false
	}
	e := report.Event{At: at.UTC()}
	switch v["msg"] {
	case "run begins":
		e.What = "begin"
	case "stage begins":
		e.What, e.Text = "stage", v["text"]
	case "warning":
		e.What, e.Text = "warning", v["text"]
	case "stage reached":
		e.What = stageEvents[v["stage"]]
	case "processes ended":
		e.What = "ended"
		e.Count, _ = strconv.Atoi(v["ended"])
	case "messages that leave their mailbox are saved":
		e.What = "saved"
		e.Count, _ = strconv.Atoi(v["messages"])
	case "command ended":
		e.What, e.Text = "end", v["exit"]
	}
	return e, e.What != ""
}

// attributes takes a line of log/slog's text form apart.
func attributes(line string) map[string]string {
	out := map[string]string{}
	line = strings.TrimSpace(line)
	for line != "" {
		key, rest, ok := strings.Cut(line, "=")
		if !ok {
			break
		}
		value := ""
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			value, _ = strconv.Unquote(quoted)
			rest = rest[len(quoted):]
		} else {
			value, _, _ = strings.Cut(rest, " ")
			rest = rest[len(value):]
		}
		out[key] = value
		line = strings.TrimLeft(rest, " ")
	}
	return out
}
