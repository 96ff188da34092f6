package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair/plan"
	"dovemend/repair/store"
)

func (p *program) repair() *cli.Command {
	return &cli.Command{
		Name:  "repair",
		Usage: "plan a remedy for a broken mailbox, and with --apply do it",
		Description: "Copies the mailbox, says what is wrong, and prints the plan of the remedy: every change, its\n" +
			"cost, what is kept and how to undo it. Without --apply that is the end, and nothing on the\n" +
			"host is changed.\n\n" +
			"  auto        the least destructive one that cures what was found, and why\n" +
			"  drop-cache  remove dovecot.index.cache; Dovecot makes it anew; costs nothing\n" +
			"  rebuild     write the list of messages anew from all that files still tell;\n" +
			"              UIDs, flags and labels stay; messages that make Dovecot fail\n" +
			"              are mended, or moved out\n" +
			"  drop-index  remove dovecot.index; on mdbox and sdbox this may cost flags\n" +
			"              and UIDs\n" +
			"  evacuate    move one mailbox's messages over IMAP to a new mailbox\n" +
			"              BACKUPYYYYMMDD, clear the emptied one, and see it answer; with\n" +
			"              --move-back move them back, and find the one that breaks it\n" +
			"  clear       empty one mailbox's own folder; the mail is kept in the run's\n" +
			"              copy only\n\n" +
			"Exit codes: 0 repaired and verified; 1 error; 2 usage; 3 planned, not applied; 4 refused by\n" +
			"the guard or because data would be lost; 5 login or host key; 6 stopped midway; 7 applied,\n" +
			"but something is missing; 130 interrupted.",
		Flags: join([]cli.Flag{
			&cli.StringFlag{Name: "remedy", Usage: "`NAME` auto, drop-cache, rebuild, drop-index, evacuate or clear (see above)"},
			ownToggle("apply", "do it; without this only the plan is made and printed"),
			ownToggle("aside", "set removed things aside on the host, under dovemend-aside/, instead of removing them"),
			ownToggle("move-back", "evacuate: move the messages back at the end, with a look after each batch"),
			&cli.StringSliceFlag{Name: "confirm", Usage: "`MAILBOX` the mailbox to clear or evacuate, named again"},
			&cli.StringSliceFlag{Name: "accept-loss", Usage: "`LOSS[,…]` accept these costs: flags, keywords, uids, messages"},
		}, hostFlags(), accountFlags(), mailboxFlags(), imapFlags(), transferFlags(), outputFlags()),
		Action: p.verb("repair", doRepair),
	}
}

func doRepair(k *call) error {
	doc := &repairDocument{}
	k.doc = doc
	if err := k.remedyOptions(k.Context); err != nil {
		return err
	}
	doc.Remedy = string(k.opts.Remedy)
	k.opts.Copying = true
	if err := k.connect(k.ctx()); err != nil {
		return err
	}
	r, err := k.begin("repair", &doc.runDocument)
	if err != nil {
		return err
	}
	m, err := r.Snapshot(k.ctx())
	if err != nil {
		return err
	}
	doc.Snapshot = describeSnapshot(m)
	found, err := r.Examine(k.ctx())
	if err != nil {
		return err
	}
	doc.Found, doc.Shared = describeDiagnoses(found.Mailboxes), describeFindings(found.Account)
	k.progress.Done()
	if !k.quiet {
		ui.PrintDiagnoses(k.out(), found.Mailboxes)
		ui.PrintShared(k.out(), found.Account)
		k.say("")
	}
	p, err := r.Plan(k.ctx(), k.opts.Remedy)
	if p != nil {
		doc.Plan = describePlan(p)
		ui.PrintPlan(k.out(), p, r.Folder(), k.again("undo", r.ID()))
	}
	var loss *plan.WouldLoseError
	if err != nil && (k.Bool("apply") || p == nil || errors.As(err, &loss)) {
		return k.explainRefusal(err)
	}
	if !k.Bool("apply") { // a clear that is not confirmed yet is planned all the same
		return &endError{exitFindings, "planned, not applied: nothing on the host was changed", "the same command with --apply"}
	}
	return k.applyAndVerify(r, doc)
}

