package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/demoaccount"
)

// demoDocument is the JSON of the demo.
type demoDocument struct {
	*repairDocument
	Host     string `json:"host"` // embedded or real
	StateDir string `json:"state_dir"`
}

func (p *program) demo() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "the whole repair on an embedded, broken host: no server, no account needed",
		Description: "Starts a small SSH host inside this program, with an mdbox account of some hundred messages\n" +
			"whose INBOX is broken and with mail processes to end, and repairs it with the same code that\n" +
			"repairs a real one. It answers the wizard's questions itself and shows them. The run's folder\n" +
			"is left to look at; your ssh files and your own runs are not touched.\n\n" +
			"Exit codes: 0 repaired and verified; else as of repair.",
		Flags: join([]cli.Flag{
			ownToggle("interactive", "answer the wizard's questions yourself"),
			ownToggle("real", "use the OpenSSH server and the Dovecot installed on this machine, on loopback and in a temporary folder"),
		}, outputFlags()),
		Action: p.verb("demo", doDemo),
	}
}

// demoHost is a host to repair: how to reach it is put into the call's options.
type demoHost struct {
	kind     string // embedded or real
	mailRoot string // on this machine
	close    func() error
}

func doDemo(k *call) (err error) {
	if k.Bool("interactive") && !k.term.CanAsk() {
		return &usageError{text: "--interactive asks questions, and there is no terminal to ask them at", hint: "dovemend demo"}
	}
	base, err := os.MkdirTemp("", "dovemend-demo-")
	if err != nil {
		return fmt.Errorf("make demo folder: %w", err)
	}
	if base, err = filepath.EvalSymlinks(base); err != nil {
		return fmt.Errorf("make demo folder: %w", err)
	}
	if !k.IsSet("state-dir") {
		k.opts.StateDir = filepath.Join(base, "state")
	}
	w := &wizard{call: k, doc: &repairDocument{}, tty: k.out(), demo: true}
	if k.Bool("interactive") {
		w.tty = k.term.Out
	} else {
		k.ask = ui.Autopilot{Out: w.tty}
	}
	doc := &demoDocument{repairDocument: w.doc, StateDir: k.opts.StateDir}
	k.doc = doc
	host, err := k.startDemoHost(base)
	if err != nil {
		return err
	}
	// The connection has to end before the host does, and the run's folder is closed when the verb is finished.
	k.after = append(k.after, host.close)
	doc.Host = host.kind
	w.introduceDemo(host.kind)
	if err := w.walk(); err != nil {
		return err
	}
	w.sayFarewell(host.kind)
	return nil
}

func (k *call) startDemoHost(base string) (*demoHost, error) {
	k.progress.Stage("starting the demo's host")
	start := startEmbedded
	if k.Bool("real") {
		start = startReal
	}
	h, err := start(k.ctx(), k, base)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// layDemoAccount puts the demo's mail into a mail root and breaks it.
func layDemoAccount(mailRoot string) error {
	if err := demoaccount.Unpack(mailRoot); err != nil {
		return err
	}
	_, err := demoaccount.Break(mailRoot, demoaccount.Mailbox, demoaccount.Kind)
	return err
}

func (w *wizard) introduceDemo(kind string) {
	where := "This host is embedded: an SSH and SFTP server inside this program, on loopback, without a Dovecot. The files are those " +
		"that a real Dovecot 2.3 left, and the processes are stand-ins of this program's own, really ended by signals."
	if kind == "real" {
		where = "This host is the OpenSSH server and the Dovecot of this machine, on loopback, in a temporary folder, with real imap processes."
	}
	w.tell("The demo: an account %s on a shared host.\n%s\nWhat was broken: %s, in %s.\n", demoaccount.Address, where,
		damage.Text(demoaccount.Kind), demoaccount.Mailbox)
}

func (w *wizard) sayFarewell(kind string) {
	w.tell("\nThat was the whole repair. With a host of your own it is: dovemend wizard")
	w.tell("The run is left to look at, with the copy, the plan, the journal and the log:")
	ui.SayWhole(w.tty, "  %s", w.doc.Folder)
	w.tell("The demo's host is gone now, so that this run cannot be undone any more; one on a real host could.")
	if kind == "embedded" {
		w.tell("An embedded host has no Dovecot to ask, so the result was compared by its files. dovemend demo --real asks a real one.")
	}
}

// comment is what only the demo says, before a stage.
func (w *wizard) comment(text string) {
	if w.demo {
		w.tell("\n%s", text)
	}
}
