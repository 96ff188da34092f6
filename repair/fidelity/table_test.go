package fidelity

import (
	"fmt"
	"slices"
	"strings"

	"dovemend/remote/remotetest/damage"
)

// words for what is counted, in a table.
var columns = []struct {
	what attribute
	one  string
}{
	{whole, "−%d msg"}, {dead, "+%d dead"}, {single, "+%d double"}, {flags, "−%d flags"}, {keywords, "−%d keywords"}, {uid, "−%d UIDs"},
	{mixed, "%d mixed up"}, {date, "−%d dates"}, {validity, "%d UIDVALIDITY"}, {crashed, "%d crashes"},
}

// text is what is wrong in few words, and how much the log has to say. What messages lack is written only where it is more than
// the messages that are gone, each of which lacks everything.
func (t tally) text() string {
	var parts []string
	for _, col := range columns {
		n := t.wrong[col.what]
		if slices.Contains(ofMessages, col.what) && n <= t.wrong[whole] {
			continue
		}
		if n == 0 {
			continue
		}
		part := fmt.Sprintf(col.one, n)
		if col.what == whole && t.Unreadable > 0 {
			part += fmt.Sprintf(" (%d listed)", t.Unreadable)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		parts = []string{"ok"}
	}
	if t.Log > 0 {
		parts = append(parts, fmt.Sprintf("log %d", t.Log))
	}
	return strings.Join(parts, ", ")
}

// row is one kind of damage to one layout.
type row struct {
	layout, kind string
	ways         map[string]tally // worst of all stores and seeds
	results      []result
}

// text is a cell.
func (r *row) text(way string) string {
	text := r.ways[way].text()
	if way == resyncs && slices.ContainsFunc(r.results, func(one result) bool { return one.aborted }) {
		text += ", doveadm crashes"
	}
	return text
}

// rows are the tables' rows.
func (r *report) rows() []*row {
	var all []*row
	for _, one := range r.sorted() {
		if n := len(all); n == 0 || all[n-1].layout != one.layout || all[n-1].kind != one.kind {
			all = append(all, &row{layout: one.layout, kind: one.kind, ways: make(map[string]tally)})
		}
		last := all[len(all)-1]
		last.results = append(last.results, one)
		for name, n := range one.ways {
			last.ways[name] = worst(last.ways[name], n)
		}
	}
	return all
}

// plain is the table for a terminal.
func (r *report) plain() string {
	var b strings.Builder
	for _, row := range r.rows() {
		fmt.Fprintf(&b, "%s/%s (%d): %s\n", row.layout, row.kind, len(row.results), damage.Text(row.kind))
		for _, w := range ways {
			fmt.Fprintf(&b, "    %-18s %s\n", w.name, row.text(w.name))
		}
	}
	return b.String()
}
