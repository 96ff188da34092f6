package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"dovemend/cmd/internal/ui"
	"dovemend/remote"
	"dovemend/remote/imap"
	"dovemend/repair"
	"dovemend/repair/apply"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
	"dovemend/repair/salvage"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// The exit codes, as README and docs/scripting.md list them.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitFindings    = 3 // findings, or a plan that was not applied
	exitRefused     = 4 // by the guard, or because data would be lost
	exitLogin       = 5 // login or host key
	exitMidway      = 6 // stopped midway; the journal is kept
	exitMissing     = 7 // applied, but verification found something missing
	exitInterrupted = 130
)

// usageError is a command line that cannot be meant. hint is the command to try instead; "" for the verb's help.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }

// endError ends a verb with a code and, where text is not empty, a sentence; for ends that are no failure of anything.
type endError struct {
	code       int
	text, hint string
}

func (e *endError) Error() string { return e.text }

// verdict is what an error means to the person: the code, and the next command to try.
type verdict struct {
	code int
	hint string
}

// judge maps an error to its verdict. It alone does; where several fit, the first that the person can act on wins.
func judge(err error, verb string) verdict {
	help := strings.TrimSpace("dovemend "+verb) + " --help"
	var usage *usageError
	var end *endError
	var stopped *repair.StoppedError
	var nothing *repair.NothingError
	var elsewhere *repair.OtherHostError
	var ambiguous *repair.AmbiguousError
	var noAccount *repair.NoAccountError
	var notFound *store.NotFoundError
	var badRoot *store.RootError
	var laterRun *repair.LaterRunError
	var unfinished *repair.UnfinishedError
	var unseen *unseenError
	var noRoom *snapshot.NoSpaceError
	var noCopy *repair.NoCopyError
	var halfCopy *repair.HalfCopyError
	var altered *repair.AlteredError
	var noLook *repair.NoLookError
	switch {
	case err == nil:
		return verdict{code: exitDone}
	case errors.As(err, &usage):
		if usage.hint != "" {
			return verdict{exitUsage, usage.hint}
		}
		return verdict{exitUsage, help}
	case errors.As(err, &end):
		return verdict{end.code, end.hint}
	case errors.As(err, &stopped) && stoppedByPerson(err):
		return verdict{exitInterrupted, afterStop(stopped)}
	case errors.As(err, &stopped):
		return verdict{exitMidway, afterStop(stopped)}
	case errors.As(err, &unseen):
		hint := ui.Command("dovemend", "resume", "--run", unseen.run) + " looks at the result again, " + ui.Command("dovemend", "undo", "--run", unseen.run) + " takes it back"
		if unseen.of != "" {
			hint = ui.Command("dovemend", "resume", "--run", unseen.run) + " looks at the result again"
		}
		if stoppedByPerson(err) {
			return verdict{exitInterrupted, hint}
		}
		return verdict{exitError, hint}
	case stoppedByPerson(err):
		return verdict{exitInterrupted, "the same command again; what was copied is not copied twice"}
	case errors.As(err, &unfinished):
		return verdict{exitUsage, goOn(unfinished.Run, unfinished.Run, false) + "; then the same command again"}
	case errors.As(err, &laterRun):
		return verdict{exitUsage, ui.Command("dovemend", "undo", "--run", laterRun.Later) + ", then the same command again"}
	case errors.Is(err, apply.ErrChanged):
		return verdict{exitError, "close the mail programs that use this mailbox, then the same command again: it looks at everything anew"}
	case errors.Is(err, plan.ErrNoCopy):
		return verdict{exitError, "where the file named above changes all the time: dovemend processes --stop …, and close the mail programs; where it cannot be read: ask your hosting company to put its owner and mode right; then the same command again"}
	case errors.Is(err, plan.ErrInTheWay):
		return verdict{exitError, "move away by hand what is named above, then the same command again"}
	case errors.As(err, &altered):
		from := "--from"
		if altered.Run {
			from = "--run"
		}
		return verdict{exitError, ui.Command("dovemend", "salvage", from, altered.Where) + " --to FOLDER, which writes what is left of its mail and changes nothing; dovemend restore --from FOLDER … takes that"}
	case errors.As(err, &halfCopy) && halfCopy.List != nil:
		return verdict{exitError, ui.Command("dovemend", "salvage", "--from", halfCopy.Files) + " --to FOLDER, which reads what is there; dovemend runs lists other copies"}
	case errors.As(err, &halfCopy):
		return verdict{exitError, "the same dovemend backup command again, which goes on where it ended; where the host is gone for good: " + ui.Command("dovemend", verb, "--from", halfCopy.Files) + " … takes what was copied so far"}
	case errors.As(err, &noCopy):
		return verdict{exitUsage, "dovemend " + verb + " --from DIR …, with the folder that holds mailboxes/, or a Maildir (cur, new and tmp), or a folder above it"}
	case errors.Is(err, salvage.ErrOtherFormat):
		return verdict{exitUsage, "the same command with another --to, or with the --format named above"}
	case (errors.As(err, &noRoom) || localFull(err)) && verb == "salvage":
		return verdict{exitError, "make room on this computer, or name folders on a larger disk with --to DIR and --state-dir DIR; then the same command again, which goes on where it ended"}
	case errors.As(err, &noRoom), localFull(err):
		return verdict{exitError, "make room on this computer, or name a folder on a larger disk with --state-dir DIR; then the same command again"}
	case errors.As(err, &nothing), errors.As(err, &elsewhere):
		return verdict{exitUsage, "dovemend runs"}
	case errors.Is(err, rundir.ErrLocked):
		return verdict{exitError, "wait until the other one has ended, then the same command again; dovemend runs"}
	case errors.Is(err, rundir.ErrNoRun), errors.Is(err, rundir.ErrBadID), errors.Is(err, rundir.ErrAmbiguous):
		return verdict{exitUsage, "dovemend runs"}
	case errors.Is(err, rundir.ErrStateDir):
		return verdict{exitUsage, "the same command with --state-dir DIR, a folder that only you can write to"}
	case errors.Is(err, remote.ErrGuard):
		return verdict{exitRefused, "dovemend accounts …, which shows what can be given as --mail-root; docs/safety.md tells the rules"}
	case errors.As(err, &ambiguous):
		return verdict{exitUsage, "the same command with " + ui.Command("--account", repair.AccountName(ambiguous.Accounts[0]))}
	case errors.As(err, &noAccount):
		code := exitError
		if noAccount.Asked != "" {
			code = exitUsage
		}
		return verdict{code, "dovemend accounts --host …; or --mail-root DIR with the directory that holds mailboxes/ or the Maildir"}
	case errors.Is(err, store.ErrNoMail), errors.As(err, &badRoot):
		return verdict{exitUsage, "dovemend accounts …, whose column MAIL ROOT shows what can be given as --mail-root"}
	case errors.As(err, &notFound):
		hint := "dovemend accounts --host …, which lists the mailboxes"
		if len(notFound.Near) > 0 {
			hint = "the same command with " + ui.Command("--mailbox", notFound.Near[0])
		}
		return verdict{exitUsage, hint}
	case errors.Is(err, remote.ErrHostKey):
		return verdict{exitLogin, "compare the fingerprint with your hosting company's, then: dovemend " + verb + " --accept-new-host-key … (a key that changed: ssh-keygen -R HOST first)"}
	case errors.Is(err, remote.ErrAuth):
		return verdict{exitLogin, "ssh HOST, to see whether the login itself works; then: dovemend " + verb + " --identity FILE … or --ssh-password-command CMD …"}
	case errors.Is(err, plan.ErrRebuildFirst):
		return verdict{exitRefused, "dovemend repair … --remedy rebuild, which mends it without a look over IMAP"}
	case errors.Is(err, imap.ErrCannotMove):
		return verdict{exitError, "another --remedy: this server cannot move messages safely"}
	case errors.Is(err, evacuate.ErrLooked), errors.Is(err, evacuate.ErrBusy):
		return verdict{exitError, "close the mail programs and filters that use this mailbox, then the same command again: it looks at everything anew"}
	case errors.As(err, &noLook):
		return verdict{exitError, "the same command with --imap HOST:PORT, --imap-user USER and --imap-password-command CMD, or from a login that has a shell"}
	case errors.Is(err, ui.ErrNoTerminal):
		return verdict{exitUsage, help}
	case errors.Is(err, plan.ErrNotConfirmed):
		return verdict{exitRefused, "dovemend repair … --confirm with the mailbox named above, or another --remedy"}
	case errors.Is(err, plan.ErrWouldLoseData):
		return verdict{exitRefused, "dovemend repair … --accept-loss with the losses named above, or another --remedy"}
	case errors.Is(err, remote.ErrNoShell):
		return verdict{exitError, "dovemend backup …, which needs no shell; processes: close the mail programs, or use the host's control panel"}
	case errors.Is(err, remote.ErrNoSFTP):
		return verdict{exitError, "sftp HOST, to see what the host answers; ask the hosting company to enable SFTP"}
	case errors.Is(err, remote.ErrDisconnected):
		return verdict{exitError, "the same command again; what was copied is not copied twice"}
	case unreachable(err):
		return verdict{exitError, "ssh HOST, to see whether the host can be reached from here under this name and port; then the same command again"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return verdict{exitError, "the same command again; with --verbose it tells what it waits for"}
	case errors.Is(err, fs.ErrPermission):
		return verdict{exitError, "dovemend accounts --verbose …, to see what this login may read"}
	}
	return verdict{exitError, "the same command with --verbose, or " + help}
}

// stoppedByPerson tells whether ctrl-C, or leaving a question, is why it ended.
func stoppedByPerson(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, ui.ErrAborted)
}

