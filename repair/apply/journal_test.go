package apply

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"testing"

	"dovemend/repair/journal"
)

func testRoot(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// replayed is what the bytes of a journal tell.
func replayed(t *testing.T, b []byte) Replay {
	t.Helper()
	r, err := replay(func(take func([]byte) error) (journal.Position, error) {
		return journal.ReadFrom(bytes.NewReader(b), take)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// written is a journal of a run of three steps, of which two are done and one has failed.
func written(t *testing.T, root *os.Root) []byte {
	t.Helper()
	j, err := openJournal(root, "j", begin())
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range [][]record{
		{{Kind: kindBegin, Plan: "abc", Run: "r", Steps: 3}},
		{{Kind: kindIntent, Step: 1, Idle: true}}, {{Kind: kindDone, Step: 1}},
		{{Kind: kindIntent, Step: 2}, {Kind: kindIntent, Step: 3}},
		{{Kind: kindDone, Step: 2}, {Kind: kindFailed, Step: 3, Err: "no\x1b\n\"room\xff"}},
	} {
		if err := j.write(batch...); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	b, err := root.ReadFile("j")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestJournalTellsWhatWasWritten(t *testing.T) {
	root := testRoot(t)
	b := written(t, root)
	if n := bytes.Count(b, []byte("\n")); n != 7 {
		t.Errorf("%d lines", n)
	}
	r, err := ReadJournal(root, "j")
	if err != nil || r.Damage != nil || r.end.Bytes != int64(len(b)) {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Plan != "abc" || r.Run != "r" || r.Steps != 3 || r.Ended || !r.Changed() ||
		!reflect.DeepEqual(r.Begun, map[int]bool{1: true, 2: true, 3: true}) || !reflect.DeepEqual(r.Done, map[int]bool{1: true, 2: true}) || len(r.Failed) != 1 {
		t.Errorf("got %+v", r)
	}
	if none, err := ReadJournal(root, "none"); err != nil || none.Plan != "" || none.Changed() {
		t.Errorf("no journal: %+v, %v", none, err)
	}
}

// TestTornEndIsDroppedAndWrittenOver cuts the journal after each of its bytes.
func TestTornEndIsDroppedAndWrittenOver(t *testing.T) {
	root := testRoot(t)
	whole := written(t, root)
	for n := range len(whole) {
		if err := root.WriteFile("j", whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := ReadJournal(root, "j")
		if err != nil || r.Damage != nil {
			t.Fatalf("%d bytes: %v, %v", n, err, r.Damage)
		}
		lines := bytes.Count(whole[:n], []byte("\n"))
		if good := bytes.LastIndexByte(whole[:n], '\n') + 1; r.end.Lines != lines || r.end.Bytes != int64(good) {
			t.Fatalf("%d bytes: %d lines in %d; want %d in %d", n, r.end.Lines, r.end.Bytes, lines, good)
		}
		if lines == 0 {
			continue
		}
		j, err := openJournal(root, "j", r)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.write(record{Kind: kindResume}); err != nil {
			t.Fatal(err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		again, err := ReadJournal(root, "j")
		if err != nil || again.Damage != nil || again.end.Lines != lines+1 {
			t.Fatalf("%d bytes, continued: %+v, %v", n, again, err)
		}
	}
}

// TestEveryFlippedBitIsNoticed changes each byte but those of the last line, where it is as good as torn.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	whole := written(t, testRoot(t))
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n')
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1
		r := replayed(t, b)
		if r.end.Bytes == int64(len(b)) {
			t.Errorf("byte %d: not noticed", i)
		}
		if (r.Damage != nil) != (i < last) || r.Damage != nil && !errors.Is(r.Damage, ErrJournal) {
			t.Errorf("byte %d of %d: damage %v", i, len(b), r.Damage)
		}
	}
}

func TestLinesTakenOutOrMovedAreNoticed(t *testing.T) {
	lines := bytes.SplitAfter(bytes.TrimSuffix(written(t, testRoot(t)), []byte("\n")), []byte("\n"))
	for i := range len(lines) - 1 {
		without := bytes.Join(append(append([][]byte{}, lines[:i]...), lines[i+1:]...), nil)
		if b := append(without, '\n'); replayed(t, b).end.Bytes == int64(len(b)) {
			t.Errorf("line %d taken out: not noticed", i+1)
		}
		twice := bytes.Join(append(append([][]byte{}, lines[:i+1]...), lines[i:]...), nil)
		if b := append(twice, '\n'); replayed(t, b).end.Bytes == int64(len(b)) {
			t.Errorf("line %d twice: not noticed", i+1)
		}
	}
}

func TestDamagedJournalCountsEveryStepAsTouched(t *testing.T) {
	b := written(t, testRoot(t))
	b[bytes.IndexByte(b, '\n')+20] ^= 1 // in the second line
	r := replayed(t, b)
	if r.Damage == nil || !r.Changed() || r.Touched() != nil {
		t.Errorf("%+v: touched %v", r, r.Touched())
	}
	b[20] ^= 1 // the first line too, which tells how many steps there are
	if r := replayed(t, b); r.Damage == nil || !r.Changed() || r.Touched() != nil {
		t.Errorf("%+v: touched %v", r, r.Touched())
	}
	if r := replayed(t, nil); r.Touched() != nil {
		t.Errorf("a journal that is lost tells of %v", r.Touched())
	}
}

// TestOlderJournalsAreRead: the members of a line once stood in another order.
func TestOlderJournalsAreRead(t *testing.T) {
	b := []byte(`{"n":1,"kind":"begin","at":"2026-11-26T01:02:03.456Z","plan":"p","run":"r","steps":1,"sum":"a014ef7f0903af3a239c2ff98118ee7a"}
{"n":2,"kind":"intent","at":"2026-11-26T01:02:04Z","step":1,"sum":"cea82f917c3147ea9421d6916c6ba670"}
`)
	if r := replayed(t, b); r.Run != "r" || !r.Begun[1] || r.Damage != nil || r.end.Bytes != int64(len(b)) {
		t.Errorf("got %+v", r)
	}
}

func FuzzReplayReadsOnlyWhatIsWhole(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"n":1,"kind":"begin","at":"2023-11-14T22:13:20Z","steps":-1,"sum":"00000000000000000000000000000000"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := replayed(t, b)
		if r.end.Bytes > int64(len(b)) || r.end.Lines > bytes.Count(b, []byte("\n")) {
			t.Errorf("%d good bytes of %d, %d lines", r.end.Bytes, len(b), r.end.Lines)
		}
		for seq := range r.Begun {
			if seq < 1 || seq > r.Steps {
				t.Errorf("step %d of %d", seq, r.Steps)
			}
		}
	})
}
