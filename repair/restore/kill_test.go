package restore

import (
	"dovemend/repair/journal"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestKilledAtEveryLine: whatever line of the journal was the last to reach the disk, going on adds what is missing and nothing twice, and so
// does undoing take back all. Without DOVEMEND_TEST_FULL it is every line of a short restore and some of a longer one.
func TestKilledAtEveryLine(t *testing.T) {
	counts := []int{3, 30}
	for _, caps := range []string{"LITERAL+ UIDPLUS MULTIAPPEND", "LITERAL+"} {
		for _, all := range []bool{false, true} {
			for _, n := range counts {
				step := 1
				if n > 3 && os.Getenv("DOVEMEND_TEST_FULL") == "" {
					step = 9
				}
				t.Run(fmt.Sprintf("%s all=%v %d", caps, all, n), func(t *testing.T) {
					for line := 1; ; line += step {
						if !killedAt(t, caps, all, n, line) {
							break
						}
					}
				})
			}
		}
	}
}

// killedAt kills at one line, goes on, and compares; false where there is no such line.
func killedAt(t *testing.T, caps string, all bool, n, line int) bool {
	t.Helper()
	texts := plain(n)
	s := &server{caps: caps, poison: func(l letter) string {
		if strings.Contains(l.text, "number 2\r\n") && strings.Contains(caps, "UIDPLUS") {
			return "BYE"
		}
		return ""
	}}
	x := newTrial(t, s.dial, Options{All: all})
	x.cut = func(at int) error {
		if at == line {
			return errCut
		}
		return nil
	}
	_, _, err := x.apply(deadline(t), texts...)
	if err == nil {
		return false
	}
	if !errors.Is(err, errCut) {
		t.Fatalf("line %d: %v", line, err)
	}
	x.cut = nil
	items, _, err := x.apply(deadline(t), texts...)
	if err != nil {
		t.Fatalf("after line %d: %v", line, err)
	}
	want := texts
	if strings.Contains(caps, "UIDPLUS") {
		want = append(append([]string{}, texts[:2]...), texts[3:]...)
		expect(t, items, map[Status]int{Added: n - 1, SetAside: 1})
	} else {
		expect(t, items, map[Status]int{Added: n})
	}
	exactly(t, s.texts(), want...)
	if t.Failed() {
		t.Fatalf("after line %d", line)
	}
	return true
}

func TestJournalTellsWhatBecameOfMessages(t *testing.T) {
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	was := newState()
	w, err := journal.Open(dir, "j", was.read)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []record{{Kind: kindBegin, UIDValidity: 7, UIDNext: 3}, {Kind: kindIntent, ID: "a", Size: 5}, {Kind: kindIntent, ID: "b", Size: 6}, {Kind: kindDone, ID: "a", UID: 9}} {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := readJournal(dir, "j")
	if err != nil || s.UIDValidity != 7 || s.UIDNext != 3 || s.Ended {
		t.Errorf("%+v, %v", s, err)
	}
	if l := s.added(); len(l) != 1 || l[0].ID != "a" || l[0].UID != 9 || l[0].Size != 5 {
		t.Errorf("added: %+v", l)
	}
	if l := s.open(); len(l) != 1 || l[0].ID != "b" {
		t.Errorf("open: %+v", l)
	}
	whole, err := dir.ReadFile("j")
	if err != nil {
		t.Fatal(err)
	}
	if err := dir.WriteFile("j", []byte(strings.Replace(string(whole), `"size":5`, `"size":6`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readJournal(dir, "j"); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("a changed line: %v", err)
	}
}