// unreachable tells whether no connection came about at all: a name that is not known, a port where nobody listens, no way.
func unreachable(err error) bool {
	var dial *net.OpError
	var name *net.DNSError
	return errors.As(err, &name) || errors.As(err, &dial) && dial.Op == "dial"
}

// localFull tells whether this computer's disk, quota or limit of a file's size is why something was not written. What the
// host's disk says never comes as such an error.
func localFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// afterStop is the hint where a run is left unfinished.
func afterStop(e *repair.StoppedError) string {
	resume, undo := ui.Command("dovemend", "resume", "--run", e.Run), ui.Command("dovemend", "undo", "--run", cmp.Or(e.Of, e.Run))
	switch {
	case e.Moves && errors.Is(e.Err, evacuate.ErrFull):
		return "make room in the account (empty a trash, or ask for more), then: " + resume + "; every message is in one of the two mailboxes meanwhile"
	case e.Moves && (errors.Is(e.Err, apply.ErrChanged) || errors.Is(e.Err, evacuate.ErrBusy)):
		return "close the mail programs and filters that use this mailbox, then: " + goOn(e.Run, cmp.Or(e.Of, e.Run), e.Of != "")
	case errors.Is(e.Err, apply.ErrChanged) && e.Of != "":
		return "close the mail programs that use this mailbox, then: " + undo + ", which looks at everything anew"
	case errors.Is(e.Err, apply.ErrChanged) && e.Remedy == plan.Rebuild:
		return "close the mail programs that use this mailbox, then: " + undo + "; after that the same \"dovemend repair …\" command again. Until then nothing is lost: the copy has all that was there"
	case errors.Is(e.Err, apply.ErrChanged):
		return "close the mail programs that use this mailbox; then the same \"dovemend repair …\" command again does the rest, or " + undo + " takes back what was done"
	case localFull(e.Err):
		return "make room on this computer, then: " + goOn(e.Run, cmp.Or(e.Of, e.Run), e.Of != "")
	case errors.Is(e.Err, remote.ErrFull):
		return "make room on the host (empty a trash, delete what is not needed there), then: " + resume + "; nothing is lost meanwhile, the copy is on this computer"
	}
	return goOn(e.Run, cmp.Or(e.Of, e.Run), e.Of != "")
}

// goOn names the two ways to go on with a run that stopped midway.
func goOn(run, back string, undo bool) string {
	resume, takeBack := ui.Command("dovemend", "resume", "--run", run), ui.Command("dovemend", "undo", "--run", back)
	if undo {
		return resume + " finishes taking back, " + takeBack + " begins it anew"
	}
	return resume + " finishes it, " + takeBack + " takes it back"
}
