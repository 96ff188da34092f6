package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"dovemend/cmd/internal/ui"
	"dovemend/remote"
	"dovemend/repair"
	"dovemend/repair/apply"
	"dovemend/repair/plan"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

func TestEveryErrorHasItsCodeAndTheNextCommand(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"any", errors.New("any"), exitError},
		{"usage", &usageError{text: "x"}, exitUsage},
		{"no terminal", &ui.NoTerminalError{}, exitUsage},
		{"aborted", ui.ErrAborted, exitInterrupted},
		{"interrupted", context.Canceled, exitInterrupted},
		{"timeout", context.DeadlineExceeded, exitError},
		{"host key", remote.ErrHostKey, exitLogin},
		{"login", remote.ErrAuth, exitLogin},
		{"login without a terminal", errors.Join(remote.ErrAuth, &ui.NoTerminalError{}), exitLogin},
		{"guard", remote.ErrGuard, exitRefused},
		{"data loss", plan.ErrWouldLoseData, exitRefused},
		{"not confirmed", &plan.ConfirmError{Mailboxes: []string{"INBOX"}}, exitRefused},
		{"no shell", remote.ErrNoShell, exitError},
		{"no SFTP", remote.ErrNoSFTP, exitError},
		{"cut off", remote.ErrDisconnected, exitError},
		{"locked", rundir.ErrLocked, exitError},
		{"no run", rundir.ErrNoRun, exitUsage},
		{"changed", apply.ErrChanged, exitError},
		{"midway", &repair.StoppedError{Run: "20260101-000000-abcd", Err: remote.ErrDisconnected}, exitMidway},
		{"midway by the guard", &repair.StoppedError{Run: "20260101-000000-abcd", Err: remote.ErrGuard}, exitMidway},
		{"midway by ctrl-C", &repair.StoppedError{Run: "20260101-000000-abcd", Err: context.Canceled}, exitInterrupted},
		{"midway for a changed file", &repair.StoppedError{Run: "20260101-000000-abcd", Err: apply.ErrChanged}, exitMidway},
		{"midway for a full host", &repair.StoppedError{Run: "20260101-000000-abcd", Err: remote.ErrFull}, exitMidway},
		{"midway for a full disk", &repair.StoppedError{Run: "20260101-000000-abcd", Err: syscall.ENOSPC}, exitMidway},
		{"not looked at", &unseenError{run: "20260101-000000-abcd", err: remote.ErrDisconnected}, exitError},
		{"not looked at for ctrl-C", &unseenError{run: "20260101-000000-abcd", err: context.Canceled}, exitInterrupted},
		{"a later run", &repair.LaterRunError{Run: "20260101-000000-abcd", Later: "20260102-000000-abcd"}, exitUsage},
		{"no copy", &plan.NoCopyError{Path: "x", Why: "it changed"}, exitError},
		{"in the way", plan.ErrInTheWay, exitError},
		{"full disk", &snapshot.NoSpaceError{Need: 5, Have: 1}, exitError},
		{"no such mail root", &store.RootError{Root: "/x", Why: "it is not a directory"}, exitUsage},
		{"nobody listens", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, exitError},
		{"which account", &repair.AmbiguousError{Accounts: []store.Account{{Address: "a@b.c"}, {Address: "d@e.f"}}}, exitUsage},
		{"no account", &repair.NoAccountError{}, exitError},
		{"no such account", &repair.NoAccountError{Asked: "a@b.c"}, exitUsage},
		{"no such mailbox", &store.NotFoundError{Name: "Inbx", Near: []string{"INBOX"}}, exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judge(fmt.Errorf("do something: %w", c.err), "repair")
			if v.code != c.want {
				t.Errorf("code %d, want %d", v.code, c.want)
			}
			if v.hint == "" {
				t.Error("no hint")
			}
			var stopped *repair.StoppedError
			if errors.As(c.err, &stopped) && !strings.Contains(v.hint, "undo --run 20260101") && !strings.Contains(v.hint, "resume --run 20260101") {
				t.Errorf("the hint %q names neither resume nor undo", v.hint)
			}
			if errors.Is(c.err, context.Canceled) && stopped != nil && !strings.Contains(v.hint, "resume --run 20260101") {
				t.Errorf("the hint %q does not name resume", v.hint)
			}
		})
	}
}

// runFake runs the program without a terminal on an engine without a host.
func runFake(t *testing.T, f *fake, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, engine: f}
	code = p.run(append([]string{"dovemend"}, append(args, "--no-input")...))
	return code, out.String(), errs.String()
}

func TestRepairWithoutApplyChangesNothing(t *testing.T) {
	f := newFake()
	code, out, errs := runFake(t, f, "repair", "--host", "h", "--remedy", "drop-cache")
	if code != exitFindings || f.changedHost() {
		t.Errorf("code %d, want 3; did %s", code, f.steps())
	}
	if !strings.Contains(out, "dovecot.index.cache") || !strings.Contains(errs, "next: the same command with --apply") {
		t.Errorf("out %q, err %q", out, errs)
	}
	if want := "connect choose run:repair snapshot examine plan:drop-cache end:3 close disconnect"; f.steps() != want {
		t.Errorf("did %s\nwant %s", f.steps(), want)
	}
}

