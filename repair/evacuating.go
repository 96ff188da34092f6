package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/repair/apply"
	"dovemend/repair/check"
	"dovemend/repair/dovecot"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
	"dovemend/repair/reconstruct"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// moves says what an evacuation would move, by what the copy tells. It is refused where the look it begins with would cost
// something: Dovecot would build the mailbox anew by it, and lose flags, UIDs or messages.
func (r *Run) moves() (*plan.Moves, error) {
	if len(r.reports) != 1 {
		return nil, errors.New("evacuate takes one mailbox at a time")
	}
	if r.s.o.IMAP.Off {
		return nil, errors.New("evacuate works over IMAP, which is switched off (--imap off)")
	}
	rep := r.reports[0]
	name := rep.State.Mailbox.Name
	if rep.Opened.Loses() {
		return nil, &plan.RebuildFirstError{Mailbox: name, Why: lossesOf(rep.Opened)}
	}
	for _, f := range r.shared {
		if f.Severity == check.Broken && f.Cure == check.CureRebuild {
			return nil, &plan.RebuildFirstError{Mailbox: name, Why: f.Text + "; " + f.Effect}
		}
	}
	// What clears the emptied folder is planned when it is empty; that it could not be done is to be known before.
	if _, err := plan.Build(plan.Input{Run: r.ID(), Account: r.account, Mailboxes: r.boxes, Remedy: plan.Clear, Aside: r.s.o.Aside,
		Policy: plan.Policy{Accept: plan.Losses(), Confirm: []string{name}}, Entries: r.snap.Manifest().Entries, Facts: []plan.Facts{facts(rep)},
		Manifest: r.snap.Digest()}); err != nil {
		return nil, fmt.Errorf("the folder could not be cleared afterwards: %w", err)
	}
	mv := &plan.Moves{Mailbox: name, Back: r.s.o.MoveBack, Accept: r.s.o.AcceptLoss}
	for _, l := range unreadable(rep.State, true) {
		mv.Unreadable = append(mv.Unreadable, l.UID)
	}
	mv.Messages = rep.State.Counts().Messages - len(mv.Unreadable)
	mv.Backup = evacuate.Free(evacuate.BackupName(time.Now(), name), func(name string) bool {
		_, err := r.account.Mailbox(name)
		return err == nil
	})
	return mv, nil
}

func lossesOf(o check.Outcome) string {
	var l []string
	for _, x := range []struct {
		n    int
		what string
	}{{o.Gone, "%s would no longer show"}, {o.Flags, "the flags of %s would be lost"}, {o.Keywords, "the keywords of %s would be lost"}, {o.UIDs, "%s would get new UIDs"}} {
		if x.n > 0 {
			l = append(l, fmt.Sprintf(x.what, counted(x.n, "message", "messages")))
		}
	}
	return strings.Join(l, ", ")
}

// unreadable lists the messages on which Dovecot fails, by what the copy tells: only those that are in the mailbox, or also
// those of which only the index tells.
func unreadable(s *reconstruct.State, there bool) (list []evacuate.Left) {
	for i := range s.Messages {
		m := &s.Messages[i]
		switch {
		case m.UID == 0 || there && !s.Belongs(m):
		case m.Lost && s.Layout != store.Maildir:
			list = append(list, evacuate.Left{UID: uint32(m.UID), Why: "its text is not there any more"})
		case s.Belongs(m) && s.Breaks(m):
			list = append(list, evacuate.Left{UID: uint32(m.UID), Why: "its file " + remote.Safe(string(m.File)) + " is damaged"})
		}
	}
	return list
}

// known is what the copy tells, to be compared with the first look over IMAP.
func known(s *reconstruct.State) evacuate.Known {
	k := evacuate.Known{UIDValidity: s.UIDValidity, Unreadable: unreadable(s, false)}
	for i := range s.Messages {
		m := &s.Messages[i]
		if s.Belongs(m) && m.UID != 0 && m.By.UID != reconstruct.ByNothing && !m.Renumber && m.Flags&dovecot.FlagDeleted == 0 {
			k.UIDs = append(k.UIDs, uint32(m.UID))
		}
	}
	return k
}

// touches are the paths of which an apply needs a fresh copy.
func (r *Run) touches() []store.RelPath {
	if r.plan.Moves != nil {
		return snapshot.Paths(r.account, r.boxes, false)
	}
	return r.plan.Touches()
}

