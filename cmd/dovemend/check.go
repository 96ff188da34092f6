package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/check"
	"dovemend/repair/store"
)

type checkDocument struct {
	runDocument
	From     string              `json:"from,omitempty"` // the copy that was looked at, where it was not made now
	Snapshot *snapshotDocument   `json:"snapshot,omitempty"`
	Found    []diagnosisDocument `json:"found,omitempty"`
	Shared   []findingDocument   `json:"shared,omitempty"` // what concerns the account as a whole
}

func (p *program) check() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "say what is wrong with mailboxes, and change nothing anywhere",
		Description: "Copies the mailboxes as backup does and examines the copy; with --run or --from it examines a\n" +
			"copy that is there already and reaches no host. Each finding says what is wrong in which file,\n" +
			"what you see because of it, and what cures it. What the files no longer tell is looked up in the\n" +
			"earlier copies of the account (see dovemend runs), and it is said which one told it.\n\n" +
			"--from takes the folder of a run, or a copy made by any other tool: an account's mail root, a\n" +
			"folder above it, or a part of it, such as mailboxes/, storage/ or the folder of one mailbox.\n" +
			"Without --mailbox, every mailbox of such a copy is examined.\n\n" +
			"Exit codes: 0 nothing is wrong (notes aside); 1 error; 2 usage; 3 something is wrong; 5 login or\n" +
			"host key; 130 interrupted.",
		Flags: join([]cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "`DIR` examine this copy instead of making one"},
			runFlag("`ID` examine the copy of this run (see dovemend runs), or latest"),
		}, hostFlags(), accountFlags(), mailboxFlags(), transferFlags(), outputFlags()),
		Action: p.verb("check", doCheck),
	}
}

func doCheck(k *call) error {
	doc := &checkDocument{}
	k.doc = doc
	found, err := k.lookAt(doc)
	if err != nil {
		return err
	}
	doc.Found, doc.Shared = describeDiagnoses(found.Mailboxes), describeFindings(found.Account)
	k.progress.Done()
	if found.Altered > 0 {
		k.say("Something has happened to this copy since it was made: %s changed or went missing. What is said here is true of the copy; the mailbox on its host may be in order.", ui.Count(found.Altered, "file"))
		k.say("")
	}
	ui.PrintDiagnoses(k.out(), found.Mailboxes)
	ui.PrintShared(k.out(), found.Account)
	if found.Worst() == check.Note {
		k.say("Nothing is wrong with %s, as far as the files tell.", ui.Count(len(found.Mailboxes), "mailbox"))
		return nil
	}
	return &endError{exitFindings, "something is wrong; nothing was changed", k.afterCheck(doc, found)}
}

// afterCheck is the command that plans the repair of what was found.
func (k *call) afterCheck(doc *checkDocument, found *repair.Checked) string {
	if found.Altered > 0 {
		return "dovemend backup with --host and the host's name, which copies the mail as it is now; dovemend runs lists earlier copies; dovemend salvage writes out what is left in this one"
	}
	if !found.Curable() {
		return "none of dovemend's remedies cures what was found: what to do is said with each finding"
	}
	if doc.From != "" {
		from := "--from"
		if k.IsSet("run") {
			from = "--run"
		}
		return ui.Command("dovemend", "salvage", from, k.String(from[2:])) + " --to FOLDER, which writes out the mail of this copy; dovemend repair with --host and the host's name plans the repair there"
	}
	args := append([]string{"dovemend", "repair", "--host", k.opts.Remote.Target}, k.reachArgs()...)
	args = append(args, k.asGiven("account", "mail-root")...)
	if k.opts.All {
		args = append(args, "--all-mailboxes")
	}
	for _, m := range k.opts.Mailboxes {
		args = append(args, "--mailbox", m)
	}
	return ui.Command(append(append(args, "--remedy", "auto"), k.placeArgs()...)...) + ", which plans the repair and changes nothing without --apply"
}

// lookAt examines a copy: one that is there, or one made now.
func (k *call) lookAt(doc *checkDocument) (*repair.Checked, error) {
	local, err := k.localCopy()
	if err != nil {
		return nil, err
	}
	if local != nil {
		k.after = append(k.after, local.Close)
		doc.From, doc.Account, doc.Layout = local.Where, local.Account.Address, string(local.Account.Layout)
		boxes, err := k.chooseIn(local)
		if err != nil {
			return nil, err
		}
		for _, m := range boxes {
			doc.Mailboxes = append(doc.Mailboxes, m.Name)
		}
		return local.Check(k.ctx(), boxes, k.progress)
	}
	r, snap, err := k.copyAnew(&doc.runDocument)
	if err != nil {
		return nil, err
	}
	doc.Snapshot = snap
	return r.Examine(k.ctx())
}

// copyAnew connects and makes a copy of the mailboxes asked for, in a run of its own.
func (k *call) copyAnew(doc *runDocument) (job, *snapshotDocument, error) {
	if err := k.connect(k.ctx()); err != nil {
		return nil, nil, err
	}
	r, err := k.begin("backup", doc)
	if err != nil {
		return nil, nil, err
	}
	m, err := r.Snapshot(k.ctx())
	if err != nil {
		return nil, nil, err
	}
	return r, describeSnapshot(m), nil
}

// localCopy opens the copy that --run or --from names; nil where neither is given.
func (k *call) localCopy() (*repair.Local, error) {
	run, from := k.String("run"), k.String("from")
	switch {
	case k.IsSet("run") && k.IsSet("from"):
		return nil, &usageError{text: "--run and --from exclude each other: both name a copy"}
	case (run != "" || from != "") && k.opts.Remote.Target != "" && k.IsSet("host"):
		return nil, &usageError{text: "--host names a host, and --run or --from a copy on this machine: one of them"}
	case k.IsSet("from") && from == "", k.IsSet("run") && run == "":
		return nil, &usageError{text: "--from and --run take the name of a copy, and it is empty"}
	case run != "":
		return repair.OpenRun(k.ctx(), k.opts.StateDir, run)
	case from != "":
		info, err := os.Stat(from)
		if err == nil && !info.IsDir() {
			return nil, &usageError{fmt.Sprintf("--from %q is a file, and a copy is a folder", from),
				ui.Command("dovemend", "inspect", "--file", from) + " shows what is in one of Dovecot's files; --from with the folder it lies in reads the mail there"}
		}
		if err != nil {
			return nil, &usageError{text: fmt.Sprintf("--from %q: there is no such folder", from)}
		}
		return repair.OpenLocal(k.ctx(), from, k.opts.Account)
	}
	return nil, nil
}

// chooseIn gives the mailboxes of a copy that were asked for.
func (k *call) chooseIn(local *repair.Local) ([]store.Mailbox, error) {
	boxes, err := local.Choose(k.opts.Mailboxes)
	var none *store.NotFoundError
	if errors.As(err, &none) && len(none.Near) == 0 {
		return nil, &usageError{err.Error(), "the same command without --mailbox, which takes every mailbox of the copy"}
	}
	return boxes, err
}
