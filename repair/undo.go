package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"dovemend/remote"
	"dovemend/repair/apply"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// NothingError: the run has nothing that could be resumed or undone.
type NothingError struct {
	Run, Why string
}

func (e *NothingError) Error() string { return fmt.Sprintf("run %s: %s", e.Run, e.Why) }

// OtherHostError: the run was made on another host or account than the one connected to.
type OtherHostError struct {
	Run, Was, Is string
}

func (e *OtherHostError) Error() string {
	return fmt.Sprintf("run %s was made on %s, this is %s", e.Run, remote.Safe(e.Was), remote.Safe(e.Is))
}

// LaterRunError: a later run has changed the same mailbox, and is to be taken back first: it began with what the earlier
// one had left, and leads back to that.
type LaterRunError struct {
	Run, Later string
}

func (e *LaterRunError) Error() string {
	return fmt.Sprintf("run %s changed the same mailbox after run %s did: it has to be taken back first", e.Later, e.Run)
}

// later gives the newest repair after this run that changed one of its mailboxes and is not taken back, or "".
func (r *Run) later() (string, error) {
	all, err := rundir.List(r.s.o.StateDir)
	if err != nil {
		return "", err
	}
	m := r.dir.Meta()
	for _, l := range all { // the newest first
		changes := l.Meta.Kind == rundir.KindRepair || l.Meta.Kind == rundir.KindRestore
		if l.Err != nil || l.ID <= m.ID || !changes || !l.Meta.CanUndo() || !sameAccount(l.Meta, m) {
			continue
		}
		if !slices.ContainsFunc(l.Meta.Mailboxes, func(name string) bool { return slices.Contains(m.Mailboxes, name) }) {
			continue
		}
		if l.Meta.Kind == rundir.KindRestore {
			return l.ID, nil
		}
		if changed, err := r.changedBy(l); err != nil || changed {
			return l.ID, err
		}
	}
	return "", nil
}

// changedBy tells whether another run has, by its plan and journal, changed anything: one that had nothing to do is applied too.
func (r *Run) changedBy(l rundir.Listed) (bool, error) {
	dir, err := rundir.Open(r.s.o.StateDir, l.ID)
	if err != nil {
		return false, err
	}
	var p plan.Plan
	err = dir.ReadJSON(rundir.PlanFile, &p)
	replay, journalErr := apply.ReadJournal(dir.Root(), rundir.JournalFile)
	err = errors.Join(err, journalErr, dir.Close())
	return p.Moves != nil || len(p.Steps) > 0 && (replay.Plan == "" || replay.Changed()), err
}

// sameAccount tells whether two runs worked on one account, also where the host has changed its key between them.
func sameAccount(x, y rundir.Meta) bool {
	return x.Key() == y.Key() || x.MailRoot == y.MailRoot && x.User == y.User && sameAddr(x.Addr, y.Addr)
}

func sameAddr(x, y string) bool { return x != "" && strings.EqualFold(x, y) }

// UndoRun takes back what a run has changed, whole or in part: a run of its own, which can be resumed and undone. It
// first copies what is there now, so that nothing which came since is lost.
func UndoRun(ctx context.Context, o Options, id string, rep Reporter) (*Run, error) {
	old, err := reopen(ctx, o, id, rep)
	if err != nil {
		return old, err
	}
	if !old.dir.Meta().CanUndo() {
		why := "it has changed nothing that could be taken back"
		if by := old.dir.Meta().UndoneBy; by != "" {
			why = "it was undone already, by run " + by
		}
		return old, &NothingError{Run: old.ID(), Why: why}
	}
	if id, err := old.later(); err != nil || id != "" {
		if err == nil {
			err = &LaterRunError{Run: old.ID(), Later: id}
		}
		return old, err
	}
	r, err := old.undo(ctx)
	// Only the undo's own run stays open; its session is the old one's.
	if r == nil {
		return old, err
	}
	return r, errors.Join(err, old.Close())
}

func (r *Run) undo(ctx context.Context) (*Run, error) {
	original := new(plan.Plan)
	if err := r.dir.ReadJSON(rundir.PlanFile, original); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	if original.Moves != nil && original.Remedy == plan.Undo {
		return nil, &NothingError{Run: r.ID(), Why: "an evacuation was taken back by it; where it is wanted after all, it is begun anew by the repair command"}
	}
	replay, err := apply.ReadJournal(r.dir.Root(), rundir.JournalFile)
	if err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	m := r.s.meta(rundir.KindUndo, r.account, r.boxes)
	m.Of, m.Remedy, m.PartOf = r.ID(), string(plan.Undo), r.dir.Meta().PartOf
	// The account's lock goes from the old run to the new one: the old run's folder is only read from here on.
	if err := r.unlock(); err != nil {
		return nil, err
	}
	u, err := r.s.begin(m, r.account, r.boxes)
	if err != nil {
		return nil, err
	}
	if original.Moves != nil {
		return u, u.moveBack(ctx, r, original)
	}
	return u, u.takeBack(ctx, r, original, replay)
}

