package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/salvage"
)

type salvageDocument struct {
	runDocument
	From     string            `json:"from,omitempty"` // the copy that was taken, where it was not made now
	Snapshot *snapshotDocument `json:"snapshot,omitempty"`
	To       string            `json:"to,omitempty"`
	Format   string            `json:"format,omitempty"`
	Salvaged *salvagedDocument `json:"salvaged,omitempty"`
}

type salvagedDocument struct {
	Index   string            `json:"index,omitempty"` // the file that tells of all messages
	Total   salvage.Count     `json:"total"`
	Folders []salvageFolder   `json:"folders"`
	New     int               `json:"files_written"`
	Kept    int               `json:"files_kept"`
	Ledger  ledgerDocument    `json:"ledger"`
	Damaged []damagedDocument `json:"damaged"`
	Unread  []unreadDocument  `json:"unread"`
	Altered []alteredDocument `json:"altered"`
	Alt     string            `json:"alternative_storage,omitempty"`
	Foreign []string          `json:"foreign,omitempty"`
}

type salvageFolder struct {
	Class   string `json:"class"`
	Mailbox string `json:"mailbox"`
	Path    string `json:"path"`
	salvage.Count
}

type ledgerDocument struct {
	Stored     int `json:"stored"`
	Written    int `json:"written"`
	Duplicates int `json:"duplicates"`
	Unreadable int `json:"unreadable"`
	Elsewhere  int `json:"elsewhere"`
	Copies     int `json:"copies"`
	Away       int `json:"away"`
	Lost       int `json:"lost"`
}

type damagedDocument struct {
	Mailbox string   `json:"mailbox"`
	Was     string   `json:"was"`
	UID     uint32   `json:"uid,omitempty"`
	File    string   `json:"file,omitempty"`
	Missing []string `json:"missing"`
}

// alteredDocument is a file of the copy that is not as it was copied.
type alteredDocument struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"` // -1 where it is missing
	Were  int64  `json:"bytes_copied"`
	why   string
}

type unreadDocument struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

func describeSalvage(s *repair.Salvaged) *salvagedDocument {
	d := &salvagedDocument{Index: s.Index, Total: s.Count, New: s.Written, Kept: s.Kept, Ledger: ledgerDocument(s.Ledger), Foreign: s.Foreign, Alt: s.Alternative,
		Folders: []salvageFolder{}, Damaged: []damagedDocument{}, Unread: []unreadDocument{}, Altered: []alteredDocument{}}
	for _, f := range s.Folders {
		d.Folders = append(d.Folders, salvageFolder{string(f.Class), string(f.Mailbox), f.Path, f.Count})
	}
	for _, e := range s.Incomplete {
		x := damagedDocument{Mailbox: string(e.Mailbox), Was: string(e.Was), UID: uint32(e.UID), File: e.File, Missing: append([]string{}, e.Notes...)}
		if x.Was == "" {
			x.Was = string(e.Class)
		}
		if e.Problem != "" {
			x.Missing = append(x.Missing, e.Problem)
		}
		d.Damaged = append(d.Damaged, x)
	}
	for _, u := range s.Unread {
		d.Unread = append(d.Unread, unreadDocument{string(u.File), u.Why})
	}
	for _, a := range s.Altered {
		d.Altered = append(d.Altered, alteredDocument{string(a.Path), a.Is, a.Was, a.String()})
	}
	return d
}

