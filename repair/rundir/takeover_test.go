package rundir

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestRunsOfOneSecondAreListedInTheirOrder(t *testing.T) {
	state := t.TempDir()
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	var begun []string
	for range 40 {
		d, err := Create(state, Meta{Kind: KindRepair})
		if err != nil {
			t.Fatal(err)
		}
		begun = append(begun, d.ID())
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	all, err := List(state)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, l := range all {
		listed = append(listed, l.ID)
	}
	slices.Reverse(begun)
	if !slices.Equal(listed, begun) {
		t.Errorf("listed %q\nbegun  %q", listed, begun)
	}
}

func TestNewIDsAlwaysFollowTheLast(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for _, last := range []string{"", "20260504-030200-ffff", "20260504-030201-0000", "20260504-030201-fffe", "20260504-030201-ffff", "20260505-000000-1234"} {
		for range 50 {
			if id := newID(now, last); id <= last || !ValidID(id) {
				t.Errorf("newID after %q is %q", last, id)
			}
		}
	}
}

// TestKilledWhileBeginningLeavesNoRun has the folder of a run that was killed before it was complete.
func TestKilledWhileBeginningLeavesNoRun(t *testing.T) {
	state := t.TempDir()
	if err := os.MkdirAll(filepath.Join(state, "runs", ".20260504-030201-0000.new", "snapshot"), 0o700); err != nil {
		t.Fatal(err)
	}
	if all, err := List(state); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestTakeOverSnapshotMovesWhatWasCopied(t *testing.T) {
	state := t.TempDir()
	if err := os.Chmod(state, 0o700); err != nil {
		t.Fatal(err)
	}
	m := Meta{Kind: KindBackup, Addr: "h:22", MailRoot: "/m"}
	old, err := Create(state, m)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := old.Root().WriteFile(SnapshotDir+"/partial.jsonl", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := Create(state, m)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	left, err := Unfinished(state, next.Meta().Key())
	if err != nil || len(left) != 2 || left[1].ID != old.ID() {
		t.Fatalf("unfinished: %v, %v", left, err)
	}
	if err := next.TakeOverSnapshot(old); err != nil {
		t.Fatal(err)
	}
	if b, err := next.Root().ReadFile(SnapshotDir + "/partial.jsonl"); err != nil || string(b) != "x" {
		t.Errorf("the copy did not come along: %q, %v", b, err)
	}
	if m := old.Meta(); m.Stage != StageFailed || m.HasSnapshot() {
		t.Errorf("the old run is at %s", m.Stage)
	}
	// One that holds something of its own is not replaced.
	if err := next.TakeOverSnapshot(old); err == nil {
		t.Error("a copy was replaced")
	}
}
