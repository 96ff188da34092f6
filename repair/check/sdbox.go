package check

import (
	"fmt"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// sdbox tells of each message file that is damaged, gone or not listed.
func (x *examiner) sdbox() {
	var b batch
	for i := range x.State.Messages {
		if f, bad := x.sdboxMessage(&x.State.Messages[i]); bad {
			b.add(f)
		}
	}
	b.done(x, CureRebuild, reframed)
}

func (x *examiner) sdboxMessage(m *reconstruct.Message) (Finding, bool) {
	switch {
	case m.Lost:
		return Finding{Severity: Broken, Rule: "message-missing", File: x.file(fmt.Sprintf("u.%d", m.UID)), Offset: -1, Cure: CureRebuild,
			Text:   fmt.Sprintf("the index lists message %d, but the file with its text is gone", m.UID),
			Effect: "reading it fails once, then Dovecot takes it off the list",
			Advice: "rebuild takes it off the list, and nothing else; the text may be in an older backup"}, true
	case m.Stray:
		return Finding{Severity: Note, Rule: "message-stray", File: m.File, Offset: -1, Effect: "the message does not show",
			Text: "the index does not list this message: it was deleted, and its file was left behind"}, true
	case m.File == "":
		return Finding{}, false // in the alternative storage, which is not looked at
	}
	return x.dboxMessage(m, m.File)
}

// dboxMessage tells what is wrong with a message and its framing in a dbox file.
func (x *examiner) dboxMessage(m *reconstruct.Message, file store.RelPath) (Finding, bool) {
	f := Finding{Severity: Broken, Rule: "dbox-message", File: file, Offset: m.Body.Offset, Cure: CureRebuild, Advice: reframed}
	switch {
	case m.Body.Why != nil:
		return unreadMessage(m.File), true
	case m.Body.Healed:
		return x.healedMessage(m)
	case m.Body.File == "":
		f.Offset, f.Rule, f.Text, f.Effect = 0, "dbox-no-message", fmt.Sprintf("nothing of message %d can be read", m.UID), panics
	case m.Body.Damage != 0:
		f.Text, f.Effect = fmt.Sprintf("message %d is damaged (%s)", m.UID, m.Body.Damage), cutOff
		if m.Body.Damage&(dovecot.DboxFileHeaderLost|dovecot.DboxHeaderLost) != 0 {
			f.Effect = panics
		}
	case m.Body.Altered:
		return Finding{Severity: Suspect, Rule: "dbox-altered", File: file, Offset: m.Body.Offset, Cure: CureRebuild,
			Text:   fmt.Sprintf("the text of message %d was changed after it was stored, which Dovecot never does: some of it was overwritten", m.UID),
			Effect: "mail programs may be cut off when they read it, or show it without its end",
			Advice: "rebuild notes how long it is now, so that it can be read as it is; if an older backup has this message, take it from there"}, true
	default:
		return Finding{}, false
	}
	x.damaged[m.UID] = true
	return f, true
}
