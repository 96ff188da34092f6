package inspect

import (
	"iter"
	"slices"

	"dovemend/repair/dovecot"
)

// UIDList is a Maildir's dovecot-uidlist.
type UIDList struct {
	Version     int          `json:"version"` // 3, 1, or 0 where the first line cannot be read
	UIDValidity Stamp        `json:"uid_validity"`
	NextUID     dovecot.UID  `json:"next_uid"` // above all entries too, which may have been added without touching the header
	MailboxGUID dovecot.GUID `json:"mailbox_guid"`
	Other       []string     `json:"other,omitempty"` // further fields of the first line
	EntryCount  int          `json:"entry_count"`

	Entries iter.Seq[UIDListEntry] `json:"entries,omitempty"`
}

// UIDListEntry is one line of a uidlist.
type UIDListEntry struct {
	Offset      int64       `json:"offset"`
	UID         dovecot.UID `json:"uid"`
	Name        string      `json:"name"` // the file's base name
	Size        Maybe       `json:"size"`
	VirtualSize Maybe       `json:"virtual_size"`
	GUID        string      `json:"guid,omitempty"`
	POP3UIDL    *string     `json:"pop3_uidl,omitempty"` // empty: the base name is meant
	POP3Order   string      `json:"pop3_order,omitempty"`
	Fields      string      `json:"fields,omitempty"` // all of them as written
}

// Keywords is a Maildir's dovecot-keywords.
type Keywords struct {
	Letters []Letter `json:"letters"`
}

// Letter is a letter in Maildir file names that stands for a keyword.
type Letter struct {
	Number int    `json:"number"` // 0 to 25
	Letter Word   `json:"letter"`
	Name   string `json:"name"`
}

// Subscriptions is a subscriptions file.
type Subscriptions struct {
	Version int            `json:"version"`
	Names   []Subscription `json:"names"`
}

// Subscription is one subscribed mailbox, by its storage name.
type Subscription struct {
	Offset int64    `json:"offset"`
	Levels []string `json:"levels"` // version 1: one, with the layout's separator in it
}

// MailboxLog is a dovecot.mailbox.log.
type MailboxLog struct {
	RecordCount int                `json:"record_count"`
	Records     []MailboxLogRecord `json:"records,omitempty"`
}

// MailboxLogRecord is struct mailbox_log_record.
type MailboxLogRecord struct {
	Offset int64        `json:"offset"`
	Type   Word         `json:"type"`
	GUID   dovecot.GUID `json:"guid"` // of the mailbox, or made of its name
	Time   Stamp        `json:"time"`
}

// UIDValidity is one of the files that keep the last UIDVALIDITY which was given.
type UIDValidity struct {
	Value Maybe `json:"value"` // unknown where it cannot be read
}

func (w *walker) uidlist(d *Dump, b []byte) {
	l, list := dovecot.ParseUIDList(b)
	d.wrong(list)
	d.UIDList = &UIDList{Version: l.Version, UIDValidity: Stamp(l.UIDValidity), NextUID: l.NextUID, MailboxGUID: l.MailboxGUID, Other: l.Other, EntryCount: len(l.Entries)}
	if w.o.Summary {
		return
	}
	d.UIDList.Entries = func(yield func(UIDListEntry) bool) {
		for i := range l.Entries {
			e := &l.Entries[i]
			out := UIDListEntry{Offset: e.Offset, UID: e.UID, Name: e.Name, Size: Maybe(e.Size), VirtualSize: Maybe(e.Virtual), GUID: e.GUID,
				POP3Order: e.POP3Order, Fields: e.Fields}
			if e.HasUIDL {
				out.POP3UIDL = &e.POP3UIDL
			}
			if w.ctx.Err() != nil || !yield(out) {
				return
			}
		}
	}
}

func (w *walker) keywords(d *Dump, b []byte) {
	k, list := dovecot.ParseMaildirKeywords(b)
	d.wrong(list)
	d.Keywords = &Keywords{Letters: []Letter{}}
	for i, name := range k {
		if name != "" {
			d.Keywords.Letters = append(d.Keywords.Letters, Letter{i, Word(rune('a' + i)), name})
		}
	}
}

func (w *walker) subscriptions(d *Dump, b []byte) {
	s, list := dovecot.ParseSubscriptions(b)
	d.wrong(list)
	d.Subscriptions = &Subscriptions{Version: s.Version, Names: []Subscription{}}
	for _, n := range s.Names {
		d.Subscriptions.Names = append(d.Subscriptions.Names, Subscription{n.Offset, n.Components})
	}
}

func (w *walker) mailboxLog(d *Dump, b []byte) {
	records, list := dovecot.ParseMailboxLog(b)
	d.wrong(list)
	d.MailboxLog = &MailboxLog{RecordCount: len(records)}
	if w.o.Summary {
		return
	}
	d.MailboxLog.Records = slices.Grow([]MailboxLogRecord{}, len(records))
	for _, r := range records {
		d.MailboxLog.Records = append(d.MailboxLog.Records, MailboxLogRecord{r.Offset, Word(r.Type.String()), r.GUID, Stamp(r.Time)})
	}
}

func (w *walker) uidvalidity(d *Dump, base string, b []byte) {
	n, ok, list := dovecot.ParseUIDValidity(base, b)
	d.wrong(list)
	d.UIDValidity = &UIDValidity{Value: -1}
	if ok {
		d.UIDValidity.Value = Maybe(n)
	}
}
