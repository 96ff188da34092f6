package dovecot

import (
	"cmp"
	"slices"
)

// Files are the files of one index: of a mailbox, of mdbox's map, or of the mailbox list. nil means that the file does
// not exist; empty and not nil, that it has no bytes, which Dovecot treats very differently.
type Files struct {
	Index, Backup, Log, Log2 []byte
	Older                    [][]byte // logs that were rotated away before Log2, of an earlier copy; Dovecot keeps none
}

// parsed are the files as their readers see them.
type parsed struct {
	index, backup *Index // nil: does not exist
	log, log2     *Log
	rotated       []*Log
	clean         map[*Index]bool // the reader found nothing wrong
	believed      map[*Log]LogHeader
	exist         []UID // messages that other evidence tells of, ascending
	list          []Fault
}

func parseFiles(f Files) *parsed {
	p := &parsed{clean: map[*Index]bool{}}
	index := func(b []byte, name string, model *Index) *Index {
		if b == nil {
			return nil
		}
		x, list := parseIndex(b, model)
		p.clean[x] = len(list) == 0
		p.note(name, list)
		return x
	}
	log := func(b []byte, name string) *Log {
		if b == nil {
			return nil
		}
		l, list := ParseLog(b)
		p.note(name, list)
		return l
	}
	// Index and backup are two states of the same thing: where one has lost its headers, the other tells what records hold.
	var whole *Index
	if f.Backup != nil {
		whole, _ = ParseIndex(f.Backup)
	}
	p.index = index(f.Index, "index", whole)
	p.backup = index(f.Backup, "backup", p.index)
	p.log, p.log2 = log(f.Log, "log"), log(f.Log2, "log2")
	for _, b := range f.Older {
		p.rotated = append(p.rotated, log(b, "log2"))
	}
	p.adopt()
	return p
}

func (p *parsed) note(file string, list []Fault) {
	for _, f := range list {
		f.File = file
		p.list = append(p.list, f)
	}
}

// logs are the logs that hold anything, or were begun after a rotation and hold nothing yet; oldest first, one of each sequence. One
// without records that continues no other tells nothing.
func (p *parsed) logs() []*Log {
	var out []*Log
	for _, l := range append([]*Log{p.log, p.log2}, p.rotated...) {
		begun := l != nil && (len(l.Records) > 0 || l.Unusable == "" && l.Size == int64(l.Header.HeaderSize) && l.Header.PrevSeq != 0)
		if begun && !slices.ContainsFunc(out, func(o *Log) bool { return p.header(o).Seq == p.header(l).Seq }) {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b *Log) int {
		return cmp.Compare(p.header(a).Seq, p.header(b).Seq)
	})
	return out
}

func (p *parsed) fileOf(l *Log) string {
	if l == p.log {
		return "log"
	}
	return "log2"
}

// Replay tells what the files of an index together say: the best base (dovecot.index, its backup, or nothing if a log
// starts from nothing) with the logs applied to it. Damaged stretches are skipped and reported; what lies behind them
// is used, and marked Recovered. The faults of all files come first, then what was wrong while putting them together.
func Replay(f Files) (*State, []Fault) {
	p := parseFiles(f)
	s, list := p.replay()
	return s, append(p.list, list...)
}

// ReplayOnly is [Replay] without the faults of the files themselves, for those who have told them already.
func ReplayOnly(f Files) (*State, []Fault) { return parseFiles(f).replay() }

func (p *parsed) replay() (*State, []Fault) {
	type told struct {
		s     *State
		list  []Fault
		score int
	}
	var all []told
	best := -1
	for _, base := range []Base{BaseIndex, BaseZero, BaseBackup, BaseNone} {
		s, list, score := p.replayFrom(base)
		if s == nil {
			continue
		}
		all = append(all, told{s, list, score})
		if best < 0 || score > all[best].score {
			best = len(all) - 1
		}
		if score >= soundScore {
			s.Exact = true
			return s, list
		}
	}
	// What the best cannot tell, the next best may.
	first := all[best]
	all = slices.Delete(all, best, best+1)
	slices.SortStableFunc(all, func(a, b told) int { return b.score - a.score })
	for _, t := range all {
		first.s.graft(t.s, t.score)
	}
	return first.s, first.list
}

