package dovecot

import (
	"fmt"
	"strings"
)

// indexHeaderSize is sizeof(struct mail_index_header) in every version from 2.2.0 to 2.4.4.
const indexHeaderSize = 120

// Bits of IndexHeader.Flags.
const (
	IndexCorrupted uint32 = 0x1 // never on disk
	IndexHaveDirty uint32 = 0x2 // some record is DIRTY
	IndexFsckd     uint32 = 0x4 // the next sync rebuilds the mailbox from its storage
)

// IndexHeader is struct mail_index_header.
type IndexHeader struct {
	Major, Minor     uint8
	BaseHeaderSize   uint16
	HeaderSize       uint32
	RecordSize       uint32
	CompatFlags      uint8 // 1: little-endian
	IndexID          uint32
	Flags            uint32
	UIDValidity      uint32
	NextUID          UID
	Messages         uint32
	Seen             uint32
	Deleted          uint32
	FirstRecentUID   UID
	FirstUnseenUID   UID // low-water mark
	FirstDeletedUID  UID // low-water mark
	LogSeq           uint32
	LogTail          uint32
	LogHead          uint32
	Log2RotateTime   uint32
	LastTempFileScan uint32
	DayStamp         uint32
	DayFirstUID      [8]uint32
}

// Ext is an index extension: struct mail_index_ext_header and its header data. Its position among the others is the
// number transaction logs call it by.
type Ext struct {
	Offset       int64 // of the extension header in the file; 0 where a log made it
	Name         string
	ResetID      uint32
	RecordOffset uint16 // 0 where RecordSize is 0, or where a log made it
	RecordSize   uint16
	RecordAlign  uint16
	HeaderSize   uint32
	Header       []byte // HeaderSize bytes; in a state made by replay it may end early, the rest is zero

	// For replay: its position, how often it was reset (values from before are void), and which part of a base record
	// still holds its value.
	id, gen              int
	owned                bool // Header is not shared with the file
	baseOffset, baseSize uint16
}

// IndexRecord is struct mail_index_record.
type IndexRecord struct {
	Offset  int64
	UID     UID
	Flags   Flags
	Data    []byte // the whole record: extension data lies at each Ext.RecordOffset
	Suspect bool   // damage follows, and may begin within this record, behind its UID
	torn    bool   // it is suspect only for what follows
}

// Index is a dovecot.index, .backup, map index or list index file.
type Index struct {
	Header   IndexHeader
	Exts     []Ext
	Keywords []string // by bit number in the keywords extension's record data
	Records  []IndexRecord
	Gaps     []UIDRange // where records were and cannot be read: messages of these UIDs may have existed

	// Unusable is why Dovecot throws this file away (and the log with it), or "".
	Unusable string
	// NeedsFsck is why Dovecot repairs this file before it uses it, or "".
	NeedsFsck string

	counted    int  // how many of the records Dovecot reads: those the header counts
	guessed    bool // headers and records were found without the base header's help
	extsBroken bool // an extension header could not be read
	clashes    []clash
	badRecords bool // some have no UID or are out of order, which Dovecot does not notice when it opens the file
	rawHeader  [indexHeaderSize]byte
}

// FileHeader is the header as it stands in the file. [Index.Header] differs from it where the file does not say how long
// headers and records are, and that was found out otherwise.
func (x *Index) FileHeader() IndexHeader { return parseIndexHeader(x.rawHeader[:]) }

// Ext finds an extension by name; nil if there is none.
func (x *Index) Ext(name string) *Ext {
	return findExt(x.Exts, name)
}

func findExt(exts []Ext, name string) *Ext {
	for i := range exts {
		if exts[i].Name == name {
			return &exts[i]
		}
	}
	return nil
}

func (x *Index) unusable(fs *faults, at int, rule, format string, args ...any) {
	fs.add(at, rule, format, args...)
	if x.Unusable == "" {
		x.Unusable = rule
	}
}

func (x *Index) fsck(fs *faults, at int, rule, format string, args ...any) {
	fs.add(at, rule, format, args...)
	if x.NeedsFsck == "" {
		x.NeedsFsck = rule
	}
}

