package check

import (
	"io/fs"
	"slices"
	"unicode/utf8"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// leftovers names what interrupted work left behind outside of the mailboxes.
func (x *accountExaminer) leftovers() {
	dirs := []string{"storage"}
	if x.acct.Account.Layout != store.Maildir { // else it is the INBOX
		dirs = append(dirs, ".")
	}
	var locks leftLocks
	temp, first := 0, store.RelPath("")
	for _, dir := range dirs {
		entries, err := fs.ReadDir(x.fsys, dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			p := store.RelPath(dir + "/" + e.Name())
			if dir == "." {
				p = store.RelPath(e.Name())
			}
			switch name := e.Name(); {
			case !e.Type().IsRegular():
			case isLock(name):
				locks.add(p)
			case isTemp(name):
				if temp++; temp == 1 {
					first = p
				}
			}
		}
	}
	if locks.n > 0 {
		x.find(locks.finding())
	}
	if temp > 0 {
		x.find(Finding{Severity: Note, Rule: "leftover-temp", File: first, Offset: -1, Effect: "none", Advice: "Dovecot removes it by itself after some days",
			Text: sentence(temp, "an unfinished write of Dovecot was left behind", "%d files of unfinished writes were left behind")})
	}
	for _, dir := range []string{"..DOVECOT-TrasH", "..DOVECOT-TRASHED"} {
		if entries, err := fs.ReadDir(x.fsys, dir); err == nil && len(entries) > 0 {
			x.find(Finding{Severity: Note, Rule: "leftover-trash", File: store.RelPath(dir), Offset: -1, Text: "a mailbox that was deleted still lies here: Dovecot did not come to the end of deleting it",
				Effect: "none; it takes up room", Advice: "if it was deleted by mistake, its files are here still, and in the copy"})
		}
	}
}

// smallFiles tells of damage in small files that all mailboxes share.
func (x *accountExaminer) smallFiles() {
	const most = 4 << 20
	if b, err := reconstruct.ReadFile(x.fsys, "subscriptions", most); err == nil {
		_, faults := dovecot.ParseSubscriptions(b)
		faults = slices.DeleteFunc(faults, func(f dovecot.Fault) bool {
			// An empty line, or a name that stands twice, is no damage: other programs, and people, write this file too.
			return f.Rule == "subscriptions-duplicate" || f.Offset < int64(len(b)) && (b[f.Offset] == '\n' || b[f.Offset] == '\r')
		})
		if len(faults) == 0 && !utf8.Valid(b) {
			faults = append(faults, dovecot.Fault{Rule: "subscriptions-name", Detail: "it holds bytes that no name has"})
		}
		if len(faults) > 0 && !changedMeanwhile(x.fsys, "subscriptions") {
			x.find(Finding{Severity: Suspect, Rule: faults[0].Rule, File: "subscriptions", Offset: faults[0].Offset,
				Text:   "subscriptions, the list of the mailboxes that mail programs are to show, is damaged " + detail(faults[0].Detail, len(faults)-1),
				Effect: "mail programs may not show some mailboxes, or show ones that do not exist; no mail is lost by it",
				Advice: "subscribe to the mailboxes again in a mail program; the copy keeps the file as it was"})
		}
	}
	for _, name := range []string{"dovecot.mailbox.log", "dovecot.mailbox.log.2"} {
		b, err := reconstruct.ReadFile(x.fsys, name, most)
		if err != nil || len(b) == most || changedMeanwhile(x.fsys, name) {
			continue
		}
		if _, faults := dovecot.ParseMailboxLog(b); len(faults) > 0 {
			x.find(Finding{Severity: Note, Rule: faults[0].Rule, File: store.RelPath(name), Offset: faults[0].Offset,
				Text:   "this file, in which Dovecot notes deleted and renamed mailboxes for its copies on other servers, is damaged " + detail(faults[0].Detail, len(faults)-1),
				Effect: "none that anybody sees: Dovecot removes it when it next reads it"})
		}
	}
}
