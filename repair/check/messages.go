package check

import (
	"fmt"

	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// maxMessageFindings bounds how many damaged messages are named one by one; the rest is counted.
const maxMessageFindings = 50

const (
	panics   = "Dovecot fails when a mail program asks for this message: the connection ends without a word, and everything asked for with it fails"
	cutOff   = "Dovecot cannot read this message to its end: the mail program is cut off, or shows the message without its end"
	reframed = "rebuild mends its framing where all of its text is there; else it moves the message out of the way, so that the others can be read, and writes what of it can be read to this computer"
	movedOut = "rebuild moves this message out of the way, so that the others can be read, and writes what of it can be read to this computer"
	renamed  = "rebuild gives the file a name with the right sizes; its text, number and flags stay as they are"
)

// batch collects the findings about single messages: the first are kept, the others counted by severity.
type batch struct {
	list []Finding
	more map[Severity]int
}

func (b *batch) add(f Finding) {
	if len(b.list) < maxMessageFindings {
		b.list = append(b.list, f)
		return
	}
	if b.more == nil {
		b.more = map[Severity]int{}
	}
	b.more[f.Severity]++
}

// done hands the findings over, with a last one for those that were only counted.
func (b *batch) done(x *examiner, cure Cure, advice string) {
	x.Findings = append(x.Findings, b.list...)
	for _, s := range []Severity{Broken, Suspect, Note} {
		n := b.more[s]
		if n == 0 {
			continue
		}
		f := Finding{Severity: s, Rule: "more-messages", File: x.box.Dir, Offset: -1,
			Text: fmt.Sprintf("and %s of the same kinds", plural(n, "more message", "more messages"))}
		if s == Broken {
			f.Effect, f.Cure, f.Advice = "as with those above", cure, advice
		}
		x.find(f)
	}
}

// healed tells of a file with mail that is damaged or gone, and that an earlier copy has.
func (x *examiner) healed(file store.RelPath, text string) Finding {
	f := Finding{Severity: Broken, Rule: "mail-in-earlier-copy", File: file, Offset: -1, Cure: CureRebuild, Text: text,
		Effect: "it cannot be read: Dovecot fails when a mail program asks for it, and what else is asked for with it may fail too",
		Advice: "an earlier copy has the file whole: rebuild puts it back as it was"}
	if h := x.acct.HealedFile(file); h != nil {
		f.Advice = fmt.Sprintf("the copy of %s (run %s) has the file whole: rebuild puts it back as it was", reconstruct.When(h.Taken), h.ID)
	}
	return f
}

// healedMessage does so of a message that has a file of its own.
func (x *examiner) healedMessage(m *reconstruct.Message) (Finding, bool) {
	x.damaged[m.UID] = true
	return x.healed(m.File, fmt.Sprintf("message %d is damaged, or its file is gone", m.UID)), true
}

// unreadMessage is a message file that the host has and that could not be copied.
func unreadMessage(file store.RelPath) Finding {
	return Finding{Severity: Broken, Rule: "unreadable", File: file, Offset: -1, Text: "this file with mail could not be copied: the host did not let it be read",
		Effect: "Dovecot, which runs under the same user, cannot read it either", Advice: chmod}
}