// reportSalvage tells what was written, and how the verb ends.
func (k *call) reportSalvage(doc *salvageDocument, s *repair.Salvaged) error {
	d := describeSalvage(s)
	doc.Salvaged = d
	switch {
	case s.Index == "" && s.Empty:
		k.say("The mailboxes are empty, and nothing is stored beside them: there was nothing to write.")
		return nil
	case s.Index == "":
		return &endError{exitFindings, "no message can be made out in this copy; nothing was written",
			"dovemend check --from DIR … (or --run ID), which tells what is wrong with the copy"}
	}
	d.Index = filepath.Join(doc.To, s.Index)
	if d.Total.Messages == d.Total.Unreadable {
		k.say("Of no message anything could be read. What the lists of the mailboxes tell of them is in %s", ui.Safe(d.Index))
		k.printDamaged(d)
		return k.endSalvage(d, doc.To)
	}
	k.say("Wrote %s, %s, to %s", ui.Count(d.Total.Messages-d.Total.Unreadable, "message"), ui.Bytes(d.Total.Bytes), ui.Safe(doc.To))
	if s.Written == 0 && s.Kept > 0 {
		k.say("All of it was there already, from an earlier run.")
	}
	k.say("")
	k.printFolders(d.Folders, d.Ledger.Away > 0)
	k.say("")
	k.say("%s", ledgerText(d.Ledger))
	k.printDamaged(d)
	k.say("What is known of each message, its flags and dates too, is in %s", ui.Safe(d.Index))
	k.sayImport(salvage.Format(doc.Format), doc.To)
	return k.endSalvage(d, doc.To)
}

// endSalvage is how the verb ends, by what is not whole.
func (k *call) endSalvage(d *salvagedDocument, to string) error {
	damaged, gone := 0, d.Total.Unreadable
	for _, f := range d.Folders {
		if f.Class == string(salvage.Damaged) {
			damaged += f.Messages - f.Unreadable
		}
	}
	var what []string
	if damaged > 0 {
		what = append(what, ui.Count(damaged, "message")+" written to damaged/, not whole")
	}
	gone -= d.Ledger.Away
	if d.Ledger.Away > 0 {
		what = append(what, ui.Count(d.Ledger.Away, "message")+" in the account's alternative storage, which is not in this copy")
	}
	if gone > 0 {
		what = append(what, ui.Count(gone, "message")+" of which nothing is left to read")
	}
	if n := len(d.Unread); n > 0 {
		what = append(what, ui.Count(n, "file")+" of the copy that cannot be read")
	}
	if n := len(d.Altered); n > 0 {
		what = append(what, ui.Count(n, "file")+map[bool]string{true: " that is not as it was copied", false: " that are not as they were copied"}[n == 1])
	}
	if len(what) == 0 {
		return nil
	}
	hint := "look into " + ui.Quote(filepath.Join(to, "damaged")) + ", and for what is missing into index.json; an older copy or backup, given as --from DIR with another --to, may have it whole"
	switch {
	case damaged+gone == 0 && d.Ledger.Away > 0:
		at := "the alternative storage"
		if d.Alt != "" {
			at = ui.Quote(d.Alt)
		}
		hint = "copy what is in " + at + " on the host too, into a copy of this folder, its storage/ or mailboxes/ over the one there; then dovemend salvage --from that folder, with another --to"
	case damaged+gone == 0:
		hint = "dovemend backup …, which copies again what could not be read; then dovemend salvage --run latest --to " + ui.Quote(to)
	case damaged == 0:
		hint = "an older copy or backup, given as --from DIR with another --to, may have what is gone; dovemend runs lists the copies there are"
	}
	return &endError{exitFindings, "all that can be read was written; not all is whole: " + strings.Join(what, ", "), hint}
}

// printFolders tells by mailbox what was written.
func (k *call) printFolders(all []salvageFolder, away bool) {
	gone := "GONE"
	if away { // some of them are elsewhere
		gone = "NOT IN COPY"
	}
	rows, order := map[string]*[5]int{}, []string{}
	column := map[string]int{string(salvage.Current): 0, string(salvage.Expunged): 1, string(salvage.Orphan): 2, string(salvage.Damaged): 3}
	for _, f := range all {
		r := rows[f.Mailbox]
		if r == nil {
			r = new([5]int)
			rows[f.Mailbox], order = r, append(order, f.Mailbox)
		}
		r[column[f.Class]] += f.Messages - f.Unreadable
		r[4] += f.Unreadable
	}
	t := ui.Table{Columns: []ui.Column{{Title: "MAILBOX", Min: 12}, {Title: "IN IT", Right: true}, {Title: "REMOVED EARLIER", Right: true},
		{Title: "IN NO MAILBOX", Right: true}, {Title: "DAMAGED", Right: true}, {Title: gone, Right: true}}}
	for _, name := range order {
		cells := []string{name}
		for _, n := range rows[name] {
			cells = append(cells, fmt.Sprint(n))
		}
		t.Row(cells...)
	}
	t.Print(k.out(), ui.Width(k.p.stdout))
}

