package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// NotFoundError: an account has no mailbox of a name. Near holds the names most like it, the best first, at most five.
type NotFoundError struct {
	Name string
	Near []string
}

func (e *NotFoundError) Error() string {
	if len(e.Near) == 0 {
		return fmt.Sprintf("no mailbox %q", e.Name)
	}
	near := make([]string, len(e.Near))
	for i, n := range e.Near {
		near[i] = fmt.Sprintf("%q", n)
	}
	return fmt.Sprintf("no mailbox %q; did you mean %s?", e.Name, strings.Join(near, " or "))
}

// Mailbox gives a mailbox by its name for people or its storage name, with "/" or "." between the levels. INBOX is
// matched without regard to case, as IMAP does; every other name must be exact. An unknown name gives a [*NotFoundError].
func (a Account) Mailbox(name string) (Mailbox, error) {
	inbox := func(s string) string {
		if len(s) >= 5 && strings.EqualFold(s[:5], "INBOX") && (len(s) == 5 || s[5] == '/' || s[5] == '.') {
			return "INBOX" + s[5:]
		}
		return s
	}
	dots := func(s string) string { return strings.ReplaceAll(s, "/", ".") }
	want := inbox(name)
	// From the exact to the lenient; within one way of comparing, a name that fits two mailboxes fits none.
	for _, match := range []func(m Mailbox) bool{
		func(m Mailbox) bool { return m.Name == name },
		func(m Mailbox) bool { return m.Storage == name },
		func(m Mailbox) bool { return inbox(m.Name) == want },
		func(m Mailbox) bool { return inbox(m.Storage) == want },
		func(m Mailbox) bool { return dots(inbox(m.Name)) == dots(want) },
		func(m Mailbox) bool { return dots(inbox(m.Storage)) == dots(want) },
		func(m Mailbox) bool { return inbox("INBOX."+dots(m.Name)) == dots(want) }, // namespaces with a prefix
	} {
		var fits []Mailbox
		for _, m := range a.Mailboxes {
			if match(m) {
				fits = append(fits, m)
			}
		}
		if len(fits) == 1 {
			return fits[0], nil
		}
		if len(fits) > 1 {
			e := &NotFoundError{Name: name}
			for _, m := range fits {
				e.Near = append(e.Near, m.Storage)
			}
			return Mailbox{}, e
		}
	}
	return Mailbox{}, &NotFoundError{name, a.near(name)}
}

// near gives up to five names that differ little from one, or hold it.
func (a Account) near(name string) []string {
	type candidate struct {
		name string
		cost int
	}
	var found []candidate
	low := strings.ToLower(name)
	if len(low) > 256 {
		return nil
	}
	for _, m := range a.Mailboxes {
		full := strings.ToLower(m.Name)
		if len(full) > 512 {
			continue
		}
		last := full[strings.LastIndexByte(full, '/')+1:]
		cost := min(distance(low, full), distance(low, last)+1)
		if low != "" && strings.Contains(full, low) {
			cost = min(cost, 2)
		}
		if cost <= max(2, len([]rune(name))/3) {
			found = append(found, candidate{m.Name, cost})
		}
	}
	slices.SortStableFunc(found, func(x, y candidate) int { return cmp.Compare(x.cost, y.cost) })
	var names []string
	for _, c := range found[:min(len(found), 5)] {
		names = append(names, c.name)
	}
	return names
}

// distance is the number of runes to insert, delete, replace or swap with their neighbour to make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, row, next := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(x); i++ {
		next[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(y)]
}
