package reconstruct

import (
	"cmp"
	"context"
	"io/fs"
	"slices"

	"dovemend/repair/dovecot"
)

// readMDBox joins all mailboxes of the account with the storage they share.
func (acct *Account) readMDBox(ctx context.Context, fsys fs.FS) error {
	t, err := readStorage(ctx, fsys, acct.healer)
	if err != nil {
		return err
	}
	acct.Storage = t
	all := acct.All()
	for _, s := range all {
		s.Storage = t
		s.ascend()
	}
	if !t.Copied {
		return nil
	}
	for _, s := range all {
		s.resolve(t)
	}
	r := &reconciler{acct: acct, t: t, boxes: all}
	r.reconcile()
	for _, s := range all {
		s.sureNext()
		s.ascend()
	}
	return ctx.Err()
}

// resolve finds where each message of the mailbox is stored: by the map index, as long as its own GUID agrees, else by
// the GUID alone.
func (s *State) resolve(t *Storage) {
	ours := s.refersTo(t)
	for i := range s.Messages {
		m := &s.Messages[i]
		st, sure := (*Stored)(nil), false
		if ours {
			st = t.lookup[m.MapUID]
			sure = st != nil && (m.GUID.IsZero() || st.GUID.IsZero() || st.GUID == m.GUID)
		}
		if !sure {
			if by := t.best(m.GUID); by != nil {
				st, sure = by, true
			}
		}
		if !sure { // its place tells, if anything does, of another message
			// Where not all of the storage could be read, it may be there.
			m.Lost = !t.Blind && (t.Known || !m.GUID.IsZero())
			if r, ok := t.Mapped(m.MapUID); ok && ours {
				m.Stored, m.File = r, StorageFile(r.FileID)
				m.Lost = !t.Hidden(r.FileID)
			}
			continue
		}
		s.attach(m, st)
	}
}

// refersTo reports whether the numbers in the mailbox's index are those of this map index.
func (s *State) refersTo(t *Storage) bool {
	validity, told := s.Index.MapUIDValidity()
	return t.Known && (!told || validity == 0 || t.Map.UIDValidity == 0 || validity == t.Map.UIDValidity)
}

// Mapped is what the map index tells of a message.
func (t *Storage) Mapped(uid dovecot.UID) (dovecot.MapRecord, bool) {
	r := t.Map.Find(uid)
	if r == nil || uid == 0 {
		return dovecot.MapRecord{}, false
	}
	return t.Map.MapRecord(r)
}

// attach gives a message the place of its text.
func (s *State) attach(m *Message, st *Stored) {
	t := s.Storage
	st.Claims++
	if st.MapUID != 0 { // else the mailbox knows better than the map index
		m.MapUID = st.MapUID
	}
	m.Stored, m.Size = t.record(st), st.End-st.Offset
	m.describe(t.Files[st.File].Name, &st.DboxMessage)
	m.File, m.Body.Healed = t.Files[st.File].Name, st.Healed
	m.stored = st
}

// best is the message with this GUID, of several the one that the map index knows to be in use, then a whole one, then the one
// stored last; nil if there is none.
func (t *Storage) best(id dovecot.GUID) *Stored {
	if id.IsZero() {
		return nil
	}
	var best *Stored
	for m := t.byGUID[id]; m != nil; m = m.next {
		if best == nil || t.better(m, best) {
			best = m
		}
	}
	return best
}

func (t *Storage) better(a, b *Stored) bool {
	if x, y := a.Refs > 0, b.Refs > 0; x != y {
		return x
	}
	if x, y := a.Damage == 0, b.Damage == 0; x != y {
		return x
	}
	return a.File > b.File || a.File == b.File && a.Offset > b.Offset
}

// Hidden reports whether a file of the storage may exist where the copy does not hold it.
func (t *Storage) Hidden(id uint32) bool {
	// They are sorted by ID; the first of one it is.
	i, found := slices.BinarySearchFunc(t.Files, id, func(f File, id uint32) int { return cmp.Compare(f.ID, id) })
	return !found && t.AltLink || found && t.Files[i].Why != nil
}

// MessageOf is a stored message by itself, as its own metadata tell it.
func MessageOf(t *Storage, st *Stored) *Message {
	m := &Message{MapUID: st.MapUID, Stored: t.record(st), Size: st.End - st.Offset, stored: st}
	m.File = t.Files[st.File].Name
	m.describe(m.File, &st.DboxMessage)
	return m
}
