package dovecot

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// ends are the offsets at which the records of a log end.
func ends(b []byte) []int {
	l, _ := ParseLog(b)
	var list []int
	for i := range l.Records {
		list = append(list, int(l.Records[i].End()))
	}
	return list
}

func garbage(b []byte, from, to int) []byte {
	b = bytes.Clone(b)
	rng := rand.New(rand.NewPCG(uint64(from), uint64(to)))
	for i := from; i < to; i++ {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestWhatACopyHadIsNotLost makes a copy at each moment of a mailbox's life, and then damages what the copy had: nothing may be lost.
func TestWhatACopyHadIsNotLost(t *testing.T) {
	f, truth := aged(t)
	tells := func(name string, now, then Files) {
		t.Helper()
		r, ok := Recall(now, then)
		if !ok || !r.Whole {
			t.Fatalf("%s: told %v, whole %v", name, ok, r.Whole)
		}
		s, _ := r.Replay(nil)
		if diff := diffLines(summary(s), summary(truth)); diff != "" || s.NextUID != truth.NextUID || !s.Exact {
			t.Fatalf("%s: exact %v, base %s, %.300s", name, s.Exact, s.Base, diff)
		}
	}
	index, _ := ParseIndex(f.Index)
	for _, at := range ends(f.Log) {
		if at <= int(index.Header.LogHead) { // a copy that is no newer than the index tells nothing new
			continue
		}
		then := Files{Index: f.Index, Log: f.Log[:at], Log2: f.Log2}
		for from := 0; from < at-20; from += 60 {
			if from == 0 && at < 300 { // with so little left of it the log is not known any more
				continue
			}
			now := f
			now.Log = garbage(f.Log, from, min(from+60, at))
			tells("log", now, then)
			now.Index, now.Backup = garbage(f.Index, 0, 200), nil
			tells("log and index", now, then)
			now.Log2 = nil
			tells("all but the end of the log", now, then)
		}
	}
	for _, at := range ends(f.Log2)[30:] { // from before the log was rotated
		then := Files{Log: f.Log2[:at]}
		now := Files{Log: f.Log, Log2: garbage(f.Log2, 50, at)}
		tells("log2", now, then)
		now.Log2 = garbage(f.Log2, 0, 39)
		tells("the head of log2", now, then)
	}
}

// TestWhatCameAfterACopyIsNotTakenForSure: where the end of the log is lost, the copy's is not the end.
func TestWhatCameAfterACopyIsNotTakenForSure(t *testing.T) {
	f, _ := aged(t)
	at := ends(f.Log)[6]
	then := Files{Index: f.Index, Log: f.Log[:at], Log2: f.Log2}
	had, _ := Replay(then)
	for name, now := range map[string]Files{"nothing is left": {}, "the log is gone": {Index: f.Index, Backup: f.Backup, Log2: f.Log2}, "the log is cut": {Log: f.Log[:at-10]},
		"no bytes are left": {Index: []byte{}, Log: []byte{}}, "garbage is left": {Index: garbage(f.Index, 0, len(f.Index)), Log: garbage(f.Log, 0, len(f.Log))}} {
		r, ok := Recall(now, then)
		if !ok || r.Whole {
			t.Errorf("%s: told %v, whole %v", name, ok, r.Whole)
			continue
		}
		s, _ := r.Replay(nil)
		if diff := diffLines(summary(s), summary(had)); diff != "" || s.Exact || s.Complete {
			t.Errorf("%s: exact %v, %.300s", name, s.Exact, diff)
		}
	}
}

// TestACopyOfAnotherIndexTellsNothing, and none that is older than what is there, or damaged itself.
func TestACopyOfAnotherIndexTellsNothing(t *testing.T) {
	f, _ := aged(t)
	other := func(b []byte) []byte {
		b = bytes.Clone(b)
		le.PutUint32(b[4:], 0x5d000000)
		return b
	}
	index := bytes.Clone(f.Index)
	le.PutUint32(index[8:], 2000) // indexid
	log := other(f.Log)
	le.PutUint32(log[4:], 2000)
	then := Files{Index: f.Index, Log: f.Log[:ends(f.Log)[6]], Log2: f.Log2}
	for name, c := range map[string]struct{ now, then Files }{
		"made anew":         {Files{Index: index, Log: log}, then},
		"an older copy":     {Files{Index: f.Index, Log: garbage(f.Log, 40, 90)}, Files{Log: f.Log2}},
		"a damaged copy":    {Files{}, Files{Log: garbage(f.Log2, 60, 90)}},
		"a copy of nothing": {Files{Index: f.Index}, Files{}},
	} {
		if r, ok := Recall(c.now, c.then); ok {
			if s, _ := r.Replay(nil); len(s.Records) > 0 {
				t.Errorf("%s: it tells of %d messages", name, len(s.Records))
			}
		}
	}
}

// TestLogsThatWereRotatedAwayAreOfTheCopy: two rotations after a copy the folder holds none of its logs.
func TestLogsThatWereRotatedAwayAreOfTheCopy(t *testing.T) {
	f, _ := aged(t)
	last := logFile(9, 8, uint32(len(f.Log)), logRecord(LogAppend, external, 60, 8))
	truth, _ := Replay(Files{Index: f.Index, Log: last, Log2: f.Log})
	r, ok := Recall(Files{Index: garbage(f.Index, 0, 60), Log: last, Log2: f.Log}, Files{Log: f.Log2})
	if !ok || !r.Whole || len(r.Older) != 1 {
		t.Fatalf("told %v, whole %v, %d older logs", ok, r.Whole, len(r.Older))
	}
	s, _ := r.Replay(nil)
	if diff := diffLines(summary(s), summary(truth)); diff != "" || !s.Exact || !truth.Exact {
		t.Errorf("exact %v, %v: %.300s", s.Exact, truth.Exact, diff)
	}
}

func FuzzRecall(f *testing.F) {
	files, _ := aged(f)
	then := joinFiles(Files{Index: files.Index, Log: files.Log[:ends(files.Log)[6]], Log2: files.Log2})
	f.Add(joinFiles(files), then)
	f.Add(joinFiles(Files{Index: garbage(files.Index, 0, 60), Log: garbage(files.Log, 40, 90)}), then)
	f.Add(joinFiles(Files{}), then)
	wholeIndexes(f, func(index Files, damaged []Files) {
		for _, d := range damaged {
			f.Add(joinFiles(d), joinFiles(index))
		}
	})
	f.Fuzz(func(t *testing.T, now, then []byte) {
		a, b := splitFiles(now), splitFiles(then)
		r, ok := Recall(a, b)
		if !ok {
			return
		}
		if size := len(r.Log) + len(r.Log2); size > 2*(len(now)+len(then)) {
			t.Errorf("%d bytes of logs from %d and %d", size, len(now), len(then))
		}
		s, _ := r.Replay(nil)
		use(s)
		if s.Exact && !r.Whole {
			t.Error("exact, although the end may be lost")
		}
	})
}
