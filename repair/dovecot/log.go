package dovecot

import "fmt"

// Sizes of struct mail_transaction_log_header (2.3, and the least Dovecot accepts) and of struct mail_transaction_header.
const (
	logHeaderSize    = 40
	logHeaderMinSize = 24
	logRecordHeader  = 8
)

// LogHeader is struct mail_transaction_log_header.
type LogHeader struct {
	Major, Minor  uint8
	HeaderSize    uint16
	IndexID       uint32 // 0: Dovecot has marked the log corrupted; what is in it may be good
	Seq           uint32
	PrevSeq       uint32 // 0: this log starts from an empty index
	PrevOffset    uint32 // the previous log's size when it was rotated
	Created       uint32 // Unix time
	InitialModSeq uint64
	CompatFlags   uint8 // 1: little-endian; valid from version 1.2
}

// LogType is enum mail_transaction_type without its two flag bits.
type LogType uint32

// What a log record does.
const (
	LogAppend          LogType = 0x00000002
	LogFlagUpdate      LogType = 0x00000004
	LogHeaderUpdate    LogType = 0x00000020
	LogExtIntro        LogType = 0x00000040
	LogExtReset        LogType = 0x00000080
	LogExtHdrUpdate    LogType = 0x00000100
	LogExtRecUpdate    LogType = 0x00000200
	LogKeywordUpdate   LogType = 0x00000400
	LogKeywordReset    LogType = 0x00000800
	LogExtAtomicInc    LogType = 0x00001000
	LogModSeqUpdate    LogType = 0x00008000
	LogExpunge         LogType = 0x0000cd91
	LogExpungeGUID     LogType = 0x0000ed90
	LogExtHdrUpdate32  LogType = 0x00010000
	LogIndexDeleted    LogType = 0x00020000
	LogIndexUndeleted  LogType = 0x00040000
	LogBoundary        LogType = 0x00080000
	LogAttributeUpdate LogType = 0x00100000

	logTypeMask     = 0x0fffffff
	logExternalFlag = 0x10000000
	logSyncFlag     = 0x20000000
)

var logTypeNames = map[LogType]string{
	LogAppend: "append", LogFlagUpdate: "flag-update", LogHeaderUpdate: "header-update", LogExtIntro: "ext-intro",
	LogExtReset: "ext-reset", LogExtHdrUpdate: "ext-hdr", LogExtRecUpdate: "ext-rec", LogKeywordUpdate: "keyword-update",
	LogKeywordReset: "keyword-reset", LogExtAtomicInc: "ext-atomic-inc", LogModSeqUpdate: "modseq-update", LogExpunge: "expunge",
	LogExpungeGUID: "expunge-guid", LogExtHdrUpdate32: "ext-hdr32", LogIndexDeleted: "index-deleted",
	LogIndexUndeleted: "index-undeleted", LogBoundary: "boundary", LogAttributeUpdate: "attribute-update",
}

// String is the name `doveadm dump` gives the type, or its number.
func (t LogType) String() string {
	if s, ok := logTypeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("unknown-0x%x", uint32(t))
}

// LogRecord is one record of a transaction log.
type LogRecord struct {
	Offset   int64 // of the record's own header
	Type     LogType
	External bool   // the change has happened; without it, it is a request (see struct mail_transaction_header)
	Sync     bool   // made by dsync
	Data     []byte // the payload

	// Valid is false where the framing holds but the payload cannot be: nothing may be taken from it.
	Valid bool
	// Recovered is true behind the first damage, where Dovecot no longer reads.
	Recovered bool
	// ModSeq is the highest modification sequence after this record, 0 where modseqs are not tracked. Behind damage it is a lower bound.
	ModSeq uint64
}

// End is the offset of the byte after the record.
func (r *LogRecord) End() int64 { return r.Offset + logRecordHeader + int64(len(r.Data)) }

// Log is a transaction log: dovecot.index.log, .log.2 and those of map and list index.
type Log struct {
	Header  LogHeader
	Records []LogRecord

	// SyncOffset is the end of the part that Dovecot reads. In a sound file it is Size.
	SyncOffset int64
	Size       int64
	// Unusable is why Dovecot deletes this file when it opens it, or "".
	Unusable string
}

// ParseLog reads a transaction log, the part Dovecot reads and whatever lies behind damage: there it looks for the next
// three records in a row that make sense. Those are marked Recovered. The result shares memory with b.
func ParseLog(b []byte) (*Log, []Fault) {
	l := &Log{Size: int64(len(b))}
	fs := &faults{}
	at := l.parseHeader(b, fs)
	p := logParser{Log: l, b: b, fs: fs, modseq: l.Header.InitialModSeq, budget: 1<<20 + 64*len(b)}
	p.walk(at)
	return l, fs.all()
}

func (l *Log) unusable(fs *faults, at int, rule, format string, args ...any) {
	fs.add(at, rule, format, args...)
	if l.Unusable == "" {
		l.Unusable = rule
	}
}

