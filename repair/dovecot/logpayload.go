package dovecot

import (
	"bytes"
	"fmt"
	"iter"
)

// UIDRange is a range of UIDs, both ends belonging to it.
type UIDRange struct{ First, Last UID }

// AppendEntry is a message a LogAppend record adds: struct mail_index_record.
type AppendEntry struct {
	UID   UID
	Flags Flags
}

// FlagEntry is struct mail_transaction_flag_update: new flags are old &^ Remove | Add.
type FlagEntry struct {
	UIDRange
	Add, Remove Flags
	IncModSeq   bool
}

// HeaderEntry is struct mail_transaction_header_update or mail_transaction_ext_hdr_update(32).
type HeaderEntry struct {
	Offset uint32
	Data   []byte
}

// ExtIntroEntry is struct mail_transaction_ext_intro.
type ExtIntroEntry struct {
	ID          uint32 // noExtID: by name
	ResetID     uint32
	HeaderSize  uint32
	RecordSize  uint16
	RecordAlign uint16
	NoShrink    bool
	Name        string
}

const noExtID = 0xffffffff

// KeywordEntry is struct mail_transaction_keyword_update.
type KeywordEntry struct {
	Remove bool
	Name   string
	ranges []byte
}

// Ranges are the messages concerned.
func (k KeywordEntry) Ranges() iter.Seq[UIDRange] { return uidRanges(k.ranges, 8) }

func uidRanges(b []byte, size int) iter.Seq[UIDRange] {
	return func(yield func(UIDRange) bool) {
		for ; len(b) >= size; b = b[size:] {
			if !yield(UIDRange{UID(le.Uint32(b)), UID(le.Uint32(b[4:]))}) {
				return
			}
		}
	}
}

// Appends are the entries of a LogAppend record.
func (r *LogRecord) Appends() iter.Seq[AppendEntry] {
	return func(yield func(AppendEntry) bool) {
		for b := r.Data; len(b) >= 8; b = b[8:] {
			if !yield(AppendEntry{UID(le.Uint32(b)), Flags(b[4])}) {
				return
			}
		}
	}
}

// Expunges are the entries of a LogExpunge or LogExpungeGUID record. Without External they are requests.
func (r *LogRecord) Expunges() iter.Seq[UIDRange] {
	if r.Type == LogExpunge {
		return uidRanges(r.Data, 8)
	}
	return func(yield func(UIDRange) bool) {
		for b := r.Data; len(b) >= 20; b = b[20:] {
			if u := UID(le.Uint32(b)); !yield(UIDRange{u, u}) {
				return
			}
		}
	}
}

// FlagUpdates are the entries of a LogFlagUpdate record.
func (r *LogRecord) FlagUpdates() iter.Seq[FlagEntry] {
	return func(yield func(FlagEntry) bool) {
		for b := r.Data; len(b) >= 12; b = b[12:] {
			if !yield(FlagEntry{UIDRange{UID(le.Uint32(b)), UID(le.Uint32(b[4:]))}, Flags(b[8]), Flags(b[9]), b[10] != 0}) {
				return
			}
		}
	}
}

// HeaderUpdates are the entries of a LogHeaderUpdate, LogExtHdrUpdate or LogExtHdrUpdate32 record. It ends before an
// entry that goes outside the record.
func (r *LogRecord) HeaderUpdates() iter.Seq[HeaderEntry] {
	return func(yield func(HeaderEntry) bool) {
		for i := 0; ; {
			e, next, ok := r.headerUpdate(i)
			if !ok || !yield(e) {
				return
			}
			i = next
		}
	}
}

func (r *LogRecord) headerUpdate(i int) (e HeaderEntry, next int, ok bool) {
	var size, head int
	switch {
	case r.Type == LogExtHdrUpdate32 && i+8 <= len(r.Data):
		e.Offset, size, head = le.Uint32(r.Data[i:]), int(le.Uint32(r.Data[i+4:])), 8
	case r.Type != LogExtHdrUpdate32 && i+4 <= len(r.Data):
		e.Offset, size, head = uint32(le.Uint16(r.Data[i:])), int(le.Uint16(r.Data[i+2:])), 4
	default:
		return e, len(r.Data), false
	}
	if size < 0 || size > len(r.Data)-i-head {
		return e, i, false
	}
	e.Data = r.Data[i+head : i+head+size]
	return e, min(align(i+head+size, 4), len(r.Data)), true
}

// ExtIntros are the entries of a LogExtIntro record.
func (r *LogRecord) ExtIntros() iter.Seq[ExtIntroEntry] {
	return func(yield func(ExtIntroEntry) bool) {
		const head = 20
		for b := r.Data; len(b) >= head; {
			size := int(le.Uint16(b[18:]))
			if size > len(b)-head {
				return
			}
			if !yield(ExtIntroEntry{ID: le.Uint32(b), ResetID: le.Uint32(b[4:]), HeaderSize: le.Uint32(b[8:]), RecordSize: le.Uint16(b[12:]),
				RecordAlign: le.Uint16(b[14:]), NoShrink: b[16]&1 != 0, Name: string(b[head : head+size])}) {
				return
			}
			b = b[min(align(head+size, 4), len(b)):]
		}
	}
}

// KeywordUpdate is the content of a LogKeywordUpdate record; ok is false where it cannot be read.
func (r *LogRecord) KeywordUpdate() (k KeywordEntry, ok bool) {
	if len(r.Data) < 4 {
		return k, false
	}
	size := int(le.Uint16(r.Data[2:]))
	if size == 0 || align(4+size, 4) > len(r.Data) {
		return k, false
	}
	name, _, _ := bytes.Cut(r.Data[4:4+size], []byte{0})
	return KeywordEntry{Remove: r.Data[0] == 1, Name: string(name), ranges: r.Data[align(4+size, 4):]}, len(name) > 0
}

