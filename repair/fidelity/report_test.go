package fidelity

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// report is what came of all damages.
type report struct {
	mu      sync.Mutex
	dovecot string // its version
	results []result
}

func (r *report) version(v string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dovecot = v
}

func (r *report) add(one result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, one)
}

// failures are all cells in which dovemend is worse than another way, or lost what was told.
func (r *report) failures() []string {
	var all []string
	for _, one := range r.sorted() {
		all = append(all, one.worse()...)
		all = append(all, one.recoverable()...)
		for _, m := range []mended{one.mended, one.after} {
			switch m.state {
			case "error", "not applied", "stopped midway", "changed meanwhile", "applied, not seen":
				all = append(all, fmt.Sprintf("%s: dovemend ended with %q: %s", one.cell, m.state, errText(m.err)))
			}
		}
	}
	return all
}

// sorted are the results in the order of the tables.
func (r *report) sorted() []result {
	rank := func(c cell) int {
		return slices.Index(layouts, c.layout)*10000 + slices.Index(kindsOf(c.layout), c.kind)*10 + slices.Index(stores, c.store)
	}
	all := slices.Clone(r.results)
	slices.SortFunc(all, func(a, b result) int {
		return cmp.Or(cmp.Compare(rank(a.cell), rank(b.cell)), cmp.Compare(a.seed, b.seed))
	})
	return all
}
