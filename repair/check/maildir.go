package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// headSize is how much of a message's beginning is looked at.
const headSize = 64

// maildir compares each file with the size its name promises, where the file is not compressed, and with what the index tells.
func (x *examiner) maildir() error {
	var b batch
	have := make(map[dovecot.UID]bool, len(x.State.Messages))
	for _, m := range x.State.Messages {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		have[m.UID] = true
		if m.Size < 0 {
			continue
		}
		f, bad, err := x.maildirMessage(m)
		if err != nil {
			return err
		}
		if bad {
			b.add(f)
		}
	}
	x.uidlist()
	b.done(x, CureClear, advised)
	x.expunged(have)
	return nil
}

func (x *examiner) maildirMessage(m reconstruct.Message) (Finding, bool, error) {
	name := dovecot.ParseMaildirName(path.Base(string(m.File)))
	f, err := x.fsys.Open(string(m.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{}, false, nil
	case reconstruct.NotCopied(err):
		return unreadMessage(m.File), true, nil
	case err != nil:
		return Finding{}, false, fmt.Errorf("read the copy of %s: %w", m.File, err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	head, err := r.Peek(headSize)
	if err != nil && err != io.EOF {
		return Finding{}, false, fmt.Errorf("read the copy of %s: %w", m.File, err)
	}
	if dovecot.DetectEncoding(head) != dovecot.Plain {
		return Finding{}, false, nil // compressed or encrypted: the name tells the size of what is inside
	}
	head = slices.Clone(head)
	if name.Size >= 0 && name.Size != m.Size {
		x.damaged[m.UID] = true
		return Finding{Severity: Broken, Rule: "maildir-size", File: m.File, Offset: -1, Cure: CureClear,
			Text:   fmt.Sprintf("this message should be %d bytes long, as its file name says, and is %d", name.Size, m.Size),
			Effect: "Dovecot ends the connection each time this message is read", Advice: advised}, true, nil
	}
	if name.Virtual >= 0 {
		virtual, err := virtualSize(x.ctx, r)
		if err != nil {
			return Finding{}, false, fmt.Errorf("read the copy of %s: %w", m.File, err)
		}
		if virtual != name.Virtual {
			x.changed[m.UID] = true
			return Finding{Severity: Suspect, Rule: "maildir-virtual-size", File: m.File, Offset: -1,
				Text:   fmt.Sprintf("this message's text was changed after it was stored: it has %d bytes with full line ends, and its file name says %d", virtual, name.Virtual),
				Effect: "it may look wrong; when it is read, Dovecot gives it a new number, and mail programs download it anew",
				Advice: "if an older backup has this message, take it from there; nothing has to be removed"}, true, nil
		}
	}
	if m.Size > 0 && !headerLike(head) {
		return Finding{Severity: Note, Rule: "maildir-head", File: m.File, Offset: 0,
			Text: "this message does not begin as mail does; its beginning may have been overwritten", Effect: "its sender and subject may not show"}, true, nil
	}
	return Finding{}, false, nil
}

// virtualSize is how long a text is when each line ends in CR and LF.
func virtualSize(ctx context.Context, r io.Reader) (int64, error) {
	var size dovecot.SizeCounter
	buf := make([]byte, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.Read(buf)
		size.Write(buf[:n])
		if err == io.EOF {
			return size.Virtual, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// headerLike reports whether a line may begin a mail: a name and a colon, or mbox's "From ", or at least no control characters.
func headerLike(head []byte) bool {
	for _, c := range head {
		switch {
		case c == ':' || c == '\n' || c == '\r':
			return true
		case c < ' ' && c != '\t' || c == 0x7f:
			return false
		}
	}
	return true
}

// uidlist tells of a mailbox with messages and without the file that numbers them.
func (x *examiner) uidlist() {
	if x.State.UIDList || len(x.State.Messages) == 0 || !x.State.Readable(x.file("dovecot-uidlist")) {
		return
	}
	f := Finding{Severity: Note, Rule: "uidlist-missing", File: x.file("dovecot-uidlist"), Offset: -1,
		Text: "dovecot-uidlist, which gives each message its number, does not exist yet"}
	if x.listGone() {
		f.Severity, f.Text = Broken, "dovecot-uidlist, which gives each message its number, is gone"
	}
	x.find(x.told(f))
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
