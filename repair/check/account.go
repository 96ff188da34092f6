package check

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// Account says what is wrong with what an account's mailboxes share, and with what belongs to none of them.
func Account(fsys fs.FS, acct *reconstruct.Account) []Finding {
	x := &accountExaminer{fsys: fsys, acct: acct}
	x.mapIndex()
	x.list()
	x.orphans()
	x.alternative()
	x.storage()
	x.others()
	x.empty()
	return x.found
}

type accountExaminer struct {
	fsys  fs.FS
	acct  *reconstruct.Account
	found []Finding
}

func (x *accountExaminer) find(f Finding) { x.found = append(x.found, f) }

// list tells of a damaged list of mailboxes.
func (x *accountExaminer) list() {
	if len(x.acct.ListFaults) == 0 {
		return
	}
	first := x.acct.ListFaults[0]
	f := Finding{Severity: Suspect, Rule: "list-" + first.Rule, File: first.File, Offset: first.Offset, Cure: CureRebuild,
		Text:   "the list of mailboxes is damaged " + detail(first.Detail, len(x.acct.ListFaults)-1),
		Effect: "mail programs may see no mailboxes once, or a mailbox's old number of messages",
		Advice: "rebuild sets it aside: Dovecot makes it anew from the mailboxes themselves"}
	for _, s := range x.acct.Boxes {
		if s.Mailbox.Storage == path.Base(string(s.Mailbox.Dir)) && len(s.Mailbox.Storage) == 32 { // LAYOUT=index
			f.Severity, f.Cure, f.Effect = Broken, CureNone, "mailboxes may show under other names, or not at all"
			f.Advice = "remove nothing: with this layout, the list is the only place of the mailboxes' names"
			break
		}
	}
	x.find(f)
}

// orphans counts the messages that are in no mailbox.
func (x *accountExaminer) orphans() {
	n := map[reconstruct.Fate]int{}
	first := map[reconstruct.Fate]store.RelPath{}
	for _, o := range x.acct.Orphans {
		if n[o.Fate]++; n[o.Fate] == 1 {
			first[o.Fate] = o.File
		}
	}
	const read = "dovemend salvage writes them out"
	for _, k := range []struct {
		fate   reconstruct.Fate
		sev    Severity
		text   string
		effect string
	}{
		{reconstruct.Expunged, Note, "%s that were deleted are still stored, until the host purges them", "none"},
		{reconstruct.Uncommitted, Note, "%s are stored whose saving was never finished", "they do not show; the sender's server has most likely sent them again"},
		{reconstruct.SetAside, Suspect, "%s stand in files that Dovecot found damaged, and keeps aside", "those messages may be missing from their mailboxes, or lack a part"},
		{reconstruct.Unplaced, Suspect, "%s are stored that some mailbox should hold, and no mailbox does", "they do not show"},
	} {
		if c := n[k.fate]; c > 0 {
			x.find(Finding{Severity: k.sev, Rule: "orphans-" + strings.ReplaceAll(string(k.fate), " ", "-"), File: first[k.fate], Offset: -1,
				Text: fmt.Sprintf(k.text, plural(c, "message", "messages")), Effect: k.effect, Advice: read})
		}
	}
}

// storage tells of what is wrong in mdbox's storage with mail that no mailbox refers to.
func (x *accountExaminer) storage() {
	t := x.acct.Storage
	if t == nil {
		return
	}
	held := map[int]bool{}
	for i := range t.Stored {
		if t.Stored[i].Claims > 0 {
			held[t.Stored[i].File] = true
		}
	}
	for i, f := range t.Files {
		if f.ID != 0 && len(f.Faults) > 0 && !held[i] && f.Size > 0 {
			x.find(Finding{Severity: Note, Rule: f.Faults[0].Rule, File: f.Name, Offset: f.Faults[0].Offset,
				Text: "this file of the storage is damaged " + detail(f.Faults[0].Detail, len(f.Faults)-1), Effect: "none: no mailbox refers to a message in it"})
		}
	}
}

// others tells of damaged messages in the storage that belong to mailboxes which are not looked at: with mdbox, reading one
// of them harms the mail of all.
func (x *accountExaminer) others() {
	for _, s := range x.acct.Others {
		n, first := 0, (*reconstruct.Message)(nil)
		for i := range s.Messages {
			if m := &s.Messages[i]; s.Belongs(m) && (m.Lost || m.Body.Why == nil && s.Breaks(m)) {
				if n++; n == 1 {
					first = m
				}
			}
		}
		if n == 0 {
			continue
		}
		f := Finding{Severity: Broken, Rule: "other-mailbox", File: first.File, Offset: first.Body.Offset,
			Text:   fmt.Sprintf("%s of mailbox %q in the storage, which all mailboxes share, cannot be read", plural(n, "message", "messages"), s.Mailbox.Name),
			Effect: rescans, Advice: "choose that mailbox too (--mailbox), or all of them (--all-mailboxes)"}
		if f.File == "" {
			f.File, f.Offset = s.Mailbox.Dir, -1
		}
		x.find(f)
	}
}

// empty tells of files without a byte, which a full disk or quota leaves behind.
func (x *accountExaminer) empty() {
	n, first := 0, store.RelPath("")
	look := func(p store.RelPath) {
		if info, err := fs.Lstat(x.fsys, string(p)); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
			if n++; n == 1 {
				first = p
			}
		}
	}
	for _, s := range x.acct.Boxes {
		for _, name := range []string{"dovecot.index", "dovecot.index.log", "dovecot.index.cache", "dovecot-uidlist"} {
			look(store.RelPath(path.Join(string(s.Mailbox.Dir), name)))
		}
		for i := range s.Messages {
			if m := &s.Messages[i]; m.Size == 0 && m.File != "" {
				look(m.File)
			}
		}
	}
	if t := x.acct.Storage; t != nil {
		look(reconstruct.MapFile)
		look(reconstruct.MapFile + ".log")
		for _, f := range t.Files {
			if f.Size == 0 {
				look(f.Name)
			}
		}
	}
	if n > 0 {
		x.find(Finding{Severity: Suspect, Rule: "disk-full-traces", File: first, Offset: -1,
			Text:   fmt.Sprintf("%s no byte, as a full disk or a used-up quota leaves them behind", plural(n, "file has", "files have")),
			Effect: "as long as there is no room, Dovecot cannot write, and damages more", Advice: "see that there is room before anything else: delete what can be missed, or ask for more"})
	}
}
