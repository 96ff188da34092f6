package rebuild

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

var le = binary.LittleEndian

// keptHeaders are extensions that hold only header data, and stay as they are: what Dovecot and its plugins know of the mailbox as a whole.
var keptHeaders = []string{"hdr-pop3-uidl", "box-name", "last-rename-stamp", "fts"}

// index writes a mailbox's index anew, alone: all its other index files are taken out.
func (b *builder) index(x *box) error {
	n, err := b.content(x)
	if err != nil {
		return err
	}
	data, err := n.Append(nil)
	if err != nil {
		return err
	}
	if err := prove(x, n, data); err != nil {
		return err
	}
	prefix := x.file("dovecot.index")
	mode := b.modeOf(prefix, prefix+".log", prefix+".cache")
	why := "the list of messages is written anew, alone: Dovecot begins the others again"
	b.indexFiles(prefix, x.Mailbox.Name, "replaced by the new list of messages")
	return b.put(NewFile{Path: prefix, Mode: mode, Mailbox: x.Mailbox.Name, Why: why}, bytesOf(data))
}

// content is what the new index says.
func (b *builder) content(x *box) (*dovecot.NewIndex, error) {
	s := x.s
	n := &dovecot.NewIndex{IndexID: b.indexID(s.Files), UIDValidity: x.UIDValidity, NextUID: max(s.NextUID, x.next, 1), Keywords: keywords(s, x.keep), Fsckd: x.How == ByFlag}
	if k := len(x.keep); k > 0 {
		n.NextUID = max(n.NextUID, x.keep[k-1].UID+1)
	}
	n.FirstRecent = min(max(s.Index.FirstRecent, 1), n.NextUID)
	if !s.Sound { // what is recent is not known
		n.FirstRecent = n.NextUID
	}
	b.headers(x, n)
	number := map[string]int{}
	for i, k := range n.Keywords {
		number[strings.ToLower(k)] = i
	}
	highest := s.ModSeq + 1
	if s.ModSeq == 0 { // not known: one that no mailbox can have reached
		highest = uint64(b.Now.Unix())
	}
	modseq := dovecot.NewExt{Name: "modseq", Header: make([]byte, 16), Size: 8, Align: 8}
	le.PutUint64(modseq.Header, highest)
	n.Exts = append(n.Exts, modseq, dovecot.NewExt{Name: "vsize", Size: 4, Align: 4})
	if s.Layout == store.MDBox {
		n.Exts = append(n.Exts, dovecot.NewExt{Name: "mdbox", Size: 8, Align: 4}, dovecot.NewExt{Name: "guid", Size: 16, Align: 1})
	}
	first := len(n.Exts) - 2
	if s.Layout == store.MDBox {
		first -= 2
	}
	for _, m := range x.keep {
		r := dovecot.NewRecord{UID: m.UID, Flags: m.Flags &^ dovecot.FlagDirty, Data: make([][]byte, len(n.Exts))}
		if s.Layout == store.Maildir && !m.Name.SaysFlags(r.Flags, m.Keywords, &s.KeywordNames) {
			r.Flags |= dovecot.FlagDirty
		}
		for _, k := range m.Keywords {
			r.Keywords = append(r.Keywords, number[strings.ToLower(k)])
		}
		// Mail programs that ask for what has changed are told of every message: they may have seen other flags.
		r.Data[first] = le.AppendUint64(nil, highest)
		v, err := b.virtual(x, m)
		if err != nil {
			return nil, err
		}
		if v > 0 {
			r.Data[first+1] = le.AppendUint32(nil, v)
		}
		if s.Layout == store.MDBox {
			saved := m.Saved
			if saved.IsZero() {
				saved = b.Now
			}
			r.Data[first+2] = le.AppendUint32(le.AppendUint32(nil, uint32(b.mapUID(m))), uint32(saved.Unix()))
			r.Data[first+3] = m.GUID[:]
		}
		n.Records = append(n.Records, r)
	}
	return n, nil
}

// virtual is the message's size with full line ends as the extension vsize holds it, one more than it is; 0 where it is not known.
// Dovecot believes it before what the message's metadata tell: where the text was altered and has other lines than it had, it
// would end the connection, or cut the message off.
func (b *builder) virtual(x *box, m *reconstruct.Message) (uint32, error) {
	v := m.Body.Virtual
	switch {
	case x.s.Layout == store.Maildir && m.Body.Counted >= 0:
		v = m.Body.Counted
	case x.s.Layout != store.Maildir && m.Body.Altered && m.Body.Encoding == dovecot.Plain && m.Body.Size >= 0 && m.Body.File != "":
		text, err := section(b.texts, m.Body.File, m.Body.Offset, m.Body.Size)
		if err != nil {
			return 0, err
		}
		v, err = virtualSize(text)
		if err = errors.Join(err, text.Close()); err != nil {
			return 0, err
		}
	case x.s.Layout != store.Maildir && m.Body.Altered:
		return 0, nil
	}
	if v < 0 || v >= 1<<32-2 {
		return 0, nil
	}
	return uint32(v) + 1, nil
}

