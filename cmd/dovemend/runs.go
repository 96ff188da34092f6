package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair/rundir"
)

type runsDocument struct {
	envelope
	StateDir string         `json:"state_dir"`
	Runs     []listDocument `json:"runs"`
}

type listDocument struct {
	rundir.Meta
	Folder  string `json:"folder"`
	Broken  string `json:"unreadable,omitempty"`
	CanUndo bool   `json:"can_undo"`
	Resume  bool   `json:"can_resume"`
}

func (p *program) runs() *cli.Command {
	return &cli.Command{
		Name:  "runs",
		Usage: "list what was done before: each run, how far it came, and where it is",
		Description: "Every backup and repair is a run: a folder with the copy, the plan and the journal. This\n" +
			"lists them, newest first. It reaches no host.\n\n" +
			"Stages: new, snapshot (copied), planned, applying (stopped midway: resume or undo), applied,\n" +
			"verified, failed (nothing was changed), undone.\n\n" +
			"Exit codes: 0 listed; 1 error; 2 usage.",
		Flags:  outputFlags(),
		Action: p.verb("runs", doRuns),
	}
}

func doRuns(k *call) error {
	doc := &runsDocument{StateDir: k.opts.StateDir, Runs: []listDocument{}}
	k.doc = doc
	all, err := rundir.List(k.opts.StateDir)
	if err != nil {
		return err
	}
	t := ui.Table{Columns: []ui.Column{{Title: "RUN"}, {Title: "KIND"}, {Title: "STAGE"}, {Title: "ACCOUNT", Min: 12},
		{Title: "MAILBOXES", Min: 9}, {Title: "REMEDY"}}}
	var midway []string
	for _, l := range all {
		d := listDocument{Meta: l.Meta, Folder: l.Path}
		if l.Err != nil {
			d.ID, d.Broken = l.ID, l.Err.Error()
			t.Row(l.ID, "?", "unreadable")
		} else {
			d.CanUndo, d.Resume = l.Meta.CanUndo(), l.Meta.Stage == rundir.StageApplying
			t.Row(l.ID, string(l.Meta.Kind), string(l.Meta.Stage), nameOr(l.Meta.Address, string(l.Meta.MailRoot)),
				strings.Join(l.Meta.Mailboxes, ", "), nameOr(l.Meta.Remedy, "-"))
		}
		if d.Resume {
			midway = append(midway, l.ID)
		}
		doc.Runs = append(doc.Runs, d)
	}
	if len(all) == 0 {
		k.say("No runs yet in %s", k.opts.StateDir)
		return nil
	}
	t.Print(k.out(), ui.Width(k.p.stdout))
	k.say("")
	k.say("Each is a folder in %s", k.opts.StateDir)
	for _, id := range midway {
		k.say("Run %s stopped midway: %s finishes it, %s takes it back.", id, ui.Command("dovemend", "resume", "--run", id), ui.Command("dovemend", "undo", "--run", id))
	}
	return nil
}

// findRun gives the run that --run names, or, without it, the only one that fits; several are asked about.
func (k *call) findRun(fits func(rundir.Meta) bool, none string) (rundir.Listed, error) {
	var null rundir.Listed
	if k.IsSet("run") && k.String("run") == "" {
		return null, &usageError{text: "--run is empty", hint: "dovemend runs"}
	}
	if id := k.String("run"); id != "" {
		d, err := rundir.Open(k.opts.StateDir, id)
		if err != nil {
			if errors.Is(err, rundir.ErrNoRun) {
				return null, &endError{exitUsage, err.Error(), "dovemend runs"}
			}
			return null, err
		}
		l := rundir.Listed{ID: d.ID(), Path: d.Path(), Meta: d.Meta()}
		return l, d.Close()
	}
	all, err := rundir.List(k.opts.StateDir)
	if err != nil {
		return null, err
	}
	var fit []rundir.Listed
	for _, l := range all {
		if l.Err == nil && fits(l.Meta) {
			fit = append(fit, l)
		}
	}
	switch len(fit) {
	case 0:
		return null, &endError{exitUsage, none, "dovemend runs"}
	case 1:
		return fit[0], nil
	}
	choices := make([]ui.Choice, len(fit))
	for i, l := range fit {
		choices[i] = ui.Choice{Label: l.ID, Hint: fmt.Sprintf("%s, %s, %s", nameOr(l.Meta.Address, string(l.Meta.MailRoot)), strings.Join(l.Meta.Mailboxes, ", "), l.Meta.Stage)}
	}
	n, err := k.ask.Select(k.ctx(), ui.Question{Title: "Which run?", Flag: "--run ID"}, choices, 0)
	if err != nil {
		return null, err
	}
	return fit[n], nil
}

// fromRun takes what the flags leave open from the run: the host it was made on.
func (k *call) fromRun(m rundir.Meta) {
	if k.opts.Remote.Target == "" {
		k.opts.Remote.Target = m.Target
	}
	if k.opts.MailRoot == "" {
		k.opts.MailRoot = m.MailRoot
	}
	if k.opts.Account == "" {
		k.opts.Account = m.Address
	}
}
