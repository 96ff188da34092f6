package rebuild

import (
	"context"
	"slices"
	"strings"

	"dovemend/repair/check"
	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
)

// storage decides what becomes of damaged messages in the storage, mends its files, and writes the map index anew where it
// does not tell what is there, or what the mailboxes will refer to.
func (b *builder) storage(ctx context.Context) error {
	t := b.Account.Storage
	if !t.Copied || !b.any(Exact) && !b.sharedNeeds() {
		return nil
	}
	f := &files{b: b, t: t, fate: map[*reconstruct.Stored]string{}}
	if err := f.mend(ctx); err != nil {
		return err
	}
	for _, s := range b.Account.Boxes {
		x := b.out[s]
		for i := range s.Messages {
			m := &s.Messages[i]
			if !s.Belongs(m) || x.How != Exact {
				continue
			}
			st := m.Place()
			if st != nil && f.fate[st] != "" {
				x.LeftOut = append(x.LeftOut, LeftOut{*m, f.fate[st]})
				continue
			}
			switch {
			case m.Body.Healed:
				x.Healed++
			case st != nil && s.Breaks(m):
				x.Mended++
			}
			x.keep = append(x.keep, m)
		}
		x.Messages = len(x.keep)
	}
	return b.mapIndex(f)
}

// sharedNeeds reports whether what the mailboxes share has to be rebuilt.
func (b *builder) sharedNeeds() bool {
	return slices.ContainsFunc(b.Shared, func(f check.Finding) bool {
		return f.Cure == check.CureRebuild && (strings.HasPrefix(f.Rule, "map-") || f.Rule == check.StorageHoled)
	})
}

// any reports whether a mailbox is to be rebuilt in this way.
func (b *builder) any(how How) bool {
	for _, x := range b.out {
		if x.How == how {
			return true
		}
	}
	return false
}

func (b *builder) mdbox(x *box) error {
	if !b.Account.Storage.Copied {
		for i := range x.s.Messages {
			if m := &x.s.Messages[i]; x.s.Belongs(m) {
				x.keep = append(x.keep, m)
			}
		}
		x.Messages = len(x.keep)
		x.Notes = append(x.Notes, "the storage, where the mail itself is, is not in the copy: whether it is whole was not looked at")
	}
	b.validity(x)
	return b.index(x)
}

// mapUID is the number by which a message is found in the map index.
func (b *builder) mapUID(m *reconstruct.Message) dovecot.UID {
	if b.newMap != nil {
		if uid, ok := b.newMap.uids[m.Place()]; ok && m.Place() != nil {
			return uid
		}
	}
	return m.MapUID
}

// mapValidity is the UIDVALIDITY of the map index that a mailbox refers to.
func (b *builder) mapValidity(s *reconstruct.State) uint32 {
	if b.newMap != nil {
		return b.newMap.validity
	}
	if v := b.Account.Storage.Map.UIDValidity; v != 0 {
		return v
	}
	v, _ := s.Index.MapUIDValidity()
	return v
}
