package inspect

import (
	"iter"

	"dovemend/repair/dovecot"
)

// Index is an index file: of a mailbox, of mdbox's map, of the mailbox list.
type Index struct {
	Header      IndexHeader `json:"header"`
	Unusable    Word        `json:"unusable,omitempty"`   // the rule for whose sake Dovecot throws this file away
	NeedsFsck   Word        `json:"needs_fsck,omitempty"` // the rule for whose sake Dovecot repairs this file first
	Extensions  []Extension `json:"extensions"`
	Keywords    []string    `json:"keywords"` // by their bit in the records
	RecordCount int         `json:"record_count"`

	Records iter.Seq[Record] `json:"records,omitempty"`
}

// IndexHeader is struct mail_index_header. Of a state that logs were applied to, sizes and low-water marks are unknown: they
// follow from how Dovecot lays it out in memory, and from how it got there.
type IndexHeader struct {
	Major           uint8    `json:"major_version"`
	Minor           uint8    `json:"minor_version"`
	BaseHeaderSize  uint16   `json:"base_header_size"`
	HeaderSize      Maybe    `json:"header_size"`
	RecordSize      Maybe    `json:"record_size"`
	CompatFlags     Bits     `json:"compat_flags"`
	IndexID         Stamp    `json:"indexid"`
	Flags           Bits     `json:"flags"`
	FlagNames       []Word   `json:"flag_names,omitempty" text:"-"` // corrupted, have-dirty, fsckd
	UIDValidity     Stamp    `json:"uid_validity"`
	NextUID         uint32   `json:"next_uid"`
	Messages        uint32   `json:"messages_count"`
	Seen            uint32   `json:"seen_messages_count"`
	Deleted         uint32   `json:"deleted_messages_count"`
	FirstRecentUID  uint32   `json:"first_recent_uid"`
	FirstUnseenUID  Maybe    `json:"first_unseen_uid_lowwater"`
	FirstDeletedUID Maybe    `json:"first_deleted_uid_lowwater"`
	LogSeq          uint32   `json:"log_file_seq"`
	LogTail         uint32   `json:"log_file_tail_offset"`
	LogHead         uint32   `json:"log_file_head_offset"`
	Log2RotateTime  Stamp    `json:"log2_rotate_time"`
	LastTempScan    Stamp    `json:"last_temp_file_scan"`
	DayStamp        Stamp    `json:"day_stamp"`
	DayFirstUID     []uint32 `json:"day_first_uid"`
}

func indexHeader(h *dovecot.IndexHeader) IndexHeader {
	out := IndexHeader{Major: h.Major, Minor: h.Minor, BaseHeaderSize: h.BaseHeaderSize, HeaderSize: Maybe(h.HeaderSize), RecordSize: Maybe(h.RecordSize),
		CompatFlags: Bits(h.CompatFlags), IndexID: Stamp(h.IndexID), Flags: Bits(h.Flags), UIDValidity: Stamp(h.UIDValidity), NextUID: uint32(h.NextUID),
		Messages: h.Messages, Seen: h.Seen, Deleted: h.Deleted, FirstRecentUID: uint32(h.FirstRecentUID), FirstUnseenUID: Maybe(h.FirstUnseenUID),
		FirstDeletedUID: Maybe(h.FirstDeletedUID), LogSeq: h.LogSeq, LogTail: h.LogTail, LogHead: h.LogHead, Log2RotateTime: Stamp(h.Log2RotateTime),
		LastTempScan: Stamp(h.LastTempFileScan), DayStamp: Stamp(h.DayStamp), DayFirstUID: h.DayFirstUID[:]}
	for i, name := range [...]Word{"corrupted", "have-dirty", "fsckd"} {
		if h.Flags&(1<<i) != 0 {
			out.FlagNames = append(out.FlagNames, name)
		}
	}
	return out
}

// Extension is struct mail_index_ext_header and the header data of the extension.
type Extension struct {
	ID           int    `json:"id"` // its position, by which logs call it
	Name         string `json:"name"`
	Offset       Maybe  `json:"offset"` // in the file; unknown where a log made it
	HeaderSize   uint32 `json:"hdr_size"`
	ResetID      uint32 `json:"reset_id"`
	RecordOffset Maybe  `json:"record_offset"` // unknown where a log made it
	RecordSize   uint16 `json:"record_size"`
	RecordAlign  uint16 `json:"record_align"`
	Header       Facts  `json:"header,omitempty"`
}

