package check

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"dovemend/repair/large"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// Several mailboxes are read and examined at one time; what is told of them is the same each time, and in their order.
func TestManyMailboxesAreToldOfInTheirOrder(t *testing.T) {
	for _, layout := range []store.Layout{store.Maildir, store.SDBox, store.MDBox} {
		dir := t.TempDir()
		boxes, err := large.Account{Layout: layout, Messages: 300, Mailboxes: 30, Cache: true}.Lay(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i := range boxes {
			if index := filepath.Join(dir, string(boxes[i].Dir), "dovecot.index"); i%3 == 0 {
				err = os.Remove(index)
			} else if i%3 == 1 {
				err = os.Truncate(index, 500)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		fsys := os.DirFS(dir)
		read := func() *reconstruct.Account {
			acct, err := reconstruct.Read(t.Context(), fsys, store.Account{Layout: layout, Mailboxes: boxes}, boxes)
			if err != nil {
				t.Fatal(err)
			}
			return acct
		}
		all, err := All(t.Context(), fsys, read())
		if err != nil {
			t.Fatal(err)
		}
		acct, found := read(), 0
		for i, s := range acct.Boxes {
			one, err := Examine(t.Context(), fsys, acct, s)
			if err != nil {
				t.Fatal(err)
			}
			if s.Mailbox.Dir != boxes[i].Dir || all[i].State.Mailbox.Dir != boxes[i].Dir || !reflect.DeepEqual(all[i].Findings, one.Findings) || all[i].AsIs != one.AsIs {
				t.Errorf("%s %s: %v, and by itself %v", layout, boxes[i].Name, all[i].Findings, one.Findings)
			}
			found += len(one.Findings)
		}
		if found < 20 {
			t.Errorf("%s: only %d findings", layout, found)
		}
	}
}
