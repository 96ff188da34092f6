package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/rundir"
)

func (p *program) undo() *cli.Command {
	return &cli.Command{
		Name:  "undo",
		Usage: "take a repair back: every file as it was before; or a restore: what it added is removed",
		Description: "Puts back from the run's copy, or from where it was set aside, what the run removed or\n" +
			"moved, with modes and times; of an evacuation, it moves the messages back over IMAP. What mail\n" +
			"programs changed since is not overwritten. Of a restore, exactly the messages that it added are\n" +
			"removed from the mailbox, over IMAP, and only those that this computer still has.\n\n" +
			"Exit codes: 0 taken back and verified; 1 error; 2 usage; 3 not confirmed; 4 refused by the\n" +
			"guard; 5 login or host key; 6 stopped midway; 7 something is not as it was; 130 interrupted.",
		Flags: join([]cli.Flag{runFlag("`ID` of the run to take back, or its beginning (default: the only one that can be)"),
			ownToggle("yes", "do not ask")}, hostFlags(), imapFlags(), outputFlags()),
		Action: p.verb("undo", func(k *call) error {
			l, err := k.findRun(canUndoRepair, "there is no run that can be taken back")
			if err != nil {
				return err
			}
			if !l.Meta.CanUndo() {
				return &endError{exitUsage, fmt.Sprintf("run %s has changed nothing on the host, or is taken back already (%s, %s)", l.ID, l.Meta.Kind, l.Meta.Stage), "dovemend runs"}
			}
			if err := k.confirmUndo(l); err != nil {
				return err
			}
			if l.Meta.Kind == rundir.KindRestore {
				return k.takeOut(l)
			}
			k.doc = &repairDocument{Of: l.ID}
			return k.changeAgain(l, k.p.engine.Undo)
		}),
	}
}

// canUndoRepair is what undo takes without --run: a repair or a restore. An undo can be taken back too, but only by its name.
func canUndoRepair(m rundir.Meta) bool {
	return m.CanUndo() && (m.Kind == rundir.KindRepair || m.Kind == rundir.KindRestore)
}

// confirmUndo asks where somebody can be asked; in a script the verb itself is the decision.
func (k *call) confirmUndo(l rundir.Listed) error {
	if k.Bool("yes") || !k.term.CanAsk() {
		return nil
	}
	where := strings.Join(l.Meta.Mailboxes, ", ") + " of " + nameOr(l.Meta.Address, string(l.Meta.MailRoot))
	help := fmt.Sprintf("It did %s on %s. Its files come back as they were in the copy.", nameOr(l.Meta.Remedy, "a repair"), where)
	if l.Meta.Kind == rundir.KindRestore {
		help = fmt.Sprintf("It added messages to %s. Exactly these are removed again, as far as this computer still has them.", where)
	}
	yes, err := k.ask.Confirm(k.ctx(), ui.Question{Title: fmt.Sprintf("Take back run %s?", l.ID), Help: help, Flag: "--yes"})
	if err != nil {
		return err
	}
	if !yes {
		return &endError{exitFindings, "not taken back: nothing was changed", ui.Command("dovemend", "undo", "--run", l.ID)}
	}
	return nil
}

// changeAgain resumes or undoes a run and looks at what came of it.
func (k *call) changeAgain(l rundir.Listed, do func(context.Context, repair.Options, string, repair.Reporter) (job, error)) error {
	doc := k.doc.(*repairDocument)
	k.fromRun(l.Meta)
	doc.Account, doc.MailRoot, doc.Layout, doc.Mailboxes = l.Meta.Address, string(l.Meta.MailRoot), string(l.Meta.Layout), l.Meta.Mailboxes
	k.acted = true
	end := k.p.stop.act()
	r, err := do(k.ctx(), k.opts, l.ID, k.progress)
	end()
	if r != nil {
		k.job = r
		doc.Run, doc.Folder = r.ID(), r.Folder()
	}
	if err != nil {
		return err
	}
	doc.Applied = true
	k.tellEvacuated(r, doc)
	k.tellSaved(r, doc)
	v, err := r.Verify(k.ctx())
	k.progress.Done()
	if v != nil {
		doc.Verification = describeVerification(v)
		ui.PrintVerification(k.out(), v)
	}
	if err != nil {
		return &unseenError{run: r.ID(), of: doc.Of, err: err}
	}
	if !v.OK {
		return &endError{exitMissing, "done, but the mailbox is not as promised", "dovemend runs"}
	}
	return nil
}
