package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// mdbox looks up each message of the mailbox in the map, and looks whether a message begins where the map says.
func (x *examiner) mdbox() error {
	if len(x.State.Messages) == 0 {
		return nil
	}
	var files dovecot.Files
	mapFile := store.RelPath("storage/dovecot.map.index")
	for name, into := range map[string]*[]byte{"": &files.Index, ".log": &files.Log, ".log.2": &files.Log2} {
		b, err := reconstruct.ReadFile(x.fsys, string(mapFile)+name, reconstruct.MaxIndexFile)
		if err == nil {
			*into = b
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the copy of the map index: %w", err)
		}
	}
	lost := Finding{Severity: Broken, File: mapFile, Offset: -1,
		Effect: "reading messages fails, and Dovecot rebuilds the whole storage: expunged mail can come back",
		Advice: "none of the direct remedies mends the map index; keep the copy"}
	if _, err := fs.Stat(x.fsys, "storage"); errors.Is(err, fs.ErrNotExist) {
		return nil // not in this copy
	}
	state, faults := dovecot.Replay(files)
	if files.Index == nil && files.Log == nil {
		lost.Rule, lost.Text = "map-missing", "the map index of the storage is gone"
		x.find(lost)
		return nil
	}
	for _, f := range faults {
		lost.Rule, lost.Offset, lost.Text = "map-"+f.Rule, f.Offset, f.Detail
		x.find(lost)
	}
	if v, ok := x.State.Index.MapUIDValidity(); ok && v != state.UIDValidity && state.UIDValidity != 0 {
		lost.Rule, lost.Offset, lost.Text = "map-uidvalidity", -1, "the mailbox refers to another map index than the one in the storage"
		x.find(lost)
	}
	records, ok := state.MapRecords()
	if !ok {
		return nil
	}
	x.elsewhere(records)
	return x.stored(records)
}

// elsewhere counts the messages that a rebuild of the storage would not bring back to this mailbox, because another
// mailbox refers to them too: Dovecot only restores what no mailbox refers to. Seen on 2.3.19.
func (x *examiner) elsewhere(records []dovecot.MapRecord) {
	if x.NoIndex.Verdict == dovecot.VerdictEmpty || x.NoIndex.Verdict == dovecot.VerdictOlder {
		return // they are counted already
	}
	refs := make(map[dovecot.UID]uint16, len(records))
	for _, r := range records {
		refs[r.MapUID] = r.Refs
	}
	for _, m := range x.State.Messages {
		if x.without.Find(m.UID) == nil && refs[m.MapUID] > 1 {
			x.NoIndex.Gone++
		}
	}
}

// stored looks at the bytes of each message of an mdbox mailbox.
func (x *examiner) stored(records []dovecot.MapRecord) error {
	byUID := make(map[dovecot.UID]dovecot.MapRecord, len(records))
	for _, r := range records {
		byUID[r.MapUID] = r
	}
	wanted := map[uint32][]dovecot.MapRecord{}
	missing := 0
	for _, m := range x.State.Messages {
		r, ok := byUID[m.MapUID]
		if !ok {
			missing++
			continue
		}
		wanted[r.FileID] = append(wanted[r.FileID], r)
	}
	if missing > 0 {
		x.find(Finding{Severity: Broken, Rule: "map-lost", File: "storage/dovecot.map.index", Offset: -1, Cure: CureNone,
			Text: fmt.Sprintf("%d messages of this mailbox are not in the map index", missing), Effect: "reading them fails, and Dovecot rebuilds the whole storage",
			Advice: "none of the direct remedies mends the map index; keep the copy"})
	}
	ids := make([]uint32, 0, len(wanted))
	for id := range wanted {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	more := 0
	for _, id := range ids {
		n, err := x.storageFile(id, wanted[id])
		if err != nil {
			return err
		}
		more += n
	}
	x.rest(more)
	return nil
}

// storageFile reads one m.N and names the damage that lies within messages of this mailbox.
func (x *examiner) storageFile(id uint32, wanted []dovecot.MapRecord) (more int, err error) {
	if err := x.ctx.Err(); err != nil {
		return 0, err
	}
	name := path.Join("storage", fmt.Sprintf("m.%d", id))
	f, err := x.fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		x.find(Finding{Severity: Broken, Rule: "storage-missing", File: store.RelPath(name), Offset: -1,
			Text: fmt.Sprintf("the storage file with %d messages of this mailbox is gone", len(wanted)), Effect: "reading them fails; then Dovecot rebuilds the storage without them",
			Advice: "bring the file back from a backup, if there is one"})
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	at, err := readerAt(f, info.Size())
	if err != nil {
		return 0, err
	}
	sort.Slice(wanted, func(i, j int) bool { return wanted[i].Offset < wanted[j].Offset })
	known := make([]dovecot.DboxExtent, len(wanted))
	for i, r := range wanted {
		known[i] = dovecot.DboxExtent{Offset: int64(r.Offset), Size: int64(r.Size)}
	}
	_, faults, err := dovecot.ParseDbox(at, info.Size(), known)
	if err != nil {
		return 0, fmt.Errorf("read the copy of %s: %w", name, err)
	}
	for _, fault := range faults {
		i := sort.Search(len(known), func(i int) bool { return known[i].Offset > fault.Offset }) - 1
		ours := i >= 0 && (known[i].Size == 0 || fault.Offset <= known[i].Offset+known[i].Size) || fault.Offset == 0
		if !ours {
			continue // damage in another mailbox's message
		}
		if len(x.Findings) >= maxMessageFindings {
			more++
			continue
		}
		x.find(Finding{Severity: Broken, Rule: fault.Rule, File: store.RelPath(name), Offset: fault.Offset, Cure: CureClear,
			Text: fault.Detail, Effect: panics, Advice: advised})
	}
	return more, nil
}
