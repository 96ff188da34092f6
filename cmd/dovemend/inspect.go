package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair/inspect"
)

func (p *program) inspect() *cli.Command {
	return &cli.Command{
		Name:  "inspect",
		Usage: "dump any Dovecot file, damaged or not: what is in it, and what is wrong",
		Description: "Tells what \"doveadm dump\" tells and what is wrong besides, also of files that Dovecot gives\n" +
			"up. It reads files of this machine, or the copy of a run, reaches no host and changes nothing.\n\n" +
			"It knows the files of an index (dovecot.index, .backup, .log, .log.2, .cache; of a mailbox,\n" +
			"of mdbox's map, of the list of mailboxes), sdbox and mdbox files (u.N, m.N, also .broken and\n" +
			".temp.*), dovecot-uidlist, dovecot-keywords, dovecot-uidvalidity, dovecot.mailbox.log,\n" +
			"subscriptions, and the names of messages in a Maildir; by their names, and where those do not\n" +
			"tell by their content. Of a folder all that lies beneath it is dumped; symbolic links are not\n" +
			"followed. Where logs go on behind an index, what they tell together is dumped too.\n\n" +
			"Exit codes: 0 nothing is wrong; 1 error: a file cannot be read, or is none of Dovecot's;\n" +
			"2 usage; 3 something is wrong in a file.",
		Flags: join([]cli.Flag{
			&cli.StringSliceFlag{Name: "file", Usage: "`PATH` a file or folder, with --run in its copy; may be given more than once"},
			runFlag("`ID` the copy of this run (see dovemend runs), or latest"),
			ownToggle("summary", "headers, counts and what is wrong, without the records"),
		}, outputFlags()),
		Action: p.verb("inspect", doInspect),
	}
}

func doInspect(k *call) error {
	doc := &inspectDocument{inspectState: inspectState{p: k.p}}
	k.doc = doc
	targets, err := k.inspectTargets(doc)
	if err != nil {
		return err
	}
	var out inspect.Output = doc
	if !k.json {
		out = inspect.NewText(k.p.stdout)
	}
	for _, t := range targets {
		res, err := inspect.Inspect(k.ctx(), t.fsys, t.name, inspect.Options{Summary: k.Bool("summary"), Shown: t.shown}, out)
		doc.add(res)
		if err != nil {
			return inspectFailed(k.ctx(), err)
		}
		if err := t.judge(res); err != nil && doc.problem == nil {
			doc.problem = err
		}
	}
	return doc.end()
}

// inspectFailed tells why the dumps ended early: they were interrupted, or could not be written.
func inspectFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &endError{exitError, "write the dump: " + err.Error(), "the same command with its output redirected to a file on a disk with room"}
}

// judge says why a target is no success, whatever is wrong in files of it: it could not be read, or there is nothing of
// Dovecot's in it.
func (t *inspectTarget) judge(res inspect.Result) error {
	switch {
	case res.Err != nil:
		text := res.Err.Error()
		if res.Unreadable > 1 {
			text = fmt.Sprintf("%s could not be read, the first: %s", ui.Count(res.Unreadable, "file"), text)
		}
		return &endError{exitError, text, t.unreadableHint}
	case res.Known > 0:
		return nil
	case t.folder && res.Unknown == 0:
		return &endError{exitError, fmt.Sprintf("the folder %q is empty", t.given), folderHint}
	case t.folder:
		return &endError{exitError, fmt.Sprintf("no file in the folder %q is one dovemend knows", t.given), folderHint}
	}
	return &endError{exitError, fmt.Sprintf("%q is not a file dovemend knows: %s", t.given, res.Why),
		"dovemend inspect --help, which lists the files it knows"}
}

const folderHint = "dovemend inspect --file DIR, with the folder that holds mailboxes/, or a Maildir"

// end is how the verb ends when all was looked at.
func (d *inspectDocument) end() error {
	if d.problem != nil {
		return d.problem
	}
	if d.Faults > 0 {
		return &endError{exitFindings, fmt.Sprintf("%s in %s", ui.Count(d.Faults, "fault"), ui.Count(d.Faulty, "file")),
			"dovemend wizard, which copies the mailbox from its host and tells what each remedy would do and cost"}
	}
	return nil
}
