package snapshot

import (
	"errors"
	"io"

	"dovemend/repair/store"
)

// cursor goes through a list of entries in order of their paths.
type cursor struct {
	read  func() (int, *Entry, error) // the next one and its place; io.EOF at the end
	at    int
	e     *Entry // until the next call
	err   error
	ahead bool // e was read and not used yet
}

// next goes on to the next entry. At the end, and after an error, which is in err, it gives false.
func (c *cursor) next() bool {
	if c.ahead {
		c.ahead = false
		return true
	}
	if c.err == nil && c.read != nil {
		if c.at, c.e, c.err = c.read(); c.err == nil {
			return true
		}
	}
	c.read, c.e = nil, nil
	if errors.Is(c.err, io.EOF) {
		c.err = nil
	}
	return false
}

// meet goes on to the entry of a path and reports whether there is one. passed, if any, is called with those before it. The paths asked
// for must come in order.
func (c *cursor) meet(p store.RelPath, passed func(*Entry)) bool {
	for c.next() {
		if c.e.Path >= p {
			c.ahead = c.e.Path > p
			return !c.ahead
		}
		if passed != nil {
			passed(c.e)
		}
	}
	return false
}

// meetAt is meet by place.
func (c *cursor) meetAt(i int) bool {
	for c.next() {
		if c.at >= i {
			c.ahead = c.at > i
			return !c.ahead
		}
	}
	return false
}

// all gives everything that is left.
func all(c *cursor) (entries []Entry, err error) {
	for c.next() {
		entries = append(entries, *c.e)
	}
	return entries, c.err
}

// cursorOf goes through entries in memory.
func cursorOf(entries []Entry) *cursor {
	i := -1
	return &cursor{read: func() (int, *Entry, error) {
		if i++; i >= len(entries) {
			return i, nil, io.EOF
		}
		return i, &entries[i], nil
	}}
}
