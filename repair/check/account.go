package check

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"dovemend/repair/dovecot"
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
	x.access()
	x.leftovers()
	x.smallFiles()
	x.empty()
	if newer(acct) {
		withhold(x.found, newerAdvice)
	}
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
	if x.listGone() {
		var names []string // as the mailboxes' own indexes tell them
		for _, m := range x.acct.Account.Mailboxes {
			if reconstruct.GUIDNamed(m) && m.Name != m.Storage && len(names) < 5 {
				names = append(names, fmt.Sprintf("%q is %s", clip(m.Name), m.Storage))
			}
		}
		x.find(Finding{Severity: Broken, Rule: "list-missing", File: reconstruct.ListFile, Offset: -1,
			Text:   "the list of mailboxes is gone. In this account it is the only place of the mailboxes' names, as their folders are named by numbers",
			Effect: "once a mail program asks for the mailboxes, Dovecot lists them as …-recovered-lost-folder-… with a long number, INBOX may show empty, and mail programs download everything again under the new names",
			Advice: "let no mail program connect before dovecot.list.index and dovecot.list.index.log are back from a backup of the host's, or an earlier copy (dovemend runs). " +
				"If there is none, mailboxes that come back under wrong names can be renamed" + after(": ", strings.Join(names, ", "))})
		return
	}
	x.gone()
	if len(x.acct.ListFaults) == 0 {
		return
	}
	first := x.acct.ListFaults[0]
	f := Finding{Severity: Suspect, Rule: "list-" + first.Rule, File: first.File, Offset: first.Offset, Cure: CureRebuild,
		Text:   "the list of mailboxes is damaged " + detail(first.Detail, len(x.acct.ListFaults)-1),
		Effect: "mail programs may see no mailboxes once, or a mailbox's old number of messages",
		Advice: "rebuild sets it aside: Dovecot makes it anew from the mailboxes themselves"}
	for _, s := range x.acct.Boxes {
		if reconstruct.GUIDNamed(s.Mailbox) {
			f.Severity, f.Cure, f.Effect = Broken, CureNone, "mailboxes may show under other names, or not at all"
			f.Advice = "remove nothing: with this layout, the list is the only place of the mailboxes' names"
			break
		}
	}
	x.find(f)
}

// listGone reports whether mailboxes whose folders are named by their GUIDs have no list index.
func (x *accountExaminer) listGone() bool {
	if x.acct.Account.Partial || x.acct.Unindexed || !slices.ContainsFunc(x.acct.Account.Mailboxes, reconstruct.GUIDNamed) {
		return false
	}
	return !slices.ContainsFunc([]string{"", ".log", ".log.2"}, func(end string) bool {
		_, err := fs.Lstat(x.fsys, string(reconstruct.ListFile)+end)
		return err == nil
	})
}

// gone tells of mailboxes that the list index names, and that are not there.
func (x *accountExaminer) gone() {
	list := x.acct.Gone()
	// A list that was written while the copy was made may know a mailbox that was made meanwhile. A copy of another tool may be one of
	// some mailboxes only.
	if len(list) == 0 || x.inUse(string(reconstruct.ListFile)) || len(list) > len(x.acct.Account.Mailboxes) && !x.ours() {
		return
	}
	const most = 10
	var names []string
	messages := 0
	for i, n := range list {
		if messages += int(n.Messages); i < most {
			names = append(names, fmt.Sprintf("%q", clip(n.Name)))
		}
	}
	if n := len(list) - most; n > 0 {
		names = append(names, fmt.Sprintf("and %d more", n))
	}
	text := "the folder of a mailbox that the account's list of mailboxes names does not exist: "
	if len(list) > 1 {
		text = "the folders of mailboxes that the account's list of mailboxes names do not exist: "
	}
	if text += strings.Join(names, ", "); messages > 0 {
		text += fmt.Sprintf("; the list counts %s there", plural(messages, "message", "messages"))
	}
	f := Finding{Severity: Suspect, Rule: "mailbox-gone", File: reconstruct.ListFile, Offset: -1, Text: text,
		Effect: "such a mailbox no longer shows, and no error is said",
		Advice: "if you did not delete it yourself: bring its folder back from a backup of the host's, or an earlier copy (dovemend runs); no remedy can make up what is not there"}
	if x.acct.Storage != nil {
		f.Advice = "if you did not delete it yourself: bring its folder back from a backup of the host's, or an earlier copy (dovemend runs); the mail itself may still be stored: dovemend salvage writes it out"
	}
	x.find(f)
}

