package dovecot

import (
	"bytes"
	"slices"
)

// Verdict is what Dovecot 2.3 does when it opens an index as it is, compared with what the files tell ([Replay]).
//
// It speaks of the index alone. For mdbox and sdbox that is where flags, keywords and UIDVALIDITY are; a Maildir keeps
// UIDs and UIDVALIDITY in dovecot-uidlist and flags in file names, so that nothing is lost there but what only the
// index holds (keywords beyond 26, modification sequences, flags not yet in the names).
type Verdict string

// The verdicts. "Loses" means that the state Dovecot comes to differs from what Replay finds in the files.
const (
	VerdictSame           Verdict = "same"                // opens without a word, and nothing is lost
	VerdictOlder          Verdict = "older"               // opens without a word in an earlier state: what happened since is lost
	VerdictEmpty          Verdict = "empty"               // opens without a word, empty, with a new UIDVALIDITY
	VerdictRebuild        Verdict = "rebuild"             // repairs the index and rebuilds it from the storage; nothing is lost
	VerdictRebuildLoses   Verdict = "rebuild-loses-flags" // the same, but flags, keywords, UIDs or UIDVALIDITY are lost
	VerdictErrorThenSame  Verdict = "error-then-same"     // the first access fails, then rebuild; nothing is lost
	VerdictErrorThenLoses Verdict = "error-then-loses"    // the first access fails, then rebuild without what the log told
)

// Sees tells what Dovecot 2.3 would make of the files if it opened them as they are. The State is what the index says
// then, before a rebuild from the storage adds messages it no longer knows (without flags, and for mdbox with new UIDs).
// An mdbox rebuild keeps of these only messages whose GUID or map UID the State knows; the others come back as new ones.
// With Files.Index nil it answers what removing dovecot.index costs.
func Sees(f Files) (*State, Verdict, []Fault) {
	p := parseFiles(f)
	truth, _ := p.replay()
	s, how, list := p.open()
	same := sameState(truth, s)
	verdict := map[opening][2]Verdict{
		opensSilently: {VerdictOlder, VerdictSame},
		opensEmpty:    {VerdictEmpty, VerdictSame},
		opensByFsck:   {VerdictRebuildLoses, VerdictRebuild},
		opensByError:  {VerdictErrorThenLoses, VerdictErrorThenSame},
	}[how]
	if same {
		return s, verdict[1], append(p.list, list...)
	}
	return s, verdict[0], append(p.list, list...)
}

// sameState compares what a user can see: messages, flags, keywords and UIDVALIDITY.
func sameState(a, b *State) bool {
	if len(a.Records) != len(b.Records) || a.UIDValidity != b.UIDValidity && len(a.Records) > 0 {
		return false
	}
	names := slices.Equal(a.Keywords, b.Keywords) // then the bits tell
	for i := range a.Records {
		x, y := &a.Records[i], &b.Records[i]
		if x.UID != y.UID || x.Flags != y.Flags {
			return false
		}
		if names && bytes.Equal(x.bits, y.bits) {
			continue
		}
		kx, ky := a.KeywordNames(x), b.KeywordNames(y)
		if len(kx) != len(ky) {
			return false
		}
		for j := range kx {
			if kx[j] != ky[j] {
				return false
			}
		}
	}
	return true
}

type opening int

const (
	opensSilently opening = iota
	opensEmpty
	opensByFsck
	opensByError
)

// open goes the way of mail_index_open_files and mail_index_map.
func (p *parsed) open() (*State, opening, []Fault) {
	x, l := p.index, p.log
	if l != nil && l.Unusable != "" {
		l = nil // Dovecot removes it
	}
	switch {
	case x != nil && x.Unusable != "" || x == nil && l == nil:
		return p.snapshot(nil, opensEmpty) // the log is thrown away with the index
	case l == nil && x.NeedsFsck != "":
		return p.snapshot(x, opensByFsck)
	case l == nil:
		return p.snapshot(x, opensSilently)
	case x != nil && l.Header.IndexID != x.Header.IndexID:
		return p.snapshot(x, opensByFsck) // 2.3 believes the index and throws the log away; 2.4 the reverse
	}
	logs, at, how := p.view(x, l)
	for i, l := range logs {
		from := at
		if i > 0 {
			from = 0
		}
		if l.SyncOffset != l.Size || l.hasInvalid(from) {
			// The first process that locks the log calls it corrupt and fails; the next one removes it. What is
			// left is the snapshot.
			return p.snapshot(x, opensByError)
		}
	}
	if x != nil && x.badRecords && how == opensSilently {
		how = opensByError // not noticed before a search by UID goes astray
	}
	r := newReplayer(p)
	r.strict = true
	base := BaseIndex
	if x == nil || len(logs) > 0 && logs[0].Header.PrevSeq == 0 && at == 0 {
		r.fromNothing(l.Header.IndexID)
		base = BaseZero
		if len(logs) > 0 && logs[0].Header.PrevSeq != 0 {
			base = BaseNone
		}
	} else {
		r.fromIndex(x)
	}
	for i, l := range logs {
		if i > 0 {
			at = 0
		}
		if l.Header.PrevSeq == 0 && at <= int64(l.Header.HeaderSize) {
			r.reset(l)
		}
		r.applyLog(l, at)
	}
	if r.s.badHeader() && how == opensSilently {
		how = opensByFsck
	}
	r.s.Base = base
	r.s.finish()
	r.pending()
	return r.s, how, r.fs.all()
}

