package fidelity

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFidelity(t *testing.T) {
	s := readSettings(t)
	all := &report{}
	began := time.Now()
	t.Run("cells", func(t *testing.T) { // ends when all that run in parallel have ended
		for _, layout := range layouts {
			cells := s.cells(layout)
			if len(cells) == 0 {
				continue
			}
			t.Run(layout, func(t *testing.T) {
				if os.Getuid() == 0 {
					t.Parallel() // else all hosts belong to one user, and a repair ends the processes of the others
				}
				wanted := make(map[string]bool)
				for _, c := range cells {
					wanted[c.store], wanted[copied[c.store]] = true, true
				}
				h := newHost(t, layout, wanted)
				all.version(h.version(t))
				for _, c := range cells {
					t.Run(fmt.Sprint(c.kind, "/", c.store, "/", c.seed), func(t *testing.T) {
						if r := h.test(t, c); r != nil {
							all.add(*r)
						}
					})
				}
			})
		}
	})
	if len(all.results) == 0 {
		return
	}
	complete := !t.Failed() // what was done could be counted
	t.Logf("%d damages in %v", len(all.results), time.Since(began).Round(time.Second))
	t.Logf("\n%s", all.plain())
	if failures := all.failures(); len(failures) > 0 {
		t.Errorf("%d failures:\n%s", len(failures), strings.Join(failures, "\n"))
	}
	if s.write && complete {
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "fidelity.md"), []byte(all.markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