func (r *Run) unlock() error {
	var errs []error
	for i := len(r.release) - 1; i >= 0; i-- {
		errs = append(errs, r.release[i]())
	}
	r.release = nil
	return errors.Join(errs...)
}

// takeBack copies what is there now, plans the undo and applies it.
func (r *Run) takeBack(ctx context.Context, old *Run, original *plan.Plan, replay apply.Replay) error {
	touches := original.Touches()
	if old.came != nil { // which of the messages are new is told by more than what the plan touches
		touches = append(touches, snapshot.Paths(r.account, r.boxes, false)...)
	}
	for attempt := 1; ; attempt++ {
		if err := r.quiesce(ctx, r.s.o.Quiesce); err != nil {
			return unchanged(err)
		}
		if r.snap == nil {
			if _, err := r.take(ctx, touches); err != nil {
				return unchanged(err)
			}
			if err := r.open(); err != nil {
				return unchanged(err)
			}
		} else if _, err := r.snap.Refresh(ctx, r.source(), r.options(touches)); err != nil {
			return unchanged(fmt.Errorf("copy what is there now: %w", err))
		}
		if old.came != nil {
			if err := old.came(r); err != nil {
				return unchanged(err)
			}
		}
		p, err := plan.BuildUndo(plan.UndoInput{Run: r.ID(), Original: original, Begun: replay.Touched(),
			Before: old.snap.Manifest().Entries, Now: r.snap.Manifest().Entries, Manifest: r.snap.Digest()})
		if err != nil {
			return err
		}
		if attempt == 1 {
			for _, note := range p.Notes {
				if r.dir.Meta().PartOf != "" { // what it tells of was moved out of the way before
					r.log.Info(note)
					continue
				}
				r.s.rep.Warn(note)
			}
		}
		r.plan, r.remedy = p, plan.Undo
		if err := r.dir.WriteJSON(rundir.PlanFile, p); err != nil {
			return err
		}
		if err := r.stage(rundir.StagePlanned); err != nil {
			return err
		}
		out, err := r.execute(ctx)
		switch {
		case err == nil:
			return r.markUndone(old.ID())
		case out.Changed:
			return &StoppedError{Run: r.ID(), Of: r.plan.Of, Remedy: r.plan.Remedy, Outcome: out, Err: err}
		case errors.Is(err, apply.ErrChanged) && attempt < attempts:
			r.s.rep.Info("something changed just before the first step; looking again")
		default:
			return fmt.Errorf("%w: %w", ErrUnchanged, err)
		}
	}
}

// markUndone tells in run.json that a run is taken back. Where that was an undo itself, the run it had taken back stands
// again; and an undo of the same run that had stopped midway has nothing left to finish.
func (r *Run) markUndone(id string) error {
	undone := func(m *rundir.Meta) { m.Stage, m.UndoneBy = rundir.StageUndone, r.ID() }
	var was rundir.Meta
	if err := r.update(id, func(m *rundir.Meta) { was = *m; undone(m) }); err != nil {
		return err
	}
	if was.Kind == rundir.KindUndo {
		return r.standAgain(was)
	}
	all, err := rundir.List(r.s.o.StateDir)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Err == nil && l.ID != r.ID() && l.Meta.Kind == rundir.KindUndo && l.Meta.Of == id && l.Meta.Stage == rundir.StageApplying {
			if err := r.update(l.ID, undone); err != nil {
				return err
			}
		}
	}
	return nil
}

// standAgain gives the run that an undo had taken back the stage it had before.
func (r *Run) standAgain(undo rundir.Meta) error {
	dir, err := rundir.Open(r.s.o.StateDir, undo.Of)
	if errors.Is(err, rundir.ErrNoRun) {
		return nil
	}
	if err != nil {
		return err
	}
	replay, err := apply.ReadJournal(dir.Root(), rundir.JournalFile)
	if err == nil && dir.Meta().UndoneBy == undo.ID {
		err = dir.Update(func(m *rundir.Meta) {
			m.Stage, m.UndoneBy = rundir.StageApplying, ""
			if replay.Ended {
				m.Stage = rundir.StageApplied
			}
		})
	}
	return errors.Join(err, dir.Close())
}

