package ui

import (
	"fmt"
	"io"

	"dovemend/repair"
)

// PrintVerification writes how the comparison after a repair ended.
func PrintVerification(w io.Writer, v *repair.Verification) {

	say := func(format string, args ...any) { Say(w, format, args...) }
	if len(v.Files) == 0 {
		say("Files: as the plan promised")
	}
	for _, f := range v.Files {
		say("Files: %s", f)
	}
	if v.IMAP == "" {
		say("IMAP: not looked at%s", because(v.IMAPNot))
	}
	for _, b := range v.Boxes {
		verdict := "works"
		if !b.OK {
			verdict = "has problems"
		}
		expected := ""
		if b.Expected >= 0 {
			expected = fmt.Sprintf(", %d expected", b.Expected)
		}
		say("IMAP (%s): %s %s, %s%s", v.IMAP, Safe(b.Mailbox), verdict, Count(b.Messages, "message"), expected)
		for _, p := range b.Problems {
			say("  %s", p)
		}
		for _, r := range b.Replies {
			say("  the server said: %s", r)
		}
	}
	if v.OK {
		say("Verified.")
	} else {
		say("Not as promised: see above. Nothing more was changed.")
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ", because " + why
}
