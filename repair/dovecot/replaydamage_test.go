package dovecot

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
)

// aged is an index as Dovecot keeps it over time, with all four files: some changes, a snapshot that becomes the backup,
// more changes, another snapshot, and changes after it. It returns the files and what they tell.
func aged(t testing.TB) (Files, *State) {
	t.Helper()
	var log2, log []byte
	app := func(b *[]byte, recs ...[]byte) {
		for _, r := range recs {
			*b = append(*b, r...)
		}
	}
	kw := func(name uint32, remove uint32, first, last uint32) []byte {
		return logRecord(LogKeywordUpdate, external, remove|4<<16, name, first, last)
	}
	const work, late = 0x6b726f57, 0x6574616c
	at := func(f Files) *State {
		s, list := Replay(f)
		for _, l := range list {
			if l.Rule != "log-missing" {
				t.Fatalf("faults: %v", list)
			}
		}
		return s
	}
	snapshot := func(s *State, seq uint32, offset int) []byte {
		n := &NewIndex{IndexID: s.IndexID, UIDValidity: s.UIDValidity, NextUID: s.NextUID, FirstRecent: s.FirstRecent, Keywords: s.Keywords,
			Exts: []NewExt{{Name: "mdbox-hdr", Header: bytes.Repeat([]byte{1}, 24)}, {Name: "mdbox", Size: 8, Align: 4}, {Name: "guid", Size: 16, Align: 1}}}
		for i := range s.Records {
			r := &s.Records[i]
			w := NewRecord{UID: r.UID, Flags: r.Flags, Data: [][]byte{nil, le.AppendUint64(nil, uint64(r.UID)), bytes.Repeat([]byte{byte(r.UID)}, 16)}}
			for k := range s.Keywords {
				if k/8 < len(r.bits) && r.bits[k/8]&(1<<(k%8)) != 0 {
					w.Keywords = append(w.Keywords, k)
				}
			}
			n.Records = append(n.Records, w)
		}
		b, err := n.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		le.PutUint32(b[60:], seq)
		le.PutUint32(b[64:], uint32(offset))
		le.PutUint32(b[68:], uint32(offset))
		return b
	}
	log2 = logFile(7, 0, 0, logRecord(LogHeaderUpdate, external, 24|4<<16, 77))
	for i := range uint32(30) {
		app(&log2, logRecord(LogAppend, external, i+1, i%3*8))
	}
	app(&log2, kw(work, 0, 3, 9), logRecord(LogExpunge, external, 5, 6))
	backup := snapshot(at(Files{Log: log2}), 7, len(log2))
	for i := range uint32(12) {
		app(&log2, logRecord(LogFlagUpdate, 0, 10+i, 10+i, 1), logRecord(LogAppend, external, 31+i, 0))
	}
	app(&log2, kw(late, 0, 20, 24))
	log = logFile(8, 7, uint32(len(log2)), logRecord(LogFlagUpdate, 0, 1, 4, 2))
	index := snapshot(at(Files{Backup: backup, Log: log, Log2: log2}), 8, len(log))
	app(&log, logRecord(LogExpunge, external, 12, 13), kw(work, 1, 3, 4))
	for i := range uint32(9) {
		app(&log, logRecord(LogFlagUpdate, 0, 14+2*i, 14+2*i, 8), logRecord(LogAppend, external, 43+i, 8))
	}
	f := Files{Index: index, Backup: backup, Log: log, Log2: log2}
	return f, at(f)
}

// TestReplayOfOneDamagedFileTellsWhatTheOthersTell damages one of the four files, in many places: as long as the other three
// tell everything, nothing may be lost.
func TestReplayOfOneDamagedFileTellsWhatTheOthersTell(t *testing.T) {
	f, truth := aged(t)
	// The log from zero is gone from Dovecot's folder after some days: then only index, backup and later logs tell.
	later := bytes.Clone(f.Log2)
	le.PutUint32(later[12:], 6)
	for _, whole := range []bool{true, false} {
		base := f
		if !whole {
			base.Log2 = later
		}
		for name, of := range map[string]func(*Files) *[]byte{"index": func(f *Files) *[]byte { return &f.Index }, "backup": func(f *Files) *[]byte { return &f.Backup },
			"log2": func(f *Files) *[]byte { return &f.Log2 }} {
			size := len(*of(&base))
			rng := rand.New(rand.NewPCG(1, uint64(size)))
			for range 400 {
				d := base
				b := bytes.Clone(*of(&d))
				from := rng.IntN(size)
				n := 1 + rng.IntN(200)
				kind := rng.IntN(4)
				switch kind {
				case 0:
					for i := from; i < min(from+n, size); i++ {
						b[i] = byte(rng.Uint32())
					}
				case 1:
					clear(b[from:min(from+n, size)])
				case 2:
					b = b[:from]
				case 3:
					b = nil
				}
				*of(&d) = b
				s, _ := Replay(d)
				if diff := diffLines(summary(s), summary(truth)); diff != "" || s.UIDValidity != truth.UIDValidity || s.NextUID != truth.NextUID {
					t.Errorf("%s, from nothing %v, kind %d at %d+%d of %d (base %s): UIDVALIDITY %d next %d: %.300s", name, whole, kind, from, n, size, s.Base, s.UIDValidity, s.NextUID, diff)
				}
			}
		}
	}
}

