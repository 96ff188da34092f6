package inspect

import (
	"iter"

	"dovemend/repair/dovecot"
)

// Log is a transaction log.
type Log struct {
	Header      LogHeader `json:"header"`
	Unusable    Word      `json:"unusable,omitempty"` // the rule for whose sake Dovecot deletes this file
	SyncOffset  int64     `json:"sync_offset"`        // the end of the part that Dovecot reads; in a sound file its length
	RecordCount int       `json:"record_count"`

	Records iter.Seq[LogRecord] `json:"records,omitempty"`
}

// LogHeader is struct mail_transaction_log_header.
type LogHeader struct {
	Major         uint8  `json:"major_version"`
	Minor         uint8  `json:"minor_version"`
	HeaderSize    uint16 `json:"hdr_size"`
	IndexID       Stamp  `json:"indexid"` // 0: Dovecot has marked the log as corrupted
	Seq           uint32 `json:"file_seq"`
	PrevSeq       uint32 `json:"prev_file_seq"` // 0: the log starts from an empty index
	PrevOffset    uint32 `json:"prev_file_offset"`
	Created       Stamp  `json:"create_stamp"`
	InitialModSeq uint64 `json:"initial_modseq"`
	CompatFlags   Bits   `json:"compat_flags"`
}

// LogRecord is one record of a log.
type LogRecord struct {
	Offset    int64  `json:"offset"`
	Type      Word   `json:"type"`
	External  bool   `json:"external,omitempty"` // it has happened; without this it is a request
	Sync      bool   `json:"sync,omitempty"`     // made by dsync
	Size      int64  `json:"size"`               // with the record's header of 8 bytes
	ModSeq    uint64 `json:"modseq,omitempty"`   // the highest after it; behind damage at least
	Invalid   bool   `json:"invalid,omitempty"`  // the payload cannot be: nothing is taken from it
	Recovered bool   `json:"recovered,omitempty"`
	Extension string `json:"extension,omitempty"` // the one that an ext record is about, where it is known
	Hex       Hex    `json:"hex,omitempty"`       // the payload, where it is not told otherwise

	Entries iter.Seq[Facts] `json:"entries,omitempty"`
}

// log dumps a transaction log. base gives the index it belongs to, or nil.
func (w *walker) log(d *Dump, b []byte, base func() *dovecot.Index) {
	l, list := dovecot.ParseLog(b)
	d.wrong(list)
	h := &l.Header
	d.Log = &Log{Unusable: Word(l.Unusable), SyncOffset: l.SyncOffset, RecordCount: len(l.Records),
		Header: LogHeader{h.Major, h.Minor, h.HeaderSize, Stamp(h.IndexID), h.Seq, h.PrevSeq, h.PrevOffset, Stamp(h.Created), h.InitialModSeq, Bits(h.CompatFlags)}}
	if w.o.Summary {
		return
	}
	d.Log.Records = func(yield func(LogRecord) bool) {
		exts := newLogExts(l, base)
		for i := range l.Records {
			if w.ctx.Err() != nil || !yield(exts.record(&l.Records[i])) {
				return
			}
		}
	}
}

// record tells one record; the records have to come in their order.
func (x *logExts) record(r *dovecot.LogRecord) LogRecord {
	out := LogRecord{Offset: r.Offset, Type: Word(r.Type.String()), External: r.External, Sync: r.Sync, Size: r.End() - r.Offset, ModSeq: r.ModSeq,
		Invalid: !r.Valid, Recovered: r.Recovered}
	if !r.Valid {
		out.Hex = r.Data
		return out
	}
	x.follow(r)
	switch r.Type {
	case dovecot.LogExtIntro, dovecot.LogExtReset, dovecot.LogExtHdrUpdate, dovecot.LogExtHdrUpdate32, dovecot.LogExtRecUpdate, dovecot.LogExtAtomicInc:
		out.Extension = clip(x.name)
	}
	if out.Entries = x.entries(r); out.Entries == nil {
		out.Hex = r.Data
	}
	return out
}
