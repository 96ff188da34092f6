package evacuate

import (
	"context"
	"maps"
	"slices"
	"time"

	"dovemend/remote"
)

// How long both mailboxes must be unchanged before a command whose connection is lost, and whose process cannot be ended, is taken to be
// done with, and how often they are looked at. Tests make it less.
var (
	steadyLooks = 10
	steadyPause = time.Second
)

// steadyMost is how many looks there are at most, as where new mail keeps coming.
const steadyMost = 120

// steady waits until the open batch has moved as a whole, or nothing of it moves any more.
func (e *Engine) steady(ctx context.Context) error {
	b := e.State.Open
	w := e.way(b.Back)
	e.Report.Stage("waiting until the server has done with a move to " + remote.Safe(w.to) + ", whose connection was lost")
	var last []uint32
	for same, n := 0, 0; same < steadyLooks && n < steadyMost; n++ {
		if _, err := e.look(ctx, w.to, w.toID); err != nil {
			return err
		}
		there, err := e.inventory(ctx, b.To)
		if err != nil {
			return err
		}
		if err := e.open(ctx, w.from, w.fromID); err != nil {
			return err
		}
		here, err := e.present(ctx, b)
		if err != nil {
			return err
		}
		maps.DeleteFunc(here, func(u uint32, _ bool) bool {
			return !slices.ContainsFunc(b.Items, func(it Item) bool { return it.UID == u })
		})
		if len(here) == 0 {
			return nil
		}
		now := slices.Concat(slices.Sorted(maps.Keys(here)), []uint32{0}, slices.Sorted(maps.Keys(there)))
		if same++; !slices.Equal(now, last) {
			same = 0
		}
		last = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(steadyPause):
		}
	}
	return nil
}

// vanished gives, as the open batch again, messages of an earlier one that had stayed when it was looked, and are not there any more: the
// server has moved them since, or somebody has taken them away.
func (e *Engine) vanished(ctx context.Context) (*Batch, error) {
	for _, d := range e.State.Doubts {
		w := e.way(d.Back)
		if err := e.open(ctx, w.from, w.fromID); err != nil {
			return nil, err
		}
		here, err := e.present(ctx, d)
		if err != nil {
			return nil, err
		}
		gone := slices.DeleteFunc(slices.Clone(d.Items), func(it Item) bool { return here[it.UID] })
		if len(gone) == 0 {
			continue
		}
		if err := e.note(line{Kind: kindMove, Back: d.Back, To: d.To, Items: gone}); err != nil {
			return nil, err
		}
		return e.State.Open, nil
	}
	return nil, nil
}

// doubt remembers what may move yet of a batch, and forgets of what it is known.
func (s *State) doubt(b *Batch, unsure bool) {
	settled := map[uint32]bool{}
	var open []Item
	for i, it := range b.Items {
		if b.New[i] != stayed {
			settled[it.UID] = true
		} else {
			open = append(open, it)
		}
	}
	for _, d := range s.Doubts {
		if d.Back == b.Back {
			d.Items = slices.DeleteFunc(d.Items, func(it Item) bool { return settled[it.UID] })
		}
	}
	s.Doubts = slices.DeleteFunc(s.Doubts, func(d *Batch) bool { return len(d.Items) == 0 })
	if unsure && len(open) > 0 {
		s.Doubts = append(s.Doubts, &Batch{Back: b.Back, To: b.To, Items: open})
	}
}

// since is the UID from which on messages of a batch are to be looked for where they go: where they may have moved before, it is that
// of the earlier batch.
func (s *State) since(back bool, items []Item, next uint32) uint32 {
	for _, d := range s.Doubts {
		if d.Back == back && slices.ContainsFunc(items, func(it Item) bool {
			return slices.ContainsFunc(d.Items, func(x Item) bool { return x.UID == it.UID })
		}) {
			next = min(next, d.To)
		}
	}
	return next
}