// update changes the run.json of another run of the account, whose lock this run holds.
func (r *Run) update(id string, change func(*rundir.Meta)) error {
	dir, err := rundir.Open(r.s.o.StateDir, id)
	if err != nil {
		return err
	}
	return errors.Join(dir.Update(change), dir.Close())
}

// reopen connects to the host of a run and takes its locks.
func reopen(ctx context.Context, o Options, id string, rep Reporter) (*Run, error) {
	dir, err := rundir.Open(o.StateDir, id)
	if err != nil {
		return nil, err
	}
	m := dir.Meta()
	r, err := reconnect(ctx, o, dir, rep)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	r.dir, r.remedy, r.log = dir, plan.Remedy(m.Remedy), r.s.log
	if err := r.lock(); err != nil {
		return nil, errors.Join(err, r.unlock(), r.s.Close(), dir.Close())
	}
	if err := r.openLog(); err != nil {
		return nil, errors.Join(err, r.Close(), r.s.Close())
	}
	r.note()
	return r, nil
}

// reconnect logs in as a run says it was made, and finds its account again.
func reconnect(ctx context.Context, o Options, dir *rundir.Dir, rep Reporter) (*Run, error) {
	m := dir.Meta()
	if o.Remote.Target == "" {
		o.Remote.Target = m.Target
	}
	o.MailRoot, o.Account, o.Mailboxes, o.All = m.MailRoot, "", m.Mailboxes, false
	s, err := Connect(ctx, o, rep)
	if err != nil {
		return nil, err
	}
	info := s.host.Info()
	// A host of the same name whose new key is known by now is the same one.
	newKey := m.HostKey != "" && info.Fingerprint != "" && m.HostKey != info.Fingerprint
	if newKey && !sameAddr(m.Addr, info.Addr) || m.User != info.User {
		return nil, errors.Join(&OtherHostError{Run: m.ID, Was: m.User + "@" + m.Addr + " (" + m.HostKey + ")",
			Is: info.User + "@" + info.Addr + " (" + info.Fingerprint + ")"}, s.Close())
	}
	if newKey {
		s.rep.Warn(fmt.Sprintf("%s has another key than when run %s was made (%s, now %s); it is one you have accepted since", remote.Safe(info.Addr), m.ID, remote.Safe(m.HostKey), info.Fingerprint))
	}
	a, err := store.At(ctx, s.host.FS(ctx), m.MailRoot)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the account of run %s again: %w", m.ID, err), s.Close())
	}
	if a.Root != m.MailRoot {
		return nil, errors.Join(fmt.Errorf("the mail root of run %s has moved: %w", m.ID, fs.ErrNotExist), s.Close())
	}
	a.Layout = m.Layout // an emptied folder may no longer tell it
	boxes, err := s.mailboxesOf(a, dir)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Run{s: s, account: a, boxes: boxes}, nil
}

// mailboxesOf finds the mailboxes of a run by the folders its plan names: some may be gone from the host since, as where a
// mail program has deleted an emptied mailbox.
func (s *Session) mailboxesOf(a store.Account, dir *rundir.Dir) ([]store.Mailbox, error) {
	var p plan.Plan
	if dir.Meta().Kind == rundir.KindRestore { // its mailbox may be one that it has yet to make
		var boxes []store.Mailbox
		for _, name := range dir.Meta().Mailboxes {
			if m, err := a.Mailbox(name); err == nil {
				boxes = append(boxes, m)
			}
		}
		return boxes, nil
	}
	if err := dir.ReadJSON(rundir.PlanFile, &p); errors.Is(err, fs.ErrNotExist) {
		return s.Mailboxes(a)
	} else if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	var boxes []store.Mailbox
	for _, name := range dir.Meta().Mailboxes {
		i := slices.IndexFunc(p.Folders, func(f plan.Folder) bool { return f.Mailbox == name })
		if i < 0 { // the plan has nothing to do in it
			if m, err := a.Mailbox(name); err == nil {
				boxes = append(boxes, m)
			}
			continue
		}
		m := store.Mailbox{Name: name, Storage: name, Dir: p.Folders[i].Path}
		if k := slices.IndexFunc(a.Mailboxes, func(have store.Mailbox) bool { return have.Dir == m.Dir }); k >= 0 {
			m.Storage = a.Mailboxes[k].Storage
		}
		boxes = append(boxes, m)
	}
	return boxes, nil
}

// Session is the connection the run works over; the caller closes it after the run.
func (r *Run) Session() *Session { return r.s }
