package repair

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/remotetest/damage"
	"dovemend/remote/remotetest/demoaccount"
	"dovemend/repair/pathtext"
	"dovemend/repair/plan"
	"dovemend/repair/report"
	"dovemend/repair/rundir"
	"dovemend/repair/store"
)

func reportMeta(stage rundir.Stage) rundir.Meta {
	return rundir.Meta{Kind: rundir.KindRepair, Target: "h", User: "web1", Addr: "ssh.example.org:22", HostKey: "SHA256:k", MailRoot: "/m/example.org/anna", Address: "anna@example.org",
		Layout: store.SDBox, Mailboxes: []string{"INBOX"}, Remedy: "clear", Stage: stage}
}

func newReportRun(t *testing.T, state string, m rundir.Meta) *rundir.Dir {
	t.Helper()
	d, err := rundir.Create(state, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// writeLines makes a journal of these lines, sealed as package apply seals them.
func writeLines(t *testing.T, d *rundir.Dir, lines []map[string]any) {
	t.Helper()
	var out bytes.Buffer
	prev := ""
	for i, l := range lines {
		l["n"] = i + 1
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		b = b[:len(b)-1]
		h := sha256.New()
		h.Write([]byte(prev))
		h.Write(b)
		prev = hex.EncodeToString(h.Sum(nil))[:32]
		fmt.Fprintf(&out, "%s,\"sum\":\"%s\"}\n", b, prev)
	}
	if err := os.WriteFile(filepath.Join(d.Path(), rundir.JournalFile), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func finished(t *testing.T, o ReportOptions, f report.Options) *report.Report {
	t.Helper()
	r, err := CollectReport(o)
	if err != nil {
		t.Fatal(err)
	}
	if f.Language == "" {
		f.Language = report.English
	}
	r.Finish(f)
	return r
}

// TestReportOfManyStepsIsBounded has a run with 20,000 steps of alternating kinds, as many findings, answers and lines of log, and a
// plan and journal to match.
func TestReportOfManyStepsIsBounded(t *testing.T) {
	const n = 20_000
	state := t.TempDir()
	d := newReportRun(t, state, reportMeta(rundir.StageApplied))
	p := plan.Plan{Version: 1, Run: d.ID(), Root: "/m/example.org/anna", Layout: store.SDBox, Remedy: plan.Clear, Mailboxes: []string{"INBOX"}}
	begun := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	lines := []map[string]any{{"kind": "begin", "at": begun, "plan": "x", "run": d.ID(), "steps": n}}
	checked := keptChecked{Mailboxes: []keptMailbox{{Mailbox: "INBOX", Messages: n}}}
	var log strings.Builder
	for i := 1; i <= n; i++ {
		s := plan.Step{Seq: i, Op: plan.OpRemove, Path: store.RelPath(fmt.Sprintf("mailboxes/INBOX/dbox-Mails/u.%d", i)), Class: plan.ClassMailboxFile, Why: "clears INBOX"}
		if i%2 == 0 {
			s.Op, s.To, s.ToClass, s.Why = plan.OpRename, store.RelPath("dovemend-aside/"+string(s.Path)), plan.ClassAside, fmt.Sprintf("reason %d", i)
		}
		p.Steps = append(p.Steps, s)
		at := begun.Add(time.Duration(i) * time.Second)
		lines = append(lines, map[string]any{"kind": "intent", "at": at, "step": i})
		if i <= n/2 {
			lines = append(lines, map[string]any{"kind": "done", "at": at, "step": i})
		}
		checked.Mailboxes[0].Findings = append(checked.Mailboxes[0].Findings, keptFinding{Severity: "broken", Rule: "dbox-message", File: pathtext.Path(s.Path), Offset: 7, Text: fmt.Sprintf("message %d is damaged (body-cut)", i)})
		fmt.Fprintf(&log, "time=%s level=WARN msg=warning text=\"line %d\"\n", at.Format(time.RFC3339Nano), i)
	}
	writeLines(t, d, lines)
	if err := errors.Join(d.WriteJSON(rundir.PlanFile, p), d.WriteJSON(checkedFile, checked), os.WriteFile(filepath.Join(d.Path(), rundir.LogFile), []byte(log.String()), 0o600)); err != nil {
		t.Fatal(err)
	}
	r := finished(t, ReportOptions{StateDir: state}, report.Options{})
	run := r.Newest()
	if run.Steps != n || run.StepsDone != n/2 || run.Broken != n || !run.Applied {
		t.Errorf("%d of %d steps, %d broken, applied %v", run.StepsDone, run.Steps, run.Broken, run.Applied)
	}
	groups := 0
	for _, g := range run.Done {
		groups += g.Steps
		if len(g.Paths) > report.MostPaths {
			t.Errorf("%d paths in a group", len(g.Paths))
		}
	}
	if groups != n || len(run.Done) > mostGroups+5 {
		t.Errorf("%d groups with %d steps", len(run.Done), groups)
	}
	if len(run.Findings) != report.MostFindings || run.FindingsLeftOut != n-report.MostFindings {
		t.Errorf("%d findings, %d left out", len(run.Findings), run.FindingsLeftOut)
	}
	if len(run.Timeline) != report.MostEvents || run.EventsLeftOut < 20_000 {
		t.Errorf("%d events, %d left out", len(run.Timeline), run.EventsLeftOut)
	}
	for name, write := range map[string]func(*bytes.Buffer) error{"text": func(b *bytes.Buffer) error { return r.Text(b) }, "html": func(b *bytes.Buffer) error { return r.HTML(b) }, "json": func(b *bytes.Buffer) error { return r.JSON(b) }} {
		var b bytes.Buffer
		if err := write(&b); err != nil || b.Len() > 200_000 {
			t.Errorf("%s: %d bytes, %v", name, b.Len(), err)
		}
	}
}

// TestReportOfAnOldRun has a run of a version that kept none of the files for reports, and ones with files that are no use.
func TestReportOfAnOldRun(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		notes int
	}{
		{"nothing kept", nil, 0},
		{"everything garbage", map[string]string{hostFile: "{", copyFile: "[]", checkedFile: "\x00", verificationFile: "7", rundir.PlanFile: `{"version":99}`, rundir.JournalFile: "x\ny\n", rundir.LogFile: "\xff\n= =\n\"\n"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := t.TempDir()
			d := newReportRun(t, state, reportMeta(rundir.StageVerified))
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(d.Path(), name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := finished(t, ReportOptions{StateDir: state}, report.Options{})
			if len(r.Runs) != 1 || r.Runs[0].ID != d.ID() || r.Account.Address != "anna@example.org" || len(r.Notes) != c.notes || r.Verdict.Title == "" {
				t.Errorf("got %+v", r)
			}
			var b bytes.Buffer
			if err := r.Text(&b); err != nil || !strings.Contains(strings.Join(strings.Fields(b.String()), " "), "dovemend check --run "+d.ID()) || strings.Contains(b.String(), "nothing was changed") {
				t.Errorf("%v: it does not say how to look again:\n%s", err, b.String())
			}
		})
	}
}

func TestReportChoosesRuns(t *testing.T) {
	state := t.TempDir()
	if _, err := CollectReport(ReportOptions{StateDir: state}); !errors.Is(err, rundir.ErrNoRun) {
		t.Errorf("no runs: %v", err)
	}
	other := reportMeta(rundir.StageVerified)
	other.MailRoot, other.Address = "/m/example.org/ben", "ben@example.org"
	first := newReportRun(t, state, reportMeta(rundir.StageVerified))
	bens := newReportRun(t, state, other)
	second := newReportRun(t, state, reportMeta(rundir.StageVerified))
	undo := reportMeta(rundir.StageVerified)
	undo.Kind, undo.Of = rundir.KindUndo, second.ID()
	third := newReportRun(t, state, undo)
	if err := os.MkdirAll(filepath.Join(state, "runs", "20200101-000000-0000"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    ReportOptions
		want []string
	}{
		{"the latest, and what it takes back", ReportOptions{}, []string{second.ID(), third.ID()}},
		{"one", ReportOptions{Runs: []string{first.ID()}}, []string{first.ID()}},
		{"two, in the order of time", ReportOptions{Runs: []string{second.ID(), first.ID(), second.ID()}}, []string{first.ID(), second.ID()}},
		{"all of the account", ReportOptions{All: true}, []string{first.ID(), second.ID(), third.ID()}},
		{"of another account", ReportOptions{All: true, Account: "Ben@example.org"}, []string{bens.ID()}},
		{"since tomorrow", ReportOptions{All: true, Since: time.Now().Add(24 * time.Hour)}, []string{second.ID(), third.ID()}},
	} {
		c.o.StateDir = state
		var got []string
		r := finished(t, c.o, report.Options{})
		for _, run := range r.Runs {
			got = append(got, run.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if _, err := CollectReport(ReportOptions{StateDir: state, Runs: []string{first.ID(), bens.ID()}}); !errors.Is(err, ErrSeveralAccounts) {
		t.Errorf("two accounts: %v", err)
	}
	if _, err := CollectReport(ReportOptions{StateDir: state, Account: "nobody@example.org"}); !errors.Is(err, rundir.ErrNoRun) {
		t.Errorf("nobody: %v", err)
	}
}

func TestLinesOfALogAreReadAsTheyAreWritten(t *testing.T) {
	for line, want := range map[string]report.Event{
		`time=2026-11-23T18:15:02.123Z level=INFO msg="stage begins" text="copying \"a\" to=this computer"`: {What: "stage", Text: `copying "a" to=this computer`},
		`time=2026-11-23T18:15:02.123+01:00 level=INFO msg="processes ended" ended=4 back=0`:                {What: "ended", Count: 4},
		`time=2026-11-23T18:15:02.123Z level=INFO msg="command ended" exit=7 error=<nil>`:                   {What: "end", Text: "7"},
		`time=2026-11-23T18:15:02.123Z level=INFO msg="step done" seq=1`:                                    {},
		`level=INFO msg="stage begins" text=x`:                                                              {},
		`time="`:                                                                                            {},
		``:                                                                                                  {},
	} {
		got, ok := logEvent(line)
		got.At = time.Time{}
		if ok != (want.What != "") || ok && got != want {
			t.Errorf("%s: got %+v, %v", line, got, ok)
		}
	}
}

// TestFindingsOfADamagedAccountAreInGerman breaks the demo's account in many ways, and has what check says put into German: no sentence
// may stay as it is. With DOVEMEND_TEST_FULL=1 it is broken in every way there is.
func TestFindingsOfADamagedAccountAreInGerman(t *testing.T) {
	kinds := damage.Kinds("mdbox")
	if os.Getenv("DOVEMEND_TEST_FULL") == "" {
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return len(k)%4 != 0 })
	}
	sentences := 0
	for _, kind := range kinds {
		dir := t.TempDir()
		if err := demoaccount.Unpack(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := demoaccount.Break(dir, demoaccount.Mailbox, kind); err != nil {
			t.Logf("%s: %v", kind, err)
			continue
		}
		local, err := OpenLocal(t.Context(), dir, "")
		if err != nil {
			t.Logf("%s: %v", kind, err)
			continue
		}
		found, err := local.Check(t.Context(), local.Account.Mailboxes, Silent{})
		if err = errors.Join(err, local.Close()); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		all := found.Account
		for _, d := range found.Mailboxes {
			all = append(all, d.Findings...)
		}
		for _, f := range all {
			r := &report.Report{Runs: []report.Run{{Findings: []report.Finding{{Text: f.Text, Effect: f.Effect, Advice: f.Advice}}}}}
			r.Finish(report.Options{Language: report.German})
			g := r.Runs[0].Findings[0]
			for _, pair := range [][2]string{{f.Text, g.Text}, {f.Effect, g.Effect}, {f.Advice, g.Advice}} {
				if sentences++; pair[0] != "" && pair[0] == pair[1] {
					t.Errorf("%s, %s: no German for %q", kind, f.Rule, pair[0])
				}
			}
		}
	}
	if sentences < 50 {
		t.Errorf("only %d sentences were looked at", sentences)
	}
}

// TestReportTellsWhatWasDoneOverIMAP has the lists that moving messages, and putting them back, leave in a run's folder.
func TestReportTellsWhatWasDoneOverIMAP(t *testing.T) {
	state := t.TempDir()
	m := reportMeta(rundir.StageVerified)
	m.Remedy = "evacuate"
	d := newReportRun(t, state, m)
	moves := `{"n":1,"at":"2026-11-23T18:15:02Z","kind":"begin","left":[{"uid":7,"why":"x"}],"total":3}
{"n":2,"at":"2026-11-23T18:15:03Z","kind":"create","backup":"BACKUP20261123"}
{"n":3,"at":"2026-11-23T18:15:04Z","kind":"move","items":[{"uid":1},{"uid":2}]}
{"n":4,"at":"2026-11-23T18:15:05Z","kind":"moved","new":[1,2]}
{"n":5,"at":"2026-11-23T18:15:06Z","kind":"move","items":[{"uid":3}]}
{"n":6,"at":"2026-11-23T18:15:07Z","kind":"moved","new":[3]}
{"n":7,"at":"2026-11-23T18:15:08Z","kind":"fresh"}
{"n":8,"at":"2026-11-23T18:15:09Z","kind":"move","back":true,"items":[{"uid":1}]}
{"n":9,"at":"2026-11-23T18:15:10Z","kind":"moved","new":[1]}
{"n":10,"at":"2026-11-23T18:1`
	if err := os.WriteFile(filepath.Join(d.Path(), movesFile), []byte(moves), 0o600); err != nil {
		t.Fatal(err)
	}
	r := finished(t, ReportOptions{StateDir: state}, report.Options{})
	var b bytes.Buffer
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 messages moved out", "1 message moved back", "1 message that cannot be read or moved", "18:15:05–18:15:07", "1 mailbox made: BACKUP20261123"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not told:\n%s", want, b.String())
		}
	}
	if r.Verdict.State == report.StateNothing {
		t.Errorf("verdict is %+v", r.Verdict)
	}

	m = reportMeta(rundir.StageVerified)
	m.Kind, m.Remedy = "restore", ""
	d = newReportRun(t, state, m)
	lines := strings.Repeat(`{"file":"x","status":"added","size":10,"subject":"very private"}`+"\n", 3) + `{"file":"y","status":"there","size":5}` + "\n" + `{"file":"z","status":"unheard-of","size":5}` + "\n"
	if err := os.WriteFile(filepath.Join(d.Path(), restoredFile), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	r = finished(t, ReportOptions{StateDir: state}, report.Options{Language: report.German})
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Nachrichten wurden in INBOX zurückgespielt", "3 Nachrichten zurückgespielt", "1 Nachricht war schon da", "restore-unheard-of"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not told:\n%s", want, b.String())
		}
	}
	if r.Verdict.State != report.StateRestored || strings.Contains(b.String(), "private") {
		t.Errorf("verdict is %+v in\n%s", r.Verdict, b.String())
	}
}
