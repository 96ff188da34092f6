//go:build unix

package salvage

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReaderNeverWaitsForAPipe: where a reader looks for a file by name and a pipe lies there, it goes on without. Opening one would
// wait for a writer, for ever: then the test does not end.
func TestReaderNeverWaitsForAPipe(t *testing.T) {
	const text = "Subject: x\n\nbody\n"
	for _, c := range []struct {
		pipe  string
		files map[string]string
	}{
		{"index.json", map[string]string{"a.eml": text}},
		{"a.json", map[string]string{"a.eml": text}},
		{"a.json", map[string]string{"a.mbox": "From x Fri May  8 09:10:11 2020\n" + text}},
		{"dovecot-keywords", map[string]string{"cur/1.a:2,S": text, "new/x": text}},
		{"b.eml", map[string]string{"a.eml": text}},
		{"b.mbox", map[string]string{"a.eml": text}},
		{"b.emlx", map[string]string{"a.eml": text}},
		{"b", map[string]string{"a.eml": text}},
	} {
		dir := lay(t, c.files)
		if err := syscall.Mkfifo(filepath.Join(dir, c.pipe), 0o600); err != nil {
			t.Fatal(err)
		}
		got, r := readBack(t, dir)
		if len(got) != len(c.files) || got[0].text != text {
			t.Errorf("%s: got %+v", c.pipe, got)
		}
		if _, names := r.Skipped(); !strings.Contains(strings.Join(names, "\n"), c.pipe) {
			t.Errorf("%s is not among what was passed over: %q", c.pipe, names)
		}
	}
}

// TestReaderOpensOnlyRegularFiles: whatever has come to lie there since the folder was listed.
func TestReaderOpensOnlyRegularFiles(t *testing.T) {
	dir := lay(t, map[string]string{"in/file": "x", "in/sub/y": "y", "secret": "z"})
	in := filepath.Join(dir, "in")
	if err := syscall.Mkfifo(filepath.Join(in, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"out": "../secret", "away": filepath.Join(dir, "secret"), "topipe": "pipe", "within": "file"} {
		if err := os.Symlink(to, filepath.Join(in, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(in)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, want := range map[string]bool{"file": true, "sub": false, "pipe": false, "out": false, "away": false, "topipe": false, "within": true, "none": false} {
		f, err := openRegular(root, name)
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			f.Close()
		}
	}
}