func extensions(exts []dovecot.Ext) []Extension {
	out := []Extension{}
	for i := range exts {
		e := &exts[i]
		x := Extension{i, e.Name, Maybe(e.Offset), e.HeaderSize, e.ResetID, Maybe(e.RecordOffset), e.RecordSize, e.RecordAlign, nil}
		if e.Offset == 0 {
			x.Offset = -1
			if e.RecordSize > 0 {
				x.RecordOffset = -1
			}
		}
		if e.HeaderSize > 0 {
			x.Header = extHeader(e.Name, withZeros(e.Header, int(e.HeaderSize), max(maxZeroHeader, len(e.Header))))
		}
		out = append(out, x)
	}
	return out
}

// Record is struct mail_index_record: a message; in a map index a stored message, in a list index a mailbox.
type Record struct {
	Offset    Maybe         `json:"offset"` // in the file; unknown in a state
	UID       dovecot.UID   `json:"uid"`
	Flags     dovecot.Flags `json:"flags"`
	FlagNames []string      `json:"flag_names,omitempty" text:"-"`
	Keywords  []string      `json:"keywords,omitempty"`
	Invalid   bool          `json:"invalid,omitempty"`   // it has no UID, or one that cannot be there; nothing is taken from it
	Recovered bool          `json:"recovered,omitempty"` // of a state: something about it is told only behind damage in a log
	Values    []Facts       `json:"values,omitempty"`    // of the extensions
}

func (w *walker) index(d *Dump, b []byte) {
	x, list := dovecot.ParseIndex(b)
	d.wrong(list)
	head := x.FileHeader()
	d.Index = &Index{Header: indexHeader(&head), Unusable: Word(x.Unusable), NeedsFsck: Word(x.NeedsFsck), Extensions: extensions(x.Exts),
		Keywords: clipped(x.Keywords), RecordCount: len(x.Records)}
	if w.o.Summary {
		return
	}
	var names map[uint32]string
	if e := x.Ext("list"); e != nil {
		names = namesByID(e.Header)
	}
	d.Index.Records = func(yield func(Record) bool) {
		known := x.Records
		for r := range slots(x, b) {
			good := len(known) > 0 && known[0].Offset == r.Offset
			if good {
				known = known[1:]
			}
			out := indexRecord(x, &r, names)
			if out.Invalid = !good; w.ctx.Err() != nil || !yield(out) {
				return
			}
		}
	}
}

// slots are all places of records in an index file, also of those that its reader leaves out.
func slots(x *dovecot.Index, b []byte) iter.Seq[dovecot.IndexRecord] {
	return func(yield func(dovecot.IndexRecord) bool) {
		from, size := int64(x.Header.HeaderSize), int64(x.Header.RecordSize)
		if from == 0 || size < 8 || from > int64(len(b)) {
			return
		}
		for i := range min(int64(x.Header.Messages), (int64(len(b))-from)/size) {
			at := from + i*size
			r := b[at : at+size]
			if !yield(dovecot.IndexRecord{Offset: at, UID: uid(r), Flags: dovecot.Flags(r[4]), Data: r}) {
				return
			}
		}
	}
}

func indexRecord(x *dovecot.Index, r *dovecot.IndexRecord, names map[uint32]string) Record {
	out := Record{Offset: Maybe(r.Offset), UID: r.UID, Flags: r.Flags, FlagNames: flagNames(r.Flags)}
	for i := range x.Exts[:min(len(x.Exts), maxRecordExts)] {
		e := &x.Exts[i]
		from, to := int(e.RecordOffset), int(e.RecordOffset)+int(e.RecordSize)
		if e.RecordSize == 0 || to > len(r.Data) {
			continue
		}
		v := r.Data[from:to]
		if e.Name == "keywords" {
			out.Keywords = keywordNames(v, x.Keywords)
		}
		out.Values = append(out.Values, extValue(e.Name, v, names))
	}
	return out
}

// keywordNames are the names of the bits that are set. A bit without a name is called as Dovecot calls it.
func keywordNames(set []byte, names []string) []string {
	var out []string
	for i, b := range set {
		for j := range 8 {
			if n := i*8 + j; b&(1<<j) != 0 && len(out) < maxRecordKeys {
				out = append(out, keywordName(n, names))
			}
		}
	}
	return out
}
