package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dovemend/remote"
	"dovemend/repair/apply"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
	"dovemend/repair/rebuild"
	"dovemend/repair/reconstruct"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// clearEmptied clears the emptied mailbox in a run of its own, a part of this one: copied, planned, guarded and journalled as
// every clearing, and taken back with this run. What is in the mailbox must be among the messages that stay; these are written
// to this computer first.
func (r *Run) clearEmptied(ctx context.Context, stay evacuate.Staying, id string, begun func(run string) error) error {
	if id != "" {
		if done, err := r.partDone(id); done || err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		err := r.clearPart(ctx, stay, begun)
		if !errors.Is(err, apply.ErrChanged) || try >= clearings || ctx.Err() != nil {
			return err
		}
		r.s.rep.Info("a mail program woke Dovecot up while the mailbox was cleared; the rest is planned anew. Close that program if you can")
	}
}

// clearings is how often what is left of a clearing is planned anew, because something changed in the middle of it.
const clearings = 6

// clearPart is one run that clears.
func (r *Run) clearPart(ctx context.Context, stay evacuate.Staying, begun func(run string) error) error {
	m := r.s.meta(rundir.KindRepair, r.account, r.boxes)
	m.Remedy, m.PartOf = string(plan.Clear), r.ID()
	s := *r.s
	s.o.AcceptLoss, s.o.Confirm, s.o.Remedy = plan.Losses(), m.Mailboxes, plan.Clear
	c, err := s.begin(m, r.account, r.boxes)
	if err != nil {
		return err
	}
	c.guard = func() error {
		if err := onlyLeft(c, stay); err != nil {
			return err
		}
		return r.saveBehind(ctx, c, stay)
	}
	err = c.clearNow(ctx, func() error { return begun(c.ID()) })
	exit := 0
	if err != nil {
		exit = 1
	}
	return errors.Join(err, c.End(exit, err), c.Close())
}

// clearNow is the part's own work.
func (r *Run) clearNow(ctx context.Context, begun func() error) error {
	if err := r.quiesce(ctx, r.s.o.Quiesce); err != nil {
		return err
	}
	if _, err := r.Snapshot(ctx); err != nil {
		return err
	}
	if _, err := r.Plan(ctx, plan.Clear); err != nil {
		return err
	}
	if err := begun(); err != nil {
		return err
	}
	return r.Apply(ctx)
}

// partDone tells whether a clearing came to its end. What is left of one that did not is planned anew: new mail may have come.
func (r *Run) partDone(id string) (bool, error) {
	dir, err := rundir.Open(r.s.o.StateDir, id)
	if err != nil {
		return false, err
	}
	stage := dir.Meta().Stage
	return stage == rundir.StageApplied || stage == rundir.StageVerified, dir.Close()
}