// check is why the payload cannot be right, or "": log_view_is_record_valid and the checks made when it is applied.
func (r *LogRecord) check() string {
	if len(r.Data) == 0 {
		return "it is empty"
	}
	switch r.Type {
	case LogAppend:
		return r.checkAppend()
	case LogExpunge, LogKeywordReset:
		return checkRanges(r.Data, 8)
	case LogFlagUpdate:
		return checkRanges(r.Data, 12)
	case LogExpungeGUID:
		if len(r.Data)%20 != 0 {
			return "its size is not a multiple of 20"
		}
		for e := range r.Expunges() {
			if e.First == 0 {
				return "it names UID 0"
			}
		}
	case LogHeaderUpdate, LogExtHdrUpdate, LogExtHdrUpdate32:
		for i := 0; i < len(r.Data); {
			e, next, ok := r.headerUpdate(i)
			if !ok {
				return "an entry goes outside it"
			}
			if r.Type == LogHeaderUpdate && int(e.Offset)+len(e.Data) > indexHeaderSize {
				return "it changes bytes outside the header"
			}
			i = next
		}
	case LogExtIntro:
		return r.checkExtIntro()
	case LogKeywordUpdate:
		k, ok := r.KeywordUpdate()
		if !ok || r.Data[0] > 1 {
			return "its keyword cannot be read"
		}
		return checkRanges(k.ranges, 8)
	case LogModSeqUpdate:
		if len(r.Data)%12 != 0 {
			return "its size is not a multiple of 12"
		}
	case LogExtAtomicInc:
		if len(r.Data)%8 != 0 {
			return "its size is not a multiple of 8"
		}
	case LogAttributeUpdate:
		return checkAttributes(r.Data)
	case LogExtReset, LogExtRecUpdate, LogIndexDeleted, LogIndexUndeleted, LogBoundary: // 4 bytes at least
		if len(r.Data) < 4 {
			return "it is too short"
		}
	default:
		return "unknown type"
	}
	return ""
}

func (r *LogRecord) checkAppend() string {
	if len(r.Data)%8 != 0 {
		return "its size is not a multiple of 8"
	}
	last := UID(0)
	for e := range r.Appends() {
		if e.UID <= last {
			return fmt.Sprintf("UID %d follows UID %d", e.UID, last)
		}
		if e.UID == ^UID(0) {
			return fmt.Sprintf("no UID could follow UID %d", e.UID)
		}
		last = e.UID
	}
	return ""
}

func checkRanges(b []byte, size int) string {
	if len(b) == 0 || len(b)%size != 0 {
		return fmt.Sprintf("its UID ranges have %d bytes, not a multiple of %d", len(b), size)
	}
	last := UID(0)
	for u := range uidRanges(b, size) {
		if u.First == 0 || u.First > u.Last || u.First <= last {
			return fmt.Sprintf("UID range %d to %d after %d", u.First, u.Last, last)
		}
		last = u.Last
	}
	return ""
}

func (r *LogRecord) checkExtIntro() string {
	n := 0
	for e := range r.ExtIntros() {
		n++
		switch {
		case e.ID == noExtID && !validExtName(e.Name):
			return "it has neither number nor name"
		case e.Name == "keywords":
			return "it introduces keywords"
		case e.RecordSize >= 32768 || e.RecordAlign > 8 || e.HeaderSize >= 16<<20:
			return fmt.Sprintf("header size %d, record size %d, alignment %d", e.HeaderSize, e.RecordSize, e.RecordAlign)
		case e.RecordSize == 0 && e.HeaderSize == 0:
			return "it has neither header nor record data"
		}
	}
	if n == 0 {
		return "an entry goes outside it"
	}
	return ""
}

func checkAttributes(b []byte) string {
	i := 0
	for i+2 < len(b) && b[i] != 0 {
		if b[i] != '+' && b[i] != '-' || b[i+1] != 'p' && b[i+1] != 's' || b[i+2] == 0 {
			return "an attribute has no valid name"
		}
		n := bytes.IndexByte(b[i+2:], 0)
		if n < 0 {
			return "an attribute's name does not end"
		}
		i += 2 + n + 1
	}
	if i == 0 || i < len(b) && b[i] != 0 {
		return "its list of attributes does not end"
	}
	return ""
}

// nextModSeq is mail_transaction_update_modseq.
func (r *LogRecord) nextModSeq(cur uint64, h LogHeader) uint64 {
	if cur == 0 {
		if r.Type == LogExtIntro {
			for e := range r.ExtIntros() {
				if e.Name == "modseq" {
					return 1
				}
				break
			}
		}
		return 0
	}
	switch r.Type {
	case LogExpunge, LogExpungeGUID:
		if r.External {
			return cur + 1
		}
	case LogAppend, LogKeywordUpdate, LogKeywordReset, LogAttributeUpdate:
		return cur + 1
	case LogFlagUpdate:
		for e := range r.FlagUpdates() {
			if (e.Add|e.Remove)&FlagsIMAP != 0 || e.IncModSeq || h.Minor < 3 {
				return cur + 1
			}
		}
	case LogModSeqUpdate:
		for b := r.Data; len(b) >= 12; b = b[12:] {
			cur = max(cur, uint64(le.Uint32(b[8:]))<<32|uint64(le.Uint32(b[4:])))
		}
	}
	return cur
}
