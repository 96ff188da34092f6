package dovecot

import (
	"bytes"
	"slices"
)

// Recalled are the files of an index as they would be without what was lost of them since a copy of them was made.
type Recalled struct {
	Files
	Whole bool // nothing that was noted after the copy is known to be lost
}

// Recall joins the files of an index, now, with a sound copy of them that was made earlier, then. A log grows only at its end, and is
// no longer changed once it was rotated away; so as far as the copy has a log that is still in use, the copy's bytes are the log's, and what the
// copy's index tells is what came before all that the logs of now tell. ok is false where the copy cannot help: it is damaged itself,
// it is of another index, or a sound file of now was written later than the copy.
func Recall(now, then Files) (r Recalled, ok bool) {
	was, _ := Replay(then)
	if !was.Exact {
		return Recalled{}, false
	}
	end := was.end()
	past, present := parseFiles(then), parseFiles(now)
	logs := map[uint32][]byte{}
	for _, l := range []*Log{past.log2, past.log} {
		if l != nil && l.Unusable == "" {
			logs[l.Header.Seq] = past.bytes(l, then)[:l.SyncOffset]
		}
	}
	j := joiner{id: was.IndexID, end: end, logs: logs}
	j.add(present.log2, now.Log2)
	whole := j.add(present.log, now.Log)
	var backup []byte
	best := Position{}
	for i, x := range []*Index{present.index, present.backup, past.index, past.backup} {
		if x == nil || x.Unusable != "" {
			continue
		}
		p, of := present, i < 2
		if !of {
			p = past
		}
		switch {
		case !p.clean[x]:
		case x.Header.IndexID != was.IndexID:
			j.foreign = true
		case of && !x.position().before(end):
			return Recalled{}, false
		case i > 0 && (backup == nil || best.before(x.position())):
			best, backup = x.position(), [][]byte{nil, now.Backup, then.Index, then.Backup}[i]
		}
	}
	if j.foreign && !j.known {
		return Recalled{}, false
	}
	r = Recalled{Files: Files{Index: now.Index, Backup: backup}, Whole: whole}
	var seqs []uint32
	for seq := range j.logs {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	slices.Reverse(seqs)
	for i, seq := range seqs {
		switch b := j.logs[seq]; i {
		case 0:
			r.Log = b
		case 1:
			r.Log2 = b
		default:
			r.Older = append(r.Older, b)
		}
	}
	return r, true
}

// joiner puts logs together, by their sequence.
type joiner struct {
	id      uint32
	end     Position // of what the copy tells
	logs    map[uint32][]byte
	known   bool // a log of now belongs to the copy's index
	foreign bool // a file of now belongs to another one
}

// add takes a log of now. whole reports whether it is one that reaches at least as far as the copy does.
func (j *joiner) add(l *Log, b []byte) (whole bool) {
	if l == nil || len(b) == 0 {
		return false
	}
	for seq, had := range j.logs {
		if !sameLog(l, b, had) {
			continue
		}
		j.known = true
		if len(b) > len(had) {
			j.logs[seq] = slices.Concat(had, b[len(had):])
		}
		return len(b) >= len(had)
	}
	switch {
	case !l.plausible() || len(l.Records) == 0:
		return false
	case l.Header.IndexID != j.id:
		j.foreign = true
		return false
	}
	j.known = true
	j.logs[l.Header.Seq] = b
	return l.Header.Seq > j.end.Seq
}

// WasLonger reports whether a log has lost its end since a copy of it was made: the copy is it, and goes on.
func WasLonger(now, then []byte) bool {
	if len(now) < logHeaderMinSize || !bytes.HasPrefix(then, now) {
		return false
	}
	l, _ := ParseLog(then)
	return l.Unusable == "" && l.SyncOffset > int64(len(now))
}

// sameLog reports whether a log is the one of which an earlier copy has the beginning: its header says so, or the header is damaged
// and most of what follows is the same.
func sameLog(l *Log, b, had []byte) bool {
	h, _ := ParseLog(had)
	if l.plausible() {
		return l.Header.Seq == h.Header.Seq && l.Header.Created == h.Header.Created && (l.Header.IndexID == h.Header.IndexID || l.Header.IndexID == 0)
	}
	n := min(len(b), len(had))
	if n < 2*logHeaderSize {
		return false
	}
	same := 0
	for i := logHeaderSize; i < n; i++ {
		if b[i] == had[i] {
			same++
		}
	}
	return same >= (n-logHeaderSize)*3/4
}

// Replay is [Replay] of what was recalled. Where something that was noted after the copy may be lost, the state is not exact.
// exist are messages that exist by other evidence, as [ReplayKnowing] takes them.
func (r Recalled) Replay(exist []UID) (*State, []Fault) {
	s, list := ReplayKnowing(r.Files, exist)
	if !r.Whole {
		s.Exact, s.Complete = false, false
	}
	return s, list
}

// bytes are those that a log was read from.
func (p *parsed) bytes(l *Log, f Files) []byte {
	if l == p.log2 {
		return f.Log2
	}
	return f.Log
}

// end is up to where a state knows the logs.
func (s *State) end() Position {
	if s.End != (Position{}) {
		return s.End
	}
	h := parseIndexHeader(s.raw[:])
	return Position{h.LogSeq, int64(h.LogHead)}
}

// position is where in the logs an index file was written.
func (x *Index) position() Position { return Position{x.Header.LogSeq, int64(x.Header.LogHead)} }

func (p Position) before(o Position) bool {
	return p.Seq < o.Seq || p.Seq == o.Seq && p.Offset < o.Offset
}

// Tells reports whether anything is in any of the files.
func (f Files) Tells() bool {
	return slices.ContainsFunc([][]byte{f.Index, f.Backup, f.Log, f.Log2}, func(b []byte) bool { return len(bytes.Trim(b, "\x00")) > 0 })
}