// ledgerText says that nothing was left out, and how that adds up.
func ledgerText(l ledgerDocument) string {
	text := fmt.Sprintf("Every message that is stored in the copy is accounted for: of %d, %d were written", l.Stored, l.Written)
	for _, part := range []struct {
		n    int
		text string
	}{{l.Duplicates, "stored twice, and written once"}, {l.Unreadable, "not readable at all"}, {l.Elsewhere, "of mailboxes that were not asked for"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d are %s", part.n, part.text)
		}
	}
	text += "."
	if l.Copies > 0 {
		text += fmt.Sprintf(" What several mailboxes have was written for each of them, which makes %d more.", l.Copies)
	}
	if l.Away > 0 {
		text += fmt.Sprintf(" %s more in the account's alternative storage, which is not in this copy.", map[bool]string{true: "1 message lies", false: fmt.Sprintf("%d messages lie", l.Away)}[l.Away == 1])
	}
	if l.Lost > 0 {
		text += fmt.Sprintf(" The lists of the mailboxes tell of %s more, of which nothing is stored any longer.", ui.Count(l.Lost, "message"))
	}
	return text
}

// maxShown is how many lines about damaged messages are shown at the terminal.
const maxShown = 20

// alike are messages of a mailbox that lack the same.
type alike struct {
	mailbox, missing string
	uids             []string
	n                int
}

func (a *alike) String() string {
	switch {
	case a.n == 1 && len(a.uids) == 1:
		return fmt.Sprintf("%s, message %s: %s", a.mailbox, a.uids[0], a.missing)
	case len(a.uids) == a.n && a.n <= 5:
		return fmt.Sprintf("%s, messages %s: %s", a.mailbox, strings.Join(a.uids, ", "), a.missing)
	}
	return fmt.Sprintf("%s, %s: %s", a.mailbox, ui.Count(a.n, "message"), a.missing)
}

func (k *call) printDamaged(d *salvagedDocument) {
	var groups []*alike
	of := map[[2]string]*alike{}
	for _, x := range d.Damaged {
		key := [2]string{x.Mailbox, strings.Join(x.Missing, "; ")}
		a := of[key]
		if a == nil {
			a = &alike{mailbox: key[0], missing: key[1]}
			of[key], groups = a, append(groups, a)
		}
		if a.n++; x.UID != 0 && len(a.uids) <= 5 {
			a.uids = append(a.uids, fmt.Sprint(x.UID))
		}
	}
	for i, a := range groups {
		if i == maxShown {
			k.say("and more that are not whole; index.json names them all")
			break
		}
		k.say("%s", ui.Safe(a.String()))
	}
	for i, u := range d.Unread {
		if i == maxShown {
			k.say("and %s more", ui.Count(len(d.Unread)-maxShown, "file"))
			break
		}
		k.say("not read: %s: %s", ui.Safe(u.File), ui.Safe(u.Why))
	}
	for i, a := range d.Altered {
		if i == maxShown {
			k.say("and %s more that are not as they were copied", ui.Count(len(d.Altered)-maxShown, "file"))
			break
		}
		k.say("not as it was copied: %s: %s", ui.Safe(a.File), a.why)
	}
}

// sayImport says how a mail program takes what was written.
func (k *call) sayImport(f salvage.Format, to string) {
	switch f {
	case salvage.Mbox:
		k.say("To see the messages in a mail program: Apple Mail takes the .mbox files by File, Import Mailboxes; Thunderbird by the add-on ImportExportTools NG.")
	case salvage.Maildir:
		k.say("The folder is a Maildir as Dovecot and mutt read it. To see the messages:")
		ui.SayCommand(k.out(), "  ", "mutt", "-f", filepath.Join(to, "mailboxes"))
	default:
		k.say("To see the messages in a mail program: open an .eml file, or drag the files of a folder onto a mailbox in Thunderbird or Apple Mail.")
	}
}
