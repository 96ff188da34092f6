package main

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/remote"
)

type processDocument struct {
	PID     int    `json:"pid"`
	Service string `json:"service"`
	Account string `json:"account,omitempty"`
	Client  string `json:"client,omitempty"`
	Command string `json:"imap_command,omitempty"`
	Title   string `json:"title"`
}

type processesDocument struct {
	envelope
	Processes []processDocument `json:"processes"`
	Ended     []processDocument `json:"ended,omitempty"`
	Back      []processDocument `json:"running_after,omitempty"`
	Quiet     *bool             `json:"stayed_away,omitempty"` // only with --stop
}

func (p *program) processes() *cli.Command {
	return &cli.Command{
		Name:  "processes",
		Usage: "list the user's own Dovecot processes; --stop ends them",
		Description: "While a mailbox is repaired no Dovecot process may have it open. This lists those of this\n" +
			"login, never another user's. Mail programs connect again by themselves: --stop ends the\n" +
			"processes and watches whether they stay away. Ending them loses no mail.\n\n" +
			"Exit codes: 0 listed, or ended and stayed away; 1 error; 2 usage; 3 some came back;\n5 login or host key.",
		Flags:  join([]cli.Flag{ownToggle("stop", "end them, and see whether they stay away")}, hostFlags(), []cli.Flag{accountFlags()[0]}, outputFlags()),
		Action: p.verb("processes", doProcesses),
	}
}

func doProcesses(k *call) error {
	doc := &processesDocument{Processes: []processDocument{}}
	k.doc = doc
	if err := k.connect(k.ctx()); err != nil {
		return err
	}
	found, err := k.session.Processes(k.ctx())
	if err != nil {
		return err
	}
	wanted := k.processFilter()
	for _, p := range found {
		if wanted(p) {
			doc.Processes = append(doc.Processes, describeProcess(p))
		}
	}
	k.progress.Done()
	if len(doc.Processes) == 0 {
		k.say("No Dovecot process of this login is running.")
	} else {
		printProcesses(k.out(), doc.Processes)
	}
	if !k.Bool("stop") {
		return nil
	}
	return k.stopProcesses(doc, wanted)
}

func (k *call) stopProcesses(doc *processesDocument, wanted func(remote.Process) bool) error {
	o := k.opts.Quiesce
	o.Only = wanted
	k.acted = true
	k.progress.Stage("ending the processes, and waiting whether they stay away")
	q, err := k.session.Quiesce(k.ctx(), o)
	for _, p := range q.Ended {
		doc.Ended = append(doc.Ended, describeProcess(p))
	}
	for _, p := range q.Back {
		doc.Back = append(doc.Back, describeProcess(p))
	}
	doc.Quiet = &q.Stayed
	if err != nil {
		return err
	}
	k.progress.Done()
	k.say("%s ended.", ui.Count(len(q.Ended), "process"))
	if q.Stayed {
		k.say("None came back while it was watched.")
		return nil
	}
	if len(q.Back) > 0 {
		k.say("Running now:")
		printProcesses(k.out(), doc.Back)
	}
	return &endError{exitFindings, "processes keep coming back: a mail program or webmail connects again and again",
		"close the mail programs named above (also on phones), then: dovemend processes --stop …; a repair can go on regardless"}
}

// processFilter keeps those of --account where the host tells whose a process is, and all where it does not.
func (k *call) processFilter() func(remote.Process) bool {
	account := k.opts.Account
	return func(p remote.Process) bool {
		return account == "" || p.Account == "" || strings.EqualFold(p.Account, account)
	}
}

func describeProcess(p remote.Process) processDocument {
	return processDocument{PID: p.PID, Service: p.Service, Account: p.Account, Client: p.Client, Command: p.Command, Title: p.Title}
}

func printProcesses(w io.Writer, all []processDocument) {
	t := ui.Table{Columns: []ui.Column{{Title: "PID", Right: true}, {Title: "SERVICE"}, {Title: "ACCOUNT", Min: 10},
		{Title: "CLIENT", Min: 8}, {Title: "DOING", Min: 6}}}
	// The title itself tells more only where it could not be taken apart.
	titles := slices.ContainsFunc(all, func(p processDocument) bool { return p.Account == "" })
	if titles {
		t.Columns = append(t.Columns, ui.Column{Title: "TITLE", Min: 12})
	}
	for _, p := range all {
		t.Row(strconv.Itoa(p.PID), p.Service, nameOr(p.Account, "-"), nameOr(p.Client, "-"), nameOr(p.Command, "-"), p.Title)
	}
	t.Print(w, ui.Width(w))
}
