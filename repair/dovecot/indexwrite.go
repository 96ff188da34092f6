package dovecot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// NewIndex is what an index file is to say: a mailbox's, or the map index of mdbox.
//
// Written by [NewIndex.Append] and alone in its folder, with no log beside it, it is taken as it is by Dovecot 2.3 and
// 2.4: they begin a log of their own and go on from there.
type NewIndex struct {
	IndexID     uint32 // not 0; a time of creation by custom. A cache or log of another id is not this index's
	UIDValidity uint32 // not 0
	NextUID     UID    // above all messages
	FirstRecent UID    // messages from here on are \Recent; 0 stands for NextUID
	// Fsckd makes Dovecot rebuild the mailbox from its storage when it is next opened, by its own rules; what the index
	// tells of a message it finds is kept.
	Fsckd    bool
	Keywords []string // names; NewRecord.Keywords are positions here
	Exts     []NewExt
	Records  []NewRecord // by UID, ascending
}

// NewExt is an extension of a [NewIndex]: header data, or data in each record, or both.
type NewExt struct {
	Name    string
	ResetID uint32
	Header  []byte
	Size    int // bytes in each record; 0 for none
	Align   int // 1, 2, 4 or 8; of the data in records
}

// NewRecord is a message of a [NewIndex].
type NewRecord struct {
	UID      UID
	Flags    Flags
	Keywords []int
	Data     [][]byte // by extension, as in NewIndex.Exts; nil or short data is filled with zeros
}

// Append writes the index file behind dst. It is an error where Dovecot would not take it as it is: UIDs that do not
// ascend or are not below the next one, an extension or keyword that cannot be.
func (n *NewIndex) Append(dst []byte) ([]byte, error) {
	exts, size, err := n.layout()
	if err != nil {
		return dst, fmt.Errorf("write index: %w", err)
	}
	var head []byte
	for _, e := range exts {
		head = appendExt(head, e)
	}
	h := IndexHeader{Major: 7, Minor: 3, BaseHeaderSize: indexHeaderSize, HeaderSize: uint32(indexHeaderSize + len(head)), RecordSize: uint32(size),
		CompatFlags: 1, IndexID: n.IndexID, UIDValidity: n.UIDValidity, NextUID: n.NextUID, Messages: uint32(len(n.Records)),
		FirstRecentUID: cmp.Or(n.FirstRecent, n.NextUID), FirstUnseenUID: n.NextUID, FirstDeletedUID: n.NextUID, LogSeq: 1}
	if n.Fsckd {
		h.Flags |= IndexFsckd
	}
	start := len(dst)
	dst = append(dst, make([]byte, indexHeaderSize)...)
	dst = append(dst, head...)
	last := UID(0)
	for i := range n.Records {
		r := &n.Records[i]
		if r.UID <= last || r.UID >= n.NextUID {
			return dst[:start], fmt.Errorf("write index: UID %d after %d, the next one is %d", r.UID, last, n.NextUID)
		}
		last = r.UID
		h.count(r)
		if dst, err = appendRecord(dst, r, exts, size); err != nil {
			return dst[:start], fmt.Errorf("write index: UID %d: %w", r.UID, err)
		}
	}
	h.put(dst[start:])
	return dst, nil
}

// count adds a record to the header's counters and low-water marks.
func (h *IndexHeader) count(r *NewRecord) {
	if r.Flags&FlagSeen != 0 {
		h.Seen++
	} else {
		h.FirstUnseenUID = min(h.FirstUnseenUID, r.UID)
	}
	if r.Flags&FlagDeleted != 0 {
		h.Deleted++
		h.FirstDeletedUID = min(h.FirstDeletedUID, r.UID)
	}
	if r.Flags&FlagDirty != 0 {
		h.Flags |= IndexHaveDirty
	}
}

// put writes the header over the first bytes of b.
func (h *IndexHeader) put(b []byte) {
	b[0], b[1], b[12] = h.Major, h.Minor, h.CompatFlags
	le.PutUint16(b[2:], h.BaseHeaderSize)
	for at, v := range map[int]uint32{4: h.HeaderSize, 8: h.RecordSize, 16: h.IndexID, 20: h.Flags, 24: h.UIDValidity, 28: uint32(h.NextUID), 32: h.Messages,
		40: h.Seen, 44: h.Deleted, 48: uint32(h.FirstRecentUID), 52: uint32(h.FirstUnseenUID), 56: uint32(h.FirstDeletedUID), 60: h.LogSeq,
		64: h.LogTail, 68: h.LogHead} {
		le.PutUint32(b[at:], v)
	}
}