// applyAndVerify is the part of a repair that changes the host, and the look at what came of it.
func (k *call) applyAndVerify(r job, doc *repairDocument) error {
	k.acted = true
	end := k.p.stop.act()
	err := r.Apply(k.ctx())
	end()
	doc.Run = r.ID() // a rebuild that was begun anew is another run
	if err != nil {
		return err
	}
	doc.Applied = true
	k.tellEvacuated(r, doc)
	k.tellSaved(r, doc)
	doc.Undo = ui.Command(k.again("undo", r.ID())...)
	v, err := r.Verify(k.ctx())
	k.progress.Done()
	if v != nil {
		doc.Verification = describeVerification(v)
		ui.PrintVerification(k.out(), v)
	}
	if err != nil {
		return &unseenError{run: r.ID(), err: err}
	}
	k.sayUndo(r.ID())
	k.say("A report of it, to keep or to send to the hosting company:")
	ui.SayCommand(k.out(), "  ", append([]string{"dovemend", "report", "--run", r.ID()}, k.stateArgs()...)...)
	if v.OK && v.Again {
		return &endError{exitFindings, "what could not be read can be read now; the mailbox itself is still to be examined", "the same command again"}
	}
	if !v.OK {
		return &endError{exitMissing, "applied, but the mailbox is not as promised", doc.Undo}
	}
	return nil
}

// tellSaved tells where messages are that the repair had to take out of their mailbox.
func (k *call) tellSaved(r job, doc *repairDocument) {
	s, err := r.Saved()
	if err != nil {
		k.progress.Warn(err.Error())
	}
	if s == nil || s.Messages == 0 {
		return
	}
	doc.Saved = &savedDocument{s.Folder, s.Messages, s.Nothing}
	k.progress.Done()
	k.say("%s on which Dovecot failed had to leave the mailbox. What of them can be read was written to %s before anything was changed.",
		ui.Count(s.Messages, "message"), ui.Safe(s.Folder))
}

// tellEvacuated tells what became of the messages of an evacuation.
func (k *call) tellEvacuated(r job, doc *repairDocument) {
	x := r.Evacuated()
	if x == nil {
		return
	}
	doc.Evacuated = describeEvacuated(x)
	k.progress.Done()
	if x.Backup != "" && x.Moved > 0 {
		k.say("%s in the mailbox %s.", are(x.Moved, "message"), ui.Safe(x.Backup))
	}
	if x.Back > 0 {
		k.say("%s back in the mailbox itself.", are(x.Back, "message"))
	}
	for _, l := range x.Breaking {
		k.say("UID %d of %s stays there, because it breaks the mailbox: %s", l.UID, ui.Safe(x.Backup), ui.Safe(l.Why))
	}
	for i, l := range x.Left {
		if i == 20 {
			k.say("and %s more.", ui.Count(len(x.Left)-i, "message"))
			break
		}
		k.say("UID %d was not moved: %s", l.UID, ui.Safe(l.Why))
	}
}

func are(n int, what string) string {
	if n == 1 {
		return ui.Count(n, what) + " is"
	}
	return ui.Count(n, what) + " are"
}

// sayUndo names the command that takes a run back.
func (k *call) sayUndo(run string) {
	k.say("To take it back:")
	ui.SayCommand(k.out(), "  ", k.again("undo", run)...)
}

// explainRefusal adds the flag to a plan that would lose something.
func (k *call) explainRefusal(err error) error {
	if !errors.Is(err, plan.ErrWouldLoseData) {
		return err
	}
	return fmt.Errorf("%w\nNothing on the host was changed; the copy is kept", err)
}

// checkConfirm wants each mailbox that is to be cleared named again, and no other.
func (k *call) checkConfirm(boxes []store.Mailbox) error {
	for _, c := range k.opts.Confirm {
		if !slices.ContainsFunc(boxes, func(m store.Mailbox) bool { return c == m.Name || c == m.Storage }) {
			return &usageError{text: fmt.Sprintf("--confirm %q is not the mailbox to repair", c), hint: "dovemend repair … --mailbox NAME --confirm NAME, with one name"}
		}
	}
	if k.opts.Remedy == plan.Evacuate && len(boxes) != 1 {
		return &usageError{text: "evacuate takes one mailbox at a time", hint: "the same command with one --mailbox"}
	}
	does := map[plan.Remedy]string{plan.Clear: "empties", plan.Evacuate: "moves all messages out of and clears"}[k.opts.Remedy]
	if does == "" || !k.Bool("apply") {
		return nil
	}
	for _, m := range boxes {
		if !slices.Contains(k.opts.Confirm, m.Name) && !slices.Contains(k.opts.Confirm, m.Storage) {
			return &usageError{text: fmt.Sprintf("%s %s the mailbox %q; it has to be named again", k.opts.Remedy, does, m.Name),
				hint: "the same command with " + ui.Command("--confirm", m.Name)}
		}
	}
	return nil
}
