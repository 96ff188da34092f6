package rebuild

import (
	"cmp"
	"slices"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
)

// newMap is a map index on its way.
type newMap struct {
	validity uint32
	next     dovecot.UID
	uids     map[*reconstruct.Stored]dovecot.UID
	records  []dovecot.MapRecord
}

// refs counts how many mailboxes refer to each stored message once the rebuild is done.
func (b *builder) refs() map[*reconstruct.Stored]int {
	n := map[*reconstruct.Stored]int{}
	for _, s := range b.Account.All() {
		if x := b.out[s]; x != nil && x.How == Exact {
			for _, m := range x.keep {
				n[m.Place()]++
			}
			continue
		}
		for i := range s.Messages {
			if m := &s.Messages[i]; m.Place() != nil {
				n[m.Place()]++
			}
		}
	}
	delete(n, nil)
	return n
}

// mapIndex writes the map index anew, if it has to be.
func (b *builder) mapIndex(f *files) error {
	t, refs := f.t, b.refs()
	if !b.mapNeeded(f, refs) {
		return nil
	}
	if len(t.Unread) > 0 {
		return unproven("the map index could not be copied, so that it cannot be written anew")
	}
	m := &newMap{validity: b.validityOfMap(), next: max(t.Map.NextUID, 1), uids: map[*reconstruct.Stored]dovecot.UID{}}
	b.newMap = m
	b.number(f, m, refs)
	var highest uint32
	header, _ := t.Map.MapHeader()
	highest = header.HighestFileID
	for i := range t.Stored {
		st := &t.Stored[i]
		file := &t.Files[st.File]
		if file.ID == 0 || m.uids[st] == 0 {
			continue
		}
		highest = max(highest, file.ID)
		end := f.end(st)
		if st.Offset >= 1<<32 || end-st.Offset >= 1<<32 {
			return unproven("%s is longer than 4 GiB, which the map index cannot tell", file.Name)
		}
		m.records = append(m.records, dovecot.MapRecord{MapUID: m.uids[st], FileID: file.ID, Offset: uint32(st.Offset), Size: uint32(end - st.Offset), Refs: uint16(min(refs[st], 32767))})
	}
	for _, h := range f.holes {
		m.records = append(m.records, dovecot.MapRecord{MapUID: m.next, FileID: h.file, Offset: uint32(h.from), Size: uint32(h.to - h.from)})
		m.next++
	}
	b.hidden(m)
	slices.SortFunc(m.records, func(x, y dovecot.MapRecord) int { return cmp.Compare(x.MapUID, y.MapUID) })
	return b.writeMap(m, highest, header.RebuildCount)
}

// mapNeeded reports whether the map index, as it is, will not fit.
func (b *builder) mapNeeded(f *files, refs map[*reconstruct.Stored]int) bool {
	t := f.t
	if !t.Sound || t.Verdict != dovecot.VerdictSame || len(f.holes) > 0 {
		return true
	}
	for i := range t.Stored {
		st := &t.Stored[i]
		if t.Files[st.File].ID == 0 {
			continue
		}
		if refs[st] != max(st.Refs, 0) || st.MapUID == 0 && refs[st] > 0 || f.moved(st) {
			return true
		}
	}
	for _, s := range b.Account.Boxes {
		if v, ok := s.Index.MapUIDValidity(); ok && v != 0 && v != t.Map.UIDValidity {
			return true
		}
		for i := range s.Messages { // the record of one that is gone must go too
			if b.out[s].How == Exact && s.Messages[i].Lost && s.Messages[i].Stored.FileID != 0 {
				return true
			}
		}
	}
	return false
}

