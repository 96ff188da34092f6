package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/remotetest/demoaccount"
	"dovemend/repair/rundir"
)

// emptyRun makes a run whose copy was never begun, and gives its ID and its folder.
func emptyRun(t *testing.T, state string) (id, folder string) {
	t.Helper()
	d, err := rundir.Create(state, rundir.Meta{Kind: rundir.KindBackup, Target: "h", MailRoot: "/m"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return d.ID(), d.Path()
}

func TestInspectSaysWhenARunHasNoCopyToLookAt(t *testing.T) {
	state := t.TempDir()
	id, folder := emptyRun(t, state)
	code, out, errs := runFake(t, newFake(), "inspect", "--run", id, "--state-dir", state)
	if code != exitError || out != "" || !strings.Contains(errs, "has no complete copy") || !strings.Contains(errs, "next: dovemend runs") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	// A copy that is just being brought up to date.
	pending := filepath.Join(folder, rundir.SnapshotDir, "finish.json")
	if err := os.WriteFile(pending, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs = runFake(t, newFake(), "inspect", "--run", id, "--state-dir", state)
	if code != exitError || !strings.Contains(errs, "next: dovemend resume --run "+id) {
		t.Errorf("exit %d, %q", code, errs)
	}
	if _, err := os.Stat(pending); err != nil {
		t.Errorf("looking has changed the copy: %v", err)
	}
}

// stopWriting fails after some bytes, as a full disk does.
type stopWriting struct{ left int }

func (s *stopWriting) Write(b []byte) (int, error) {
	if s.left -= len(b); s.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestInspectToAFullDiskIsAnError(t *testing.T) {
	account := t.TempDir()
	if err := demoaccount.Unpack(account); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"inspect", "--file", account}, {"inspect", "--file", account, "--json"}} {
		for _, room := range []int{0, 10, 100_000} {
			var errs strings.Builder
			t.Setenv("XDG_STATE_HOME", t.TempDir())
			p := &program{stdin: strings.NewReader(""), stdout: &stopWriting{room}, stderr: &errs, engine: newFake()}
			if code := p.run(append([]string{"dovemend"}, args...)); code != exitError {
				t.Errorf("%v with room for %d bytes: exit %d, %s", args, room, code, errs.String())
			}
		}
	}
}

func TestInspectOfSeveralTargetsIsOneDocument(t *testing.T) {
	account := t.TempDir()
	if err := demoaccount.Unpack(account); err != nil {
		t.Fatal(err)
	}
	code, out, _ := runFake(t, newFake(), "inspect", "--json", "--summary", "--file", account, "--file", "/no/such/file")
	var doc struct {
		envelope
		Files []struct{ Path string }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != exitUsage || doc.Exit != exitUsage || len(doc.Files) != 0 {
		t.Errorf("exit %d, %v: nothing is looked at while a name is wrong: %s", code, err, out)
	}
	code, out, _ = runFake(t, newFake(), "inspect", "--json", "--summary", "--file", filepath.Join(account, "storage"), "--file", filepath.Join(account, "mailboxes"))
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != exitDone || len(doc.Files) < 3 {
		t.Errorf("exit %d, %v: %.500s", code, err, out)
	}
}
