package dovecot

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"
)

// flippedFiles are the files of an index whose log from before dovecot.index is gone, as Dovecot has them after two days; of UIDs at
// two places one bit is flipped, or n bytes are noise. The backup is older: it does not know the last flags. guids is whether records tell
// their message.
func flippedFiles(t *testing.T, guids bool, damage func(index []byte, at func(record int) int)) (Files, *State) {
	t.Helper()
	x := &NewIndex{IndexID: 1000, UIDValidity: 77, NextUID: 60, Exts: []NewExt{{Name: "cache", Size: 4, Align: 4}, {Name: "guid", Size: 16, Align: 1}}}
	add := func(uid UID, flags Flags) {
		r := NewRecord{UID: uid, Flags: flags, Data: [][]byte{le.AppendUint32(nil, 400+8*uint32(uid)), nil}}
		if guids {
			r.Data[1] = bytes.Repeat([]byte{byte(uid)}, 16)
		}
		x.Records = append(x.Records, r)
	}
	for uid := range UID(58) {
		if uid = uid + 1; uid%13 != 0 && uid != 20 { // those are expunged
			add(uid, 0)
		}
	}
	write := func(seq, head uint32) []byte {
		b, err := x.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		le.PutUint32(b[60:], seq)
		le.PutUint32(b[64:], head)
		le.PutUint32(b[68:], head)
		return b
	}
	backup := write(6, 400)
	for i := range x.Records {
		x.Records[i].Flags = Flags(i % 7) // what only dovecot.index knows
	}
	x.Records = slices.DeleteFunc(x.Records, func(r NewRecord) bool { return r.UID == 30 })
	f := Files{Index: write(8, logHeaderSize), Backup: backup, Log: logFile(8, 7, 900)}
	truth, _ := Replay(f)
	if !truth.Exact || len(truth.Records) != 52 {
		t.Fatalf("before the damage: exact %v, %d messages", truth.Exact, len(truth.Records))
	}
	p, _ := ParseIndex(f.Index)
	damage(f.Index, func(record int) int { return int(p.Records[record].Offset) })
	return f, truth
}

// TestAFlippedBitOfAUIDLosesNothing flips each bit of each UID so that the record no longer fits between its neighbours. An impostor may take the
// place of a message that is there: it must not hide it, nor take its flags.
func TestAFlippedBitOfAUIDLosesNothing(t *testing.T) {
	for _, guids := range []bool{true, false} {
		for _, backup := range []bool{true, false} {
			unsure := 0
			for record := 1; record < 51; record++ {
				for bit := range 32 {
					fits := false
					f, truth := flippedFiles(t, guids, func(b []byte, at func(int) int) {
						uid := le.Uint32(b[at(record):]) ^ 1<<bit
						fits = uid > le.Uint32(b[at(record-1):]) && uid < le.Uint32(b[at(record+1):])
						le.PutUint32(b[at(record):], uid)
					})
					if fits {
						continue
					}
					if !backup {
						f.Backup = nil
					}
					s, _ := Replay(f)
					same := sameState(truth, s)
					if !same && !backup {
						unsure++
					}
					if backup && !same {
						t.Errorf("GUIDs %v, record %d bit %d: %v", guids, record, bit, diffLines(summary(s), summary(truth)))
					}
					for i := range truth.Records {
						if uid := truth.Records[i].UID; s.Find(uid) == nil && s.Knew(uid) {
							t.Errorf("GUIDs %v, backup %v, record %d bit %d: UID %d is taken for expunged", guids, backup, record, bit, uid)
						}
					}
				}
			}
			if unsure > 100 {
				t.Errorf("GUIDs %v: without a backup %d are not sure", guids, unsure)
			}
		}
	}
}

// TestNoiseInARecordIsNotBelievedWhereTheBackupTells: noise may begin amid a record whose UID is right.
func TestNoiseInARecordIsNotBelievedWhereTheBackupTells(t *testing.T) {
	for _, guids := range []bool{true, false} {
		for from := 4; from < 32; from++ {
			f, truth := flippedFiles(t, guids, func(b []byte, at func(int) int) {
				for i := at(21) + from; i < at(23)+4; i++ {
					b[i] = byte(i*7) | 0x91
				}
			})
			s, _ := Replay(f)
			for i := range truth.Records {
				want := &truth.Records[i]
				got := s.Find(want.UID)
				if got == nil {
					t.Fatalf("GUIDs %v, from byte %d: UID %d is missing", guids, from, want.UID)
				}
				old := i >= 21 && i < 24 // what the backup tells is older
				if id, _ := s.GUID(got); !old && got.Flags != want.Flags || got.Flags > 7 || guids && id[0] != byte(want.UID) {
					t.Errorf("GUIDs %v, from byte %d: UID %d has flags %v and GUID %v", guids, from, want.UID, got.Flags, id)
				}
			}
		}
	}
}

func TestUIDsInEveryLongestRunAreSure(t *testing.T) {
	for _, c := range []struct {
		uids []UID
		sure string
	}{
		{[]UID{1, 2, 3}, "[true true true]"},
		{[]UID{1, 9, 2, 3}, "[true false true true]"},
		{[]UID{13, 14, 14, 16}, "[true false false true]"},
		{[]UID{13, 15, 14, 20}, "[true false false true]"},
		{[]UID{2, 1}, "[false false]"},
		{[]UID{0, 5, 0}, "[false true false]"},
		{nil, "[]"},
	} {
		if got := fmt.Sprint(inEvery(c.uids)); got != c.sure {
			t.Errorf("%v: %s, want %s", c.uids, got, c.sure)
		}
	}
}

// TestTheBackupTellsWhatWasGoneBehindACut: the index ends early. A message that the backup must have known and does not was expunged.
func TestTheBackupTellsWhatWasGoneBehindACut(t *testing.T) {
	f, truth := flippedFiles(t, true, func([]byte, func(int) int) {})
	x, _ := ParseIndex(f.Index)
	f.Index = f.Index[:x.Records[21].Offset]
	s, _ := Replay(f)
	for i := range truth.Records {
		if uid := truth.Records[i].UID; s.Find(uid) == nil {
			t.Errorf("UID %d is missing", uid)
		}
	}
	for _, uid := range []UID{13, 20, 26, 39, 52} {
		if !s.Knew(uid) || s.Find(uid) != nil {
			t.Errorf("UID %d is not known to be gone; gaps %v", uid, s.Gaps)
		}
	}
}

// TestRoomIsMadeInTimeThatGrowsWithTheRecords: in each stretch room for one record is missing, and there is some behind the next, so
// that all that came before is joined again and again.
func TestRoomIsMadeInTimeThatGrowsWithTheRecords(t *testing.T) {
	const n = 2_000_000
	records, sure := make([]IndexRecord, n), make([]bool, n)
	uid := UID(1)
	for i := range records {
		records[i].UID, sure[i] = uid, i%4 != 1
		if uid++; i%4 == 3 {
			uid++
		}
		if i%4 == 1 {
			uid--
		}
	}
	done := make(chan bool)
	go func() { makeRoom(records, sure); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute): // it takes some milliseconds, and took hours when each stretch was gone through anew
		t.Fatal("it does not end")
	}
	if sure[0] && sure[4] && sure[8] {
		t.Error("nothing was joined")
	}
}
