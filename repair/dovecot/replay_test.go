package dovecot

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
)

// logFile puts a log together: records are framed as Dovecot frames them.
func logFile(seq, prevSeq, prevOffset uint32, records ...[]byte) []byte {
	b := make([]byte, logHeaderSize)
	b[0], b[1], b[2], b[32] = 1, 3, logHeaderSize, 1
	le.PutUint32(b[4:], 1000)
	le.PutUint32(b[8:], seq)
	le.PutUint32(b[12:], prevSeq)
	le.PutUint32(b[16:], prevOffset)
	le.PutUint64(b[24:], 1)
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

func logRecord(t LogType, flags uint32, payload ...uint32) []byte {
	n := uint32(8+4*len(payload)) / 4
	b := []byte{byte(n>>21) | 0x80, byte(n>>14) | 0x80, byte(n>>7) | 0x80, byte(n) | 0x80}
	b = le.AppendUint32(b, uint32(t)|flags)
	for _, p := range payload {
		b = le.AppendUint32(b, p)
	}
	return b
}

const external = logExternalFlag

func uids(s *State) []UID {
	var out []UID
	for i := range s.Records {
		out = append(out, s.Records[i].UID)
	}
	return out
}

func TestReplayAppliesLogs(t *testing.T) {
	intro := func(id uint32, name ...uint32) []byte {
		return logRecord(LogExtIntro, external, append([]uint32{id, 0, 0, 4 | 4<<16, uint32(4*len(name)) << 16}, name...)...)
	}
	const aaaa, bbbb = 0x61616161, 0x62626262
	kw := logRecord(LogKeywordUpdate, external, 0|4<<16, aaaa, 1, 1)
	tests := []struct {
		name    string
		records [][]byte
		check   func(t *testing.T, s *State)
	}{
		{"an expunge that is external removes", [][]byte{logRecord(LogAppend, external, 1, 0, 2, 8), logRecord(LogExpunge, external, 1, 1)}, func(t *testing.T, s *State) {
			if got := uids(s); !slices.Equal(got, []UID{2}) || s.NextUID != 3 {
				t.Errorf("got %v, next %d", got, s.NextUID)
			}
		}},
		{"an expunge that is not is pending", [][]byte{logRecord(LogAppend, external, 1, 0, 2, 8), logRecord(LogExpunge, 0, 2, 0xffffffff)}, func(t *testing.T, s *State) {
			if !slices.Equal(uids(s), []UID{1, 2}) || !slices.Equal(s.PendingExpunge, []UID{2}) {
				t.Errorf("got %v, pending %v", uids(s), s.PendingExpunge)
			}
		}},
		{"flags are removed, then added", [][]byte{logRecord(LogAppend, external, 1, 3), logRecord(LogFlagUpdate, 0, 1, 9, 0xff<<8|0x08)}, func(t *testing.T, s *State) {
			if s.Records[0].Flags != FlagSeen {
				t.Errorf("got %v", s.Records[0].Flags)
			}
		}},
		{"the first keyword takes an extension number", [][]byte{logRecord(LogAppend, external, 1, 0), kw, intro(noExtID, bbbb), logRecord(LogExtRecUpdate, external, 1, 5),
			intro(1), logRecord(LogExtRecUpdate, external, 1, 7)}, func(t *testing.T, s *State) {
			if v := s.Value(&s.Records[0], s.Ext("bbbb")); u32(v, 0) != 7 || !slices.Equal(s.KeywordNames(&s.Records[0]), []string{"aaaa"}) {
				t.Errorf("got %v %v", v, s.KeywordNames(&s.Records[0]))
			}
		}},
		{"a reset voids values", [][]byte{logRecord(LogAppend, external, 1, 0), intro(noExtID, bbbb), logRecord(LogExtRecUpdate, external, 1, 5), logRecord(LogExtReset, external, 9, 0)}, func(t *testing.T, s *State) {
			if v := s.Value(&s.Records[0], s.Ext("bbbb")); v != nil || s.Ext("bbbb").ResetID != 9 {
				t.Errorf("got %v", v)
			}
		}},
		{"a number does not fall below zero", [][]byte{logRecord(LogAppend, external, 1, 0), intro(noExtID, bbbb), logRecord(LogExtAtomicInc, external, 1, 3), logRecord(LogExtAtomicInc, external, 1, 0xfffffff0)}, func(t *testing.T, s *State) {
			if v := s.Value(&s.Records[0], s.Ext("bbbb")); u32(v, 0) != 3 {
				t.Errorf("got %v", v)
			}
		}},
		{"the next UID does not shrink", [][]byte{logRecord(LogAppend, external, 7, 0), logRecord(LogHeaderUpdate, external, 28|4<<16, 3)}, func(t *testing.T, s *State) {
			if s.NextUID != 8 {
				t.Errorf("got %d", s.NextUID)
			}
		}},
		{"a deletion can be taken back", [][]byte{logRecord(LogIndexDeleted, external, 0), logRecord(LogIndexUndeleted, external, 0), logRecord(LogAppend, external, 7, 0)}, func(t *testing.T, s *State) {
			if s.Deleted {
				t.Error("deleted")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := Replay(Files{Log: logFile(2, 0, 0, tt.records...)})
			tt.check(t, s)
		})
	}
}

func TestReplayFollowsTheChainOfLogs(t *testing.T) {
	valid := logRecord(LogHeaderUpdate, external, 24|4<<16, 77)
	first := logFile(2, 0, 0, valid, logRecord(LogAppend, external, 1, 0))
	second := logFile(3, 2, uint32(len(first)), logRecord(LogAppend, external, 2, 0))
	anew := logFile(3, 0, 0, valid, logRecord(LogAppend, external, 9, 0))
	gap := logFile(5, 4, 900, logRecord(LogAppend, external, 8, 0))
	tests := []struct {
		name     string
		f        Files
		uids     []UID
		base     Base
		complete bool
		verdict  Verdict
	}{
		{"both logs", Files{Log: second, Log2: first}, []UID{1, 2}, BaseZero, true, VerdictSame},
		{"a log that starts anew", Files{Log: anew, Log2: first}, []UID{9}, BaseZero, true, VerdictSame},
		{"the first log is missing", Files{Log: second}, []UID{2}, BaseNone, false, VerdictRebuild},
		{"logs with a gap", Files{Log: gap, Log2: first}, []UID{1, 8}, BaseZero, false, VerdictRebuildLoses},
		{"only the older log", Files{Log2: first}, []UID{1}, BaseZero, true, VerdictEmpty},
		{"nothing", Files{}, nil, BaseNone, true, VerdictSame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := Replay(tt.f)
			if !slices.Equal(uids(s), tt.uids) || s.Base != tt.base || s.Complete != tt.complete {
				t.Errorf("got %v from %q, complete %v; want %v from %q, %v", uids(s), s.Base, s.Complete, tt.uids, tt.base, tt.complete)
			}
			if _, v, _ := Sees(tt.f); v != tt.verdict {
				t.Errorf("verdict is %q, want %q", v, tt.verdict)
			}
		})
	}
}

func TestReplayReadsOnBehindDamage(t *testing.T) {
	var records [][]byte
	for i := range uint32(20) {
		records = append(records, logRecord(LogAppend, external, i+1, i%2*8))
	}
	b := logFile(2, 0, 0, records...)
	copy(b[40+16*8:], "sixteen bytes ..")
	s, list := Replay(Files{Log: b})
	if len(s.Records) != 19 || len(list) == 0 || s.Complete {
		t.Errorf("got %d records, faults %v", len(s.Records), list)
	}
	for _, r := range s.Records {
		if r.Recovered != (r.UID > 8) {
			t.Errorf("UID %d: recovered is %v", r.UID, r.Recovered)
		}
	}
}

func TestReplayBearsCostlyLogs(t *testing.T) {
	var records [][]byte
	for i := range uint32(3000) {
		records = append(records, logRecord(LogAppend, external, i+1, 0))
	}
	for i := range uint32(3000) { // every record gets every keyword, over and over
		records = append(records, logRecord(LogKeywordUpdate, 0, 4<<16, 0x41414141+i*3, 1, 0xffffffff),
			logRecord(LogExtIntro, 0, noExtID, 0, 16<<20-1, 32767|1<<16, 4<<16, 0x61616161+i%20+i/20%20<<8+i/400<<16), logRecord(LogExtHdrUpdate32, 0, 16<<20-8, 4, 1))
	}
	b := logFile(2, 0, 0, records...)
	checkBounds(t, len(b), func() []Fault {
		s, list := Replay(Files{Log: b})
		if len(s.Records) != 3000 || len(list) == 0 {
			t.Errorf("got %d records, faults %v", len(s.Records), list)
		}
		return list
	})
}

func TestJustRotatedLogWithoutRecordsIsTheEndOfTheChain(t *testing.T) {
	index := readVector(t, filepath.Join("testdata", "index", "whole.vec")).data
	x, _ := ParseIndex(index)
	h := x.Header
	begun := func(prev uint32) []byte {
		log := logFile(h.LogSeq+1, prev, h.LogHead)
		le.PutUint32(log[4:], h.IndexID)
		return log
	}
	rotated := bytes.Clone(index) // written when the new log had been begun
	le.PutUint32(rotated[60:], h.LogSeq+1)
	le.PutUint32(rotated[64:], logHeaderSize)
	le.PutUint32(rotated[68:], logHeaderSize)
	for _, c := range []struct {
		what  string
		f     Files
		exact bool
		count int
	}{
		{"just rotated", Files{Index: rotated, Log: begun(h.LogSeq)}, true, len(x.Records)},
		{"written before it was rotated", Files{Index: index, Log: begun(h.LogSeq)}, true, len(x.Records)},
		{"without any log", Files{Index: rotated}, false, len(x.Records)},
		{"a log that continues no other tells nothing", Files{Log: begun(0)}, false, 0},
	} {
		s, _ := Replay(c.f)
		if s.Exact != c.exact || len(s.Records) != c.count {
			t.Errorf("%s: exact %v with %d messages from %q, want %v with %d", c.what, s.Exact, len(s.Records), s.Base, c.exact, c.count)
		}
	}
}
