package dovecot

import "slices"

// Files are the files of one index: of a mailbox, of mdbox's map, or of the mailbox list. nil means that the file does
// not exist; empty and not nil, that it has no bytes, which Dovecot treats very differently.
type Files struct{ Index, Backup, Log, Log2 []byte }

// parsed are the files as their readers see them.
type parsed struct {
	index, backup *Index // nil: does not exist
	log, log2     *Log
	clean         map[*Index]bool // the reader found nothing wrong
	list          []Fault
}

func parseFiles(f Files) *parsed {
	p := &parsed{clean: map[*Index]bool{}}
	index := func(b []byte, name string) *Index {
		if b == nil {
			return nil
		}
		x, list := ParseIndex(b)
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
	p.index, p.backup, p.log, p.log2 = index(f.Index, "index"), index(f.Backup, "backup"), log(f.Log, "log"), log(f.Log2, "log2")
	return p
}

func (p *parsed) note(file string, list []Fault) {
	for _, f := range list {
		f.File = file
		p.list = append(p.list, f)
	}
}

// logs are the logs that hold anything, oldest first, one of each sequence.
func (p *parsed) logs() []*Log {
	var out []*Log
	for _, l := range []*Log{p.log, p.log2} {
		if l != nil && len(l.Records) > 0 && !slices.ContainsFunc(out, func(o *Log) bool { return o.Header.Seq == l.Header.Seq }) {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b *Log) int {
		if a.Header.Seq < b.Header.Seq {
			return -1
		}
		return 1
	})
	return out
}

func (p *parsed) fileOf(l *Log) string {
	if l == p.log2 {
		return "log2"
	}
	return "log"
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

func (p *parsed) replay() (best *State, bestFaults []Fault) {
	bestScore := -1
	for _, base := range []Base{BaseIndex, BaseZero, BaseBackup, BaseNone} {
		s, list, score := p.replayFrom(base)
		if s == nil || score <= bestScore {
			continue
		}
		best, bestFaults, bestScore = s, list, score
		if score >= soundScore {
			break
		}
	}
	return best, bestFaults
}

// ReplayFrom is Replay from a given base, for comparing what different chains tell. ok is false where the files do not
// have that base.
func ReplayFrom(f Files, base Base) (s *State, list []Fault, ok bool) {
	p := parseFiles(f)
	s, list, _ = p.replayFrom(base)
	return s, append(p.list, list...), s != nil
}

// A sound base counts 2 and a complete, sound chain of logs 2 more.
const soundScore = 4

// replayFrom applies the logs to a base. The score says how much the outcome can be trusted.
func (p *parsed) replayFrom(base Base) (*State, []Fault, int) {
	r := newReplayer(p)
	score := 2
	switch base {
	case BaseIndex, BaseBackup:
		x := p.index
		if base == BaseBackup {
			x = p.backup
		}
		if x == nil || x.Unusable != "" && len(x.Records) == 0 {
			return nil, nil, 0
		}
		if !p.clean[x] {
			score = 1
		}
		r.fromIndex(x)
	case BaseZero:
		if !slices.ContainsFunc(p.logs(), func(l *Log) bool { return l.Header.PrevSeq == 0 }) {
			return nil, nil, 0
		}
		r.fromNothing(0)
	case BaseNone:
		score = 0
		r.fromNothing(0)
	}
	r.s.Base = base
	chain := r.chain(base)
	if base == BaseNone && len(p.logs()) > 0 {
		chain = 0
	}
	r.s.Complete, r.s.Tail = chain == 2, r.tail
	r.s.finish()
	r.pending()
	return r.s, r.fs.all(), score + chain
}

// chain finds the logs that continue the base, applies them, and says how well they do: 2 wholly, 1 up to damage or
// with a log that knows less than the base, 0 with a gap.
func (r *replayer) chain(base Base) int {
	logs := r.p.logs()
	if base == BaseZero || base == BaseNone {
		from := 0
		for i, l := range logs {
			if l.Header.PrevSeq == 0 {
				from = i
			}
		}
		return r.apply(logs[from:], 0)
	}
	h := parseIndexHeader(r.s.raw[:])
	at := Position{h.LogSeq, int64(h.LogHead)}
	r.tail = Position{h.LogSeq, int64(h.LogTail)}
	logs = slices.DeleteFunc(logs, func(l *Log) bool { return l.Header.Seq < at.Seq })
	own := slices.DeleteFunc(slices.Clone(logs), func(l *Log) bool { return l.Header.IndexID != h.IndexID && l.Header.IndexID != 0 })
	if r.s.Doubtful { // every change names what it sets: to apply one twice does no harm
		r.lost = true
		r.apply(logs, logHeaderSize)
		return 0
	}
	if len(own) == 0 && len(logs) > 0 {
		l := logs[len(logs)-1]
		r.fault(l, 4, "log-foreign", "the log belongs to index %d, the base is index %d", l.Header.IndexID, h.IndexID)
		if l.Header.IndexID < h.IndexID { // an index id is a time of creation: the log is left over from an earlier life
			return 2
		}
		return 0
	}
	if len(own) == 0 {
		r.fs.file = string(base)
		r.fs.add(60, "log-missing", "the base was written at log %d offset %d, and no log from there on exists", at.Seq, at.Offset)
		return 0
	}
	first := own[0]
	switch {
	case len(own) > 1 && own[1].Header.PrevSeq == at.Seq && int64(own[1].Header.PrevOffset) == at.Offset:
		return r.apply(own[1:], 0)
	case first.Header.PrevSeq == at.Seq && int64(first.Header.PrevOffset) == at.Offset:
		return r.apply(own, 0)
	case first.Header.Seq == at.Seq && at.Offset <= first.Size:
		return r.apply(own, at.Offset)
	case first.Header.Seq == at.Seq:
		r.fault(first, int(first.Size), "log-shorter-than-base", "the base knows the log up to %d, the log has only %d bytes", at.Offset, first.Size)
		return min(r.apply(own, first.Size), 1)
	case first.Header.PrevSeq == 0:
		return r.apply(own, 0)
	}
	r.fault(first, 8, "log-gap", "the base was written at log %d offset %d, but the oldest log is %d", at.Seq, at.Offset, first.Header.Seq)
	r.lost = true
	r.apply(own, 0)
	return 0
}

// apply applies logs from an offset in the first one on.
func (r *replayer) apply(logs []*Log, from int64) int {
	score := 2
	for i, l := range logs {
		if l.Header.PrevSeq == 0 && from <= int64(l.Header.HeaderSize) {
			r.reset(l)
		}
		if i > 0 && l.Header.PrevSeq != 0 && (l.Header.PrevSeq != logs[i-1].Header.Seq || int64(l.Header.PrevOffset) != logs[i-1].SyncOffset) {
			r.fault(l, 12, "log-gap", "log %d continues log %d at %d, but what precedes it is log %d, which ends at %d",
				l.Header.Seq, l.Header.PrevSeq, l.Header.PrevOffset, logs[i-1].Header.Seq, logs[i-1].SyncOffset)
			score = min(score, 1)
		}
		if l.SyncOffset != l.Size || l.Unusable != "" {
			score = min(score, 1)
		}
		r.applyLog(l, from)
		from = 0
	}
	return score
}
