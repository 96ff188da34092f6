//go:build unix

package repair

import (
	"os"
	"path/filepath"
	"testing"

	"dovemend/repair/plan"
)

func TestNothingIsRemovedWhoseLocalCopyIsDamaged(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	old := b.begin("backup")
	// Somebody looks at a message of the old copy with an editor that writes in place; the new copy links it.
	name := filepath.Join("snapshot", "files", "mailboxes", "INBOX", "dbox-Mails", "u.3")
	bytes, err := os.ReadFile(filepath.Join(old.Folder(), name))
	if err != nil {
		t.Fatal(err)
	}
	bytes[40] ^= 1
	if err := os.WriteFile(filepath.Join(old.Folder(), name), bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	r := b.begin("repair", "INBOX")
	if _, err := r.Plan(t.Context(), plan.Clear); err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.verified(r)
	b.undo(r.ID())
	b.same("after the undo", before)
}