// snapshot is the state of an index file with no log, or of nothing.
func (p *parsed) snapshot(x *Index, how opening) (*State, opening, []Fault) {
	r := newReplayer(p)
	r.strict = true
	r.s.Base = BaseNone
	if x == nil {
		r.fromNothing(0)
	} else {
		r.s.Base = BaseIndex
		r.fromIndex(x)
	}
	r.s.finish()
	return r.s, how, r.fs.all()
}

// view is which logs Dovecot applies, from which offset in the first one on, to the index (nil: to nothing) or, if the
// offset is 0 and the first log starts from nothing, to nothing.
//
// An index that needs repair is repaired on disk, but not used in the same opening (mail_index_map_latest_file leaves
// its loop): logs that start from nothing then win, and only without them the repaired file is read.
func (p *parsed) view(x *Index, l *Log) ([]*Log, int64, opening) {
	zero := p.viewFromZero(l)
	if x == nil {
		if zero == nil { // "Lost log for seq=1 ... - fscking": what the newest log alone tells
			return []*Log{l}, 0, opensByFsck
		}
		return zero, 0, opensSilently
	}
	how := opensSilently
	if x.NeedsFsck != "" {
		how = opensByFsck
		if zero != nil {
			return zero, 0, how
		}
	}
	logs, at := p.viewFrom(l, Position{x.Header.LogSeq, int64(x.Header.LogHead)})
	if logs != nil {
		return logs, at, how
	}
	if x.Header.LogSeq < l.Header.Seq { // mail_index_fsck_log_pos
		return []*Log{l}, logHeaderSize, opensByFsck
	}
	if l.SyncOffset != l.Size {
		return []*Log{l}, l.Size, opensByError
	}
	return nil, 0, opensByFsck
}

// viewFrom is what mail_transaction_log_view_set finds to read from a position on, nil if it finds nothing.
func (p *parsed) viewFrom(l *Log, at Position) ([]*Log, int64) {
	if l.Header.PrevSeq == at.Seq && int64(l.Header.PrevOffset) == at.Offset {
		return []*Log{l}, 0
	}
	if at.Seq == l.Header.Seq {
		if at.Offset > l.SyncOffset || at.Offset != 0 && at.Offset < int64(l.Header.HeaderSize) {
			return nil, 0
		}
		return []*Log{l}, at.Offset
	}
	if at.Seq > l.Header.Seq {
		return nil, 0
	}
	if o := p.older(l); o != nil && o.Header.Seq == at.Seq && o.Header.Seq+1 == l.Header.Seq && at.Offset <= o.SyncOffset {
		return []*Log{o, l}, at.Offset
	}
	return p.viewFromZero(l), 0
}

// viewFromZero is what can be read without a snapshot.
func (p *parsed) viewFromZero(l *Log) []*Log {
	if l.Header.PrevSeq == 0 {
		return []*Log{l}
	}
	if o := p.older(l); o != nil && o.Header.PrevSeq == 0 && o.Header.Seq+1 == l.Header.Seq {
		return []*Log{o, l}
	}
	return nil
}

// older is .log.2 if Dovecot would use it beside l.
func (p *parsed) older(l *Log) *Log {
	if o := p.log2; o != nil && o.Unusable == "" && o.Header.IndexID == l.Header.IndexID && o.Header.Seq < l.Header.Seq {
		return o
	}
	return nil
}

// hasInvalid reports whether a record from an offset on is one that Dovecot calls corrupt.
func (l *Log) hasInvalid(from int64) bool {
	for i := range l.Records {
		if r := &l.Records[i]; r.Offset >= from && !r.Valid && !r.Recovered {
			return true
		}
	}
	return false
}

// badHeader is a check of mail_index_map_check_header that a replay without its base fails.
func (s *State) badHeader() bool { return u32(s.raw[:], 24) == 0 && s.NextUID != 1 }
