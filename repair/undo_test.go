//go:build unix

package repair

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dovemend/repair/evacuate"
	"dovemend/repair/rundir"
)

func TestUndoBringsBackAMailboxWhoseFolderIsGone(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	run := b.clear("Archive")
	if err := os.RemoveAll(filepath.Dir(b.folder("Archive"))); err != nil { // as a client that deletes the empty mailbox
		t.Fatal(err)
	}
	b.undo(run)
	b.same("after the undo", before)
}

func TestARunThatChangedNothingStandsInNoUndosWay(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	first := b.clear("INBOX")
	b.clear("INBOX") // it is empty
	b.undo(first)
	b.same("after the undo", before)
}

func TestUndoTellsOfWhatItSetsAside(t *testing.T) {
	b := newBench(t)
	run := b.clear("INBOX")
	if err := os.WriteFile(filepath.Join(b.folder("INBOX"), "u.99"), []byte("new mail"), 0o600); err != nil {
		t.Fatal(err)
	}
	undo := b.undo(run)
	if !b.said.has("1 file that came since, set aside in dovemend-aside/" + undo) {
		t.Errorf("new mail has left the mailbox without a word: %q", b.said.texts)
	}
}

func TestUndoOfAnUndoMakesTheRepairOneThatCanBeUndone(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	repair := b.clear("INBOX")
	cleared := b.tree()
	undo := b.undo(repair)
	b.same("after the undo", before)
	b.undo(undo)
	b.same("after the undo of the undo", cleared)
	if m := b.meta(repair); m.Stage != rundir.StageApplied || m.UndoneBy != "" || !m.CanUndo() {
		t.Errorf("the repair stands again, and is told to be %q, undone by %q", m.Stage, m.UndoneBy)
	}
	b.undo(repair)
	b.same("after a second undo", before)
}

// newHostKey makes the host known by another key than run.json tells, as after the hosting company has changed it and
// the user has accepted that.
func (b *bench) newHostKey(id string) {
	b.Helper()
	d, err := rundir.Open(b.state, id)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if err := d.Update(func(m *rundir.Meta) { m.HostKey = "SHA256:another" }); err != nil {
		b.Fatal(err)
	}
}

func TestUndoGoesOnWhereTheHostHasANewKeyThatIsKnown(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	first := b.clear("INBOX")
	b.newHostKey(first)
	second := b.clear("Archive", "INBOX") // empty already, but for Archive
	r, err := UndoRun(t.Context(), b.options(), first, b.said)
	if err := errors.Join(r.Close(), r.Session().Close()); err != nil {
		t.Fatal(err)
	}
	var later *LaterRunError
	if !errors.As(err, &later) || later.Later != second {
		t.Fatalf("a later run under the new key is not seen: %v", err)
	}
	b.undo(second)
	b.undo(first)
	b.same("after both", before)
	if !b.said.has("another key") {
		t.Errorf("not a word of the new key: %q", b.said.texts)
	}
}

func TestUndoRefusesAnotherHost(t *testing.T) {
	b := newBench(t)
	run := b.clear("INBOX")
	b.newHostKey(run)
	d, err := rundir.Open(b.state, run)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Update(func(m *rundir.Meta) { m.Addr = "elsewhere.example:22" }); err != nil {
		t.Fatal(err)
	}
	_, err = UndoRun(t.Context(), b.options(), run, b.said)
	var other *OtherHostError
	if !errors.As(err, &other) {
		t.Errorf("got %v", err)
	}
}

// TestUndoOfAPartSetsNoNewMailAside: mail has come after the last look over IMAP. Files that an undo killed midway has put back are none.
func TestUndoOfAPartSetsNoNewMailAside(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	run := b.clear("INBOX")
	undo := func() error {
		old, err := reopen(t.Context(), b.options(), run, b.said)
		if err != nil {
			t.Fatal(err)
		}
		old.came = func(u *Run) error {
			return cameSince(t.Context(), old, u, evacuate.Staying{Validity: 1, Left: []evacuate.Left{{UID: 1}, {UID: 99}}})
		}
		u, err := old.undo(t.Context())
		return errors.Join(err, u.Close(), old.Close(), old.Session().Close())
	}
	if err := laySdbox(b.folder("INBOX"), 3); err != nil { // of the old messages
		t.Fatal(err)
	}
	fresh := filepath.Join(b.folder("INBOX"), "u.99")
	text, err := os.ReadFile(filepath.Join(b.folder("INBOX"), "u.3"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fresh, append(text[:len(text)-40:len(text)-40], []byte("\nGffffffffffffffffffffffffffffffff\n\n")...), 0o600); err != nil {
		t.Fatal(err)
	}
	now := b.tree()
	if err := undo(); !errors.Is(err, evacuate.ErrNewMail) || !errors.Is(err, ErrUnchanged) {
		t.Fatalf("new mail: %v", err)
	}
	b.same("with new mail", now)
	if err := os.Remove(fresh); err != nil {
		t.Fatal(err)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	b.same("undone", before)
}
