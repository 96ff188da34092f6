package fidelity

import (
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// settings are what the environment says.
type settings struct {
	full  bool
	write bool     // docs/fidelity.md
	only  []string // patterns for layout, kind, store, seed
	seeds uint64   // with each store
}

func readSettings(t *testing.T) settings {
	t.Helper()
	s := settings{write: os.Getenv("DOVEMEND_FIDELITY_WRITE") == "1", seeds: 2}
	switch v := os.Getenv("DOVEMEND_FIDELITY"); v {
	case "", "quick":
	case "full":
		s.full = true
	default:
		t.Fatalf("DOVEMEND_FIDELITY=%s: want full or quick", v)
	}
	if v := os.Getenv("DOVEMEND_FIDELITY_ONLY"); v != "" {
		s.only = strings.Split(v, "/")
		for _, pattern := range s.only {
			if _, err := path.Match(pattern, ""); err != nil {
				t.Fatalf("DOVEMEND_FIDELITY_ONLY=%s: %v", v, err)
			}
		}
	}
	if v := os.Getenv("DOVEMEND_FIDELITY_SEEDS"); v != "" {
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil || n == 0 {
			t.Fatalf("DOVEMEND_FIDELITY_SEEDS=%s: want a number", v)
		}
		s.seeds = n
	}
	if s.write && (!s.full || s.only != nil) {
		t.Fatal("DOVEMEND_FIDELITY_WRITE wants a full run of everything")
	}
	return s
}

// fits reports whether a cell is among those asked for.
func (s settings) fits(c cell) bool {
	parts := [...]string{c.layout, c.kind, c.store, strconv.FormatUint(c.seed, 10)}
	for i, pattern := range s.only {
		if i >= len(parts) {
			return false
		}
		if ok, _ := path.Match(pattern, parts[i]); pattern != "" && !ok {
			return false
		}
	}
	return true
}
