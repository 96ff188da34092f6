package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strconv"

	"dovemend/repair/store"
)

// roll is a list of entries sorted by path, in a file in incoming/, so that lists of a million files take little memory. An entry keeps
// its place; what it has become since the list was written is held beside it.
type roll struct {
	dst   *os.Root
	f     *os.File
	name  string
	n     int
	size  int64
	marks []mark         // of each rollBlock-th entry
	later map[int]*Entry // what has become of entries; nil for those that are no more
}

// rollBlock is how many entries are read to find one.
const rollBlock = 32

type mark struct {
	path store.RelPath
	off  int64
}

// rollWriter writes a roll.
type rollWriter struct {
	roll
	out  *bufio.Writer
	last string
	buf  []byte
}

// newRoll begins a roll. It is there until [copier.closeRolls], or until it is closed.
func (c *copier) newRoll() (*rollWriter, error) {
	w := &rollWriter{roll: roll{dst: c.dst, name: path.Join(incomingDir, "list-"+strconv.FormatInt(c.tempName.Add(1), 10)), later: map[int]*Entry{}}}
	f, err := c.dst.OpenFile(w.name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, local(err)
	}
	w.f, w.out = f, bufio.NewWriterSize(f, 1<<16)
	c.rolls = append(c.rolls, &w.roll)
	return w, nil
}

// rollOf writes a roll of what a cursor goes through.
func (c *copier) rollOf(from *cursor) (*roll, error) {
	w, err := c.newRoll()
	if err != nil {
		return nil, err
	}
	for from.next() {
		if err := w.add(from.e); err != nil {
			return nil, err
		}
	}
	if from.err != nil {
		return nil, from.err
	}
	return w.done()
}

// closeRolls removes all rolls.
func (c *copier) closeRolls() {
	for _, r := range c.rolls {
		r.close()
	}
	c.rolls = nil
}

// add writes the next entry.
func (w *rollWriter) add(e *Entry) error {
	if w.n%rollBlock == 0 {
		w.marks, w.last = append(w.marks, mark{e.Path, w.size}), ""
	}
	w.buf = appendEntry(w.buf[:0], w.last, e)
	w.last = string(e.Path)
	w.n++
	w.size += int64(len(w.buf))
	_, err := w.out.Write(w.buf)
	return local(err)
}

// done ends the writing.
func (w *rollWriter) done() (*roll, error) {
	err := w.out.Flush()
	w.out = nil
	return &w.roll, local(err)
}

// close removes the roll.
func (r *roll) close() {
	if r != nil && r.f != nil {
		r.f.Close()
		_ = r.dst.Remove(r.name) // what is left is cleared away by the next who comes here
		r.f = nil
	}
}

// cursor goes through the roll as it is now.
func (r *roll) cursor() *cursor { return r.from(0) }

// from goes through the roll from the beginning of a block on.
func (r *roll) from(block int) *cursor {
	if block >= len(r.marks) {
		return &cursor{}
	}
	off := r.marks[block].off
	in := entryReader{r: bufio.NewReader(io.NewSectionReader(r.f, off, r.size-off))}
	i := block*rollBlock - 1
	return &cursor{read: func() (int, *Entry, error) {
		for {
			if i++; i == r.n {
				return i, nil, io.EOF
			}
			if i%rollBlock == 0 {
				in.last = in.last[:0]
			}
			e, err := in.entry()
			if err != nil {
				return i, nil, local(fmt.Errorf("read a list of files: %w", noEOF(err)))
			}
			later, ok := r.later[i]
			switch {
			case !ok:
				return i, &e, nil
			case later != nil:
				now := *later
				return i, &now, nil
			}
		}
	}}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// find gives the entry of a path as it is now, and its place; -1 where there is none.
func (r *roll) find(p store.RelPath) (int, Entry, error) {
	block := sort.Search(len(r.marks), func(i int) bool { return r.marks[i].path > p }) - 1
	if block < 0 {
		return -1, Entry{}, nil
	}
	c := r.from(block)
	if c.meet(p, nil) {
		return c.at, *c.e, nil
	}
	return -1, Entry{}, c.err
}

// pick gives the entries at these places, which must be in order, as they are now, and leaves out those that are no more.
func (r *roll) pick(places []int) (there []int, entries []Entry, err error) {
	c := &cursor{at: -1}
	for _, i := range places {
		if c.at < i && (c.at < 0 || i/rollBlock > c.at/rollBlock) {
			c = r.from(i / rollBlock)
		}
		if c.meetAt(i) {
			there, entries = append(there, i), append(entries, *c.e)
		}
		if c.err != nil {
			return nil, nil, c.err
		}
	}
	return there, entries, nil
}

// set notes what an entry has become; nil for one that is no more. Its path stays.
func (r *roll) set(i int, e *Entry) { r.later[i] = e }

// portions goes through a list in portions.
func portions(c *cursor, do func([]Entry) error) error {
	part := make([]Entry, 0, portionSize)
	for c.next() {
		if part = append(part, *c.e); len(part) == portionSize {
			if err := do(part); err != nil {
				return err
			}
			part = part[:0]
		}
	}
	if c.err != nil {
		return c.err
	}
	return do(part)
}
