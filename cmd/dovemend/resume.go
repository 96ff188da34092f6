package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair/rundir"
)

// canResume is what resume takes by its name: a run that stopped midway, or one that was applied but not looked at to its end.
func canResume(m rundir.Meta) bool {
	return m.PartOf == "" && (m.Stage == rundir.StageApplying || m.Stage == rundir.StageApplied && m.Kind != rundir.KindBackup)
}

func (p *program) resume() *cli.Command {
	return &cli.Command{
		Name:  "resume",
		Usage: "finish a repair or a restore that stopped midway",
		Description: "Reads the journal, sees on the host which steps were done, and does the rest of the same\n" +
			"plan. Where a file of the rest has changed meanwhile it stops: then the repair itself, given\n" +
			"again, looks at everything anew. A restore reads its source again, looks up on the server\n" +
			"what was on its way, and adds the rest. A run that was applied, but whose result could not be looked\n" +
			"at, is looked at again.\n\n" +
			"Exit codes: 0 finished and verified; 1 error; 2 usage; 4 refused by the guard; 5 login or\n" +
			"host key; 6 stopped midway again; 7 something is missing; 130 interrupted.",
		Flags: join([]cli.Flag{runFlag("`ID` of the run to finish, or its beginning (default: the only one that stopped midway)")},
			hostFlags(), imapFlags(), outputFlags()),
		Action: p.verb("resume", func(k *call) error {
			midway := func(m rundir.Meta) bool { return m.Stage == rundir.StageApplying && m.PartOf == "" }
			l, err := k.findRun(midway, "no run has stopped midway")
			if err != nil {
				return err
			}
			if !canResume(l.Meta) {
				return &endError{exitUsage, fmt.Sprintf("run %s has not stopped midway (it is %s)", l.ID, l.Meta.Stage), "dovemend runs"}
			}
			if l.Meta.Kind == rundir.KindRestore {
				return k.resumeRestore(l)
			}
			doc := &repairDocument{Remedy: l.Meta.Remedy}
			k.doc = doc
			if err := k.changeAgain(l, k.p.engine.Resume); err != nil {
				return err
			}
			if l.Meta.Kind == rundir.KindUndo {
				return nil
			}
			doc.Undo = ui.Command(k.again("undo", l.ID)...)
			k.sayUndo(l.ID)
			return nil
		}),
	}
}