// parseHeader returns where the records start.
func (l *Log) parseHeader(b []byte, fs *faults) int {
	var p [logHeaderSize]byte
	copy(p[:], b)
	size := int(u16(p[:], 2))
	if size >= logHeaderMinSize && size < logHeaderSize {
		clear(p[size:])
	}
	h := &l.Header
	*h = LogHeader{Major: p[0], Minor: p[1], HeaderSize: uint16(size), IndexID: u32(p[:], 4), Seq: u32(p[:], 8), PrevSeq: u32(p[:], 12),
		PrevOffset: u32(p[:], 16), Created: u32(p[:], 20), InitialModSeq: le.Uint64(p[24:]), CompatFlags: p[32]}
	switch {
	case len(b) < logHeaderMinSize:
		l.unusable(fs, len(b), "log-too-small", "the file has %d bytes, the header at least %d", len(b), logHeaderMinSize)
		return len(b)
	case h.Major != 1:
		l.unusable(fs, 0, "log-major-version", "major version is %d, not 1", h.Major)
	case h.Minor >= 2 && h.CompatFlags != 1:
		l.unusable(fs, min(32, len(b)), "log-byte-order", "compatibility flags are 0x%x, not 1 (little-endian)", h.CompatFlags)
	case size < logHeaderMinSize:
		l.unusable(fs, 2, "log-header-size", "header size is %d, less than %d", size, logHeaderMinSize)
	case size > len(b):
		fs.add(2, "log-header-size", "header size is %d, the file has %d bytes", size, len(b))
		return len(b)
	case h.IndexID == 0:
		l.unusable(fs, 4, "log-marked-corrupted", "Dovecot has marked this log as corrupted")
	}
	if l.Unusable != "" && l.Unusable != "log-marked-corrupted" {
		size = logHeaderSize // the usual place; resynchronising does the rest
	}
	return min(size, len(b))
}

type logParser struct {
	*Log
	b      []byte
	fs     *faults
	modseq uint64
	budget int // bytes that may still be looked at while resynchronising
}

// walk reads records from at on. synced is true as long as Dovecot would read on too.
func (p *logParser) walk(at int) {
	synced := true
	stop := func(rule, format string, args ...any) {
		p.fs.add(at, rule, format, args...)
		if synced {
			synced, p.SyncOffset = false, int64(at)
		}
	}
	for at < len(p.b) {
		r, problem := readLogRecord(p.b, at)
		if problem != "" {
			stop("log-record-framing", "%s", problem)
			at = p.resync(at + 1)
			continue
		}
		if synced && r.Type == LogBoundary && r.External && at+int(u32(r.Data, 0)) > len(p.b) {
			stop("log-transaction-cut", "a transaction of %d bytes begins here, the file ends %d bytes on", u32(r.Data, 0), len(p.b)-at)
		}
		if why := r.check(); why != "" {
			if next, framing := readLogRecord(p.b, int(r.End())); int(r.End()) < len(p.b) && (framing != "" || next.check() != "") {
				// Noise with a believable size: do not jump by it. Dovecot does, and stumbles there.
				p.fs.add(at, "log-record-invalid", "%s record: %s, and nothing believable follows it", r.Type, why)
				if synced {
					synced, p.SyncOffset = false, p.dovecotEnd(at)
				}
				at = p.resync(at + 1)
				continue
			}
			p.fs.add(at, "log-record-invalid", "%s record of %d bytes: %s", r.Type, len(r.Data), why)
		} else {
			r.Valid = true
			p.modseq = r.nextModSeq(p.modseq, p.Header)
		}
		r.ModSeq, r.Recovered = p.modseq, !synced
		p.Records = append(p.Records, r)
		at = int(r.End())
	}
	if synced {
		p.SyncOffset = int64(at)
	}
}

// dovecotEnd is how far Dovecot's own walk, which looks only at sizes, gets from at.
func (p *logParser) dovecotEnd(at int) int64 {
	for at < len(p.b) {
		r, problem := readLogRecord(p.b, at)
		if problem != "" || r.Type == LogBoundary && r.External && at+int(u32(r.Data, 0)) > len(p.b) {
			break
		}
		at = int(r.End())
	}
	return int64(at)
}

// resync finds the next place from at on where three records in a row make sense, or fewer that end with the file.
func (p *logParser) resync(at int) int {
	for ; at+logRecordHeader < len(p.b); at++ {
		if p.b[at]&p.b[at+1]&p.b[at+2]&p.b[at+3]&0x80 == 0 {
			continue
		}
		next := at
		for range 3 {
			if next == len(p.b) {
				break
			}
			r, problem := readLogRecord(p.b, next)
			if problem != "" {
				next = -1
				break
			}
			if p.budget -= logRecordHeader + len(r.Data); p.budget < 0 {
				p.fs.add(at, "log-resync-given-up", "too much looks almost like a record; the rest of the file is not read")
				return len(p.b)
			}
			if r.check() != "" {
				next = -1
				break
			}
			next = int(r.End())
		}
		if next > 0 {
			return at
		}
	}
	return len(p.b)
}

// readLogRecord reads the frame at at, by the rules of mail_transaction_log_file_sync.
func readLogRecord(b []byte, at int) (LogRecord, string) {
	if len(b)-at < logRecordHeader {
		return LogRecord{}, fmt.Sprintf("%d bytes are left, fewer than a record header has", len(b)-at)
	}
	size := unpack(b[at:])
	switch {
	case size == 0:
		return LogRecord{}, "the record's size is not one (unfinished or overwritten)"
	case size < logRecordHeader:
		return LogRecord{}, fmt.Sprintf("the record's size is %d", size)
	case size > len(b)-at:
		return LogRecord{}, fmt.Sprintf("the record has %d bytes, the file only %d more", size, len(b)-at)
	}
	t := le.Uint32(b[at+4:])
	return LogRecord{Offset: int64(at), Type: LogType(t & logTypeMask), External: t&logExternalFlag != 0, Sync: t&logSyncFlag != 0,
		Data: b[at+logRecordHeader : at+size : at+size]}, ""
}
