package check

import (
	"fmt"
	"io/fs"

	"dovemend/repair/dovecot"
)

// missing names index files that are not there.
func (x *examiner) missing() {
	f := x.State.Files
	there := func(name string, b []byte) bool { return b != nil || !x.State.Readable(x.file(name)) }
	index, log := there("dovecot.index", f.Index), there("dovecot.index.log", f.Log)
	found := Finding{File: x.file("dovecot.index"), Offset: -1}
	switch {
	case !index && !log:
		x.allMissing(f.Log2 != nil || f.Backup != nil)
		return
	case !index && x.Verdict == dovecot.VerdictSame:
		return // Dovecot has not written it yet: its log starts from nothing and tells everything
	case !index:
		found.Severity, found.Rule = x.shown(), "index-missing"
		found.Text = "dovecot.index, the list of this mailbox's messages, is gone, and the log does not tell everything"
	case !log && x.State.Sound && x.State.Index.Header.LogHead == 0:
		x.find(Finding{Severity: Note, Rule: "index-new", File: x.file("dovecot.index"), Offset: -1, Effect: "none",
			Text: "dovecot.index was written anew, as a rebuild does, and the mailbox was not opened since: Dovecot then begins a new log"})
		return
	case !log:
		found.File, found.Rule, found.Severity = x.file("dovecot.index.log"), "log-missing", Note
		found.Text = "dovecot.index.log, in which Dovecot notes the latest changes, is gone"
		if x.dbox() {
			found.Severity = Suspect
		}
	case x.Verdict != dovecot.VerdictSame:
		found.Severity, found.Rule = x.shown(), "index-"+string(x.Verdict)
		found.Text = "the index files do not fit each other"
	default:
		return
	}
	x.find(x.told(found))
}

// allMissing is for a mailbox without index files: a new one, or one that has lost them.
func (x *examiner) allMissing(leftovers bool) {
	f := Finding{Severity: Note, Rule: "index-files-missing", File: x.file("dovecot.index.log"), Offset: -1,
		Text: "this mailbox has no index files", Effect: "none: Dovecot makes them anew"}
	stray, kept := 0, 0
	for _, m := range x.State.Messages {
		if m.Stray {
			stray++
		}
	}
	if x.State.Storage != nil {
		for _, refs := range x.State.Storage.Refs {
			if refs > 0 {
				kept++
			}
		}
	}
	listed := x.State.Names
	if x.dbox() && listed.HasCounts && listed.Messages > 0 && len(x.State.Messages) == 0 {
		x.find(Finding{Severity: Broken, Rule: "folder-emptied", File: x.box.Dir, Offset: -1,
			Text:   fmt.Sprintf("the account's list of mailboxes counts %s in this mailbox, and its folder holds none: somebody or something emptied it", plural(int(listed.Messages), "message", "messages")),
			Effect: "Dovecot shows the mailbox empty, and says no error",
			Advice: brought})
		return
	}
	if x.dbox() && x.acct.Unindexed {
		if stray > 0 || x.State.Regained > 0 || x.State.Storage != nil && len(x.State.Storage.Stored) > 0 {
			f.Severity, f.Rule, f.Advice = Suspect, "index-elsewhere", elsewhere
			f.Text = "mail is here, and no mailbox of the account has any index file: they are all gone, or kept in another folder (INDEX= in Dovecot's mail_location)"
			f.Effect = "none if they are kept elsewhere; if they are gone, Dovecot shows the mailbox empty, and says no error"
		}
		x.find(f)
		return
	}
	if x.dbox() && (leftovers || stray > 0 || kept > 0 || x.State.Regained > 0) {
		f.Severity, f.Text = Broken, "all index files of this mailbox are gone: nothing tells which messages are in it"
		f.Effect = "Dovecot shows the mailbox empty, and says no error"
		f.Cure = CureRebuild
		switch {
		case x.State.Regained > 0:
			f.Advice = "remove nothing more; rebuild puts the mail that is still stored back into the mailbox"
		case leftovers:
			f.Advice = written
		default:
			f.Cure, f.Advice = CureNone, "remove nothing more; the mail that is stored belongs to other mailboxes, by all that can be told"
		}
	} else if x.dbox() && !(listed.HasCounts && listed.NextUID != 0 && listed.Messages == 0) && x.isDir() && !changedMeanwhile(x.fsys, string(x.box.Dir)) {
		// Dovecot writes a log when it makes a mailbox, and keeps it for as long as there is one. The list index may have no counts of
		// INBOX: then all of them are 0, the next UID too.
		f.Severity, f.Rule, f.File = Suspect, "folder-emptied", x.box.Dir
		f.Text = "this mailbox's folder is there, and all of Dovecot's files in it are gone, which every mailbox has, one without mail too: somebody or something emptied it"
		f.Effect = "Dovecot shows the mailbox empty, and says no error; mail that was in it is gone"
		f.Advice = brought
	}
	x.find(f)
}

// elsewhere is what to do where the index files may be kept in another folder.
const elsewhere = "if the mailboxes show their mail in a mail program, all is well: the files lie elsewhere (your hosting company knows where; look for dovecot.index.log beside this folder), " +
	"and have to be looked at there. If the mailboxes show empty, --remedy rebuild, which has to be asked for by name here, writes new ones"

// brought is what to do where mail is gone.
const brought = "no remedy can make up what is not there: bring the folder back from a backup of the host's, or an earlier copy (dovemend runs). " +
	"A mail program that still has the messages should be taken off the network before it sees the mailbox empty and removes them too"

func (x *examiner) isDir() bool {
	info, err := fs.Stat(x.fsys, string(x.box.Dir))
	return err == nil && info.IsDir()
}