// openPart opens a run that is a part of this one.
func (r *Run) openPart(id string) (*Run, error) {
	dir, err := rundir.Open(r.s.o.StateDir, id)
	if err != nil {
		return nil, err
	}
	c := &Run{s: r.s, dir: dir, account: r.account, boxes: r.boxes, remedy: plan.Clear, log: r.s.log}
	if err := c.lock(); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	if err := c.openLog(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// onlyLeft makes sure that nothing is in the mailbox but the messages that stay. Where Dovecot has made the mailbox anew since these
// were found, their UIDs name other messages, and none of them counts.
func onlyLeft(c *Run, stay evacuate.Staying) error {
	s := c.acct.Boxes[0]
	n := 0
	for i := range s.Messages {
		m := &s.Messages[i]
		if s.Layout == store.MDBox && s.Sound && m.By.UID == reconstruct.ByNothing {
			continue // only the storage has it, which stays as it is
		}
		if s.Belongs(m) && stay.At(s.UIDValidity, uint32(m.UID)) < 0 {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%s in %s that has not been moved: %w", counted(n, "message is", "messages are"), remote.Safe(s.Mailbox.Name), evacuate.ErrNewMail)
	}
	return nil
}

// saveBehind writes the messages that stay to this run's folder, as far as they can be read in the part's copy.
func (r *Run) saveBehind(ctx context.Context, c *Run, stay evacuate.Staying) error {
	s := c.acct.Boxes[0]
	box := rebuild.Box{Mailbox: s.Mailbox}
	for i := range s.Messages {
		m := &s.Messages[i]
		if k := stay.At(s.UIDValidity, uint32(m.UID)); k >= 0 {
			box.LeftOut = append(box.LeftOut, rebuild.LeftOut{Message: *m, Why: stay.Left[k].Why})
		}
	}
	if len(box.LeftOut) == 0 {
		return nil
	}
	return r.save(ctx, c.snap, c.acct, []rebuild.Box{box})
}

// moveBack takes an evacuation back: this run is the undo of the other one.
func (r *Run) moveBack(ctx context.Context, old *Run, original *plan.Plan) error {
	state, err := evacuate.ReadState(old.dir.Root(), nil)
	if err != nil {
		return unchanged(err)
	}
	if err := r.quiesce(ctx, r.s.o.Quiesce); err != nil {
		return unchanged(err)
	}
	boxes := r.boxes
	if m, err := r.account.Mailbox(mailboxName(state.Backup)); err == nil {
		boxes = append(slices.Clone(boxes), m)
	}
	if _, err := r.take(ctx, snapshot.Paths(r.account, boxes, false)); err != nil {
		return unchanged(err)
	}
	if err := r.open(); err != nil {
		return unchanged(err)
	}
	r.plan, r.remedy = plan.UndoMoves(r.ID(), original, state.Backup, r.snap.Digest()), plan.Undo
	if err := r.dir.WriteJSON(rundir.PlanFile, r.plan); err != nil {
		return unchanged(err)
	}
	if err := r.stage(rundir.StagePlanned); err != nil {
		return unchanged(err)
	}
	return r.takeMovesBack(ctx)
}

// takeMovesBack does what is left of taking an evacuation back.
func (r *Run) takeMovesBack(ctx context.Context) error {
	r.evac = nil
	if err := r.readMoves(); err != nil {
		return unchanged(err)
	}
	if r.dir.Meta().Stage != rundir.StageApplied {
		u, err := r.uncleared(r.evac.ClearRuns)
		if err != nil {
			return unchanged(err)
		}
		of := r.plan.Of
		dir, err := rundir.Open(r.s.o.StateDir, of)
		if err != nil {
			return unchanged(err)
		}
		r.evac, err = evacuate.ReadState(dir.Root(), nil) // the engine reads this run's own journal itself
		if err = errors.Join(err, dir.Close()); err != nil {
			return unchanged(err)
		}
		if err := r.engage(ctx, func(e *evacuate.Engine) error { return e.Undo(ctx, u) }); err != nil {
			return err
		}
	}
	return r.markUndone(r.plan.Of)
}

// uncleared says what is to be brought back of what parts of the run have cleared.
func (r *Run) uncleared(parts []string) (evacuate.Uncleared, error) {
	var u evacuate.Uncleared
	var stand []string
	for _, id := range parts {
		dir, err := rundir.Open(r.s.o.StateDir, id)
		if err != nil {
			return u, err
		}
		m := dir.Meta()
		if err := dir.Close(); err != nil {
			return u, err
		}
		if m.Stands() {
			stand = append(stand, id)
			u.Done = m.Stage != rundir.StageApplying
		}
	}
	if len(stand) == 0 {
		return u, nil
	}
	slices.Reverse(stand)
	u.Restore = func(ctx context.Context) error {
		for _, id := range stand {
			if err := r.undoPart(ctx, id, id == parts[len(parts)-1]); err != nil {
				return err
			}
		}
		return nil
	}
	return u, nil
}

// undoPart takes a clearing back, by the files. That of the last one finds the mailbox as Dovecot has it now, and must set no new mail
// aside; those before it find what the last one had taken.
func (r *Run) undoPart(ctx context.Context, id string, last bool) error {
	c, err := r.openPart(id)
	if err != nil {
		return err
	}
	if last {
		c.came = func(u *Run) error { return cameSince(ctx, c, u, r.evac.Staying()) }
	}
	u, err := c.undo(ctx)
	if u == nil {
		return errors.Join(err, c.Close())
	}
	if err == nil {
		var v *Verification
		if v, err = u.Verify(ctx); err == nil && !v.OK {
			r.s.rep.Warn("what the clearing took away is not all as it was: " + remote.Safe(fmt.Sprint(v.Files)))
		}
	}
	exit := 0
	if err != nil {
		exit = 1
	}
	return errors.Join(err, u.End(exit, err), u.Close(), c.Close())
}

// cameSince makes sure that the fresh copy of a part's undo u has no message but those of the part's own copy: a clearing, or its undo, may
// have been stopped midway. In a Maildir new mail stays where it is.
func cameSince(ctx context.Context, c, u *Run, stay evacuate.Staying) error {
	if u.account.Layout == store.Maildir {
		return nil
	}
	acct, err := reconstruct.Read(ctx, u.snap.FS(), u.account, u.boxes)
	if err != nil {
		return fmt.Errorf("look for new mail in the copy: %w", err)
	}
	was := map[store.RelPath]string{}
	for _, e := range c.snap.Manifest().Entries {
		was[e.Path] = e.SHA256
	}
	old := map[store.RelPath]bool{} // files that are as they were before the clearing
	for _, e := range u.snap.Manifest().Entries {
		old[e.Path] = e.SHA256 != "" && was[e.Path] == e.SHA256
	}
	n := 0
	for _, s := range acct.Boxes {
		for i := range s.Messages {
			m := &s.Messages[i]
			known := stay.At(s.UIDValidity, uint32(m.UID)) >= 0
			switch s.Layout {
			case store.SDBox: // each is a file of its own, whatever UIDVALIDITY is told meanwhile
				known = old[m.File]
			case store.MDBox: // what no index lists is in the storage, which stays as it is
				known = known || m.By.UID == reconstruct.ByNothing
			}
			if s.Belongs(m) && !known {
				n++
			}
		}
	}
	if n > 0 {
		return fmt.Errorf("%s in the mailbox that would be set aside: %w", counted(n, "new message is", "new messages are"), evacuate.ErrNewMail)
	}
	return nil
}

// mailboxName is a mailbox's name without the prefix that some servers put before all but INBOX.
func mailboxName(server string) string {
	for _, prefix := range []string{"INBOX.", "INBOX/"} {
		if len(server) > len(prefix) && server[:len(prefix)] == prefix {
			return server[len(prefix):]
		}
	}
	return server
}
