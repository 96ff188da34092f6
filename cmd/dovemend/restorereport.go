package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/restore"
	"dovemend/repair/rundir"
)

type restoreDocument struct {
	runDocument
	Source   string             `json:"source,omitempty"` // what the source is, in words
	IMAP     string             `json:"imap,omitempty"`   // how: preauth, tls, …
	Applied  bool               `json:"applied"`
	New      bool               `json:"new_mailbox"`
	Total    int                `json:"total"` // messages in the source; the sum of the counts
	Bytes    int64              `json:"bytes"` // of those that were added, or would be
	Counts   *restoreCounts     `json:"counts,omitempty"`
	Messages []restoredDocument `json:"messages,omitempty"` // those that need a word
	Dropped  []droppedDocument  `json:"dropped,omitempty"`  // flags and labels that the mailbox does not keep
	Skipped  int                `json:"skipped_files"`
	Names    []string           `json:"skipped,omitempty"`
	Result   string             `json:"result,omitempty"` // the file that tells of every message
	Undo     string             `json:"undo,omitempty"`
	Removed  *int               `json:"removed,omitempty"` // undo
	Gone     int                `json:"gone,omitempty"`    // undo: were not there any more
	Kept     []string           `json:"kept,omitempty"`    // undo: what stays, and why
}

// restoreCounts are the messages of the source by what became of them.
type restoreCounts struct {
	Added      int `json:"added"`
	There      int `json:"there"`
	Twin       int `json:"twin"`
	LeftOut    int `json:"left_out"`
	Refused    int `json:"refused"`
	SetAside   int `json:"set_aside"`
	Unreadable int `json:"unreadable"`
	Pending    int `json:"pending"`
}

type droppedDocument struct {
	Flag  string `json:"flag"`
	Count int    `json:"count"`
}

type restoredDocument struct {
	Status    string   `json:"status"`
	Why       string   `json:"why,omitempty"`
	Mailbox   string   `json:"mailbox,omitempty"`
	File      string   `json:"file"`
	Offset    *int64   `json:"offset,omitempty"`
	UID       uint32   `json:"uid,omitempty"`
	Date      string   `json:"date,omitempty"`
	Subject   string   `json:"subject,omitempty"`
	MessageID string   `json:"message_id,omitempty"`
	Notes     []string `json:"notes,omitempty"`
}

// maxTold is how many messages are named; the result file names all.
const maxTold = 1000

func (d *restoreDocument) begin(r *repair.Run) {
	m := r.Meta()
	d.Run, d.Folder, d.Account, d.MailRoot, d.Layout, d.Mailboxes = r.ID(), r.Folder(), m.Address, string(m.MailRoot), string(m.Layout), m.Mailboxes
}

// tells says whether a message needs a word: it is not where it should be, or was changed.
func tells(x *restore.Item) bool {
	switch x.Status {
	case restore.Refused, restore.SetAside, restore.Unreadable:
		return true
	case restore.Added, restore.Pending:
		return x.Doubt != "" || x.Why != "" || len(x.Remarks()) > 0
	}
	return false
}

func (d *restoreDocument) take(r *repair.Restored, changed bool) {
	d.Source, d.IMAP, d.Applied, d.New, d.Total = r.Options.Source.Kind, r.How, changed, r.New, len(r.Items)
	d.Skipped, d.Names, d.Result = r.Skipped, r.Names, filepath.Join(d.Folder, restore.ResultFile)
	n := func(s restore.Status) int { return r.Counts[s].Messages }
	d.Counts = &restoreCounts{Added: n(restore.Added), There: n(restore.There), Twin: n(restore.Twin), LeftOut: n(restore.LeftOut),
		Refused: n(restore.Refused), SetAside: n(restore.SetAside), Unreadable: n(restore.Unreadable), Pending: n(restore.Pending)}
	for _, flag := range sortedReasons(r.Dropped) {
		d.Dropped = append(d.Dropped, droppedDocument{flag, r.Dropped[flag]})
	}
	d.Bytes = r.Counts[restore.Added].Bytes
	if !changed {
		d.Bytes = r.Counts[restore.Pending].Bytes
	}
	for _, x := range r.Items {
		if !tells(x) || len(d.Messages) >= maxTold {
			continue
		}
		t := restoredDocument{Status: string(x.Status), Why: x.Why, Mailbox: x.Mailbox, File: x.File, UID: x.UID, Subject: x.Subject, MessageID: x.Message, Notes: x.Remarks()}
		if x.Doubt != "" {
			t.Status, t.Why = "doubtful", x.Doubt
		}
		if x.Offset >= 0 {
			t.Offset = &x.Offset
		}
		if !x.Date.IsZero() {
			t.Date = x.Date.UTC().Format("2006-01-02T15:04:05Z")
		}
		d.Messages = append(d.Messages, t)
	}
}

var statusWords = map[restore.Status]string{restore.Added: "added", restore.There: "on the server already", restore.Twin: "twice in the source, counted once",
	restore.LeftOut: "left out, not asked for", restore.Refused: "refused by the server", restore.SetAside: "break the server, taken out again",
	restore.Unreadable: "cannot be read here", restore.Pending: "missing, to be added"}

