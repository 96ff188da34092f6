package repair

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"dovemend/remote"
	"dovemend/repair/apply"
	"dovemend/repair/check"
	"dovemend/repair/restore"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

const requestFile = "restore.json"

// RestoreOptions say what is put back, and where.
type RestoreOptions struct {
	Source  RestoreSource  `json:"source"`
	Mailbox string         `json:"mailbox"` // the target, levels separated by "/"
	Filter  restore.Filter `json:"filter"`
	All     bool           `json:"all,omitempty"`  // add what the server has already, too
	Full    bool           `json:"full,omitempty"` // read every added text back
	NoCopy  bool           `json:"-"`              // make no copy of the target before
}

// same reports whether both ask for the same.
func (o RestoreOptions) same(x RestoreOptions) bool {
	a, err := json.Marshal(o)
	b, berr := json.Marshal(x)
	return err == nil && berr == nil && string(a) == string(b)
}

// Restored is what restoring, or looking what would be restored, came to.
type Restored struct {
	Options RestoreOptions
	Items   []*restore.Item // every message of the source
	Counts  map[restore.Status]restore.Count
	How     string         // how IMAP was spoken: "preauth", "tls", …
	Dropped map[string]int // flags and keywords that the mailbox does not keep, and how many messages had them
	New     bool           // the mailbox does not exist, or did not before
	Skipped int            // files that hold no message
	Names   []string       // of some of these, with why
}

// Doubtful are messages that were added, and are not on the server as they were sent.
func (r *Restored) Doubtful() (list []*restore.Item) {
	for _, x := range r.Items {
		if x.Doubt != "" {
			list = append(list, x)
		}
	}
	return list
}

// DamagedTargetError: the mailbox that messages are to be put into is damaged itself, or the storage that it shares with the
// account's other mailboxes is; opening it over IMAP would make Dovecot rebuild it, and lose what a repair can keep.
type DamagedTargetError struct {
	Mailbox string // "" for the storage
	Beside  bool   // it is not the target, which is yet to be made, but INBOX, whose index Dovecot opens at that
	Finding Finding
}

func (e *DamagedTargetError) Error() string {
	if e.Mailbox == "" {
		return fmt.Sprintf("the storage that all mailboxes share is damaged (%s), and has to be repaired first", remote.Safe(e.Finding.Text))
	}
	if e.Beside {
		return fmt.Sprintf("the mailbox %s, which Dovecot opens when it makes another one, is damaged (%s), and has to be repaired first", remote.Safe(e.Mailbox), remote.Safe(e.Finding.Text))
	}
	return fmt.Sprintf("the mailbox %s is damaged itself (%s), and has to be repaired first", remote.Safe(e.Mailbox), remote.Safe(e.Finding.Text))
}

// NewRestore begins a run that puts messages into a mailbox, or goes on with the one that was stopped at the very same. Without a
// host, a is what is known of the account.
func (s *Session) NewRestore(ctx context.Context, a store.Account, o RestoreOptions) (*Run, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := rundir.EnsureState(s.o.StateDir); err != nil {
		return nil, err
	}
	if w := rundir.StateWarning(s.o.StateDir); w != "" {
		s.rep.Warn(w)
	}
	m := s.meta(rundir.KindRestore, a, nil)
	m.Mailboxes, m.Remedy, m.NoCopy = []string{o.Mailbox}, "", true
	m.Address = cmp.Or(m.Address, s.o.Account, s.o.IMAP.User)
	all, err := rundir.List(s.o.StateDir)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if l.Err != nil || l.Meta.Stage != rundir.StageApplying || !sameAccount(l.Meta, m) || !slices.Contains(l.Meta.Mailboxes, o.Mailbox) {
			continue
		}
		if l.Meta.Kind == rundir.KindRestore {
			if r, err := s.goOnWith(l.ID, a, o); r != nil || err != nil {
				return r, err
			}
		}
		return nil, &UnfinishedError{Run: l.ID, Mailbox: o.Mailbox}
	}
	var boxes []store.Mailbox
	if box, err := a.Mailbox(o.Mailbox); err == nil && s.host != nil {
		boxes = append(boxes, box)
	}
	r, err := s.begin(m, a, boxes)
	if err != nil {
		return nil, err
	}
	if err := r.dir.WriteJSON(requestFile, o); err != nil {
		return nil, errors.Join(err, r.fail(err), r.Close())
	}
	return r, nil
}

