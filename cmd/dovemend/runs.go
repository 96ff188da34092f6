package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

// listDocument is one run: what its run.json tells, and besides that.
type listDocument struct {
	rundir.Meta
	listed
}

type listed struct {
	Folder string `json:"folder"`
	Broken string `json:"unreadable,omitempty"`
	Undo   bool   `json:"can_undo"`
	Resume bool   `json:"can_resume"`
}

// MarshalJSON writes both as one object. Without it the metadata's own method would stand for the whole.
func (d listDocument) MarshalJSON() ([]byte, error) {
	meta, err := json.Marshal(d.Meta)
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(d.listed)
	if err != nil {
		return nil, err
	}
	return slices.Concat(meta[:len(meta)-1], []byte{','}, rest[1:]), nil
}

func (p *program) runs() *cli.Command {
	return &cli.Command{
		Name:  "runs",
		Usage: "list what was done before: each run, how far it came, and where it is",
		Description: "Every backup, repair and restore is a run: a folder with the copy, the plan, the journal. This\n" +
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
	var midway []rundir.Listed
	for _, l := range all {
		d := listDocument{Meta: l.Meta, listed: listed{Folder: l.Path}}
		if l.Err != nil {
			d.ID, d.Broken = l.ID, l.Err.Error()
			t.Row(l.ID, "?", "unreadable")
		} else {
			d.Undo, d.Resume = l.Meta.CanUndo(), canResume(l.Meta)
			t.Row(l.ID, string(l.Meta.Kind), string(l.Meta.Stage), nameOr(l.Meta.Address, string(l.Meta.MailRoot)),
				strings.Join(l.Meta.Mailboxes, ", "), remedyOf(l.Meta))
		}
		if l.Err == nil && l.Meta.Stage == rundir.StageApplying && l.Meta.PartOf == "" {
			midway = append(midway, l)
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
	for _, l := range midway {
		back := l.ID
		if l.Meta.Kind == rundir.KindUndo {
			back = l.Meta.Of
		}
		k.say("Run %s stopped midway: %s", l.ID, goOn(l.ID, back, l.Meta.Kind == rundir.KindUndo))
	}
	return nil
}

// remedyOf is what a run did, and of which run it is a part.
func remedyOf(m rundir.Meta) string {
	if m.PartOf != "" {
		return m.Remedy + ", a part of " + m.PartOf
	}
	return nameOr(m.Remedy, "-")
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
	if errors.Is(err, ui.ErrNoTerminal) {
		return null, &endError{exitUsage, fmt.Sprintf("there are %d runs that this could be about, the newest is %s", len(fit), fit[0].ID),
			ui.Command("dovemend", k.verb, "--run", fit[0].ID) + ", or another one that dovemend runs lists"}
	}
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