// ReplayFrom is Replay from a given base, for comparing what different chains tell. ok is false where the files do not
// have that base.
func ReplayFrom(f Files, base Base) (s *State, list []Fault, ok bool) {
	p := parseFiles(f)
	s, list, _ = p.replayFrom(base)
	return s, append(p.list, list...), s != nil
}

// How much an outcome can be trusted: first how complete the logs behind the base are, then the base. A base of which one
// knows that it is old counts for less where what came after it is lost.
const (
	soundChain = 20 // everything from the base to the end of the logs
	brokenLogs = 10 // up to damage, and what can be read behind it
	soundBase  = 4
	badHeader  = 3 // all records are there, and where they stand in the logs is not known
	badRecords = 2

	soundScore = soundChain + soundBase
)

// replayFrom applies the logs to a base. The score says how much the outcome can be trusted.
func (p *parsed) replayFrom(base Base) (*State, []Fault, int) {
	r := newReplayer(p)
	score := soundBase
	switch base {
	case BaseIndex, BaseBackup:
		x := p.index
		if base == BaseBackup {
			x = p.backup
		}
		if x == nil || x.Unusable != "" && len(x.Records) == 0 {
			return nil, nil, 0
		}
		r.fromIndex(x)
		r.s.sound = p.clean[x]
		switch {
		case p.clean[x]:
		case r.s.Doubtful && len(x.Gaps) == 0 && !x.badRecords:
			score = badHeader
		default:
			score = badRecords
		}
	case BaseZero:
		if !slices.ContainsFunc(p.logs(), func(l *Log) bool { return p.header(l).PrevSeq == 0 }) {
			return nil, nil, 0
		}
		r.fromNothing(0)
	case BaseNone:
		score = 0
		r.fromNothing(0)
		r.lost = true
	}
	r.s.Base = base
	chain := r.chain(base)
	if base == BaseNone && len(p.logs()) > 0 {
		chain = 0
	}
	if (base == BaseBackup || base == BaseZero) && p.behind(p.index, r.s.NextUID) || base == BaseZero && p.behind(p.backup, r.s.NextUID) {
		chain = 0
	}
	if base == BaseBackup && chain < 2 {
		score = min(score, 1)
	}
	r.s.Complete, r.s.Tail = chain == 2, r.tail
	r.s.finish()
	r.pending()
	if base == BaseNone {
		return r.s, r.fs.all(), 0
	}
	return r.s, r.fs.all(), score + chain*brokenLogs
}

// behind reports whether an index was written at a place that the last log does not reach, or at the log that came after it: what the logs
// tell, up to a next UID, is not the end. (Dovecot keeps two logs. An index that names a later one yet is damaged there. A place behind
// the log's end is believed where a second number says the same.)
func (p *parsed) behind(x *Index, next UID) bool {
	logs := p.logs()
	if !p.clean[x] || len(logs) == 0 {
		return false
	}
	last, h := logs[len(logs)-1], &x.Header
	seq := p.header(last).Seq
	return seq+1 == h.LogSeq ||
		seq == h.LogSeq && int64(h.LogHead) > last.Size && (int64(h.LogTail) > last.Size || h.NextUID > next) && p.owns(h, last)
}

// chain finds the logs that continue the base, applies them, and says how well they do: 2 wholly, 1 up to damage or
// with a log that knows less than the base, 0 with a gap.
func (r *replayer) chain(base Base) int {
	logs := r.p.logs()
	if base == BaseZero || base == BaseNone {
		from := 0
		for i, l := range logs {
			if r.p.header(l).PrevSeq == 0 {
				from = i
			}
		}
		return r.apply(logs[from:], 0)
	}
	h := parseIndexHeader(r.s.raw[:])
	at := Position{h.LogSeq, int64(h.LogHead)}
	r.tail = Position{h.LogSeq, int64(h.LogTail)}
	logs = slices.DeleteFunc(logs, func(l *Log) bool { return r.p.header(l).Seq < at.Seq })
	if r.s.Doubtful { // every change names what it sets: to apply one twice does no harm
		return r.applyAll(logs)
	}
	own := slices.DeleteFunc(slices.Clone(logs), func(l *Log) bool { return !r.p.owns(&h, l) })
	if len(own) == 0 && len(logs) > 0 {
		l := logs[len(logs)-1]
		r.fault(l, 4, "log-foreign", "the log belongs to index %d, the base is index %d", l.Header.IndexID, h.IndexID)
		if l.Header.IndexID < h.IndexID { // an index id is a time of creation: the log is left over from an earlier life
			return 2
		}
		return 0
	}
	if len(own) == 0 && at.Offset == 0 { // written anew, and not opened since: no log was ever beside it
		return 2
	}
	if len(own) == 0 {
		r.fs.file = string(base)
		r.fs.add(60, "log-missing", "the base was written at log %d offset %d, and no log from there on exists", at.Seq, at.Offset)
		return 0
	}
	return r.continued(own, at)
}

