package ui

import (
	"fmt"
	"io"
	"strings"

	"dovemend/repair/plan"
)

// stepsShown is how many steps of a plan are printed in full; a folder can hold many thousand files.
const stepsShown = 40

// PrintPlan writes a plan in words: what will be done, to which paths, what it costs, what is kept and how it is taken
// back. Steps beyond the first forty are counted, not listed; plan.json holds them all.
func PrintPlan(w io.Writer, p *plan.Plan, folder string) {

	say := func(format string, args ...any) { Say(w, format, args...) }
	say("Plan of run %s: %s on %s", p.Run, p.Remedy, strings.Join(safeAll(p.Mailboxes), ", "))
	say("  mail root %s (%s)", p.Root, p.Layout)
	if len(p.Steps) == 0 {
		say("Nothing has to be done: what this remedy would remove is not there.")
	} else {
		say("What will be done, in this order:")
	}
	for i, s := range p.Steps {
		if i == stepsShown {
			say("  … and %s of the same kind; all are in plan.json", Count(len(p.Steps)-i, "more step"))
			break
		}
		say("  %3d  %s", s.Seq, StepText(s))
	}
	if len(p.Costs) == 0 {
		say("What it costs: nothing that the copy shows.")
	} else {
		say("What it costs:")
		for _, c := range p.Costs {
			say("  %s", CostText(c))
		}
	}
	for _, n := range p.Notes {
		say("Note: %s", n)
	}
	if p.Remedy == plan.Undo {
		return
	}
	say("What is kept: a verified copy of every file named above, in\n  %s", folder)
	say("How to take it back: %s", Command("dovemend", "undo", "--run", p.Run))
}

// StepText is one step in words.
func StepText(s plan.Step) string {
	var t string
	switch s.Op {
	case plan.OpRemove:
		t = "remove the file " + Safe(string(s.Path)) + sizeOf(s)
	case plan.OpRemoveDir:
		t = "remove the empty folder " + Safe(string(s.Path))
	case plan.OpMkdir:
		t = "make the folder " + Safe(string(s.Path))
	case plan.OpRename:
		t = "move " + Safe(string(s.Path)) + " to " + Safe(string(s.To))
	case plan.OpPut:
		t = "write the file " + Safe(string(s.Path))
	case plan.OpSetAttr:
		t = "set mode and time of " + Safe(string(s.Path))
	default:
		t = Safe(string(s.Op)) + " " + Safe(string(s.Path))
	}
	if s.Why != "" {
		t += ": " + Safe(s.Why)
	}
	return t
}

func sizeOf(s plan.Step) string {
	if s.Expect.Size <= 0 {
		return ""
	}
	return " (" + Bytes(s.Expect.Size) + ")"
}

// CostText is one cost in words, with the name it is accepted by.
func CostText(c plan.Cost) string {
	text := c.Text
	if text == "" {
		text = fmt.Sprintf("the %s of %s", c.Loss, Count(c.Count, "message"))
	}
	s := Safe(text)
	if c.Mailbox != "" {
		s = Safe(c.Mailbox) + ": " + s
	}
	return s + " (" + string(c.Loss) + ")"
}

func safeAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = Safe(s)
	}
	return out
}
