package dovecot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHeadsSayWhatTheWholeFileSays compares with the parsers of whole files, on every file of the vectors cut and broken.
func TestHeadsSayWhatTheWholeFileSays(t *testing.T) {
	seen := map[string]bool{}
	check := func(b []byte) {
		head := b[:min(len(b), HeadSize)]
		x, _ := ParseIndex(b)
		if h, u := IndexHead(head, int64(len(b))); u != x.Unusable || h != x.FileHeader() {
			t.Errorf("index of %d bytes: head says %q, the file %q", len(b), u, x.Unusable)
		}
		seen[x.Unusable] = true
		l, _ := ParseLog(b)
		if h, u := LogHead(head); u != l.Unusable || h != l.Header {
			t.Errorf("log of %d bytes: head says %q, the file %q", len(b), u, l.Unusable)
		}
		seen[l.Unusable] = true
	}
	files := 0
	err := filepath.WalkDir("testdata", func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(name, "index") || filepath.Ext(name) == ".golden" {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if _, after, ok := strings.Cut(string(b), "\n\n"); ok && filepath.Ext(name) == ".vec" {
			b = []byte(after)
		}
		files++
		check(b)
		for i := range min(len(b), 44) {
			broken := append([]byte(nil), b...)
			broken[i] ^= 0xa5
			check(broken)
			check(b[:i*3%max(len(b), 1)])
		}
		return nil
	})
	if err != nil || files < 3 || len(seen) < 8 {
		t.Errorf("%v; %d files, rules seen: %v", err, files, seen)
	}
}
