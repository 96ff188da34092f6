package check

import (
	"fmt"

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
