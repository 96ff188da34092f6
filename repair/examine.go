package repair

import (
	"context"
	"errors"
	"fmt"

	"dovemend/repair/check"
	"dovemend/repair/plan"
	"dovemend/repair/reconstruct"
	"dovemend/repair/rundir"
)

// Examine says what is known of each mailbox, and of what they share, from the snapshot alone.
func (r *Run) Examine(ctx context.Context) (*Checked, error) {
	if err := r.examine(ctx); err != nil {
		return nil, err
	}
	return &Checked{Account: r.shared, Mailboxes: r.found}, nil
}

func (r *Run) examine(ctx context.Context) error {
	if err := r.open(); err != nil {
		return err
	}
	r.s.rep.Stage("examining the copy")
	r.reports, r.work = nil, nil
	fsys := r.snap.FS()
	acct, err := reconstruct.ReadHealed(ctx, fsys, r.account, r.boxes, r.earlier().copies)
	if err != nil {
		return fmt.Errorf("examine the copy: %w", err)
	}
	r.acct = acct
	if r.reports, err = check.All(ctx, fsys, r.acct); err != nil {
		return err
	}
	r.shared = check.Account(fsys, r.acct)
	r.found = nil
	for _, rep := range r.reports {
		d, err := diagnosis(ctx, fsys, r.account, rep)
		if err != nil {
			return err
		}
		r.found = append(r.found, d)
	}
	r.keepChecked()
	if r.guard != nil {
		return r.guard()
	}
	return nil
}

// facts are the figures a plan's costs are made of.
func facts(rep *check.Report) plan.Facts {
	c := rep.State.Counts()
	f := plan.Facts{Mailbox: rep.State.Mailbox.Name, Messages: c.Messages, Flagged: c.AnyFlag, Keyworded: c.Keyworded}
	o := rep.NoIndex
	f.AfterDropIndex = plan.Afterwards{Messages: max(c.Messages-o.Gone, 0), LosesFlags: o.Flags, LosesKeywords: o.Keywords,
		LosesUIDs: o.UIDs, Why: o.Why}
	f.LeftAloneLoses = rep.AsIs.Loses()
	f.Unreadable = len(unreadable(rep.State, true))
	return f
}

// Offers tells what each direct remedy would do in these mailboxes and what it would cost, and recommends one of them.
func (r *Run) Offers(ctx context.Context) ([]Offer, error) {
	if r.reports == nil {
		if err := r.examine(ctx); err != nil {
			return nil, err
		}
	}
	offers := []Offer{
		{Remedy: plan.DropCache, Does: "removes dovecot.index.cache, which only saves Dovecot work and is filled anew"},
		{Remedy: plan.Rebuild, Does: "writes the list of messages anew from everything that the files still tell, and mends messages that make Dovecot fail or moves them out of the way"},
		{Remedy: plan.DropIndex, Does: "removes dovecot.index alone; Dovecot makes it anew from what is left"},
		{Remedy: plan.Evacuate, Does: "moves the messages over IMAP to a new mailbox, empties this one's own folder, and lets Dovecot start it anew; messages that Dovecot fails on are found and named on the way"},
		{Remedy: plan.Clear, Does: "empties the mailbox's own folder; Dovecot starts it anew, empty"},
	}
	for i := range offers {
		o := &offers[i]
		p, err := r.build(ctx, o.Remedy, false)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case p == nil && err != nil:
			o.Refused = err.Error()
		case p.Empty():
			o.Refused = "there is nothing for it to do"
		default:
			o.Costs = p.Costs
			if p.Aside {
				o.Does += "; what it takes out is set aside on the host"
			}
		}
	}
	recommend(offers, r.reports, r.shared)
	return offers, nil
}

// build makes the plan of a remedy on what is known now. force has it rebuild what nothing wrong was found in too.
func (r *Run) build(ctx context.Context, remedy plan.Remedy, force bool) (*plan.Plan, error) {
	in := plan.Input{Run: r.ID(), Account: r.account, Mailboxes: r.boxes, Remedy: remedy, Aside: r.s.o.Aside,
		Policy:  plan.Policy{Accept: r.s.o.AcceptLoss, Confirm: r.confirmed()},
		Entries: r.snap.Manifest().Entries, Manifest: r.snap.Digest()}
	for _, rep := range r.reports {
		in.Facts = append(in.Facts, facts(rep))
	}
	if remedy == plan.Evacuate {
		var err error
		if in.Moves, err = r.moves(); err != nil {
			return nil, err
		}
	}
	if remedy == plan.Rebuild {
		var err error
		if in.Rebuilt, err = r.rebuilt(ctx, force); err != nil {
			return nil, err
		}
	}
	return plan.Build(in)
}

// confirmed are the mailboxes whose clearing was confirmed, by whichever of its names.
func (r *Run) confirmed() []string {
	var names []string
	for _, c := range r.s.o.Confirm {
		if m, err := r.account.Mailbox(c); err == nil {
			names = append(names, m.Name)
		}
	}
	return names
}

// Accept takes what the person at the terminal has agreed to since the session began.
func (r *Run) Accept(losses []plan.Loss, confirm []string) {
	r.s.o.AcceptLoss = append(r.s.o.AcceptLoss, losses...)
	r.s.o.Confirm = append(r.s.o.Confirm, confirm...)
}

// SetAside says whether things are set aside on the host instead of removed, for the plans that follow.
func (r *Run) SetAside(aside bool) { r.s.o.Aside = aside }

// SetMoveBack says whether an evacuation moves the messages back at its end, for the plans that follow.
func (r *Run) SetMoveBack(back bool) { r.s.o.MoveBack = back }

// Plan decides what a remedy would do, and saves it in the run's folder. With plan.Auto it is the one that is recommended. Where it would lose what was not accepted, the
// plan comes with an error that is plan.ErrWouldLoseData.
func (r *Run) Plan(ctx context.Context, remedy plan.Remedy) (*plan.Plan, error) {
	if r.reports == nil {
		if err := r.examine(ctx); err != nil {
			return nil, err
		}
	}
	asked, why := remedy, ""
	if remedy == plan.Auto {
		var err error
		if remedy, why, err = r.choose(ctx); err != nil {
			return nil, err
		}
	}
	p, err := r.build(ctx, remedy, asked == plan.Rebuild && !together(r.reports, r.shared).rebuild)
	if p == nil {
		return nil, err
	}
	if why != "" {
		p.Notes = append([]string{fmt.Sprintf("auto takes %s: %s", remedy, why)}, p.Notes...)
	}
	r.plan, r.remedy = p, asked
	save := func() error {
		if err := r.dir.WriteJSON(rundir.PlanFile, p); err != nil {
			return err
		}
		return r.dir.Update(func(m *rundir.Meta) { m.Stage, m.Remedy = rundir.StagePlanned, string(remedy) })
	}
	if serr := save(); serr != nil {
		return p, errors.Join(err, serr)
	}
	return p, err
}
