package fidelity

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"dovemend/remote/remotetest/damage"
)

// words for what is counted, in a table.
var columns = []struct {
	count func(*counts) int
	one   string
}{
	{func(c *counts) int { return c.Missing }, "−%d msg"},
	{func(c *counts) int { return c.Unreadable }, "%d unreadable"},
	{func(c *counts) int { return c.Returned }, "+%d dead"},
	{func(c *counts) int { return c.Duplicated }, "+%d double"},
	{func(c *counts) int { return c.Flags }, "−%d flags"},
	{func(c *counts) int { return c.Keywords }, "−%d keywords"},
	{func(c *counts) int { return c.UIDs }, "%d UIDs"},
	{func(c *counts) int { return c.Mixed }, "%d mixed up"},
	{func(c *counts) int { return c.Dates }, "%d dates"},
	{func(c *counts) int { return c.Validity }, "%d UIDVALIDITY"},
	{func(c *counts) int { return c.Crashes }, "%d crashes"},
}

// text is what went wrong in few words, and how much the log has to say.
func (c counts) text() string {
	var parts []string
	for _, col := range columns {
		if n := col.count(&c); n > 0 {
			parts = append(parts, fmt.Sprintf(col.one, n))
		}
	}
	if len(parts) == 0 {
		parts = []string{"ok"}
	}
	if c.Log > 0 {
		parts = append(parts, fmt.Sprintf("log %d", c.Log))
	}
	return strings.Join(parts, ", ")
}

// worst is the greater of two in everything.
func worst(a, b counts) counts {
	x, y := reflect.ValueOf(&a).Elem(), reflect.ValueOf(b)
	for i := range x.NumField() {
		x.Field(i).SetInt(max(x.Field(i).Int(), y.Field(i).Int()))
	}
	return a
}

// row is one kind of damage to one layout.
type row struct {
	layout, kind string
	ways         map[string]counts // worst of all stores and seeds
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
			all = append(all, &row{layout: one.layout, kind: one.kind, ways: make(map[string]counts)})
		}
		last := all[len(all)-1]
		last.results = append(last.results, one)
		for name, n := range one.ways {
			last.ways[name] = worst(last.ways[name], n.counts)
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
