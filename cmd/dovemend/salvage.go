package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"dovemend/repair"
	"dovemend/repair/salvage"
)

func (p *program) salvage() *cli.Command {
	return &cli.Command{
		Name:  "salvage",
		Usage: "write every message that can be read to files, and change nothing",
		Description: "Copies the mailboxes as backup does and writes their messages out as files that mail programs\n" +
			"can read; with --run or --from it takes a copy that is there already and reaches no host. It\n" +
			"reads the files itself, however damaged they are, and needs no Dovecot. Nothing on the host\n" +
			"and nothing in the copy is changed.\n\n" +
			"  mailboxes/  messages that are in their mailboxes\n" +
			"  expunged/   messages that somebody removed, and whose bytes are still there\n" +
			"  orphans/    messages that no mailbox refers to\n" +
			"  damaged/    messages that are not whole, as far as they can be read\n" +
			"  index.json  what is known of each: flags, labels, dates, where it was, what is missing\n\n" +
			"A message's own bytes are never altered. The same command again writes only what is missing.\n\n" +
			"Exit codes: 0 every message was written, whole; 1 error; 2 usage; 3 written, but some are\n" +
			"damaged or gone; 5 login or host key; 130 interrupted.",
		Flags: join([]cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "`DIR` the folder for the messages: a new or empty one, or that of an earlier salvage"},
			&cli.StringFlag{Name: "format", Value: string(salvage.EML), Usage: "`NAME` eml (a file for each message), mbox (one for each mailbox) or maildir"},
			ownToggle("headers", "with mbox: put flags and labels into the messages, as Status, X-Status and X-Keywords"),
			&cli.StringFlag{Name: "from", Usage: "`DIR` take this copy instead of making one"},
			runFlag("`ID` take the copy of this run (see dovemend runs), or latest"),
		}, hostFlags(), accountFlags(),
			[]cli.Flag{list("Account", "mailbox", "`NAME` a mailbox; may be given more than once (default: all)")},
			transferFlags(), outputFlags()),
		Action: p.verb("salvage", doSalvage),
	}
}

func doSalvage(k *call) error {
	doc := &salvageDocument{}
	k.doc = doc
	o, err := k.salvageOptions()
	if err != nil {
		return err
	}
	to, err := k.salvageTo()
	if err != nil {
		return err
	}
	local, err := k.localCopy()
	if err != nil {
		return err
	}
	if to == "" {
		return k.missingTo(local)
	}
	doc.To, doc.Format = to, string(o.Format)
	if local == nil {
		if local, err = k.copyNow(doc); err != nil {
			return err
		}
	} else {
		doc.From, doc.Account, doc.Layout = local.Where, local.Account.Address, string(local.Account.Layout)
	}
	k.after = append(k.after, local.Close)
	boxes, err := k.chooseIn(local)
	if err != nil {
		return err
	}
	doc.Mailboxes = nil
	for _, m := range boxes {
		doc.Mailboxes = append(doc.Mailboxes, m.Name)
	}
	open := func() (*os.Root, error) {
		if err := os.MkdirAll(to, 0o700); err != nil {
			return nil, &usageError{text: fmt.Sprintf("--to %q: %v", to, err)}
		}
		return os.OpenRoot(to)
	}
	s, err := local.Salvage(k.ctx(), boxes, open, o, k.progress)
	if err != nil {
		return err
	}
	k.progress.Done()
	return k.reportSalvage(doc, s)
}

func (k *call) salvageOptions() (salvage.Options, error) {
	format, err := oneOf(k.Context, "format", string(salvage.EML), string(salvage.Mbox), string(salvage.Maildir))
	o := salvage.Options{Format: salvage.Format(format), Headers: k.Bool("headers")}
	if err == nil && o.Headers && o.Format != salvage.Mbox {
		err = &usageError{text: "--headers is for --format mbox: with the others, flags are told beside the messages, which stay as they are"}
	}
	return o, err
}

func (k *call) missingTo(local *repair.Local) error {
	err := error(&usageError{text: "--to is missing: the folder on this computer that the messages are written to"})
	if local != nil {
		k.after = append(k.after, local.Close)
	}
	return err
}

// copyNow makes a copy of the mailboxes asked for, of all where none is named.
func (k *call) copyNow(doc *salvageDocument) (*repair.Local, error) {
	k.opts.All = len(k.opts.Mailboxes) == 0
	r, snap, err := k.copyAnew(&doc.runDocument)
	if err != nil {
		return nil, err
	}
	doc.Snapshot = snap
	return repair.OpenRun(k.ctx(), k.opts.StateDir, r.ID())
}
