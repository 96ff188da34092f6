package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair/rundir"
)

func (p *program) resume() *cli.Command {
	return &cli.Command{
		Name:  "resume",
		Usage: "finish a repair that stopped midway",
		Description: "Reads the journal, sees on the host which steps were done, and does the rest of the same\n" +
			"plan; where the mailbox has changed meanwhile, it is looked at anew.\n\n" +
			"Exit codes: 0 finished and verified; 1 error; 2 usage; 4 refused by the guard; 5 login or\n" +
			"host key; 6 stopped midway again; 7 something is missing; 130 interrupted.",
		Flags: join([]cli.Flag{runFlag("`ID` of the run to finish, or its beginning (default: the only one that stopped midway)")},
			hostFlags(), imapFlags(), outputFlags()),
		Action: p.verb("resume", func(k *call) error {
			midway := func(m rundir.Meta) bool { return m.Stage == rundir.StageApplying }
			l, err := k.findRun(midway, "no run has stopped midway")
			if err != nil {
				return err
			}
			if !midway(l.Meta) {
				return &endError{exitUsage, fmt.Sprintf("run %s has not stopped midway (it is %s)", l.ID, l.Meta.Stage), "dovemend runs"}
			}
			doc := &repairDocument{Remedy: l.Meta.Remedy}
			k.doc = doc
			if err := k.changeAgain(l, k.p.engine.Resume); err != nil {
				return err
			}
			doc.Undo = ui.Command(k.again("undo", l.ID)...)
			k.sayUndo(l.ID)
			return nil
		}),
	}
}
