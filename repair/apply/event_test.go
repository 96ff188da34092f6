package apply

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dovemend/repair/journal"
)

func TestEventsOfAJournalAreItsGoodLines(t *testing.T) {
	var whole []byte
	var end journal.Position
	for _, r := range []record{{Kind: kindBegin, Plan: "p", Run: "r", Steps: 1}, {Kind: kindIntent, Step: 1}, {Kind: kindFailed, Step: 1, Err: "no"}} {
		line, next, err := end.Seal(r, time.Unix(1_700_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		end, whole = next, append(whole, line...)
	}
	for _, c := range []struct {
		name    string
		journal []byte
		want    int
		bad     bool
	}{
		{"whole", whole, 3, false},
		{"torn", whole[:len(whole)-5], 2, false},
		{"torn with the end of the line", append(append([]byte(nil), whole[:len(whole)-5]...), '\n'), 2, false},
		{"damaged in the middle", append([]byte("x\n"), whole...), 0, true},
		{"empty", nil, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "j"), c.journal, 0o600); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			var got []Event
			err = EachEvent(root, "j", func(e Event) error { got = append(got, e); return nil })
			if errors.Is(err, ErrJournal) != c.bad || err != nil && !c.bad || len(got) != c.want {
				t.Errorf("%d events, %v; want %d, damage %v", len(got), err, c.want, c.bad)
			}
			if len(got) == 3 && (got[2].Err != "no" || got[2].Step != 1 || got[2].At.Unix() != 1_700_000_000) {
				t.Errorf("got %+v", got[2])
			}
			if err := EachEvent(root, "none", nil); err != nil {
				t.Error(err)
			}
		})
	}
}
