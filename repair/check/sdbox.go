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
	more := 0
	for _, m := range x.State.Messages {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		f, bad, err := x.sdboxMessage(m)
		if err != nil {
			return err
		}
		if !bad {
			continue
		}
		if len(x.Findings) >= maxMessageFindings {
			more++
			continue
		}
		x.find(f)
	}
	x.rest(more)
	return nil
}

func (x *examiner) sdboxMessage(m reconstruct.Message) (Finding, bool, error) {
	switch {
	case m.Lost:
		return Finding{Severity: Broken, Rule: "message-missing", File: x.file(fmt.Sprintf("u.%d", m.UID)), Offset: -1,
			Text: fmt.Sprintf("the index names message %d, but its file is gone", m.UID), Cure: CureDropIndex,
			Effect: "reading it fails once, then Dovecot rebuilds the mailbox without it",
			Advice: "Dovecot notices it by itself at the first look"}, true, nil
	case m.Stray:
		severity, effect := Note, "the message does not show"
		if x.Verdict != dovecot.VerdictSame {
			effect = "the message does not show until the mailbox is rebuilt"
		}
		return Finding{Severity: severity, Rule: "message-stray", File: m.File, Offset: -1, Effect: effect,
			Text: "the index does not name this message file: it was expunged and not removed, or the index lost it"}, true, nil
	case m.File == "":
		return Finding{}, false, nil // in the alternative storage, which is not looked at
	}
	f, err := x.fsys.Open(string(m.File))
	if errors.Is(err, fs.ErrNotExist) {
		return Finding{}, false, nil // the copy lacks it; the snapshot says why
	}
	if err != nil {
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
	effect := cutOff
	if box.Version == 0 || m.Size == 0 {
		effect = panics
	}
	return Finding{Severity: Broken, Rule: faults[0].Rule, File: m.File, Offset: faults[0].Offset, Cure: CureClear,
		Text: faults[0].Detail, Effect: effect, Advice: advised}, true, nil
}
