package fidelity

import (
	"cmp"
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
			theirs := r.ways[w.name].wrong
			if n := theirs[a]; n < mine[a] && w.name != after && excuse(a, mine, theirs) == "" {
				better = append(better, fmt.Sprintf("%s %d", w.name, n))
			}
		}
		if len(better) > 0 {
			all = append(all, fmt.Sprintf("%s: worse in %s: %d, %s", r.cell, a, mine[a], strings.Join(better, ", ")))
		}
	}
	theirs := r.ways[after].wrong
	for _, a := range compared {
		if n := theirs[a]; n > mine[a] && excuse(a, theirs, mine) == "" {
			all = append(all, fmt.Sprintf("%s: an earlier copy makes it worse in %s: %d, without it %d", r.cell, a, n, mine[a]))
		}
	}
	if copied[r.store] == r.store { // the copy is of the mailboxes as they were: it tells all of them
		for _, a := range append([]attribute{dead, single, mixed, validity}, ofMessages...) {
			if n := theirs[a]; n > 0 && (!slices.Contains(ofMessages, a) || n > theirs[whole]) {
				all = append(all, fmt.Sprintf("%s: lost although an earlier copy tells it: %s %d", r.cell, a, n))
			}
		}
	}
	return all
}

// excuse tells why a way with the smaller number is not better; "" where it is.
func excuse(a attribute, mine, theirs map[attribute]int) string {
	switch {
	case a == uid && theirs[mixed] > mine[mixed]:
		return fmt.Sprintf("by guess: %d other messages have the UID of another one", theirs[mixed])
	case a == dead && theirs[whole] > mine[whole]:
		return fmt.Sprintf("with the living: %d messages are gone", theirs[whole])
	}
	return ""
}

// excused tells where a row of the table shows a smaller number for another way, and why that is not better.
func (r *row) excused() []string {
	var all []string
	mine := r.ways[own].wrong
	for _, a := range compared {
		for _, w := range ways {
			if theirs := r.ways[w.name].wrong; theirs[a] < mine[a] && w.name != after {
				all = append(all, fmt.Sprintf("- %s, `%s`, %s: dovemend %d, %s %d, %s", title(r.layout), r.kind, a, mine[a], strings.ReplaceAll(w.name, "*", "\\*"),
					theirs[a], cmp.Or(excuse(a, mine, theirs), "**better than dovemend**")))
			}
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
