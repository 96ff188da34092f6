package ui

import (
	"io"

	"dovemend/repair/plan"
)

// PrintPlan writes a plan in words: what will be done, to which paths, what it costs, what is kept and how it is taken
// back; undo is the command for that. Long lists are counted beyond the first paths; plan.json in the run's folder holds
// them all.
func PrintPlan(w io.Writer, p *plan.Plan, folder string, undo []string) {
	Say(w, "Plan of run %s", p.Run)
	for _, line := range plan.Describe(p) {
		Say(w, "  %s", line)
	}
	if len(p.Costs) == 0 {
		Say(w, "  costs: nothing that the copy shows")
	}
	if p.Remedy == plan.Undo {
		return
	}
	Say(w, "What is kept: a verified copy of every file named above, in")
	SayWhole(w, "  %s", folder)
	Say(w, "How to take it back:")
	SayCommand(w, "  ", undo...)
}

// CostText is one cost in words, with the name it is accepted by.
func CostText(c plan.Cost) string {
	text := c.Text
	if text == "" {
		text = Count(c.Count, string(c.Loss))
	}
	s := Safe(text)
	if c.Mailbox != "" {
		s = "in " + Safe(c.Mailbox) + " " + s
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
