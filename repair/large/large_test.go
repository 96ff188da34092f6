package large

import (
	"fmt"
	"os"
	"testing"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// What is laid is what a sound account of Dovecot's looks like to the readers, cache and all.
func TestNothingIsWrongInWhatIsLaid(t *testing.T) {
	for _, layout := range []store.Layout{store.Maildir, store.SDBox, store.MDBox} {
		dir := t.TempDir()
		boxes, err := Account{Layout: layout, Messages: 100, Mailboxes: 3, Cache: true}.Lay(dir)
		if err != nil {
			t.Fatal(err)
		}
		acct, err := reconstruct.Read(t.Context(), os.DirFS(dir), store.Account{Layout: layout, Mailboxes: boxes}, boxes)
		if err != nil {
			t.Fatal(err)
		}
		if len(acct.ListFaults) > 0 || acct.List == nil {
			t.Errorf("%s: list index: %v", layout, acct.ListFaults)
		}
		got := 0
		for i, s := range acct.Boxes {
			got += len(s.Messages)
			if !s.Sound || len(s.Faults) > 0 || !s.Names.Known || s.Names.UIDValidity != s.UIDValidity {
				t.Errorf("%s: sound %v, %v, listed as %+v", layout, s.Sound, s.Faults, s.Names)
			}
			b, err := os.ReadFile(fmt.Sprintf("%s/%s/dovecot.index.cache", dir, boxes[i].Dir))
			if err != nil {
				t.Fatal(err)
			}
			c, faults := dovecot.ParseCache(b)
			if len(faults) > 0 {
				t.Errorf("%s: cache: %v", layout, faults)
			}
			for _, m := range s.Messages {
				if m.Lost || m.Stray || !m.Body.Whole() || m.Received.Unix() < Made {
					t.Fatalf("%s: %+v", layout, m)
				}
				offset, seq, ok := s.Index.CacheOffset(s.Index.Find(m.UID))
				values, faults := c.Lookup(offset)
				if !ok || seq != c.Seq || len(faults) > 0 || len(values) != 3 {
					t.Fatalf("%s: cache of UID %d: %v %v", layout, m.UID, values, faults)
				}
			}
		}
		if got != 100 {
			t.Errorf("%s: %d messages", layout, got)
		}
	}
}