// evacuate does the plan of an evacuation.
func (r *Run) evacuate(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		if err := r.quiesce(ctx, r.s.o.Quiesce); err != nil {
			return unchanged(err)
		}
		if err := r.freshen(ctx); err != nil {
			return unchanged(err)
		}
		err := r.engage(ctx, func(e *evacuate.Engine) error {
			e.Known = known(r.reports[0].State)
			return e.Run(ctx)
		})
		var stopped *StoppedError
		if err == nil || errors.As(err, &stopped) {
			return err
		}
		if !errors.Is(err, evacuate.ErrLooked) || attempt >= attempts {
			return unchanged(err)
		}
		r.s.rep.Info("the mailbox changed just before the first message was moved; looking again")
	}
}

// engage has an engine do something of the run's evacuation, and says how it ended: an error before the first change is told as
// it is, and a later one is a [StoppedError].
func (r *Run) engage(ctx context.Context, do func(*evacuate.Engine) error) error {
	look, err := r.s.Look(ctx, r.account)
	if err != nil {
		return err
	}
	defer look.Close()
	mv := r.plan.Moves
	e := &evacuate.Engine{Report: r.s.rep, State: r.evac, Find: r.finder(look),
		Quiet: func(ctx context.Context) (bool, error) {
			if err := look.Close(); err != nil { // its process would be ended with the others
				return false, err
			}
			return r.hush(ctx)
		},
		Dial: func(ctx context.Context) (evacuate.Conn, error) {
			c, err := look.Dial(ctx)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Begin: func() error {
			if r.dir.Meta().Stage == rundir.StageApplying {
				return nil
			}
			return r.stage(rundir.StageApplying)
		},
		Options: evacuate.Options{Batch: r.s.o.batch, Mailbox: mv.Mailbox, Backup: mv.Backup, Back: mv.Back, Clear: r.clearEmptied, Agree: r.agree}}
	if err := e.Open(r.dir.Root()); err != nil {
		return err
	}
	if hook := r.s.o.cutMoves; hook != nil {
		e.Cut(hook)
	}
	r.evac = e.State
	err = do(e)
	if cerr := e.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if err == nil {
		return r.stage(rundir.StageApplied)
	}
	if r.dir.Meta().Stage != rundir.StageApplying {
		r.evac = nil
		return err
	}
	moved, back, gone := e.State.Counts()
	out := apply.Outcome{Total: max(e.State.Total-len(e.State.Left), 0), Done: moved + back + gone, Changed: true}
	if r.plan.Remedy == plan.Undo {
		out = apply.Outcome{Total: moved + back, Done: back, Changed: true}
	}
	return &StoppedError{Run: r.ID(), Of: r.plan.Of, Remedy: r.plan.Remedy, Outcome: out, Moves: true, Err: err}
}

// agree lets the evacuation go on where losing the messages that cannot be read was accepted.
func (r *Run) agree(left []evacuate.Left) error {
	if len(left) == 0 || slices.Contains(r.plan.Moves.Accept, plan.LossMessages) {
		return nil
	}
	f := plan.Facts{Mailbox: r.plan.Moves.Mailbox, Unreadable: len(left), Messages: len(left)}
	for _, l := range left[:min(len(left), 10)] {
		r.s.rep.Warn(fmt.Sprintf("UID %d of %s: %s", l.UID, remote.Safe(f.Mailbox), l.Why))
	}
	return &plan.WouldLoseError{Costs: plan.Costs(plan.Evacuate, r.account.Layout, f)}
}

// resumeMoves goes on with an evacuation, or with taking one back.
func (r *Run) resumeMoves(ctx context.Context) error {
	if r.plan.Remedy == plan.Undo {
		return r.takeMovesBack(ctx)
	}
	if r.dir.Meta().Stage == rundir.StageApplied {
		return r.readMoves()
	}
	if err := r.quiesce(ctx, r.s.o.Quiesce); err != nil {
		return err
	}
	return r.engage(ctx, func(e *evacuate.Engine) error {
		if !e.State.Begun { // it was killed before it had changed anything
			if err := r.examine(ctx); err != nil {
				return err
			}
			e.Known = known(r.reports[0].State)
		}
		return e.Run(ctx)
	})
}

// readMoves reads how far the evacuation of the run has come, and of an undo, of the run that it takes back too.
func (r *Run) readMoves() (err error) {
	var from *evacuate.State
	if of := r.plan.Of; of != "" {
		dir, err := rundir.Open(r.s.o.StateDir, of)
		if err != nil {
			return err
		}
		from, err = evacuate.ReadState(dir.Root(), nil)
		if err = errors.Join(err, dir.Close()); err != nil {
			return err
		}
	}
	r.evac, err = evacuate.ReadState(r.dir.Root(), from)
	return err
}