func TestRepairWithApplyVerifiesAndTellsHowToUndo(t *testing.T) {
	f := newFake()
	code, out, errs := runFake(t, f, "repair", "--host", "h", "--remedy", "drop-cache", "--apply", "--mailbox", "Entwürfe, alte")
	if code != exitDone || !strings.Contains(out, "dovemend undo --run 20260101-000000-abcd") || strings.Contains(out, "\x1b") {
		t.Errorf("code %d, out %q, err %q", code, out, errs)
	}
	if got := f.options.Mailboxes; len(got) != 1 || got[0] != "Entwürfe, alte" {
		t.Errorf("mailboxes %q: a comma must not split a name", got)
	}
	f = newFake()
	f.verdict.OK = false
	if code, _, errs := runFake(t, f, "repair", "--host", "h", "--remedy", "drop-cache", "--apply"); code != exitMissing || !strings.Contains(errs, "next: dovemend undo") {
		t.Errorf("something missing: code %d, want 7; %q", code, errs)
	}
}

func TestClearWantsItsMailboxNamedAgain(t *testing.T) {
	for _, args := range [][]string{{}, {"--confirm", "Trash"}} {
		f := newFake()
		code, _, errs := runFake(t, f, append([]string{"repair", "--host", "h", "--remedy", "clear", "--apply"}, args...)...)
		if code != exitUsage || f.changedHost() || !strings.Contains(errs, "--confirm") {
			t.Errorf("%v: code %d, did %s, said %q", args, code, f.steps(), errs)
		}
	}
	f := newFake()
	if code, _, errs := runFake(t, f, "repair", "--host", "h", "--remedy", "clear", "--apply", "--confirm", "INBOX"); code != exitDone {
		t.Errorf("confirmed: code %d, %q", code, errs)
	}
}

func TestFailuresGiveOneJSONDocument(t *testing.T) {
	for stage, c := range map[string]struct {
		err  error
		code int
	}{
		"connect":         {remote.ErrAuth, exitLogin},
		"choose":          {&store.NotFoundError{Name: "x"}, exitUsage},
		"run:repair":      {rundir.ErrLocked, exitError},
		"snapshot":        {remote.ErrDisconnected, exitError},
		"plan:drop-index": {&plan.WouldLoseError{Costs: []plan.Cost{{Loss: plan.LossFlags, Mailbox: "INBOX", Count: 45}}}, exitRefused},
		"apply":           {&repair.StoppedError{Run: "20260101-000000-abcd", Err: remote.ErrDisconnected}, exitMidway},
		"verify":          {errors.New("no answer"), exitError},
	} {
		f := newFake()
		f.fail[stage] = c.err
		code, out, errs := runFake(t, f, "repair", "--host", "h", "--remedy", "drop-index", "--apply", "--json", "--quiet")
		var doc repairDocument
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Errorf("%s: not one document: %v\n%s", stage, err, out)
			continue
		}
		if code != c.code || doc.Exit != c.code || doc.Error == "" || doc.Hint == "" || doc.Command != "repair" || errs != "" {
			t.Errorf("%s: code %d, want %d; document %+v; stderr %q", stage, code, c.code, doc, errs)
		}
		if stage == "plan:drop-index" && doc.Plan == nil {
			t.Error("the refused plan is not in the document")
		}
	}
}

// TestUndoThatStoppedNamesWhatItTakesBack wants the run that is undone named, for to undo an undo is another thing.
func TestUndoThatStoppedNamesWhatItTakesBack(t *testing.T) {
	v := judge(&repair.StoppedError{Run: "20260102-000000-abcd", Of: "20260101-000000-abcd", Err: remote.ErrDisconnected}, "undo")
	if !strings.Contains(v.hint, "resume --run 20260102-000000-abcd") || !strings.Contains(v.hint, "undo --run 20260101-000000-abcd") {
		t.Errorf("the hint is %q", v.hint)
	}
}

// TestMessagesOfLostConnectionsAreShort wants how far it came, and why, without the calls it was noticed in.
func TestMessagesOfLostConnectionsAreShort(t *testing.T) {
	lost := fmt.Errorf("rename: guard x: lstat /home: %w: reset by peer", remote.ErrDisconnected)
	stopped := &repair.StoppedError{Run: "20260101-000000-abcd", Err: lost}
	stopped.Outcome.Done, stopped.Outcome.Total = 3, 9
	for _, c := range []struct {
		err  error
		want string
	}{
		{stopped, "stopped after 3 of 9 steps: connection lost: reset by peer"},
		{fmt.Errorf("copy: %w", lost), "connection lost: reset by peer"},
		{fmt.Errorf("%w: %w", repair.ErrUnchanged, lost), "connection lost: reset by peer; nothing was changed"},
		{&unseenError{run: "a", err: lost}, "the repair is done, but the result could not be looked at: connection lost: reset by peer"},
		{fmt.Errorf("copy: %w", context.Canceled), "interrupted"},
		{ui.ErrAborted, "stopped at a question"},
		{errors.New("any"), "any"},
	} {
		if got := messageOf(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
