package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Stored is a complete local copy whose list is left on the disk, so that one of a million files takes little memory. It is all that
// making a copy and building on one takes; [Open] reads the list.
type Stored struct {
	root    *os.Root
	m       Manifest // of a Stored without its entries
	sum     string
	stats   Stats
	notable []Entry
}

// OpenStored opens a complete snapshot as [Open] does, but reads only the head of its list.
func OpenStored(dst *os.Root) (*Stored, error) {
	if err := rollForward(dst); err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	head, _, f, err := openList(dst)
	if err != nil {
		return nil, err
	}
	return &Stored{root: dst, m: head}, f.Close()
}

// openList opens the list of a complete snapshot to go through it. f is to be closed by the caller.
func openList(dst *os.Root) (head Manifest, entries *cursor, f io.Closer, err error) {
	file, err := dst.Open(manifestName)
	if err != nil {
		return head, nil, nil, fmt.Errorf("open snapshot: %w", err)
	}
	if head, entries, err = passManifest(file); err != nil {
		return head, nil, nil, errors.Join(fmt.Errorf("open snapshot: %w", err), file.Close())
	}
	return head, entries, file, nil
}

// Head gives what the manifest says of the whole: all but its entries.
func (s *Stored) Head() *Manifest { return &s.m }

// Stats tells what the Take or the last Refresh did; of an opened snapshot it only counts.
func (s *Stored) Stats() Stats { return s.stats }

// Notable gives the entries that are torn or could not be read, of a copy that was just made.
func (s *Stored) Notable() []Entry { return s.notable }

// count fills in what follows from the list.
func (s *Stored) count(entries *cursor) error {
	st := &s.stats
	st.Files, st.Bytes, st.Torn, st.Missing, st.Gone, s.notable = 0, 0, 0, 0, len(s.m.Earlier), nil
	for entries.next() {
		e := entries.e
		if e.hasBytes() {
			st.Files++
			st.Bytes += e.Size
		}
		if e.Torn {
			st.Torn++
		}
		if e.Err != "" {
			st.Missing++
		}
		if e.Torn || e.Err != "" {
			s.notable = append(s.notable, *e)
		}
	}
	return entries.err
}
