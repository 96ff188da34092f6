package probe

import (
	"slices"

	"dovemend/remote/imap"
)

// clone is a copy for a search that goes on, which changes nothing of the one it was made of. It may have been read from a file
// that somebody has changed, so what makes no sense is left out.
func (f *Found) clone() *Found {
	c := *f
	c.Stop, c.Text, c.Next, c.Complete = "", "", "", false
	c.Exists = normal(f.Exists)
	if f.Only != nil {
		c.Only = append(uidSet{}, normal(f.Only)...)
	}
	c.Todo = slices.DeleteFunc(slices.Clone(f.Todo), unknownLook)
	c.Open = nil
	for _, w := range f.Open {
		w.UIDs = normal(w.UIDs)
		n := uidSet(w.UIDs).size()
		if n == 0 || n > 1 && (w.Accused != nil || w.Alone) || unknownLook(w.Look) || w.Look != f.Now.Look {
			continue
		}
		if w.Accused != nil {
			p := *w.Accused
			p.UID, p.Fails, p.Reads = w.UIDs[0].First, []imap.Look{w.Look}, nil
			w.Accused = &p
		}
		c.Open = append(c.Open, w)
	}
	c.Poison = append([]Poison{}, possible(f.Poison)...)
	c.Now.Pending = possible(f.Now.Pending)
	c.Healed, c.Unsteady, c.Suspects = slices.Clone(f.Healed), slices.Clone(f.Unsteady), slices.Clone(f.Suspects)
	c.Everywhere, c.NotOffered, c.Skipped = slices.Clone(f.Everywhere), slices.Clone(f.NotOffered), slices.Clone(f.Skipped)
	c.Replies, c.Log = slices.Clone(f.Replies), slices.Clone(f.Log)
	return &c
}

func unknownLook(l imap.Look) bool { return !slices.Contains(FindLooks, l) }

// possible are those poison messages that can be such.
func possible(all []Poison) []Poison {
	return slices.DeleteFunc(slices.Clone(all), func(p Poison) bool {
		return p.UID == 0 || len(p.Fails) == 0 || slices.ContainsFunc(p.Fails, unknownLook)
	})
}
