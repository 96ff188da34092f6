package inspect

import (
	"encoding/binary"
	"iter"

	"dovemend/repair/dovecot"
)

// State is what an index and the logs beside it tell together, and what Dovecot has in memory when it has opened them: the
// logs are applied to the best base there is, and stretches that are damaged are passed over.
type State struct {
	Base        Word          `json:"base"`     // what was started from: index, backup, log from zero, none
	Complete    bool          `json:"complete"` // nothing is known to be missing between base, logs and their end
	Deleted     bool          `json:"deleted"`  // the logs say that the mailbox was deleted
	Doubtful    bool          `json:"doubtful"` // the base's header is damaged: what it tells may be noise
	From        Position      `json:"from"`     // the part of the logs that was applied
	To          Position      `json:"to"`
	ModSeq      uint64        `json:"highest_modseq"` // 0: not tracked
	Header      IndexHeader   `json:"header"`
	Extensions  []Extension   `json:"extensions"`
	Keywords    []string      `json:"keywords"`
	Pending     []dovecot.UID `json:"pending_expunge"` // messages someone asked to expunge, and which are still there
	RecordCount int           `json:"record_count"`

	Records iter.Seq[Record] `json:"records,omitempty"`
}

// Position is a place in a transaction log.
type Position struct {
	Seq    uint32 `json:"log_file_seq"`
	Offset int64  `json:"offset"`
}

// state dumps what an index's files tell together, where that is more than the index alone tells. path is that of the
// index, which need not exist.
func (w *walker) state(path string, f dovecot.Files) error {
	if f.Log == nil && f.Log2 == nil {
		return nil
	}
	s, list := dovecot.ReplayOnly(f)
	if s.Start == s.End && len(list) == 0 && (s.Base == dovecot.BaseIndex || s.Base == dovecot.BaseNone) {
		return nil // nothing was applied
	}
	d := newDump(path, KindState, -1)
	d.wrong(list)
	d.State = &State{Base: Word(s.Base), Complete: s.Complete && s.Base != dovecot.BaseNone, Deleted: s.Deleted, Doubtful: s.Doubtful, From: Position(s.Start), To: Position(s.End),
		ModSeq: s.ModSeq, Header: indexHeader(&s.Header), Extensions: extensions(s.Exts), Keywords: clipped(s.Keywords),
		Pending: append([]dovecot.UID{}, s.PendingExpunge...), RecordCount: len(s.Records)}
	h := &d.State.Header
	if s.Start != s.End {
		h.HeaderSize, h.RecordSize, h.FirstUnseenUID, h.FirstDeletedUID = -1, -1, -1, -1
	}
	h.LogTail = uint32(s.Tail.Offset) // as it was told last; Dovecot moves it on in memory
	if !w.o.Summary {
		d.State.Records = w.stateRecords(s)
	}
	return w.put(d)
}

func (w *walker) stateRecords(s *dovecot.State) iter.Seq[Record] {
	var names map[uint32]string
	if e := s.Ext("list"); e != nil {
		names = namesByID(e.Header)
	}
	return func(yield func(Record) bool) {
		for i := range s.Records {
			r := &s.Records[i]
			out := Record{Offset: -1, UID: r.UID, Flags: r.Flags, FlagNames: flagNames(r.Flags), Keywords: keywordNames(s.KeywordBits(r), s.Keywords), Recovered: r.Recovered}
			for j := range s.Exts[:min(len(s.Exts), maxRecordExts)] {
				e := &s.Exts[j]
				v := s.Value(r, e)
				switch e.Name {
				case "modseq":
					if n, ok := s.ModSeqOf(r); ok {
						v = binary.LittleEndian.AppendUint64(nil, n)
					}
				case "keywords":
					v = s.KeywordBits(r)
				}
				if v = withZeros(v, int(e.RecordSize), maxZeroValue); len(v) > 0 {
					out.Values = append(out.Values, extValue(e.Name, v, names))
				}
			}
			if w.ctx.Err() != nil || !yield(out) {
				return
			}
		}
	}
}
