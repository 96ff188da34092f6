package rebuild

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// maildir rebuilds a Maildir mailbox: names with wrong sizes, dovecot-uidlist, dovecot-keywords where letters are named
// nowhere else, and the index. Files whose end is missing are taken out.
func (b *builder) maildir(ctx context.Context, x *box) error {
	s := x.s
	names := map[string]bool{} // taken base names
	for i := range s.Messages {
		names[s.Messages[i].Name.Base] = true
	}
	for _, p := range s.Twins {
		b.take(TakeOut{Path: p, Mailbox: x.Mailbox.Name, Why: "a second file of a message that stays"})
	}
	next := max(s.NextUID, 1)
	list := &dovecot.UIDList{Version: 3, MailboxGUID: s.GUID, Other: s.ListOther}
	var fresh []*reconstruct.Message
	for i := range s.Messages {
		m := &s.Messages[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.Breaks(m) && m.Body.Cut {
			why := "its end is missing"
			b.take(TakeOut{Path: m.File, Mailbox: x.Mailbox.Name, Poison: true, Why: "a message on which Dovecot fails: " + why})
			x.LeftOut = append(x.LeftOut, LeftOut{*m, why})
			continue
		}
		kept := *m
		if m.Body.Healed {
			x.Healed++
		} else if s.Breaks(m) || m.Clash {
			b.rename(x, &kept, names)
		}
		if m.By.Received == reconstruct.ByCache {
			b.w.Times = append(b.w.Times, NewTime{Path: kept.File, From: m.File, MTime: m.Received, Mailbox: x.Mailbox.Name})
		}
		if m.UID == 0 {
			fresh = append(fresh, &kept)
			continue
		}
		x.keep = append(x.keep, &kept)
	}
	// What never had a number gets one when Dovecot next looks, and comes behind all others: in the order of arrival.
	x.Messages = len(x.keep) + len(fresh)
	b.validity(x)
	for _, m := range x.keep {
		list.Entries = append(list.Entries, dovecot.UIDListEntry{UID: m.UID, Name: m.Name.Base, Fields: m.Fields})
		next = max(next, m.UID+1)
	}
	list.UIDValidity, list.NextUID = x.UIDValidity, next
	if err := b.uidlist(x, list); err != nil {
		return err
	}
	if s.Renamed {
		p := x.file("dovecot-keywords")
		b.take(TakeOut{Path: p, Mailbox: x.Mailbox.Name, Why: "replaced by one with all names"})
		if err := b.put(NewFile{Path: p, Mode: b.modeOf(p, x.file("dovecot-uidlist")), Mailbox: x.Mailbox.Name, Why: "the names of keywords"},
			bytesOf(s.KeywordNames.Append(nil))); err != nil {
			return err
		}
	}
	x.next = next
	return b.index(x)
}

// rename gives a message's file a name with the right sizes. What the name was the message's GUID stays so.
func (b *builder) rename(x *box, m *reconstruct.Message, names map[string]bool) {
	base := m.Name.WithSizes(m.Size, m.Body.Counted)
	for n := 1; names[base]; n++ {
		first, rest, _ := strings.Cut(base, ",")
		base = fmt.Sprintf("%s.%d,%s", first, n, rest)
	}
	names[base] = true
	dir, old := path.Split(string(m.File))
	if !slices.ContainsFunc(strings.Fields(m.Fields), func(f string) bool { return f[0] == 'G' }) {
		m.Fields = strings.TrimSpace(m.Fields + " G" + guidField(m.Name.Base))
	}
	m.File = store.RelPath(path.Join(dir, base+old[len(m.Name.Base):]))
	b.w.Move = append(b.w.Move, Move{From: store.RelPath(path.Join(dir, old)), To: m.File, Mailbox: x.Mailbox.Name, Why: "a name with the sizes that the message has"})
	m.Name = dovecot.ParseMaildirName(path.Base(string(m.File)))
	x.Mended++
}

// guidField is a base name as a GUID in dovecot-uidlist, where a space ends it.
func guidField(base string) string { return strings.ReplaceAll(base, " ", "_") }

// uidlist writes dovecot-uidlist anew where what stands there is not that.
func (b *builder) uidlist(x *box, list *dovecot.UIDList) error {
	data, err := list.Append(nil)
	if err != nil {
		return err
	}
	back, faults := dovecot.ParseUIDList(data)
	if len(faults) > 0 || !slices.EqualFunc(back.Entries, list.Entries, func(a, b dovecot.UIDListEntry) bool { return a.UID == b.UID && a.Name == b.Name }) {
		return fmt.Errorf("the new dovecot-uidlist does not say what it should: %v", faults)
	}
	p := x.file("dovecot-uidlist")
	b.take(TakeOut{Path: p, Mailbox: x.Mailbox.Name, Why: "replaced by one with all numbers"})
	return b.put(NewFile{Path: p, Mode: b.modeOf(p, x.file("dovecot.index.log")), Mailbox: x.Mailbox.Name, Why: "the numbers of the messages"}, bytesOf(data))
}