// ParseIndex reads an index file. Records with no UID, or out of order in a way that shows which of them is wrong, are
// left out and reported. Where the header does not say how long headers and records are, the extension headers do, and
// the records are read by them. The result shares memory with b.
func ParseIndex(b []byte) (*Index, []Fault) { return parseIndex(b, nil) }

// parseIndex is ParseIndex with another state of the same index at hand, whose extensions tell what records hold where the
// file itself no longer does.
func parseIndex(b []byte, model *Index) (*Index, []Fault) {
	x := &Index{}
	fs := &faults{}
	copy(x.rawHeader[:], b)
	if len(b) < indexHeaderSize {
		x.unusable(fs, len(b), "index-too-small", "the file has %d bytes, the header alone has %d", len(b), indexHeaderSize)
		x.Header = parseIndexHeader(b)
		return x, fs.all()
	}
	x.Header = parseIndexHeader(b)
	end := x.checkGeometry(len(b), fs)
	x.parseExts(b, end, fs)
	if x.Unusable != "" {
		x.guessGeometry(b, model, fs)
	}
	if x.extsBroken {
		x.borrow(model, fs)
	}
	if k := x.Ext("keywords"); k != nil {
		x.Keywords = x.parseKeywords(k, fs)
	}
	x.parseRecords(b, fs)
	x.noise(fs)
	x.checkHeader(fs)
	return x, fs.all()
}

func parseIndexHeader(b []byte) IndexHeader {
	var p [indexHeaderSize]byte
	copy(p[:], b)
	h := IndexHeader{
		Major: p[0], Minor: p[1], BaseHeaderSize: u16(p[:], 2), HeaderSize: u32(p[:], 4), RecordSize: u32(p[:], 8), CompatFlags: p[12],
		IndexID: u32(p[:], 16), Flags: u32(p[:], 20), UIDValidity: u32(p[:], 24), NextUID: UID(u32(p[:], 28)), Messages: u32(p[:], 32),
		Seen: u32(p[:], 40), Deleted: u32(p[:], 44), FirstRecentUID: UID(u32(p[:], 48)), FirstUnseenUID: UID(u32(p[:], 52)),
		FirstDeletedUID: UID(u32(p[:], 56)), LogSeq: u32(p[:], 60), LogTail: u32(p[:], 64), LogHead: u32(p[:], 68),
		Log2RotateTime: u32(p[:], 76), LastTempFileScan: u32(p[:], 80), DayStamp: u32(p[:], 84),
	}
	for i := range h.DayFirstUID {
		h.DayFirstUID[i] = u32(p[:], 88+4*i)
	}
	return h
}

// checkGeometry makes the checks of mail_index_check_header_compat for a file of that size and returns where the headers end.
func (x *Index) checkGeometry(size int, fs *faults) int {
	h := &x.Header
	if h.Major != 7 {
		x.unusable(fs, 0, "index-major-version", "major version is %d, not 7", h.Major)
	}
	if h.Flags&IndexCorrupted != 0 {
		x.unusable(fs, 20, "index-corrupted-flag", "the header carries the flag \"corrupted\"")
	}
	if h.CompatFlags != 1 {
		x.unusable(fs, 12, "index-byte-order", "compatibility flags are 0x%x, not 1 (little-endian)", h.CompatFlags)
	}
	if h.BaseHeaderSize < indexHeaderSize || uint32(h.BaseHeaderSize) > h.HeaderSize {
		x.unusable(fs, 2, "index-header-size", "base header has %d bytes, all headers %d", h.BaseHeaderSize, h.HeaderSize)
		return size
	}
	if int64(h.HeaderSize) > int64(size) {
		x.unusable(fs, 4, "index-header-size", "headers have %d bytes, the file %d", h.HeaderSize, size)
		return size
	}
	if h.RecordSize < 8 {
		x.unusable(fs, 8, "index-record-size", "record size is %d, less than 8", h.RecordSize)
	}
	return int(h.HeaderSize)
}

