package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/cmd/internal/ui"
	"dovemend/remote"
	"dovemend/repair"
)

func TestHintsNameTheSameHostAndTheSameRuns(t *testing.T) {
	f := newFake()
	f.fail["apply"] = &repair.StoppedError{Run: "20260101-000000-abcd", Err: errors.New("the line is cut")}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	var stderr strings.Builder
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr, engine: f}
	code := p.run([]string{"dovemend", "repair", "--host", "h", "--remedy", "drop-cache", "--apply", "--no-input", "--identity", key, "--state-dir", state})
	if code != exitMidway {
		t.Errorf("code %d, want %d", code, exitMidway)
	}
	for _, verb := range []string{"resume", "undo"} {
		if want := ui.Command("dovemend", verb, "--run", "20260101-000000-abcd", "--identity", key, "--state-dir", state); !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, stderr.String())
		}
	}
}

func TestHintsAreCompletedOnce(t *testing.T) {
	f := newFake()
	f.verdict = &repair.Verification{Files: []string{"dovecot.index is missing"}}
	state := t.TempDir()
	code, _, errs := runFake(t, f, "repair", "--host", "h", "--remedy", "drop-cache", "--apply", "--state-dir", state)
	if code != exitMissing || strings.Count(errs, "--state-dir") != 1 {
		t.Errorf("code %d\n%s", code, errs)
	}
}

// TestNextCommandCopiesInTheSameWay: who had to say how files are to be copied has to say it in the next command too.
func TestNextCommandCopiesInTheSameWay(t *testing.T) {
	f := newFake()
	_, out, errs := runFake(t, f, "check", "--host", "h", "--engine", "sftp", "--connections", "2", "--compress", "off", "--verify", "full")
	for _, part := range []string{"--engine sftp", "--connections 2", "--compress off", "--verify full"} {
		if !strings.Contains(out+errs, part) {
			t.Errorf("no %q in\n%s%s", part, out, errs)
		}
	}
	if o := f.options.Remote; o.Engine != remote.EngineSFTP || o.Connections != 2 || o.Compress != remote.CompressOff {
		t.Errorf("the flags came as %+v", o)
	}
}
