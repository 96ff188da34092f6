package check

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

const (
	rescans = "reading mail fails, and Dovecot rebuilds the whole storage: mail that was deleted can come back, in all mailboxes"
	noMap   = "none of the direct remedies mends the map index. Dovecot makes it anew by itself at the next look; expect deleted mail to come back, and keep the copy"
	storing = kept + "none of the direct remedies mends the storage, which all mailboxes share. Clearing the mailbox would leave the damage there"
)

// mdbox looks up each message of the mailbox in the map, and looks whether a message begins where the map says.
func (x *examiner) mdbox() error {
	t := &x.State.Storage
	if !t.Copied {
		return nil
	}
	x.mapIndex()
	wanted := map[uint32][]*reconstruct.Message{}
	unknown := 0
	for i := range x.State.Messages {
		m := &x.State.Messages[i]
		if m.Stored.FileID == 0 {
			unknown++
			continue
		}
		wanted[m.Stored.FileID] = append(wanted[m.Stored.FileID], m)
	}
	if unknown > 0 && t.Found {
		x.find(Finding{Severity: Broken, Rule: "map-lost", File: reconstruct.MapFile, Offset: -1, Effect: rescans, Advice: noMap,
			Text: fmt.Sprintf("the map index, which tells where in storage/ each message is, does not know %s of this mailbox", plural(unknown, "message", "messages"))})
	}
	ids := make([]uint32, 0, len(wanted))
	for id := range wanted {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var b batch
	for _, id := range ids {
		if err := x.storageFile(id, wanted[id], &b); err != nil {
			return err
		}
	}
	b.done(x, CureNone, storing)
	return nil
}

// mapIndex tells what is wrong with the map index.
func (x *examiner) mapIndex() {
	t := &x.State.Storage
	f := Finding{Severity: Broken, File: reconstruct.MapFile, Offset: -1, Effect: rescans, Advice: noMap}
	if !t.Found {
		if len(x.State.Messages) > 0 && x.State.Readable(reconstruct.MapFile) {
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
		if which == "backup" {
			f.Severity, f.Effect, f.Advice = Note, "none that anybody sees", ""
		}
		x.find(f)
	}
	if v, ok := x.State.Index.MapUIDValidity(); ok && v != 0 && t.Map.UIDValidity != 0 && v != t.Map.UIDValidity && len(x.State.Messages) > 0 {
		t.Known = false // its counts are of other messages
		f.Rule, f.Text = "map-uidvalidity", "this mailbox was made for another map index than the one in storage/"
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

// storageFile reads one m.N and names the damage that lies within messages of this mailbox.
func (x *examiner) storageFile(id uint32, messages []*reconstruct.Message, b *batch) error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	name := reconstruct.StorageFile(id)
	lost := 0
	for _, m := range messages {
		if m.Lost {
			lost++
		}
	}
	size, there := x.State.Storage.Sizes[id]
	if lost > 0 {
		text := fmt.Sprintf("this file of the storage is gone, and with it %s of this mailbox", plural(lost, "message", "messages"))
		if there {
			text = fmt.Sprintf("this file of the storage is cut short: %s of this mailbox stood behind its end", plural(lost, "message", "messages"))
		}
		x.find(Finding{Severity: Broken, Rule: "storage-lost", File: name, Offset: -1, Text: text,
			Effect: "reading them fails, then Dovecot rebuilds the storage without them", Advice: "bring the file back from a backup if there is one; no remedy can make up what is not there"})
	}
	if !there || size == 0 {
		return nil
	}
	f, err := x.fsys.Open(string(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case reconstruct.NotCopied(err):
		b.add(unreadMessage(name))
		return nil
	case err != nil:
		return err
	}
	defer f.Close()
	at, err := readerAt(f, size)
	if err != nil {
		return err
	}
	sort.Slice(messages, func(i, j int) bool { return messages[i].Stored.Offset < messages[j].Stored.Offset })
	known := make([]dovecot.DboxExtent, len(messages))
	for i, m := range messages {
		known[i] = dovecot.DboxExtent{Offset: int64(m.Stored.Offset), Size: int64(m.Stored.Size)}
	}
	box, faults, err := dovecot.ParseDbox(at, size, known)
	if err != nil {
		return fmt.Errorf("read the copy of %s: %w", name, err)
	}
	for _, fault := range faults {
		f := Finding{Severity: Broken, Rule: fault.Rule, File: name, Offset: fault.Offset, Text: "this file of the storage is damaged " + detail(fault.Detail, 0), Effect: panics, Advice: storing}
		if fault.Offset == 0 && box.Version == 0 {
			for _, m := range messages {
				x.damaged[m.UID] = true
			}
			f.Effect = "Dovecot fails when mail in this file is read, and a rebuild drops every message in it, from all mailboxes, although their bytes are whole"
			x.find(f)
			continue
		}
		i := sort.Search(len(known), func(i int) bool { return known[i].Offset > fault.Offset }) - 1
		if i < 0 || known[i].Size != 0 && fault.Offset >= known[i].Offset+known[i].Size {
			continue // in a message of another mailbox, or in one that was deleted
		}
		x.damaged[messages[i].UID] = true
		b.add(f)
	}
	return nil
}
