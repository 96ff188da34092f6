package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/plan"
	"dovemend/repair/store"
)

func (p *program) wizard() *cli.Command {
	return &cli.Command{
		Name:  "wizard",
		Usage: "guided repair: asks, explains, shows the plan, asks again, repairs, verifies",
		Description: "Asks for everything that no flag tells. Until the last question is answered with yes,\n" +
			"nothing on the host is changed; ctrl-C at any question ends it.\n\n" +
			"Exit codes: as of repair; 0 also where you stop after the copy.",
		Flags:  join(hostFlags(), accountFlags(), mailboxFlags(), imapFlags(), transferFlags(), outputFlags()),
		Action: p.verb("wizard", doWizard),
	}
}

// wizard is one guided repair.
type wizard struct {
	*call
	doc      *repairDocument
	tty      io.Writer
	account  store.Account
	boxes    []store.Mailbox
	settings decision
	demo     bool // the demo comments on what is done
}

// decision is what the person chose to do.
type decision struct {
	Remedy   plan.Remedy
	Aside    bool
	MoveBack bool
	Confirm  []string
	Losses   []plan.Loss
}

func doWizard(k *call) error {
	if !k.term.CanAsk() {
		return &usageError{text: "the wizard asks questions, and there is no terminal to ask them at",
			hint: "dovemend repair --host … --mailbox … --remedy …, which asks nothing"}
	}
	w := &wizard{call: k, doc: &repairDocument{}, tty: k.term.Out}
	k.doc = w.doc
	return w.walk()
}

// tell says something at the terminal.
func (w *wizard) tell(format string, args ...any) {
	defer w.progress.Hold()()
	ui.Say(w.tty, format, args...)
}

// tellCommand names a command that can be copied.
func (w *wizard) tellCommand(what string, args []string) {
	w.tell("\n%s", what)
	defer w.progress.Hold()()
	ui.SayCommand(w.tty, "  ", args...)
}

// walk is the whole conversation.
func (w *wizard) walk() error {
	if !w.demo {
		w.tell("This looks for the damage, copies the mailbox to this machine, and shows what can be done.\n" +
			"Nothing on the host is changed before you have seen the plan and said yes. Ctrl-C ends it.")
	}
	if err := w.chooseHost(); err != nil {
		return err
	}
	w.askIMAPPassword()
	if err := w.connect(w.ctx()); err != nil {
		return err
	}
	only, err := w.chooseMailbox()
	if err != nil {
		return err
	}
	kind := "repair"
	if only {
		kind = "backup"
	}
	if err := w.showProcesses(); err != nil {
		return err
	}
	w.comment("Before anything else the files are copied to this machine, and the copy is checked. No mail program is asked: a look at a broken mailbox over IMAP makes Dovecot mend it in its own way, and flags are lost by that.")
	r, err := w.beginOn(kind, w.account, w.boxes, &w.doc.runDocument)
	if err != nil {
		return err
	}
	if err := w.copy(r); err != nil {
		return err
	}
	if only {
		w.tell("Nothing on the host was changed.")
		w.tellCommand("The same as a command:", w.equivalentBackup())
		return nil
	}
	return w.treat(r)
}

// copy takes the snapshot and says what is in it.
func (w *wizard) copy(r job) error {
	m, err := r.Snapshot(w.ctx())
	if err != nil {
		return err
	}
	w.progress.Done()
	w.doc.Snapshot = describeSnapshot(m)
	d := w.doc.Snapshot
	w.tell("\nCopied %s, %s; checked: %s.", ui.Count(d.Files, "file"), ui.Bytes(d.Bytes), verifiedText(d))
	w.tell("The copy is in %s", r.Folder())
	for _, f := range d.Torn {
		w.tell("changed while it was copied: %s", ui.Safe(f))
	}
	for _, f := range d.Unreadable {
		w.tell("could not be read, and is not in the copy: %s", ui.Safe(f))
	}
	if len(d.Unreadable) > 0 {
		w.tell("What is not in the copy is not changed either, but that it may get its permissions back.")
	}
	return nil
}