// continued applies the logs of a base from where they continue it.
func (r *replayer) continued(own []*Log, at Position) int {
	first := own[0]
	h := r.p.header(first)
	prev := func(h LogHeader) Position { return Position{h.PrevSeq, int64(h.PrevOffset)} }
	switch {
	case len(own) > 1 && prev(r.p.header(own[1])) == at:
		return r.apply(own[1:], 0)
	case prev(h) == at:
		return r.apply(own, 0)
	case h.Seq == at.Seq && at.Offset <= first.Size:
		return r.apply(own, at.Offset)
	case h.Seq == at.Seq:
		r.fault(first, int(first.Size), "log-shorter-than-base", "the base knows the log up to %d, the log has only %d bytes", at.Offset, first.Size)
		return min(r.apply(own, first.Size), 1)
	case h.PrevSeq == 0:
		return r.apply(own, 0)
	}
	r.fault(first, 8, "log-gap", "the base was written at log %d offset %d, but the oldest log is %d", at.Seq, at.Offset, h.Seq)
	r.lost = true
	next := r.s.NextUID
	r.behindDamage(first.Records)
	r.apply(own, 0)
	r.s.Gaps = append(r.s.Gaps, UIDRange{next, ^UID(0)})
	return 0
}

// owns reports whether a log belongs to an index: by its id, or because it goes on exactly where the index was written and no
// other state of the index confirms the id.
func (p *parsed) owns(x *IndexHeader, l *Log) bool {
	h := p.header(l)
	if h.IndexID == x.IndexID || h.IndexID == 0 {
		return true
	}
	confirmed := p.index != nil && p.backup != nil && p.index.Header.IndexID == p.backup.Header.IndexID
	return !confirmed && h.Seq > 1 && p.follows(l, x)
}

// applyAll applies logs from their beginning to a base whose place in them is not known. The base was written at some place
// in one of them, because Dovecot keeps no older ones.
func (r *replayer) applyAll(logs []*Log) int {
	score := 2
	r.repeats = true
	for i, l := range logs {
		h := r.p.header(l)
		if i > 0 && (h.PrevSeq != r.p.header(logs[i-1]).Seq || int64(h.PrevOffset) != logs[i-1].SyncOffset) || l.SyncOffset != l.Size || l.Unusable != "" {
			score = 1
		}
		if !r.applyLog(l, int64(h.HeaderSize)) {
			score = 1
		}
	}
	if len(logs) == 0 {
		return 0
	}
	return score
}

// apply applies logs from an offset in the first one on.
func (r *replayer) apply(logs []*Log, from int64) int {
	score := 2
	for i, l := range logs {
		h := r.p.header(l)
		if h.PrevSeq == 0 && from <= int64(h.HeaderSize) {
			r.reset(l)
		}
		if i > 0 && h.PrevSeq != 0 && (h.PrevSeq != r.p.header(logs[i-1]).Seq || int64(h.PrevOffset) != logs[i-1].SyncOffset) {
			r.fault(l, 12, "log-gap", "log %d continues log %d at %d, but what precedes it is log %d, which ends at %d",
				h.Seq, h.PrevSeq, h.PrevOffset, r.p.header(logs[i-1]).Seq, logs[i-1].SyncOffset)
			score = min(score, 1)
		}
		if l.SyncOffset != l.Size || l.Unusable != "" {
			score = min(score, 1)
		}
		if !r.applyLog(l, from) {
			score = min(score, 1)
		}
		from = 0
	}
	return score
}
