package check

import (
	"fmt"

	"dovemend/repair/reconstruct"
)

// membership tells of messages that the index files do not list rightly: some that are in the mailbox all the same, some that
// have left it.
func (x *examiner) membership() {
	s := x.State
	f := Finding{File: x.box.Dir, Offset: -1, Severity: Broken, Cure: CureRebuild}
	if n := s.Regained; n > 0 {
		f.Rule = "messages-unlisted"
		f.Text = fmt.Sprintf("%s of this mailbox, whose text is still stored, no longer stand in its list", plural(n, "message", "messages"))
		if s.Anew || s.Recalled != nil && s.Recalled.Anew {
			f.Text += ": Dovecot has made the list anew, and empty"
		}
		f.Effect = "they do not show, and no error is said"
		f.Advice = "rebuild puts them back on the list; flags that nothing tells any more they have lost"
		if s.Recalled != nil {
			f.Advice = "rebuild puts them back on the list, with what an earlier copy tells of them"
		}
		x.find(f)
	}
	if k := s.Kept; k != nil {
		x.find(Finding{Severity: Note, Rule: "earlier-messages", File: x.box.Dir, Offset: -1, Effect: "none",
			Text:   fmt.Sprintf("the copy of %s (run %s) holds %s of this mailbox", reconstruct.When(k.Taken), k.ID, plural(k.Messages, "message", "messages")),
			Advice: fmt.Sprintf("once the mailbox opens, dovemend restore --run %s with --source-mailbox and --mailbox says which of them are missing, and adds them", k.ID)})
	}
	if s.Recalled != nil {
		x.find(Finding{Severity: Note, Rule: "earlier-copy", File: x.box.Dir, Offset: -1, Text: s.Recalled.String(), Effect: "none: this is where rebuild has it from"})
	}
	if n := s.Dropped; n > 0 {
		f.Rule, f.Severity = "messages-left", Suspect
		f.Text = fmt.Sprintf("the damaged list still names %s that had been deleted from this mailbox, or moved to another one", plural(n, "message", "messages"))
		f.Effect = "they may show again, or show as unreadable"
		f.Advice = "rebuild leaves them off the list"
		x.find(f)
	}
	if n := s.Matched; n > 0 {
		f.Rule, f.Severity, f.File = "uids-unlisted", Broken, x.file("dovecot-uidlist")
		f.Text = fmt.Sprintf("dovecot-uidlist no longer gives %s their number; the index still knows it", plural(n, "message", "messages"))
		f.Effect = "Dovecot gives them new numbers: mail programs download them anew"
		f.Advice = "rebuild writes dovecot-uidlist anew, with the numbers that the messages had"
		x.find(f)
	}
}
