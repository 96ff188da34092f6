package check

import (
	"fmt"
	"io/fs"

	"dovemend/repair/reconstruct"
)

// alternative says that mail lies in an alternative storage, which no copy holds, and where that is.
func (x *accountExaminer) alternative() {
	n := 0
	for _, s := range x.acct.Boxes {
		for i := range s.Messages {
			if s.Belongs(&s.Messages[i]) && s.Away(&s.Messages[i]) {
				n++
			}
		}
	}
	if _, err := fs.Lstat(x.fsys, reconstruct.AltLink); err != nil && n == 0 {
		return
	}
	text, at := "some of the mail may lie in an alternative storage, which was not looked at", short(reconstruct.Alternative(x.fsys))
	held := plural(n, "message", "messages")
	switch {
	case n > 0 && at != "":
		text = fmt.Sprintf("the alternative storage, on the host at %q, holds %s, and was not looked at", at, held)
	case n > 0:
		text = fmt.Sprintf("the alternative storage holds %s, and was not looked at", held)
	case at != "":
		text = fmt.Sprintf("some of the mail may lie in an alternative storage, on the host at %q, which was not looked at", at)
	}
	x.find(Finding{Severity: Note, Rule: "alternative-storage", File: reconstruct.AltLink, Offset: -1, Text: text, Effect: "none"})
}
