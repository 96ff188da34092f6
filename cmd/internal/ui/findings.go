package ui

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"dovemend/repair"
)

// mostFaults is how many places of one file are named; the rest is counted.
const mostFaults = 6

// PrintDiagnoses writes what is known of each mailbox from its copy. What is wrong in one way is told together: first
// what it means and what to do about it, then where it was seen.
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
		for rest := d.Findings; len(rest) > 0; {
			n := alike(rest)
			printFindings(say, rest[:n])
			rest = rest[n:]
		}
	}
}

// PrintShared writes what concerns the account as a whole.
func PrintShared(w io.Writer, all []repair.Finding) {
	if len(all) == 0 {
		return
	}
	say := func(format string, args ...any) { Say(w, format, args...) }
	say("The account as a whole:")
	for rest := all; len(rest) > 0; {
		n := alike(rest)
		printFindings(say, rest[:n])
		rest = rest[n:]
	}
}

// alike is how many of the findings, from the first on, are the same thing seen at several places of one file, or the same
// kind of thing in several files.
func alike(f []repair.Finding) int {
	n := 1
	for n < len(f) && f[n].Severity == f[0].Severity && (f[n].File == f[0].File || f[n].Rule == f[0].Rule) && f[n].Effect == f[0].Effect &&
		f[n].Advice == f[0].Advice && f[n].Cure == f[0].Cure {
		n++
	}
	return n
}

// oneFile reports whether all of the findings are about the same file.
func oneFile(f []repair.Finding) bool {
	return !slices.ContainsFunc(f, func(x repair.Finding) bool { return x.File != f[0].File })
}

// printFindings writes findings that are alike.
func printFindings(say func(format string, args ...any), f []repair.Finding) {
	one := oneFile(f)
	switch {
	case len(f) == 1:
		say("  %s: %s", f[0].Severity, f[0].Text)
		say("    in %s%s", Safe(string(f[0].File)), offset(f[0].Offset))
	case one:
		say("  %s: %s", f[0].Severity, Safe(string(f[0].File)))
	default:
		say("  %s: something of one kind in %s files, which are named below", f[0].Severity, number(len(f)))
	}
	if f[0].Effect != "" {
		say("    effect: %s", f[0].Effect)
	}
	if f[0].Advice != "" {
		say("    what to do: %s", f[0].Advice)
	} else if f[0].Cure != "" {
		say("    cure: %s", f[0].Cure)
	}
	if len(f) == 1 {
		return
	}
	what, where := "place", ""
	if one {
		say("    seen in the file:")
	} else {
		what = "file"
		say("    these:")
	}
	for i, x := range f {
		if i == mostFaults && len(f) > mostFaults+1 {
			say("      … and %s more", Count(len(f)-i, what))
			return
		}
		if !one {
			where = ", in " + Safe(string(x.File))
		}
		say("      %s%s%s", x.Text, where, offset(x.Offset))
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
		for _, c := range CostTexts(o.Costs) {
			say("  costs: %s", c)
		}
		if o.Why != "" {
			say("  why: %s", o.Why)
		}
	}
}
