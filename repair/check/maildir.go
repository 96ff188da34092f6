package check

import (
	"fmt"
	"io/fs"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// maildir tells of files that are not of the size their name promises, and compares the files with what the index tells.
func (x *examiner) maildir() {
	var b batch
	have := make(map[dovecot.UID]bool, len(x.State.Messages))
	for i := range x.State.Messages {
		m := &x.State.Messages[i]
		have[m.UID] = true
		if f, bad := x.maildirMessage(m); bad {
			b.add(f)
		}
	}
	x.uidlist()
	x.keywords()
	x.twins()
	b.done(x, CureRebuild, reframed)
	x.expunged(have)
	for _, dir := range x.State.NoFolder {
		if len(x.State.Index.Records) > 0 || x.State.UIDList {
			x.find(Finding{Severity: Suspect, Rule: "maildir-folder-missing", File: dir, Offset: -1, Text: "this folder of the mailbox, in which its messages lie, does not exist",
				Effect: "messages that were in it no longer show; Dovecot makes the folder anew, empty", Advice: "bring it back from a backup if there is one; no remedy can make up what is not there"})
		}
	}
}

func (x *examiner) maildirMessage(m *reconstruct.Message) (Finding, bool) {
	b := &m.Body
	f := Finding{Severity: Broken, File: m.File, Offset: -1, Cure: CureRebuild}
	switch {
	case m.Body.Healed:
		return x.healedMessage(m)
	case m.Clash:
		f.Severity, f.Rule, f.Text = Suspect, "maildir-clash", "this message's file has the same name as that of another message"
		f.Effect, f.Advice = "Dovecot may show one of the two for the other, until it gives this one a new name", "rebuild gives the file a name of its own; its text and flags stay as they are"
		return f, true
	case b.Why != nil && reconstruct.NotCopied(b.Why):
		return unreadMessage(m.File), true
	case b.Why != nil || b.Encoding != dovecot.Plain:
		return Finding{}, false // compressed or encrypted: the name tells the size of what is inside
	case b.Cut:
		x.damaged[m.UID] = true
		f.Rule, f.Text = "maildir-cut", fmt.Sprintf("this message should be %d bytes long, as its file name says, and is %d: its end is missing", b.Plain, m.Size)
		f.Effect, f.Advice = "Dovecot ends the connection each time this message is read", movedOut
		return f, true
	case b.Altered && b.Plain >= 0 && b.Plain != m.Size:
		x.damaged[m.UID] = true
		f.Rule, f.Text = "maildir-size", fmt.Sprintf("this message should be %d bytes long, as its file name says, and is %d", b.Plain, m.Size)
		f.Effect, f.Advice = "Dovecot ends the connection each time this message is read", renamed
		return f, true
	case b.Altered:
		x.changed[m.UID] = true
		f.Severity, f.Rule = Suspect, "maildir-virtual-size"
		f.Text = fmt.Sprintf("this message's text was changed after it was stored: it has %d bytes with full line ends, and its file name says %d", b.Counted, b.Virtual)
		f.Effect, f.Advice = "it may look wrong; when it is read, Dovecot gives it a new number, and mail programs download it anew", renamed
		return f, true
	case b.NoHead:
		return Finding{Severity: Note, Rule: "maildir-head", File: m.File, Offset: 0,
			Text: "this message does not begin as mail does; its beginning may have been overwritten", Effect: "its sender and subject may not show"}, true
	}
	return Finding{}, false
}

// uidlist tells of a mailbox with messages and without the file that numbers them.
func (x *examiner) uidlist() {
	s := x.State
	if s.UIDList && s.ListedValidity != 0 && s.ListedValidity != s.UIDValidity {
		x.find(Finding{Severity: Broken, Rule: "uidlist-uidvalidity", File: x.file("dovecot-uidlist"), Offset: 0, Cure: CureRebuild,
			Text:   fmt.Sprintf("dovecot-uidlist says UIDVALIDITY is %d; the index and the list of mailboxes say %d", s.ListedValidity, s.UIDValidity),
			Effect: "mail programs download everything anew", Advice: "rebuild writes dovecot-uidlist anew"})
	}
	if s.UIDList || len(s.Messages) == 0 || !s.Readable(x.file("dovecot-uidlist")) {
		return
	}
	f := Finding{Severity: Note, Rule: "uidlist-missing", File: x.file("dovecot-uidlist"), Offset: -1,
		Text: "dovecot-uidlist, which gives each message its number, does not exist yet"}
	if x.listGone() {
		f.Severity, f.Text = Broken, "dovecot-uidlist, which gives each message its number, is gone"
	}
	x.find(x.told(f))
}

// keywords tells of file names with letters for labels, and no file that names them.
func (x *examiner) keywords() {
	if !x.State.Nameless || !x.State.Readable(x.file("dovecot-keywords")) {
		return
	}
	f := Finding{Severity: Suspect, Rule: "keywords-missing", File: x.file("dovecot-keywords"), Offset: -1,
		Text: "dovecot-keywords, which holds the names of labels, is gone, and messages have labels"}
	if _, err := fs.Lstat(x.fsys, string(f.File)); err == nil {
		f.Text = "dovecot-keywords, which holds the names of labels, tells no name any more, and messages have labels"
	}
	x.find(x.told(f))
}

// twins tells of files that hold a message a second time.
func (x *examiner) twins() {
	var b batch
	for _, p := range x.State.Twins {
		b.add(Finding{Severity: Suspect, Rule: "maildir-twin", File: p, Offset: -1, Cure: CureRebuild, Text: "this file is a second one of the same message",
			Effect: "the message shows twice", Advice: "rebuild takes the second file away; the first one stays as it is"})
	}
	b.done(x, CureRebuild, "rebuild takes the second file away; the first one stays as it is")
}

// expunged tells of messages that the index knows and whose files are gone: another program removed them.
func (x *examiner) expunged(have map[dovecot.UID]bool) {
	if !x.State.UIDList || x.Verdict != dovecot.VerdictSame {
		return
	}
	n, first := 0, store.RelPath("")
	for i := range x.State.Index.Records {
		uid := x.State.Index.Records[i].UID
		if name, listed := x.State.Listed[uid]; listed && !have[uid] {
			if n++; n == 1 {
				first = x.file("cur/" + name)
			}
		}
	}
	if n == 0 {
		return
	}
	text := "the index lists this message, and its file is gone"
	if n > 1 {
		text += fmt.Sprintf("; so it is with %s", plural(n-1, "more message", "more messages"))
	}
	x.find(Finding{Severity: Note, Rule: "message-missing", File: first, Offset: -1, Text: text,
		Effect: "it no longer shows: somebody or something removed it without Dovecot, which takes it off its list at the next look",
		Advice: "if you miss it, look for it in an older backup"})
}
