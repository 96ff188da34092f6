package snapshot

import (
	"cmp"
	"container/heap"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// sortPart is how many entries are sorted in memory at a time.
var sortPart = 1 << 15

// sorter puts entries, which come in any order, into order of their paths: of one path those of directories first, and else as they came.
type sorter struct {
	c     *copier
	part  []Entry
	parts []*roll
}

func sortedFirst(a, b *Entry) int {
	if o := strings.Compare(string(a.Path), string(b.Path)); o != 0 {
		return o
	}
	return boolCompare(a.Type != fs.ModeDir, b.Type != fs.ModeDir)
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (s *sorter) add(e Entry) error {
	if s.part = append(s.part, e); len(s.part) < sortPart {
		return nil
	}
	r, err := s.c.rollOf(s.sorted())
	s.part, s.parts = s.part[:0], append(s.parts, r)
	return err
}

func (s *sorter) sorted() *cursor {
	slices.SortStableFunc(s.part, func(a, b Entry) int { return sortedFirst(&a, &b) })
	return cursorOf(s.part)
}

// cursor goes through all that was added. close is to be called when that is done.
func (s *sorter) cursor() *cursor {
	if len(s.parts) == 0 {
		return s.sorted()
	}
	var m merging
	for i, r := range append(s.parts, nil) {
		c := &merged{i: i}
		if r != nil {
			c.cursor = r.cursor()
		} else {
			c.cursor = s.sorted()
		}
		if c.next() {
			m = append(m, c)
		}
		if c.err != nil {
			return c.cursor
		}
	}
	heap.Init(&m)
	first := true
	return &cursor{read: func() (int, *Entry, error) {
		if !first && len(m) > 0 {
			if m[0].next() {
				heap.Fix(&m, 0)
			} else if err := m[0].err; err != nil {
				return 0, nil, err
			} else {
				heap.Pop(&m)
			}
		}
		if first = false; len(m) == 0 {
			return 0, nil, io.EOF
		}
		return 0, m[0].e, nil
	}}
}

// close removes the parts.
func (s *sorter) close() {
	for _, r := range s.parts {
		r.close()
	}
	s.part, s.parts = nil, nil
}

// merged is one of the sorted parts that are merged, and merging the heap of them.
type merged struct {
	*cursor
	i int
}

type merging []*merged

func (m merging) Len() int           { return len(m) }
func (m merging) Less(a, b int) bool { return cmp.Or(sortedFirst(m[a].e, m[b].e), m[a].i-m[b].i) < 0 }
func (m merging) Swap(a, b int)      { m[a], m[b] = m[b], m[a] }
func (m *merging) Push(any)          {}
func (m *merging) Pop() any {
	last := len(*m) - 1
	*m = (*m)[:last]
	return nil
}