// treat shows what is wrong, lets the person decide, and does it.
func (w *wizard) treat(r job) error {
	w.comment("Now the copy is examined, on this machine. The host is left alone.")
	found, err := r.Examine(w.ctx())
	if err != nil {
		return err
	}
	w.doc.Found, w.doc.Shared = describeDiagnoses(found.Mailboxes), describeFindings(found.Account)
	w.progress.Done()
	w.tell("\nWhat the copy shows:")
	ui.PrintDiagnoses(w.tty, found.Mailboxes)
	ui.PrintShared(w.tty, found.Account)
	offers, err := r.Offers(w.ctx())
	if err != nil {
		return err
	}
	offer, err := w.chooseRemedy(offers)
	if err != nil {
		return err
	}
	if offer == nil {
		w.tell("\nNothing on the host was changed. The copy stays in %s", r.Folder())
		return nil
	}
	p, err := w.plan(r, offer)
	if err != nil || p.Empty() {
		return err
	}
	if err := w.confirm(p); err != nil {
		return err
	}
	w.comment("Now the processes are ended, the files are compared with the copy once more, and the plan is done step by step; each step is written to the journal before and after.")
	return w.applyAndVerify(r, w.doc)
}

// plan makes the plan of what was chosen and shows it, with the command that would do the same.
func (w *wizard) plan(r job, offer *repair.Offer) (*plan.Plan, error) {
	w.settings.Remedy = offer.Remedy
	w.doc.Remedy = string(offer.Remedy)
	if offer.Remedy == plan.Clear || offer.Remedy == plan.Evacuate {
		for _, m := range w.boxes {
			w.settings.Confirm = append(w.settings.Confirm, m.Name)
		}
	}
	r.Accept(w.settings.Losses, w.settings.Confirm)
	r.SetAside(w.settings.Aside)
	r.SetMoveBack(w.settings.MoveBack)
	p, err := r.Plan(w.ctx(), offer.Remedy)
	if err != nil {
		return nil, w.explainRefusal(err)
	}
	w.progress.Done()
	w.doc.Plan = describePlan(p)
	w.tell("")
	ui.PrintPlan(w.tty, p, r.Folder(), w.again("undo", r.ID()))
	w.tellCommand("The same as a command:", w.equivalent())
	return p, nil
}

// confirm asks the last question before anything is changed.
func (w *wizard) confirm(p *plan.Plan) error {
	yes, err := true, error(nil)
	if p.Remedy == plan.Evacuate {
		yes, err = w.ask.TypeName(w.ctx(), ui.Question{
			Title: fmt.Sprintf("Type %s to move its messages out and clear it, or nothing to stop:", p.Moves.Mailbox),
			Help:  "The messages are in " + p.Moves.Backup + " then, and mail programs download them anew. Undo moves them back.",
			Flag:  "--confirm",
		}, p.Moves.Mailbox)
	} else if p.Remedy == plan.Clear {
		for _, m := range w.boxes {
			if yes {
				yes, err = w.ask.TypeName(w.ctx(), ui.Question{
					Title: fmt.Sprintf("Type %s to empty this mailbox, or nothing to stop:", m.Name),
					Help:  "All its files leave the mailbox's folder. They stay in the copy, and undo brings them back.",
					Flag:  "--confirm",
				}, m.Name)
			}
		}
	} else {
		yes, err = w.ask.Confirm(w.ctx(), ui.Question{
			Title: "Do this now?",
			Help:  "Yes ends the Dovecot processes of this login, does the steps above and looks at the result. No changes nothing.",
			Flag:  "--apply",
		})
	}
	if err != nil {
		return err
	}
	if !yes {
		return &endError{exitFindings, "planned, not applied: nothing on the host was changed", ui.Command(w.equivalent()...)}
	}
	return nil
}
