package ui

import (
	"fmt"
	"io"
	"strings"

	"dovemend/repair"
)

// mostNotes is how many notes and replies of one kind are written; the run's folder holds all of them.
const mostNotes = 5

// PrintVerification writes how the comparison after a repair ended: what is not as promised first, notes as notes.
func PrintVerification(w io.Writer, v *repair.Verification) {
	say := func(format string, args ...any) { Say(w, format, args...) }
	if len(v.Files) == 0 {
		say("Files: as the plan promised")
	}
	for _, f := range v.Files {
		say("Files: %s", f)
	}
	list(w, "  note: ", v.FileNotes)
	if v.IMAP == "" {
		say("IMAP: not looked at%s", because(v.IMAPNot))
	}
	for _, b := range v.Boxes {
		if b.Messages < 0 || v.IMAP == "" { // this one was not looked at
			say("%s", boxLine(b))
		} else {
			say("IMAP (%s): %s", Way(v.IMAP), boxLine(b))
		}
		for _, p := range b.Problems {
			say("  %s", p)
		}
		if b.OK { // every message could be read, so what the server said on the way is no failure
			list(w, "  note: on the way the server said: ", b.Replies)
		} else {
			list(w, "  the server said: ", b.Replies)
		}
		list(w, "  note: ", b.Notes)
	}
	switch {
	case !v.OK:
		say("Not as promised: see above. Nothing more was changed.")
	case v.IMAP == "":
		say("Verified, by the files alone.")
	default:
		say("Verified.")
	}
}

// boxLine says in one line how a mailbox is.
func boxLine(b repair.BoxVerdict) string {
	verdict := "works"
	if !b.OK {
		verdict = "has problems"
	}
	s := fmt.Sprintf("%s %s", Safe(b.Mailbox), verdict)
	if b.Messages >= 0 {
		s += ", " + Count(b.Messages, "message")
	}
	switch {
	case b.Expected < 0:
	case b.Expected == b.Messages:
		s += ", as expected"
	default:
		s += fmt.Sprintf(", %d expected", b.Expected)
	}
	return s
}

// list writes the first of some lines, and how many more there are.
func list(w io.Writer, lead string, lines []string) {
	for i, l := range lines {
		if i == mostNotes && len(lines) > mostNotes+1 {
			Say(w, "%s… and %d more, in the run's folder", strings.Repeat(" ", len(lead)-len(strings.TrimLeft(lead, " "))), len(lines)-i)
			return
		}
		Say(w, "%s%s", lead, l)
	}
}

// Way says in words how a mailbox was looked at over IMAP.
func Way(how string) string {
	if strings.HasPrefix(how, "preauth") {
		return "by the host's own imap program"
	}
	return "with the password, " + how
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ", because " + why
}
