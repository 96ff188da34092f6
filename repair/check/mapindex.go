package check

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// mapIndex tells what is wrong with the map index.
func (x *accountExaminer) mapIndex() {
	t := x.acct.Storage
	if t == nil || !t.Copied {
		return
	}
	f := Finding{Severity: Broken, File: reconstruct.MapFile, Offset: -1, Effect: rescans, Cure: CureRebuild, Advice: mapAnew}
	for _, u := range t.Unread {
		x.find(Finding{Severity: Broken, Rule: "unreadable", File: u.File, Offset: -1, Text: "this file could not be copied",
			Effect: "Dovecot, which runs under the same user, cannot read it either: reading mail fails", Advice: chmod})
	}
	if !t.Found {
		if len(t.Stored) > 0 && len(t.Unread) == 0 {
			f.Rule, f.Text = "map-missing", "the map index, which tells where in storage/ each message is, is gone"
			if x.acct.Unindexed {
				f.Severity, f.Cure = Suspect, CureNone
				f.Text = "the map index, which tells where in storage/ each message is, is not here, nor is any index file of the account: they are gone, or kept elsewhere"
				f.Effect, f.Advice = "none if they are kept elsewhere; if they are gone, reading mail fails, and Dovecot rebuilds the whole storage: mail that was deleted can come back, in all mailboxes", "what to do is said with the mailboxes"
			}
			x.find(f)
		}
		return
	}
	var files []string
	first, more := map[string]dovecot.Fault{}, map[string]int{}
	for _, fault := range t.Faults {
		if _, ok := first[fault.File]; ok {
			more[fault.File]++
			continue
		}
		first[fault.File] = fault
		files = append(files, fault.File)
	}
	for _, which := range files {
		fault := first[which]
		f := f
		f.File, f.Rule, f.Offset = mapName(which), "map-"+fault.Rule, fault.Offset
		f.Text = "the map index, which tells where in storage/ each message is, is damaged " + detail(fault.Detail, more[which])
		if which == "backup" || t.Sound && t.Verdict == dovecot.VerdictSame {
			f.Severity, f.Effect, f.Advice, f.Cure = Note, "none that anybody sees", "", CureNone
		}
		x.find(f)
	}
	x.refsLow()
	unmapped := 0
	for _, s := range x.acct.Others { // of the mailboxes that are looked at it is told with them
		for i := range s.Messages {
			if m := &s.Messages[i]; s.Belongs(m) && !m.Lost && m.Stored.FileID != 0 && m.Stored.MapUID == 0 {
				unmapped++
			}
		}
	}
	if unmapped > 0 {
		f.Rule, f.Text = "map-lost", fmt.Sprintf("the map index, which tells where in storage/ each message is, does not know %s of other mailboxes", plural(unmapped, "message", "messages"))
		x.find(f)
	}
}

// refsLow tells of messages that mailboxes show and the map index counts too low: a purge takes what it counts as zero for mail that was deleted.
func (x *accountExaminer) refsLow() {
	list := x.acct.Undercounted()
	if len(list) == 0 {
		return
	}
	gone := 0 // of those, what the next purge takes
	dirs := map[store.RelPath]bool{}
	for _, u := range list {
		if u.Refs == 0 {
			gone++
		}
		for _, s := range u.Boxes {
			dirs[s.Mailbox.Dir] = true
		}
	}
	f := Finding{Severity: Broken, Rule: "map-refs-low", File: reconstruct.MapFile, Offset: -1, Cure: CureRebuild, Advice: mapAnew,
		Text:   fmt.Sprintf("the map index counts too few mailboxes for %s that mailboxes still show", plural(len(list), "message", "messages")),
		Effect: "nothing yet; once one of the mailboxes no longer has such a message, the next purge (doveadm purge, which hosts run at night) removes its text from the others too"}
	if gone > 0 {
		f.Effect = fmt.Sprintf("nothing yet; the next purge (doveadm purge, which hosts run at night) removes the text of %s that mailboxes still show", plural(gone, "message", "messages"))
	}
	// A mailbox and the map index are copied one after the other. What comes or goes meanwhile is in one of them alone.
	if x.inUse(string(reconstruct.MapFile)) || slices.ContainsFunc(slices.Collect(maps.Keys(dirs)), func(d store.RelPath) bool { return x.inUse(path.Join(string(d), "dovecot.index")) }) {
		f.Severity, f.Cure, f.Effect = Note, CureNone, "most likely none: the account was in use while it was copied"
		f.Advice = "look again (dovemend check) at a time when no mail program is connected"
	}
	x.find(f)
}

// inUse reports whether index files were changed after the copying began, as far as the copy tells when that was.
func (x *accountExaminer) inUse(prefix string) bool {
	return changedMeanwhile(x.fsys, prefix) || changedMeanwhile(x.fsys, prefix+".log")
}

// changedMeanwhile reports whether a file or folder was changed after the copying began.
func changedMeanwhile(fsys fs.FS, name string) bool {
	info, err := fs.Lstat(fsys, name)
	if err != nil {
		return false
	}
	c, ok := info.Sys().(interface{ Begun() time.Time })
	return ok && !c.Begun().IsZero() && info.ModTime().After(c.Begun())
}

// unchanged reports whether files are known not to have been changed after the copying began.
func unchanged(fsys fs.FS, names ...string) bool {
	for _, name := range names {
		info, err := fs.Lstat(fsys, name)
		if err != nil {
			return false
		}
		c, ok := info.Sys().(interface{ Begun() time.Time })
		changed := info.ModTime()
		if changed.Nanosecond() == 0 { // told in seconds
			changed = changed.Add(time.Second)
		}
		if !ok || !changed.Before(c.Begun()) {
			return false
		}
	}
	return true
}

func mapName(which string) store.RelPath {
	switch which {
	case "log":
		return reconstruct.MapFile + ".log"
	case "log2":
		return reconstruct.MapFile + ".log.2"
	case "backup":
		return reconstruct.MapFile + ".backup"
	}
	return reconstruct.MapFile
}