// headers gives the new index the extensions that concern the mailbox as a whole.
func (b *builder) headers(x *box, n *dovecot.NewIndex) {
	s := x.s
	switch s.Layout {
	case store.MDBox:
		h := own(s, "mdbox-hdr")
		le.PutUint32(h, b.mapValidity(s))
		n.Exts = append(n.Exts, dovecot.NewExt{Name: "mdbox-hdr", Header: h})
	case store.SDBox:
		n.Exts = append(n.Exts, dovecot.NewExt{Name: "dbox-hdr", Header: own(s, "dbox-hdr")})
	}
	for _, name := range keptHeaders {
		if e := s.Index.Ext(name); e != nil && len(e.Header) > 0 && e.RecordSize == 0 {
			n.Exts = append(n.Exts, dovecot.NewExt{Name: name, Header: slices.Clone(e.Header)})
		}
	}
}

// own is struct sdbox_index_header or mdbox_index_header: a number, the mailbox's GUID, flags. A GUID that nothing tells is made.
func own(s *reconstruct.State, name string) []byte {
	h := make([]byte, 24)
	if e := s.Index.Ext(name); e != nil {
		copy(h, e.Header)
	}
	id := s.GUID
	if id.IsZero() {
		_, _ = rand.Read(id[:]) // never fails
	}
	copy(h[4:], id[:])
	return h
}

// keywords are the names in use, those of the old index first and in its order.
func keywords(s *reconstruct.State, keep []*reconstruct.Message) []string {
	used := map[string]bool{}
	var others []string
	for _, m := range keep {
		for _, k := range m.Keywords {
			if lower := strings.ToLower(k); !used[lower] {
				used[lower] = true
				others = append(others, k)
			}
		}
	}
	var names []string
	for _, k := range append(slices.Clone(s.Index.Keywords), others...) {
		if lower := strings.ToLower(k); used[lower] {
			used[lower] = false
			names = append(names, k)
		}
	}
	return names
}

// indexID is a new index id: the time, by custom, and no id that the old files have.
func (b *builder) indexID(f dovecot.Files) uint32 {
	id := uint32(max(b.Now.Unix(), 1))
	for _, old := range [][]byte{f.Index, f.Backup, f.Log, f.Log2} {
		at := 16
		if i := slices.IndexFunc([][]byte{f.Log, f.Log2}, func(l []byte) bool { return len(l) > 0 && len(old) > 0 && &l[0] == &old[0] }); i >= 0 {
			at = 4
		}
		if len(old) >= at+4 && le.Uint32(old[at:]) == id {
			id++
		}
	}
	return id
}

// prove reads the new index back: Dovecot must take it as it is, and it must say what is known.
func prove(x *box, n *dovecot.NewIndex, data []byte) error {
	back, verdict, faults := dovecot.Sees(dovecot.Files{Index: data})
	if verdict != dovecot.VerdictSame && !n.Fsckd || len(faults) > 0 {
		return unproven("the new index is not sound: %s %v", verdict, faults)
	}
	if back.UIDValidity != n.UIDValidity || back.NextUID != n.NextUID || len(back.Records) != len(x.keep) {
		return unproven("the new index does not say what it should")
	}
	for i, m := range x.keep {
		r := &back.Records[i]
		names := slices.Clone(m.Keywords)
		got := back.KeywordNames(r)
		slices.SortFunc(names, foldCompare)
		slices.SortFunc(got, foldCompare)
		if r.UID != m.UID || r.Flags&dovecot.FlagsIMAP != m.Flags&dovecot.FlagsIMAP || !slices.EqualFunc(slices.CompactFunc(names, strings.EqualFold), got, strings.EqualFold) {
			return unproven("the new index does not say what it should of UID %d", m.UID)
		}
	}
	return nil
}

func foldCompare(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

// validity gives a mailbox whose UIDVALIDITY nothing tells a new one: the time, as Dovecot does.
func (b *builder) validity(x *box) {
	if x.UIDValidity != 0 {
		return
	}
	x.UIDValidity, x.NewValidity = uint32(b.Now.Truncate(time.Second).Unix()), true
	x.Notes = append(x.Notes, "nothing tells the mailbox's UIDVALIDITY any more: it gets a new one, and mail programs download its messages anew")
}
