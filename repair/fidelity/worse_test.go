package fidelity

import (
	"fmt"
	"slices"
	"strings"
)

// compared is in what the ways are held against each other.
var compared = []attribute{whole, dead, single, flags, keywords, uid, mixed, date, validity, logged, crashed}

// worse tells in what dovemend is worse than other ways.
func (r *result) worse() []string {
	var all []string
	mine := r.ways[own].wrong
	for _, a := range compared {
		var better []string
		for _, w := range ways {
			// Who numbers messages by guess hits some. It is not better for that: those it misses have the UID of another message.
			if a == uid && r.ways[w.name].wrong[mixed] > 0 {
				continue
			}
			// Who loses living messages is not better for losing the dead with them.
			if a == dead && r.ways[w.name].wrong[whole] > mine[whole] {
				continue
			}
			if n := r.ways[w.name].wrong[a]; n < mine[a] {
				better = append(better, fmt.Sprintf("%s %d", w.name, n))
			}
		}
		if len(better) > 0 {
			all = append(all, fmt.Sprintf("%s: worse in %s: %d, %s", r.cell, a, mine[a], strings.Join(better, ", ")))
		}
	}
	return all
}

// recoverable tells what dovemend lost although it was told.
func (r *result) recoverable() []string {
	count := make(map[[2]string]int)
	for _, v := range r.told {
		if v.recoverable {
			count[[2]string{string(v.what), v.mailbox}]++
		}
	}
	var all []string
	for k, n := range count {
		all = append(all, fmt.Sprintf("%s: recoverable loss: %s in %s, %d times", r.cell, k[0], k[1], n))
	}
	slices.Sort(all)
	return all
}