// parseExts reads the extension headers up to end.
func (x *Index) parseExts(b []byte, end int, fs *faults) {
	at := indexHeaderSize
	if n := align(int(x.Header.BaseHeaderSize), 8); n > at && n < end {
		at = n
	}
	for at < end {
		e, next, problem := readExt(b[:end], at)
		if problem == "" {
			problem = e.check(int(x.Header.RecordSize))
		}
		if problem == "" && x.Ext(e.Name) != nil {
			problem = "a second extension of this name"
		}
		if problem != "" {
			x.extsBroken = true
			if x.Unusable == "" { // else the end is unknown, and this is where it is
				x.fsck(fs, at, "index-extension", "extension %d (%q): %s", len(x.Exts), e.Name, problem)
			}
			if next == 0 || x.Unusable != "" {
				return
			}
			at = next
			continue
		}
		x.Exts = append(x.Exts, e)
		at = next
	}
}

// readExt reads the extension header at at. A problem with next 0 means that nothing can follow.
func readExt(b []byte, at int) (e Ext, next int, problem string) {
	const size = 16
	if at+size >= len(b) {
		return e, 0, "goes outside the header"
	}
	hdrSize, nameSize := int64(u32(b, at)), int(u16(b, at+14))
	e = Ext{Offset: int64(at), ResetID: u32(b, at+4), RecordOffset: u16(b, at+8), RecordSize: u16(b, at+10), RecordAlign: u16(b, at+12)}
	data := at + align(size+nameSize, 8)
	if data > len(b) || at+size+nameSize > len(b) {
		return e, 0, "its name goes outside the header"
	}
	e.Name = string(b[at+size : at+size+min(nameSize, 64)])
	if hdrSize > int64(len(b)-data) {
		return e, 0, fmt.Sprintf("its %d bytes of data go outside the header", hdrSize)
	}
	e.HeaderSize, e.Header = uint32(hdrSize), b[data:data+int(hdrSize):data+int(hdrSize)]
	next = min(data+align(int(hdrSize), 8), len(b))
	if nameSize >= 64 || !validExtName(e.Name) {
		problem = "its name is not one"
	}
	return e, next, problem
}

func validExtName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == ' ':
		default:
			return false
		}
	}
	return s != ""
}

// check is mail_index_map_ext_hdr_check. recordSize 0 leaves the place in the record unchecked.
func (e *Ext) check(recordSize int) string {
	switch {
	case e.RecordSize == 0 && len(e.Header) == 0:
		return "it has neither header nor record data"
	case len(e.Header) >= 16<<20:
		return "its header is too large"
	case e.RecordSize == 0:
		return ""
	case e.RecordAlign == 0 || e.RecordAlign > 8:
		return fmt.Sprintf("record alignment is %d", e.RecordAlign)
	case e.RecordSize >= 32768:
		return fmt.Sprintf("record size is %d", e.RecordSize)
	case recordSize == 0 || e.RecordOffset == 0:
		return ""
	case int(e.RecordOffset)+int(e.RecordSize) > recordSize:
		return fmt.Sprintf("its record data (%d bytes at %d) goes outside the record of %d bytes", e.RecordSize, e.RecordOffset, recordSize)
	case e.RecordOffset%e.RecordAlign != 0 || recordSize%int(e.RecordAlign) != 0:
		return fmt.Sprintf("its record data at %d or the record of %d bytes is not aligned to %d", e.RecordOffset, recordSize, e.RecordAlign)
	}
	return ""
}

// parseKeywords reads the keywords extension: struct mail_index_keyword_header. A name that cannot be read becomes
// "unknown-N", as Dovecot's own repair names it.
func (x *Index) parseKeywords(e *Ext, fs *faults) []string {
	h, at := e.Header, int(e.Offset)
	count := int64(u32(h, 0))
	if len(h) < 4 || 4+count*8 > int64(len(h)) {
		x.fsck(fs, at, "index-keywords", "%d keywords do not fit into %d bytes", count, len(h))
		return nil
	}
	area := string(h[4+count*8:]) // one string, of which the names are parts: they may overlap
	names := make([]string, count)
	for i := range names {
		off := int64(u32(h, 4+i*8+4))
		if off < int64(len(area)) {
			if n := strings.IndexByte(area[off:], 0); n > 0 {
				names[i] = area[off : int(off)+n]
				continue
			}
		}
		names[i] = fmt.Sprintf("unknown-%d", i)
		x.fsck(fs, at, "index-keywords", "keyword %d has no readable name", i)
	}
	return names
}
