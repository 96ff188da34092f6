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
	what, where := "some of the mail may lie", ""
	if n > 0 {
		what = plural(n, "message lies", "messages lie")
	}
	if at := reconstruct.Alternative(x.fsys); at != "" {
		where = fmt.Sprintf(", on the host at %q", short(at))
	}
	x.find(Finding{Severity: Note, Rule: "alternative-storage", File: reconstruct.AltLink, Offset: -1,
		Text: what + " in the account's alternative storage" + where + ": it is not in the copy, and was not looked at", Effect: "none"})
}