// TestWhatIsMissingBehindTheLastLogIsNotExact: Dovecot keeps two logs. Where the later one is gone, dovecot.index names it, and
// neither the index nor its backup with the earlier log tell everything.
func TestWhatIsMissingBehindTheLastLogIsNotExact(t *testing.T) {
	f, _ := aged(t)
	if s, _ := Replay(f); !s.Exact {
		t.Fatal("all files together are not exact")
	}
	f.Log = nil
	s, list := Replay(f)
	if s.Exact || s.Base != BaseIndex {
		t.Errorf("without the last log: exact %v, base %v, %v", s.Exact, s.Base, list)
	}
}

func TestARecordOfAnUnknownTypeIsNotEverything(t *testing.T) {
	log := logFile(1, 0, 0, logRecord(LogAppend, external, 1, 0, 2, 8), logRecord(0x2000, external, 7), logRecord(LogAppend, external, 3, 0))
	s, _ := Replay(Files{Log: log})
	if s.Exact || len(s.Records) != 3 {
		t.Errorf("exact %v, %v", s.Exact, uids(s))
	}
}

func TestUIDsThatADamagedLogMayHaveGivenAreAGap(t *testing.T) {
	log := logFile(1, 0, 0, logRecord(LogAppend, external, 1, 0, 2, 8), []byte("garbage garbage garbage garbage!"), logRecord(LogAppend, external, 5, 0), logRecord(LogAppend, external, 6, 0))
	s, _ := Replay(Files{Log: log})
	if len(s.Gaps) != 1 || s.Gaps[0] != (UIDRange{3, 4}) {
		t.Errorf("gaps %v, %v", s.Gaps, uids(s))
	}
}

// TestALogAloneTellsItsExtensionsByTheirShape: a log that does not begin with nothing calls extensions by numbers that only the
// lost index explains.
func TestALogAloneTellsItsExtensionsByTheirShape(t *testing.T) {
	intro := func(id, reset uint32) []byte { return logRecord(LogExtIntro, external, id, reset, 0, 4|4<<16, 0) }
	log := logFile(6, 5, 40, logRecord(LogAppend, external, 61, 8), intro(1, 77), logRecord(LogExtRecUpdate, external, 61, 500),
		intro(4, 0), logRecord(LogExtRecUpdate, external, 61, 574))
	s, _ := Replay(Files{Log: log})
	r := s.Find(61)
	if r == nil {
		t.Fatalf("no message 61: %v", uids(s))
	}
	if offset, reset, ok := s.CacheOffset(r); !ok || offset != 500 || reset != 77 {
		t.Errorf("cache %d, %d, %v", offset, reset, ok)
	}
	if size, ok := s.VirtualSize(r); !ok || size != 573 { // it is stored with 1 added
		t.Errorf("virtual size %d, %v", size, ok)
	}
}

// TestAnIndexThatEndsInItsHeadersHasNoRecords: what stands there looks like records, now and then. With the older log gone the backup is
// not complete, but it tells of every message.
func TestAnIndexThatEndsInItsHeadersHasNoRecords(t *testing.T) {
	f, truth := aged(t)
	x, _ := ParseIndex(f.Index)
	f.Log2 = nil
	for at := indexHeaderSize; at < int(x.Header.HeaderSize); at++ {
		d := f
		d.Index = f.Index[:at]
		s, _ := Replay(d)
		for i := range s.Records {
			if r := &s.Records[i]; r.UID >= truth.NextUID {
				t.Fatalf("cut at %d: UID %d, the next one is %d", at, r.UID, truth.NextUID)
			}
		}
		for i := range truth.Records {
			if uid := truth.Records[i].UID; uid <= 30 && s.Find(uid) == nil {
				t.Fatalf("cut at %d: UID %d is in the backup, and not found (base %s)", at, uid, s.Base)
			}
		}
	}
}

// TestAnIndexAheadOfALogThatStartsFromNothingIsAsked: the log ends between two transactions, before the place where the index was written.
func TestAnIndexAheadOfALogThatStartsFromNothingIsAsked(t *testing.T) {
	log := readVector(t, filepath.Join("testdata", "log", "whole.vec")).data
	index := readVector(t, filepath.Join("testdata", "index", "whole.vec")).data
	base, _ := ParseIndex(index)
	l, _ := ParseLog(log)
	cuts := 0
	for i := range l.Records {
		at := l.Records[i].Offset
		if alone, _ := Replay(Files{Log: log[:at]}); !alone.Exact || at >= int64(base.Header.LogHead) {
			continue
		}
		cuts++
		for what, f := range map[string]Files{"index": {Index: index, Log: log[:at]}, "backup": {Backup: index, Log: log[:at]}} {
			s, list := Replay(f)
			if s.Exact || s.NextUID != base.Header.NextUID || len(s.Records) != len(base.Records) {
				t.Errorf("%s, log cut at %d: exact %v, next UID %d, %d messages; want %d, %d", what, at, s.Exact, s.NextUID, len(s.Records), base.Header.NextUID, len(base.Records))
			}
			if !slices.ContainsFunc(list, func(f Fault) bool { return f.Rule == "log-shorter-than-base" }) {
				t.Errorf("%s, log cut at %d: %v", what, at, list)
			}
		}
	}
	if cuts == 0 {
		t.Fatal("the index was written before the log's first end")
	}
}
