package ui

import (
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Column is one column of a [Table].
type Column struct {
	Title string
	Right bool // numbers
	Min   int  // how narrow it may be made, in columns; 0: never narrowed
}

// Table is rows of text that is already safe to print or is made so; it fits itself into a width.
type Table struct {
	Columns []Column
	rows    [][]string
}

// Row adds one row; every cell passes [Safe].
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.Columns))
	for i := range row {
		if i < len(cells) {
			row[i] = Safe(cells[i])
		}
	}
	t.rows = append(t.rows, row)
}

// Print writes the table within width columns: where it is wider, the widest columns that may be narrowed are.
func (t *Table) Print(w io.Writer, width int) {
	widths := t.fit(width)
	var b strings.Builder
	line := func(cells []string) {
		var l strings.Builder
		for i, c := range cells {
			c = clipMiddle(c, widths[i])
			pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(c))
			if i > 0 {
				l.WriteString("  ")
			}
			if t.Columns[i].Right {
				l.WriteString(pad + c)
			} else {
				l.WriteString(c + pad)
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	head := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		head[i] = c.Title
	}
	line(head)
	for _, r := range t.rows {
		line(r)
	}
	_, _ = io.WriteString(w, b.String())
}

// fit gives each column its width.
func (t *Table) fit(width int) []int {
	widths := make([]int, len(t.Columns))
	sum := 2 * (len(t.Columns) - 1)
	for i, c := range t.Columns {
		widths[i] = runewidth.StringWidth(c.Title)
		for _, r := range t.rows {
			widths[i] = max(widths[i], runewidth.StringWidth(r[i]))
		}
		sum += widths[i]
	}
	for sum > width {
		widest := -1
		for i, c := range t.Columns {
			if c.Min > 0 && widths[i] > max(c.Min, runewidth.StringWidth(c.Title)) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		sum--
	}
	return widths
}
