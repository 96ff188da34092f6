package reconstruct

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"slices"

	"dovemend/repair/store"
)

// twins finds files that have the base name of another one and the same bytes: a delivery or a copy that was done twice. One of
// them is the message. Where the bytes differ, both are messages; Dovecot gives one of them a new name, and a UID of its own.
func (r *maildirReader) twins() error {
	of := map[string][]int{}
	for i := range r.Messages {
		base := r.Messages[i].Name.Base
		of[base] = append(of[base], i)
	}
	drop := map[int]bool{}
	for _, all := range of {
		if len(all) < 2 {
			continue
		}
		slices.SortStableFunc(all, func(a, b int) int { return r.said(b) - r.said(a) })
		for _, i := range all[1:] {
			same, err := sameBytes(r.fsys, &r.Messages[all[0]], &r.Messages[i])
			if err != nil {
				return err
			}
			m := &r.Messages[i]
			if same {
				drop[i] = true
				r.Twins = append(r.Twins, m.File)
			} else {
				m.UID, m.By.UID, m.Renumber, m.Fields, m.Stray, m.Clash = 0, ByNothing, false, "", true, true
			}
		}
	}
	if len(drop) == 0 {
		return nil
	}
	kept := r.Messages[:0:0]
	for i := range r.Messages {
		if !drop[i] {
			kept = append(kept, r.Messages[i])
		}
	}
	r.Messages = kept
	slices.Sort(r.Twins)
	return nil
}

// said is how much the name of a file tells of its message: one that was seen in cur tells more than one in new.
func (r *maildirReader) said(i int) int {
	n := &r.Messages[i].Name
	told := bits.OnesCount8(uint8(n.Flags)) + bits.OnesCount32(n.Keywords)
	if n.HasFlags {
		told += 64
	}
	return told
}

func sameBytes(fsys fs.FS, a, b *Message) (bool, error) {
	if a.Size != b.Size || a.Size < 0 || a.Body.Why != nil || b.Body.Why != nil {
		return false, nil
	}
	x, err := fsys.Open(string(a.File))
	if err != nil {
		return false, notSame(a.File, err)
	}
	defer x.Close()
	y, err := fsys.Open(string(b.File))
	if err != nil {
		return false, notSame(b.File, err)
	}
	defer y.Close()
	p, q := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(x, p)
		m, other := io.ReadFull(y, q)
		if !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		end := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
		switch {
		case end(err) && end(other):
			return true, nil
		case err != nil && !end(err):
			return false, notSame(a.File, err)
		case other != nil && !end(other):
			return false, notSame(b.File, other)
		}
	}
}

// notSame is the error of a file that cannot be compared; what the copy lacks is nobody's twin.
func notSame(name store.RelPath, err error) error {
	if errors.Is(err, fs.ErrNotExist) || NotCopied(err) {
		return nil
	}
	return fmt.Errorf("read the copy of %s: %w", name, err)
}
