package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"dovemend/repair"
	"dovemend/repair/watch"
)

// watchDocument is the JSON of one look.
type watchDocument struct {
	envelope
	p    *program
	line bool // in one line, as one of many

	Account     string             `json:"account"`
	At          *time.Time         `json:"at,omitempty"`
	Healthy     *bool              `json:"healthy,omitempty"`
	Looked      bool               `json:"looked"`
	First       bool               `json:"first"`
	NotBefore   *time.Time         `json:"not_before,omitempty"`
	Busy        string             `json:"busy,omitempty"`
	IMAP        string             `json:"imap"`
	IMAPNot     string             `json:"imap_not,omitempty"`
	Connections int                `json:"connections"`
	Processes   *int               `json:"processes"`
	Limit       *int               `json:"connection_limit"`
	Mailboxes   []watchedDocument  `json:"mailboxes"`
	Alarms      []alarmDocument    `json:"alarms"`
	Notes       []string           `json:"notes,omitempty"`
	Ping        string             `json:"ping,omitempty"` // "sent", or why not
	Explained   *explainedDocument `json:"explained,omitempty"`
}

type watchedDocument struct {
	Name        string `json:"name"`
	Looked      bool   `json:"looked"`
	Messages    *int   `json:"messages"`
	Unread      *int   `json:"unread"`
	UIDValidity uint32 `json:"uidvalidity,omitempty"`
	UIDNext     uint32 `json:"uidnext,omitempty"`
	IndexBytes  *int64 `json:"index_bytes"`
	LogBytes    *int64 `json:"log_bytes"`
	CacheBytes  *int64 `json:"cache_bytes"`
}

type alarmDocument struct {
	Kind    string    `json:"kind"`
	Class   string    `json:"class,omitempty"`
	Mailbox string    `json:"mailbox,omitempty"`
	Text    string    `json:"text"`
	Meaning string    `json:"meaning,omitempty"`
	Next    string    `json:"next,omitempty"`
	Log     []string  `json:"log,omitempty"`
	Since   time.Time `json:"since"`
	New     bool      `json:"new"`
}

func (d *watchDocument) fill(k *call, x *repair.Watched) {
	at, healthy := x.At.UTC().Truncate(time.Second), x.Healthy()
	d.Account, d.At, d.Healthy, d.Looked, d.First = x.State.Account, &at, &healthy, x.Looked, x.First
	d.Busy, d.IMAP, d.IMAPNot, d.Connections, d.Notes = x.Busy, x.IMAP, x.IMAPNot, x.Connections, x.Notes
	if !x.Until.IsZero() {
		d.NotBefore = &x.Until
	}
	d.Processes, d.Limit = unlessUnknown(x.Seen.Processes), positive(x.State.Limit)
	if n := k.Int("connection-limit"); n > 0 {
		d.Limit = &n
	}
	d.Mailboxes, d.Alarms = []watchedDocument{}, []alarmDocument{}
	for _, m := range x.Seen.Mailboxes {
		d.Mailboxes = append(d.Mailboxes, describeWatched(m))
	}
	for _, a := range x.Alarms {
		d.Alarms = append(d.Alarms, alarmDocument{string(a.Kind), a.Class, a.Mailbox, a.Text, a.Meaning, a.Next, a.Log, a.Since, a.New})
	}
	if x.Pinged {
		if d.Ping = "sent"; x.PingErr != nil {
			d.Ping = x.PingErr.Error()
		}
	}
}

func describeWatched(m watch.Seen) watchedDocument {
	w := watchedDocument{Name: m.Name, Looked: m.Looked}
	if m.Looked {
		w.Messages, w.UIDValidity, w.UIDNext = &m.Numbers.Messages, m.Numbers.UIDValidity, m.Numbers.UIDNext
		if m.Numbers.Read >= 0 {
			unread := m.Numbers.Messages - m.Numbers.Read
			w.Unread = &unread
		}
	}
	if f := m.Files; f != nil {
		w.IndexBytes, w.LogBytes, w.CacheBytes = sizeOf(f.Index), sizeOf(f.Log), sizeOf(f.Cache)
	}
	return w
}

func sizeOf(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func positive(n int) *int {
	if n <= 0 {
		return nil
	}
	return &n
}

// write writes the document, in one line where it is one of many.
func (d *watchDocument) write() error {
	if d.Mailboxes == nil {
		d.Mailboxes = []watchedDocument{}
	}
	if d.Alarms == nil {
		d.Alarms = []alarmDocument{}
	}
	if !d.line {
		return d.p.writeJSON(d)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	if _, err := d.p.stdout.Write(escapeUnprintable(b.Bytes())); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