// placed is an extension with its place in the record.
type placed struct {
	NewExt
	offset int
	source int // position in NewIndex.Exts; -1 for the keywords
}

// layout checks the index's parts and gives every extension its place: behind the flag byte, where 5 bytes are taken, those
// that need no alignment first. It returns the size of a record.
func (n *NewIndex) layout() ([]placed, int, error) {
	switch {
	case n.IndexID == 0:
		return nil, 0, errors.New("the index id is 0")
	case n.UIDValidity == 0:
		return nil, 0, errors.New("UIDVALIDITY is 0")
	case n.NextUID == 0 || n.FirstRecent > n.NextUID:
		return nil, 0, fmt.Errorf("the next UID is %d, the first recent one %d", n.NextUID, n.FirstRecent)
	}
	exts := make([]placed, 0, len(n.Exts)+1)
	seen := map[string]bool{}
	for i, e := range n.Exts {
		x := Ext{Name: e.Name, RecordSize: uint16(e.Size), RecordAlign: uint16(e.Align), Header: e.Header}
		if why := x.check(0); why != "" || !validExtName(e.Name) || e.Size > 32767 || e.Size < 0 || e.Name == "keywords" || seen[e.Name] ||
			e.Size > 0 && e.Align&(e.Align-1) != 0 {
			return nil, 0, fmt.Errorf("extension %q cannot be: %s", e.Name, cmp.Or(why, "its name, size or alignment"))
		}
		seen[e.Name] = true
		exts = append(exts, placed{NewExt: e, source: i})
	}
	if len(n.Keywords) > 0 {
		header, err := keywordsHeader(n.Keywords)
		if err != nil {
			return nil, 0, err
		}
		exts = append(exts, placed{NewExt: NewExt{Name: "keywords", Header: header, Size: (len(n.Keywords) + 7) / 8, Align: 1}, source: -1})
	}
	order := make([]int, len(exts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(exts[a].Align, exts[b].Align) })
	at, widest := 5, 4
	for _, i := range order {
		if e := &exts[i]; e.Size > 0 {
			at = align(at, e.Align)
			e.offset, at, widest = at, at+e.Size, max(widest, e.Align)
		}
	}
	if at = align(at, widest); at >= 1<<16 {
		return nil, 0, fmt.Errorf("a record would have %d bytes", at)
	}
	return exts, max(at, 8), nil
}

// keywordsHeader makes struct mail_index_keyword_header.
func keywordsHeader(names []string) ([]byte, error) {
	var text []byte
	h := le.AppendUint32(nil, uint32(len(names)))
	seen := map[string]bool{}
	for _, name := range names {
		if lower := strings.ToLower(name); name == "" || strings.IndexByte(name, 0) >= 0 || seen[lower] {
			return nil, fmt.Errorf("keyword %q cannot be", name)
		} else {
			seen[lower] = true
		}
		h = le.AppendUint32(h, 0)
		h = le.AppendUint32(h, uint32(len(text)))
		text = append(append(text, name...), 0)
	}
	return append(h, text...), nil
}

// appendExt writes struct mail_index_ext_header with name and data.
func appendExt(b []byte, e placed) []byte {
	b = le.AppendUint32(b, uint32(len(e.Header)))
	b = le.AppendUint32(b, e.ResetID)
	b = le.AppendUint16(b, uint16(e.offset))
	b = le.AppendUint16(b, uint16(e.Size))
	b = le.AppendUint16(b, uint16(max(e.Align, 1)))
	b = le.AppendUint16(b, uint16(len(e.Name)))
	b = pad(append(b, e.Name...), 8)
	return pad(append(b, e.Header...), 8)
}

// pad fills with zeros up to a multiple of to. What is written here begins at such a multiple.
func pad(b []byte, to int) []byte { return append(b, make([]byte, align(len(b), to)-len(b))...) }

func appendRecord(b []byte, r *NewRecord, exts []placed, size int) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, size)...)
	rec := b[start:]
	le.PutUint32(rec, uint32(r.UID))
	rec[4] = byte(r.Flags &^ FlagRecent)
	for _, e := range exts {
		if e.source >= 0 {
			if e.source < len(r.Data) {
				copy(rec[e.offset:e.offset+e.Size], r.Data[e.source])
			}
			continue
		}
		for _, k := range r.Keywords {
			if k < 0 || k >= 8*e.Size {
				return b, fmt.Errorf("keyword number %d", k)
			}
			rec[e.offset+k/8] |= 1 << (k % 8)
		}
	}
	if len(r.Keywords) > 0 && !slices.ContainsFunc(exts, func(e placed) bool { return e.source < 0 }) {
		return b, errors.New("it has keywords, and there are no names for them")
	}
	return b, nil
}