// validityOfMap is the map's UIDVALIDITY: its own, or else the one that most mailboxes refer to, those that stay as they are first.
func (b *builder) validityOfMap() uint32 {
	t := b.Account.Storage
	if v := t.Map.UIDValidity; v != 0 && !t.Map.Doubtful {
		return v
	}
	votes := map[uint32]int{}
	best := t.Map.UIDValidity
	for _, s := range b.Account.All() {
		v, ok := s.Index.MapUIDValidity()
		if !ok || v == 0 {
			continue
		}
		votes[v]++
		if x := b.out[s]; x == nil || x.How != Exact {
			votes[v] += 1000
		}
		if votes[v] > votes[best] {
			best = v
		}
	}
	if best == 0 {
		best = uint32(b.Now.Unix())
	}
	return best
}

// number gives every stored message its number in the map: the one it has, or the one by which mailboxes refer to it, or a new one.
func (b *builder) number(f *files, m *newMap, refs map[*reconstruct.Stored]int) {
	t := f.t
	used := map[dovecot.UID]bool{}
	give := func(st *reconstruct.Stored, uid dovecot.UID) {
		if uid != 0 && !used[uid] && m.uids[st] == 0 {
			m.uids[st], used[uid] = uid, true
			m.next = max(m.next, uid+1)
		}
	}
	for i := range t.Stored {
		if st := &t.Stored[i]; t.Files[st.File].ID != 0 && !f.dropped(st) {
			give(st, st.MapUID)
		}
	}
	for _, fixed := range []bool{true, false} { // first those mailboxes whose index stays as it is
		for _, s := range b.Account.All() {
			x := b.out[s]
			if fixed != (x == nil || x.How != Exact) {
				continue
			}
			for i := range s.Messages {
				if p := &s.Messages[i]; p.Place() != nil && !f.dropped(p.Place()) {
					give(p.Place(), p.MapUID)
				}
			}
		}
	}
	// What nothing refers to is numbered too, as expunged: else Dovecot would bring it back.
	for i := range t.Stored {
		st := &t.Stored[i]
		if t.Files[st.File].ID != 0 && !f.dropped(st) && m.uids[st] == 0 {
			give(st, m.next)
		}
	}
}

// hidden keeps the records of messages in files that the copy could not read, or that are in the alternative storage.
func (b *builder) hidden(m *newMap) {
	t := b.Account.Storage
	if !t.Blind {
		return
	}
	have := map[dovecot.UID]bool{}
	for _, r := range m.records {
		have[r.MapUID] = true
	}
	records, _ := t.Map.MapRecords()
	for _, r := range records {
		if !have[r.MapUID] && t.Hidden(r.FileID) {
			m.records = append(m.records, r)
		}
	}
}

// writeMap makes the map index and proves it by reading it back.
func (b *builder) writeMap(m *newMap, highest, rebuilds uint32) error {
	header := le.AppendUint32(le.AppendUint32(nil, highest), rebuilds)
	n := &dovecot.NewIndex{IndexID: uint32(b.Now.Unix()), UIDValidity: m.validity, NextUID: m.next,
		Exts: []dovecot.NewExt{{Name: "map", Header: header, Size: 12, Align: 4}, {Name: "ref", Size: 2, Align: 2}}}
	if n.IndexID == b.Account.Storage.Map.IndexID {
		n.IndexID++
	}
	for _, r := range m.records {
		place := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, r.FileID), r.Offset), r.Size)
		n.Records = append(n.Records, dovecot.NewRecord{UID: r.MapUID, Data: [][]byte{place, le.AppendUint16(nil, r.Refs)}})
	}
	data, err := n.Append(nil)
	if err != nil {
		return err
	}
	back, verdict, faults := dovecot.Sees(dovecot.Files{Index: data})
	records, ok := back.MapRecords()
	if verdict != dovecot.VerdictSame || len(faults) > 0 || !ok || !slices.Equal(records, m.records) {
		return unproven("the new map index does not say what it should: %s %v", verdict, faults)
	}
	mode := b.modeOf(reconstruct.MapFile, reconstruct.MapFile+".log")
	b.indexFiles(reconstruct.MapFile, "", "replaced by the new map index")
	return b.put(NewFile{Path: reconstruct.MapFile, Mode: mode, Why: "the map index is written anew: it tells where in storage/ each message is"}, bytesOf(data))
}
