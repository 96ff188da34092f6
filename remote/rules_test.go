package remote

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

// TestSafetyPageHoldsTheRules compares the table in docs/safety.md with the guard's own.
func TestSafetyPageHoldsTheRules(t *testing.T) {
	page, err := os.ReadFile("../docs/safety.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := bytes.Cut(page, []byte("\n## The rules\n"))
	if !ok {
		t.Fatal("docs/safety.md has no section \"The rules\"")
	}
	section, _, _ = bytes.Cut(section, []byte("\n## "))
	var got []Rule
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z][a-z-]*) \| (.*) \|$`).FindAllSubmatch(section, -1) {
		got = append(got, Rule{string(m[1]), string(m[2])})
	}
	want := Rules()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("docs/safety.md lacks: | %s | %s |", want[i].Name, want[i].Text)
		case i >= len(want):
			t.Errorf("docs/safety.md holds a rule the guard lacks: %s", got[i].Name)
		case got[i] != want[i]:
			t.Errorf("rule %d:\n in docs/safety.md | %s | %s |\n in the guard     | %s | %s |", i, got[i].Name, got[i].Text, want[i].Name, want[i].Text)
		}
	}
	seen := map[string]bool{}
	for _, r := range want {
		if seen[r.Name] {
			t.Errorf("rule %s is there twice", r.Name)
		}
		seen[r.Name] = true
	}
}