// ours reports whether the copy is one of ours, which holds all that was asked for.
func (x *accountExaminer) ours() bool {
	info, err := fs.Lstat(x.fsys, ".")
	if err != nil {
		return false
	}
	_, ok := info.Sys().(interface{ Begun() time.Time })
	return ok
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
		one    string
		many   string
		effect string
	}{
		{reconstruct.Expunged, Note, "1 message that was deleted is still stored, until the host purges it", "%d messages that were deleted are still stored, until the host purges them", "none"},
		{reconstruct.Uncommitted, Note, "1 message is stored whose saving was never finished", "%d messages are stored whose saving was never finished",
			"what was not finished does not show; the sender's server has most likely sent it again"},
		{reconstruct.SetAside, Suspect, "1 message stands in a file that Dovecot found damaged, and keeps aside", "%d messages stand in files that Dovecot found damaged, and keeps aside",
			"such a message may be missing from its mailbox, or lack a part"},
		{reconstruct.Unplaced, Suspect, "1 message is stored that some mailbox should hold, and no mailbox does", "%d messages are stored that some mailbox should hold, and no mailbox does",
			"what no mailbox holds does not show"},
	} {
		if c := n[k.fate]; c > 0 {
			x.find(Finding{Severity: k.sev, Rule: "orphans-" + strings.ReplaceAll(string(k.fate), " ", "-"), File: first[k.fate], Offset: -1,
				Text: sentence(c, k.one, k.many), Effect: k.effect, Advice: read})
		}
	}
}

// sentence is the one that fits a number: many has it in it.
func sentence(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}

// StorageHoled is the rule of a finding about a file of an mdbox storage that cannot be read to its end.
const StorageHoled = "storage-holed"

// storage tells of what is wrong in mdbox's storage with mail that no mailbox refers to.
func (x *accountExaminer) storage() {
	t := x.acct.Storage
	if t == nil {
		return
	}
	held, told := map[int]bool{}, map[int]bool{}
	for i := range t.Stored {
		if st := &t.Stored[i]; st.Claims > 0 {
			held[st.File] = true
			told[st.File] = told[st.File] || st.Damage&^dovecot.DboxAltered != 0 // of the message itself
		}
	}
	for i, f := range t.Files {
		amid, tail := t.Holed(i)
		text := "this file of the storage is damaged amid its messages, though no mailbox has the message that is damaged"
		if !amid {
			text = "this file of the storage goes on behind its last message, with bytes that are none: writing there was never finished"
		}
		// Where the end has just been written it may still be.
		if !told[i] && (amid || tail && !changedMeanwhile(x.fsys, string(f.Name))) {
			x.find(Finding{Severity: Suspect, Rule: StorageHoled, File: f.Name, Offset: -1, Cure: CureRebuild,
				Text:   text,
				Effect: "nothing yet; the next purge (doveadm purge, which hosts run at night) fails there, and Dovecot rebuilds the whole storage: mail that was deleted can come back, in all mailboxes",
				Advice: "rebuild mends the file, so that it can be purged; the messages in it stay as they are"})
			continue
		}
		if f.ID != 0 && len(f.Faults) > 0 && !held[i] && f.Size > 0 {
			x.find(Finding{Severity: Note, Rule: f.Faults[0].Rule, File: f.Name, Offset: f.Faults[0].Offset,
				Text: "this file of the storage is damaged " + detail(f.Faults[0].Detail, len(f.Faults)-1), Effect: "none: no mailbox refers to a message in it"})
		}
	}
}

// others tells of damaged messages in the storage that belong to mailboxes which are not looked at: with mdbox, reading one
// of them harms the mail of all.
func (x *accountExaminer) others() {
	back := map[store.RelPath]bool{} // files that come back from an earlier copy with the mailboxes that are looked at
	for _, s := range x.acct.Boxes {
		for i := range s.Messages {
			if m := &s.Messages[i]; m.Body.Healed {
				back[m.File] = true
			}
		}
	}
	for _, s := range x.acct.Others {
		n, first := 0, (*reconstruct.Message)(nil)
		for i := range s.Messages {
			m := &s.Messages[i]
			if m.Body.Healed && back[m.File] {
				continue
			}
			if s.Belongs(m) && (m.Lost || m.Body.Why == nil && s.Breaks(m)) {
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
	index := func(prefix string) {
		for _, end := range []string{"", ".log", ".log.2", ".backup", ".cache"} {
			look(store.RelPath(prefix + end))
		}
	}
	// dovecot-uidvalidity.<hex> and maildirfolder are empty by nature, and subscriptions is where nobody has subscribed to anything any more.
	for _, s := range x.acct.Boxes {
		dir := string(s.Mailbox.Dir)
		index(path.Join(dir, "dovecot.index"))
		look(store.RelPath(path.Join(dir, "dovecot-uidlist")))
		look(store.RelPath(path.Join(dir, "dovecot-keywords")))
		for i := range s.Messages {
			if m := &s.Messages[i]; m.Size == 0 && m.File != "" {
				look(m.File)
			}
		}
	}
	index(string(reconstruct.ListFile))
	look("dovecot-uidvalidity")
	if t := x.acct.Storage; t != nil {
		index(string(reconstruct.MapFile))
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

// clip bounds a name where many are told.
func clip(name string) string {
	const most = 40
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// after puts a text behind another one, if there is one.
func after(mark, text string) string {
	if text == "" {
		return ""
	}
	return mark + text
}