// goOnWith opens a restore that stopped midway, where it was asked for the same; nil where it was not.
func (s *Session) goOnWith(id string, a store.Account, o RestoreOptions) (*Run, error) {
	dir, err := rundir.Open(s.o.StateDir, id)
	if err != nil {
		return nil, err
	}
	var was RestoreOptions
	if err := dir.ReadJSON(requestFile, &was); err != nil || !was.same(o) {
		return nil, dir.Close()
	}
	r := &Run{s: s, dir: dir, account: a, log: s.log}
	if err := r.lock(); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	if err := r.openLog(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s.rep.Info("going on with run " + id + ", which was stopped midway")
	return r, nil
}

// Restore looks what is missing in the mailbox, and with do adds it. Before IMAP gets near the mailbox its files are copied, where
// there is a host to copy from, and one that is damaged is refused ([DamagedTargetError]); with mdbox also where the storage
// is. With mdbox and sdbox, INBOX stands for a mailbox that is yet to be made. The result tells of every message,
// also beside an error; where something was added before it, the error is a [StoppedError].
func (r *Run) Restore(ctx context.Context, o RestoreOptions, do bool) (*Restored, error) {
	m := r.dir.Meta()
	midway := m.Stage == rundir.StageApplying
	if !midway && r.s.host != nil && (len(r.boxes) > 0 || r.account.Layout != store.Maildir) && !o.NoCopy {
		if err := r.spare(ctx); err != nil {
			return nil, err
		}
	}
	return r.putBack(ctx, o, do)
}

// spare copies the target and refuses a damaged one. Where it is yet to be made, that is done with what CREATE makes Dovecot open: in
// a dbox account the index of INBOX (a damaged one it drops, and with it the flags), and with mdbox the storage.
func (r *Run) spare(ctx context.Context) error {
	made := len(r.boxes) == 0
	if made {
		if inbox, err := r.account.Mailbox("INBOX"); err == nil {
			r.boxes = []store.Mailbox{inbox}
			defer func() { r.boxes = nil }()
		}
	}
	paths := snapshot.Shared(r.account)
	if len(r.boxes) > 0 {
		paths = snapshot.Paths(r.account, r.boxes, false)
	}
	if _, err := r.take(ctx, paths); err != nil {
		return err
	}
	if err := r.dir.Update(func(m *rundir.Meta) { m.NoCopy = false }); err != nil {
		return err
	}
	c, err := r.Examine(ctx)
	if err != nil {
		return err
	}
	if f := r.sharedDamage(); f != nil {
		return &DamagedTargetError{Finding: *f}
	}
	for _, d := range c.Mailboxes {
		for _, f := range d.Findings {
			if f.Severity == check.Broken {
				return &DamagedTargetError{Mailbox: d.Mailbox.Name, Beside: made, Finding: f}
			}
		}
	}
	return nil
}

// gather reads the source.
func (r *Run) gather(ctx context.Context, o *RestoreOptions) (*Restored, error) {
	if err := o.Source.Open(ctx, r.s.o.StateDir); err != nil {
		return nil, err
	}
	r.s.rep.Stage("reading " + remote.Safe(o.Source.Kind))
	items, err := restore.Gather(ctx, o.Source.messages, o.Filter, r.s.rep)
	if err != nil {
		return nil, errors.Join(err, o.Source.Close())
	}
	out := &Restored{Options: *o, Items: items}
	out.Skipped, out.Names = o.Source.Skipped()
	return out, nil
}

func (r *Run) putBack(ctx context.Context, o RestoreOptions, do bool) (*Restored, error) {
	out, err := r.gather(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer o.Source.Close()
	look, err := r.s.Look(ctx, r.account)
	if err != nil {
		return out, err
	}
	defer look.Close()
	out.How = look.How
	e := restore.New(look.Dial, r.dir.Root(), rundir.JournalFile, restore.Options{Mailbox: o.Mailbox, All: o.All, Full: o.Full}, r.s.rep, r.log)
	e.Quiet = r.stiller(look)
	defer e.Close(context.WithoutCancel(ctx))
	defer func() { out.Counts, out.Dropped = restore.Counts(out.Items), e.Dropped() }()
	if !do {
		err := e.Preview(ctx, out.Items)
		out.New = !e.Exists()
		if err != nil {
			return out, err
		}
		return out, errors.Join(restore.WriteResult(r.dir.Root(), out.Items), r.stage(rundir.StagePlanned))
	}
	if err := r.stage(rundir.StageApplying); err != nil {
		return out, err
	}
	err = e.Apply(ctx, out.Items)
	err = errors.Join(err, restore.WriteResult(r.dir.Root(), out.Items))
	if err == nil {
		return out, r.stage(rundir.StageVerified)
	}
	begun, jerr := restore.Begun(r.dir.Root(), rundir.JournalFile)
	if jerr == nil && !begun {
		return out, errors.Join(err, r.stage(rundir.StageFailed))
	}
	c := restore.Counts(out.Items)
	return out, &StoppedError{Run: r.ID(), Outcome: apply.Outcome{Done: c[restore.Added].Messages, Total: c[restore.Added].Messages + c[restore.Pending].Messages, Changed: true}, Err: err}
}

// RestoreRequest reads what a restore was asked for.
func RestoreRequest(state, id string) (RestoreOptions, error) {
	var o RestoreOptions
	dir, err := rundir.Open(state, id)
	if err != nil {
		return o, err
	}
	return o, errors.Join(dir.ReadJSON(requestFile, &o), dir.Close())
}

// ReopenRestore takes up a restore again, over the host or the IMAP server it was made on, to be gone on with by [Run.Restore] or
// taken back by [Run.TakeOut]. The caller closes the run, and its session after it.
func ReopenRestore(ctx context.Context, o Options, id string, rep Reporter) (*Run, error) {
	dir, err := rundir.Open(o.StateDir, id)
	if err != nil {
		return nil, err
	}
	m := dir.Meta()
	if m.MailRoot != "" {
		if err := dir.Close(); err != nil {
			return nil, err
		}
		return reopen(ctx, o, id, rep)
	}
	o.IMAP.Addr, o.IMAP.User = m.Addr, m.User
	s := WithoutHost(o, rep)
	r := &Run{s: s, dir: dir, account: store.Account{Address: m.Address}, log: s.log}
	if err := r.lock(); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	if err := r.openLog(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// TakeOut removes from the mailbox exactly the messages that the run has added, as far as their source still holds them.
func (r *Run) TakeOut(ctx context.Context) (*restore.Undone, error) {
	m := r.dir.Meta()
	if !m.CanUndo() {
		return nil, &NothingError{Run: r.ID(), Why: "it has added nothing that could be taken out, or is taken back already"}
	}
	if begun, err := restore.Begun(r.dir.Root(), rundir.JournalFile); err != nil || !begun {
		return nil, errors.Join(err, &NothingError{Run: r.ID(), Why: "it has added nothing"})
	}
	var o RestoreOptions
	if err := r.dir.ReadJSON(requestFile, &o); err != nil {
		return nil, err
	}
	out, err := r.gather(ctx, &o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the messages are only removed while this computer has them, and their source is gone: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer o.Source.Close()
	look, err := r.s.Look(ctx, r.account)
	if err != nil {
		return nil, err
	}
	defer look.Close()
	e := restore.New(look.Dial, r.dir.Root(), rundir.JournalFile, restore.Options{Mailbox: o.Mailbox, All: o.All}, r.s.rep, r.log)
	e.Quiet = r.stiller(look)
	defer e.Close(context.WithoutCancel(ctx))
	u, err := e.Undo(ctx, out.Items)
	if err != nil {
		return u, err
	}
	return u, r.dir.Update(func(m *rundir.Meta) { m.Stage, m.UndoneBy = rundir.StageUndone, r.ID() })
}
