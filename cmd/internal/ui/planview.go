package ui

import (
	"fmt"
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

// mostCosts is how many costs are told one by one; of more, those of one kind are told together.
const mostCosts = 4

// CostTexts is what a remedy costs in words: one by one, or where it costs something in many mailboxes, each kind once.
func CostTexts(costs []plan.Cost) []string {
	var texts []string
	if len(costs) <= mostCosts {
		for _, c := range costs {
			texts = append(texts, CostText(c))
		}
		return texts
	}
	for _, l := range plan.Losses() {
		n, boxes := 0, 0
		for _, c := range costs {
			if c.Loss != l {
				continue
			}
			boxes++
			if n >= 0 && c.Count >= 0 {
				n += c.Count
			} else {
				n = -1
			}
		}
		if boxes > 0 {
			texts = append(texts, fmt.Sprintf("in %s %s (%s)", Count(boxes, "mailbox"), lossText[l](Count(n, "message")), l))
		}
	}
	return texts
}

var lossText = map[plan.Loss]func(messages string) string{
	plan.LossFlags:    func(m string) string { return "the flags of " + m },
	plan.LossKeywords: func(m string) string { return "the keywords of " + m },
	plan.LossUIDs:     func(m string) string { return "the UIDs of " + m + ": mail programs download them anew" },
	plan.LossMessages: func(m string) string { return m + ", taken out or no longer shown; the copy keeps them" },
}

func safeAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = Safe(s)
	}
	return out
}
