package restore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"dovemend/remote/imap"
	"dovemend/repair/salvage"
)

// Filter says which messages of a source are wanted. The zero value wants all that are in their mailboxes.
type Filter struct {
	Mailboxes     []string        `json:"mailboxes,omitempty"` // of the source; none: all
	Classes       []salvage.Class `json:"classes,omitempty"`   // none: those in their mailboxes
	Since, Before time.Time       // of the date of receipt: from Since on, before Before; zero: no bound
	MessageIDs    []string        `json:"message_ids,omitempty"` // with or without angle brackets; none: all
}

// Reporter is told how far it is. Its methods may be called from several goroutines.
type Reporter interface {
	Stage(text string)
	Total(messages int, bytes int64)
	Advance(messages int, bytes int64)
	Info(text string)
	Warn(text string)
}

// Gather reads a source once: it hashes every message that is wanted, and tells of every other one why it is not.
func Gather(ctx context.Context, source iter.Seq2[*salvage.Message, error], f Filter, rep Reporter) ([]*Item, error) {
	var all []*Item
	ids := map[string]int{}
	for m, err := range source {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x := itemOf(m)
		if x.Why = f.early(x); x.Why != "" {
			x.Status = LeftOut
		} else {
			x.read(m, f)
		}
		x.ID = x.id(m)
		if n := ids[x.ID]; n > 0 {
			ids[x.ID]++
			x.ID = fmt.Sprintf("%s-%d", x.ID, n+1)
		} else {
			ids[x.ID] = 1
		}
		rep.Advance(1, x.Size)
		all = append(all, x)
	}
	return all, nil
}

func itemOf(m *salvage.Message) *Item {
	x := &Item{File: string(m.Source.File), Offset: m.Source.Offset, Mailbox: m.Mailbox, Class: m.Class, Flags: strings.Fields(m.Flags.String()),
		Date: m.Received, Notes: slices.Clone(m.Notes), Status: Pending, open: m.Open}
	if x.Date.IsZero() {
		x.Date = m.Saved
	}
	if !m.GUID.IsZero() {
		x.GUID = m.GUID.String()
	}
	var notes []string
	x.Keywords, notes = keywords(m.Keywords)
	x.Notes = append(x.Notes, notes...)
	return x
}

// early says why a message is not wanted, as far as that can be told without reading it.
func (f Filter) early(x *Item) string {
	switch {
	case len(f.Mailboxes) > 0 && !slices.ContainsFunc(f.Mailboxes, func(m string) bool {
		return m == x.Mailbox || strings.EqualFold(m, "INBOX") && strings.EqualFold(m, x.Mailbox)
	}):
		return "it is of another mailbox"
	case !f.class(x.Class):
		switch x.Class {
		case salvage.Expunged:
			return "somebody had deleted it (--class expunged)"
		case salvage.Orphan:
			return "no mailbox referred to it (--class orphan)"
		case salvage.Damaged:
			return strings.Join(append([]string{"it is not whole (--class damaged)"}, x.Notes...), "; ")
		}
		return "it is in its mailbox (--class current)"
	case (!f.Since.IsZero() || !f.Before.IsZero()) && x.Date.IsZero():
		return "when it came is not known"
	case !f.Since.IsZero() && x.Date.Before(f.Since):
		return "it came before the time asked for"
	case !f.Before.IsZero() && !x.Date.Before(f.Before):
		return "it came after the time asked for"
	}
	return ""
}

func (f Filter) class(c salvage.Class) bool {
	if len(f.Classes) == 0 {
		return c == salvage.Current
	}
	return slices.Contains(f.Classes, c)
}

func (f Filter) messageID(id string) bool {
	bare := func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">") }
	return len(f.MessageIDs) == 0 || id != "" && slices.ContainsFunc(f.MessageIDs, func(want string) bool { return bare(want) == bare(id) })
}

// read hashes a message.
func (x *Item) read(m *salvage.Message, f Filter) {
	if m.Open == nil {
		x.Status, x.Why = Unreadable, "there is nothing to read"
		return
	}
	r, err := m.Open()
	if err != nil {
		x.Status, x.Why = Unreadable, err.Error()
		return
	}
	d, err := digestOf(r)
	var missing []string
	if noted, ok := r.(salvage.Noted); ok {
		missing = noted.Missing()
	}
	err = errors.Join(err, r.Close())
	x.Message, x.Subject = imap.MessageID(d.head), subjectOf(d.head)
	x.SHA256, x.Size = hex.EncodeToString(d.sum[:]), d.size
	switch {
	case !f.messageID(x.Message):
		x.Status, x.Why = LeftOut, "it has not the Message-ID asked for"
	case err != nil: // its end cannot be read, now or when it is sent
		x.Status, x.Why = Unreadable, err.Error()
	case d.size == 0:
		x.Status, x.Why = Unreadable, "it is empty"
	case len(missing) > 0 && !f.class(salvage.Damaged):
		x.Class, x.Status = salvage.Damaged, LeftOut
		x.Why = strings.Join(append([]string{"it is not whole (--class damaged)"}, missing...), "; ")
	}
	if d.nul > 0 {
		x.Notes = append(x.Notes, fmt.Sprintf("NUL bytes (%d), which IMAP cannot hold, are sent as 0x80", d.nul))
	}
	if d.bareLF > 0 {
		x.Notes = append(x.Notes, bareLFNote)
	}
}

// bareLFNote is so common that reports leave it out.
const bareLFNote = "line ends are sent as CRLF"

// subjectOf is a header's Subject, for people: as it stands there, at most 120 bytes.
func subjectOf(head []byte) string {
	for line := range strings.Lines(string(head)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return ""
		}
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Subject") {
			value = strings.ToValidUTF8(strings.TrimSpace(value), "\uFFFD")
			if len(value) > 120 {
				value = strings.ToValidUTF8(value[:120], "") + "…"
			}
			return value
		}
	}
	return ""
}
