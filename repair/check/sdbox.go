package check

import (
	"errors"
	"fmt"
	"io/fs"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
)

// sdbox looks at each message file of the mailbox.
func (x *examiner) sdbox() error {
	var b batch
	for _, m := range x.State.Messages {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		f, bad, err := x.sdboxMessage(m)
		if err != nil {
			return err
		}
		if bad {
			b.add(f)
		}
	}
	b.done(x, CureClear, advised)
	return nil
}

func (x *examiner) sdboxMessage(m reconstruct.Message) (Finding, bool, error) {
	switch {
	case m.Lost:
		return Finding{Severity: Broken, Rule: "message-missing", File: x.file(fmt.Sprintf("u.%d", m.UID)), Offset: -1,
			Text:   fmt.Sprintf("the index lists message %d, but the file with its text is gone", m.UID),
			Effect: "reading it fails once, then Dovecot takes it off the list",
			Advice: "nothing has to be removed: Dovecot mends the list by itself; the text may be in an older backup"}, true, nil
	case m.Stray:
		return Finding{Severity: Note, Rule: "message-stray", File: m.File, Offset: -1, Effect: "the message does not show",
			Text: "the index does not list this message: it was deleted and its file left behind, or the index has lost it"}, true, nil
	case m.File == "":
		return Finding{}, false, nil // in the alternative storage, which is not looked at
	}
	f, err := x.fsys.Open(string(m.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{}, false, nil // the copy lacks it; the snapshot says why
	case reconstruct.NotCopied(err):
		return unreadMessage(m.File), true, nil
	case err != nil:
		return Finding{}, false, err
	}
	defer f.Close()
	at, err := readerAt(f, m.Size)
	if err != nil {
		return Finding{}, false, err
	}
	box, faults, err := dovecot.ParseDbox(at, m.Size, nil)
	if err != nil {
		return Finding{}, false, fmt.Errorf("read the copy of %s: %w", m.File, err)
	}
	if len(faults) == 0 {
		return Finding{}, false, nil
	}
	x.damaged[m.UID] = true
	effect := cutOff
	if box.Version == 0 || m.Size == 0 {
		effect = panics
	}
	return Finding{Severity: Broken, Rule: faults[0].Rule, File: m.File, Offset: faults[0].Offset, Cure: CureClear,
		Text: fmt.Sprintf("message %d is damaged %s", m.UID, detail(faults[0].Detail, len(faults)-1)), Effect: effect, Advice: advised}, true, nil
}
