package check

import (
	"fmt"
	"maps"
	"slices"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

const (
	rescans = "reading mail fails, and Dovecot rebuilds the whole storage: mail that was deleted can come back, in all mailboxes"
	mapAnew = "rebuild writes the map index anew from the messages themselves, and from what all mailboxes refer to; deleted mail stays deleted"
)

// mdbox looks whether each message of the mailbox is where the map index says, and whole.
func (x *examiner) mdbox() {
	t := x.State.Storage
	if !t.Copied {
		x.noStorage()
		return
	}
	var b batch
	lost := map[uint32]int{}
	healed := map[store.RelPath]int{}
	unmapped, nowhere := 0, 0
	for i := range x.State.Messages {
		m := &x.State.Messages[i]
		switch {
		case m.Lost && m.Stored.FileID != 0:
			lost[m.Stored.FileID]++
			continue
		case m.Lost:
			nowhere++
			continue
		case m.Stored.FileID != 0 && m.Stored.MapUID == 0:
			unmapped++
		}
		if m.Body.File == "" {
			continue // nothing is known of it
		}
		if m.Body.Healed {
			x.damaged[m.UID] = true
			healed[m.File]++
			continue
		}
		if f, bad := x.dboxMessage(m, m.File); bad {
			b.add(f)
		}
	}
	if unmapped > 0 && t.Found {
		x.find(Finding{Severity: Broken, Rule: "map-lost", File: reconstruct.MapFile, Offset: -1, Effect: rescans, Cure: CureRebuild, Advice: mapAnew,
			Text: fmt.Sprintf("the map index, which tells where in storage/ each message is, does not know %s of this mailbox", plural(unmapped, "message", "messages"))})
	}
	if v, ok := x.State.Index.MapUIDValidity(); ok && v != 0 && t.Map.UIDValidity != 0 && v != t.Map.UIDValidity && len(x.State.Messages) > 0 {
		x.find(Finding{Severity: Broken, File: reconstruct.MapFile, Offset: -1, Effect: rescans, Cure: CureRebuild, Advice: mapAnew,
			Rule: "map-uidvalidity", Text: "this mailbox was made for another map index than the one in storage/"})
	}
	for _, name := range slices.Sorted(maps.Keys(healed)) {
		x.find(x.healed(name, fmt.Sprintf("this file of the storage is damaged or gone, and with it %s of this mailbox", plural(healed[name], "message", "messages"))))
	}
	x.lostMessages(lost, nowhere)
	x.storageFiles()
	b.done(x, CureRebuild, reframed)
}

// noStorage tells that the folder with the mail itself is not in the copy, which a copy of ours has wherever the host has it.
func (x *examiner) noStorage() {
	n := 0
	for i := range x.State.Messages {
		if x.State.Belongs(&x.State.Messages[i]) {
			n++
		}
	}
	f := Finding{Severity: Broken, Rule: "storage-missing", File: "storage", Offset: -1,
		Effect: "reading mail fails, then Dovecot rebuilds the storage and takes all of it off the lists of all mailboxes"}
	switch {
	case len(x.State.Storage.Unread) > 0:
		f.Rule, f.Text, f.Advice = "unreadable", "the folder storage/, which holds the mail itself, could not be read", chmod
		f.Effect = "Dovecot, which runs under the same user, cannot read it either: reading mail fails"
	case n > 0:
		f.Text = fmt.Sprintf("the folder storage/, which holds the mail itself, is not there: all %s of this mailbox are gone", plural(n, "message", "messages"))
		f.Advice = "if somebody copied these files by hand, storage/ has to be copied too, beside mailboxes/; if it is gone on the host, " +
			"open no mail program before it is back from a backup: no remedy can make up what is not there"
	default:
		return
	}
	x.find(f)
}

// lostMessages tells of messages whose bytes are gone.
func (x *examiner) lostMessages(lost map[uint32]int, nowhere int) {
	const takesOff = "rebuild takes them off the list, and nothing else; bring the file back from a backup if there is one: no remedy can make up what is not there"
	ids := make([]uint32, 0, len(lost))
	for id := range lost {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		what := plural(lost[id], "message", "messages")
		text := fmt.Sprintf("this file of the storage is gone, and with it %s of this mailbox", what)
		if _, there := x.State.Storage.Sizes[id]; there {
			text = fmt.Sprintf("this file of the storage no longer holds %s of this mailbox: it is cut short or overwritten there", what)
		}
		x.find(Finding{Severity: Broken, Rule: "storage-lost", File: reconstruct.StorageFile(id), Offset: -1, Text: text, Cure: CureRebuild,
			Effect: "reading them fails, then Dovecot rebuilds the storage without them", Advice: takesOff})
	}
	if nowhere > 0 {
		x.find(Finding{Severity: Broken, Rule: "message-missing", File: x.file("dovecot.index"), Offset: -1, Cure: CureRebuild,
			Text:   fmt.Sprintf("the index lists %s that the storage does not hold", plural(nowhere, "message", "messages")),
			Effect: "reading them fails, then Dovecot rebuilds the storage without them", Advice: takesOff})
	}
}

// storageFiles tells of damaged heads of files that hold mail of this mailbox: Dovecot reads nothing in such a file.
func (x *examiner) storageFiles() {
	holds := map[store.RelPath]bool{}
	for i := range x.State.Messages {
		holds[x.State.Messages[i].File] = true
	}
	for _, f := range x.State.Storage.Files {
		if f.ID == 0 || !holds[f.Name] {
			continue
		}
		if f.Why != nil {
			x.find(unreadMessage(f.Name))
			continue
		}
		if i := slices.IndexFunc(f.Faults, func(fault dovecot.Fault) bool { return fault.Rule == "dbox-file-header" }); i >= 0 {
			x.find(Finding{Severity: Broken, Rule: "dbox-file-header", File: f.Name, Offset: f.Faults[i].Offset, Text: "the head of this file of the storage is damaged " + detail(f.Faults[i].Detail, 0),
				Effect: "Dovecot fails when mail in this file is read, and a rebuild of its own drops every message in it, from all mailboxes, although their bytes are whole",
				Cure:   CureRebuild, Advice: "rebuild writes the head of the file anew; all messages in it are kept as they are"})
		}
	}
}