func (k *call) printRestored(d *restoreDocument, r *repair.Restored, do bool) {
	k.say("%s in %s, for %s%s:", ui.Count(d.Total, "message"), ui.Safe(d.Source), ui.Safe(r.Options.Mailbox), map[bool]string{true: ", which does not exist yet", false: ""}[r.New && !do])
	t := ui.Table{Columns: []ui.Column{{Title: "MESSAGES"}, {Title: "SIZE"}, {Title: "WHAT", Min: 20}}}
	for _, s := range restore.Statuses {
		if c := r.Counts[s]; c.Messages > 0 {
			word := statusWords[s]
			if s == restore.Pending && do {
				word = "not added yet"
			}
			t.Row(fmt.Sprint(c.Messages), ui.Bytes(c.Bytes), word)
		}
	}
	t.Print(k.out(), ui.Width(k.p.stdout))
	reasons := map[string]int{}
	for _, x := range r.Items {
		if x.Status == restore.LeftOut {
			reasons[x.Why]++
		}
	}
	for n, why := range sortedReasons(reasons) {
		if n == 5 {
			k.say("and more reasons, in the result file")
			break
		}
		k.say("left out: %s, because %s", ui.Count(reasons[why], "message"), ui.Safe(why))
	}
	for i, m := range d.Messages {
		if i == 20 {
			k.say("and %d more, in the result file", len(d.Messages)-i)
			break
		}
		why := strings.Join(append(nonEmpty(m.Why), m.Notes...), "; ")
		k.say("%s: %s (%s, %s): %s", m.Status, ui.Safe(nameOr(m.Subject, "no subject")), ui.Safe(nameOr(m.Date, "no date")), ui.Safe(m.File), ui.Safe(why))
	}
	bare := 0
	for _, x := range r.Items {
		if (x.Status == restore.Added || x.Status == restore.Pending) && len(x.Remarks()) < len(x.Notes) {
			bare++
		}
	}
	if bare > 0 {
		k.say("Sent with the line ends that IMAP wants (CRLF): %s.", ui.Count(bare, "message"))
	}
	for _, f := range d.Dropped {
		k.say("The mailbox does not keep the flag or label %s: %s had it.", ui.Safe(f.Flag), ui.Count(f.Count, "message"))
	}
	if d.Skipped > 0 {
		k.say("passed over, because no message is in it: %s (%s)", ui.Count(d.Skipped, "file"), ui.Safe(strings.Join(d.Names[:min(3, len(d.Names))], ", ")))
	}
	k.say("What became of every message: %s", ui.Safe(d.Result))
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// sortedReasons are the keys, the most frequent first.
func sortedReasons(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	return keys
}

func (k *call) endPreview(d *restoreDocument) error {
	missing, bad := d.Counts.Pending, d.Counts.Unreadable
	switch {
	case missing > 0:
		return &endError{exitFindings, ui.Count(missing, "message") + " would be added; nothing was changed", "the same command with --apply"}
	case bad > 0:
		return &endError{exitFindings, ui.Count(bad, "message") + " cannot be read from the source", "look at the files named above"}
	}
	k.say("Nothing is missing.")
	return nil
}

func (k *call) endRestore(d *restoreDocument, run string) error {
	if d.Counts.Added+d.Counts.SetAside > 0 {
		d.Undo = ui.Command(k.again("undo", run)...)
		k.sayUndo(run)
	}
	doubtful := 0
	for _, m := range d.Messages {
		if m.Status == "doubtful" {
			doubtful++
		}
	}
	n := d.Counts.Refused + d.Counts.SetAside + d.Counts.Unreadable + doubtful
	switch {
	case n > 0:
		next := "look at what is told of them in " + ui.Quote(d.Result)
		if d.Counts.SetAside > 0 {
			next += "; those that the server breaks at are kept in " + ui.Quote(filepath.Join(d.Folder, "set-aside"))
		}
		return &endError{exitMissing, fmt.Sprintf("done, but for %s that could not be added, or not as sent: see above; the source still has all of them", ui.Count(n, "message")), next}
	case d.Counts.Added == 0:
		k.say("Nothing was missing, and nothing was added.")
	}
	return nil
}

// takeOut takes a restore back.
func (k *call) takeOut(l rundir.Listed) error {
	doc := &restoreDocument{}
	k.doc = doc
	r, err := k.reopen(l)
	if err != nil {
		return err
	}
	doc.begin(r)
	k.acted = true
	end := k.p.stop.act()
	u, err := r.TakeOut(k.ctx())
	end()
	k.progress.Done()
	if u != nil {
		doc.Removed, doc.Gone, doc.Kept, doc.Applied = &u.Removed, u.Gone, u.Kept, u.Removed > 0
		k.say("%s removed again from %s.", ui.Count(u.Removed, "message"), ui.Safe(strings.Join(doc.Mailboxes, ", ")))
		if u.Gone > 0 {
			k.say("%s not there any more.", ui.Count(u.Gone, "message"))
		}
		for _, s := range u.Kept {
			k.say("stays: %s", ui.Safe(s))
		}
	}
	switch {
	case errors.Is(err, restore.ErrCannotRemove):
		return &endError{exitRefused, "nothing was removed: " + err.Error() + " (it has no UIDPLUS), and a bare EXPUNGE would remove what others have marked", "remove the messages in a mail program; " + ui.Quote(filepath.Join(doc.Folder, restore.ResultFile)) + " names them"}
	case errors.Is(err, restore.ErrOtherMailbox):
		return &endError{exitRefused, "nothing was removed: " + err.Error(), "look at the mailbox in a mail program; " + ui.Quote(filepath.Join(doc.Folder, restore.ResultFile)) + " names what was added"}
	case err != nil:
		return k.notRestored(err)
	case len(u.Kept) > 0:
		return &endError{exitMissing, ui.Count(len(u.Kept), "message") + " stay in the mailbox", "look at those named above in a mail program"}
	}
	return nil
}
