package ui

import (
	"fmt"
	"io"
	"strings"

	"dovemend/repair"
)

// PrintDiagnoses writes what is known of each mailbox from its copy.
func PrintDiagnoses(w io.Writer, all []repair.Diagnosis) {

	say := func(format string, args ...any) { Say(w, format, args...) }
	for _, d := range all {
		say("Mailbox %s: %s, %s seen, %s flagged, %s in its own folder", Safe(d.Mailbox.Name), Count(d.Messages, "message"),
			number(d.Seen), number(d.Flagged), Bytes(d.Bytes))
		if len(d.Keywords) > 0 {
			say("  keywords: %s", strings.Join(safeAll(d.Keywords), ", "))
		}
		if len(d.Findings) == 0 {
			say("  nothing wrong was found in its files")
		}
		for i, f := range d.Findings {
			say("  %s: %s", f.Severity, f.Text)
			say("    in %s%s", Safe(string(f.File)), offset(f.Offset))
			if i+1 < len(d.Findings) && d.Findings[i+1].Effect == f.Effect && d.Findings[i+1].Advice == f.Advice && d.Findings[i+1].Cure == f.Cure {
				continue // said once, of the last of them
			}
			if f.Effect != "" {
				say("    effect: %s", f.Effect)
			}
			if f.Advice != "" {
				say("    what to do: %s", f.Advice)
			} else if f.Cure != "" {
				say("    cure: %s", f.Cure)
			}
		}
	}
}

func offset(n int64) string {
	if n < 0 {
		return ""
	}
	return fmt.Sprintf(", at byte %d", n)
}

// PrintOffers writes every remedy with what it does and costs, the recommended one marked.
func PrintOffers(w io.Writer, offers []repair.Offer) {

	say := func(format string, args ...any) { Say(w, format, args...) }
	for _, o := range offers {
		mark := ""
		if o.Recommended {
			mark = " (recommended)"
		}
		say("%s%s", o.Remedy, mark)
		say("  %s", o.Does)
		if o.Refused != "" {
			say("  not possible here: %s", o.Refused)
		} else if len(o.Costs) == 0 {
			say("  costs: nothing that the copy shows")
		}
		for _, c := range o.Costs {
			say("  costs: %s", CostText(c))
		}
		if o.Why != "" {
			say("  why: %s", o.Why)
		}
	}
}
