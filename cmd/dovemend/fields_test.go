package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/remotetest/demoaccount"
	"dovemend/repair"
	"dovemend/repair/inspect"
	"dovemend/repair/report"
	"dovemend/repair/rundir"
	"dovemend/repair/salvage"
)

// documented gives, for each table of docs/scripting.md that lists fields, the fields; its key is the line that leads to it.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../../docs/scripting.md")
	if err != nil {
		t.Fatal(err)
	}
	out, lead, table := map[string][]string{}, "", ""
	row := regexp.MustCompile("^\\| `([a-z0-9_]+)` \\|")
	for _, line := range strings.Split(string(b), "\n") {
		switch m := row.FindStringSubmatch(line); {
		case m != nil && table != "":
			out[table] = append(out[table], m[1])
		case line == "| Field | |":
			table = lead
			if _, twice := out[table]; twice {
				t.Errorf("two tables follow %q", table)
			}
			out[table] = nil
		case line != "" && !strings.HasPrefix(line, "|"):
			lead, table = strings.Trim(line, "# :"), ""
		}
	}
	return out
}

// fields gives the names a type has in JSON, those of the embedded types left out. A list of names stands for itself.
func fields(x any) []string {
	if names, ok := x.([]string); ok {
		return names
	}
	var out []string
	t := reflect.TypeOf(x)
	for i := range t.NumField() {
		if f := t.Field(i); !f.Anonymous && f.IsExported() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			out = append(out, name)
		}
	}
	return out
}

func TestEveryFieldOfTheJSONIsDocumentedAndNoOther(t *testing.T) {
	tables := documented(t)
	facts := inspect.Vocabulary()
	types := map[string][]any{
		"Every document":             {envelope{}},
		"`accounts`":                 {accountsDocument{}},
		"Each account":               {accountDocument{}},
		"Each mailbox of an account": {mailboxDocument{}},
		"`processes`":                {processesDocument{}},
		"Each process":               {processDocument{}},
		"`backup`, `check`, `probe`, `salvage`, `restore`, `repair`, `wizard`, `resume`, `undo` and `demo` say what they worked on": {runDocument{}},
		"`backup`":                               {backupDocument{}},
		"The copy":                               {snapshotDocument{}},
		"`check`":                                {checkDocument{}},
		"`repair`, `wizard`, `resume`, `undo`":   {repairDocument{}},
		"`probe`":                                {probeDocument{}},
		"Each mailbox looked at":                 {lookedDocument{}},
		"Each look":                              {lookDocument{}},
		"Each answer or log line":                {replyDocument{}},
		"Each mailbox not looked at":             {notLookedDocument{}},
		"What a search for poison messages told": {poisonDocument{}},
		"Each poison message":                    {poisonMessageDocument{}},
		"Each look that fails everywhere":        {everywhereDocument{}},
		"`salvage`":                              {salvageDocument{}},
		"What was salvaged":                      {salvagedDocument{}},
		"Each folder with messages":              {salvageFolder{}, salvage.Count{}},
		"How many messages":                      {salvage.Count{}},
		"What became of the stored messages":     {ledgerDocument{}},
		"Each message that is not whole":         {damagedDocument{}},
		"Each file that could not be read":       {unreadDocument{}},
		"Each file that is not as it was copied": {alteredDocument{}},
		"Messages that were saved":               {savedDocument{}},
		"Each mailbox found":                     {diagnosisDocument{}},
		"Each finding":                           {findingDocument{}},
		"The plan":                               {planDocument{}},
		"Each step":                              {stepDocument{}},
		"Each cost":                              {costDocument{}},
		"The verification":                       {verificationDocument{}},
		"Each mailbox verified":                  {verdictDocument{}},
		"As `repair`, and":                       {demoDocument{}},
		"`runs`":                                 {runsDocument{}},
		"Each run":                               {rundir.Meta{}, listed{}},
		"`version`":                              {versionDocument{}},
		"`inspect`":                              {inspectStream{}, inspectDocument{}},
		"Each file":                              {inspect.Dump{}},
		"Each fault":                             {inspect.Fault{}},
		"What an index tells":                    {inspect.Index{}},
		"The header of an index":                 {inspect.IndexHeader{}},
		"Each extension":                         {inspect.Extension{}},
		"What an evacuation did":                 {evacuatedDocument{}},
		"Each message that was not moved":        {leftDocument{}},
		"What an evacuation moves":               {movesDocument{}},
		"A report":                               {reportDocument{}, report.Report{}},
		"How it stands":                          {report.Verdict{}},
		"Each line of how it stands":             {report.Line{}},
		"Whose mail":                             {report.Account{}},
		"What is known of the host":              {report.Host{}},
		"Each run of a report":                   {report.Run{}},
		"Each mailbox before":                    {report.Box{}},
		"Each thing that was wrong":              {report.Finding{}},
		"Each group of steps":                    {report.Done{}},
		"The copy of before":                     {report.Copy{}},
		"Messages that left their mailbox":       {report.Saved{}},
		"Each thing the server said":             {report.Reply{}},
		"The comparison afterwards":              {report.Verified{}},
		"Each mailbox afterwards":                {report.VerifiedBox{}},
		"Each thing that happened":               {report.Event{}},
		"The text for the hosting company":       {report.Letter{}},
		"`watch`":                                {watchDocument{}},
		"Each mailbox watched":                   {watchedDocument{}},
		"Each alarm":                             {alarmDocument{}},
		"What a log means":                       {explainedDocument{}},
		"Each thing said in a log":               {saidDocument{}},
		"What the header of an extension tells, depending on the extension":                                {facts[inspect.OfExtensionHeader]},
		"Each name in the header of a list index":                                                          {facts[inspect.OfListName]},
		"Each mailbox in the header of a virtual mailbox":                                                  {facts[inspect.OfVirtualMailbox]},
		"Each record of an index or a state":                                                               {inspect.Record{}},
		"Each value of an extension, depending on the extension":                                           {facts[inspect.OfExtensionValue]},
		"What a state tells; that is what Dovecot has in memory when it has opened the index and its logs": {inspect.State{}},
		"A place in a log":     {inspect.Position{}},
		"What a log tells":     {inspect.Log{}},
		"The header of a log":  {inspect.LogHeader{}},
		"Each record of a log": {inspect.LogRecord{}},
		"Each entry of a log record. Those of type `ext-hdr` also have what the header of the extension tells, those of type `ext-rec` what its value tells": {facts[inspect.OfLogEntry]},
		"What a cache tells":                                   {inspect.Cache{}},
		"The header of a cache":                                {inspect.CacheHeader{}},
		"Each field of a cache":                                {inspect.CacheField{}},
		"Each record of a cache":                               {inspect.CacheRecord{}},
		"Each value in a cache record, depending on the field": {facts[inspect.OfCacheValue]},
		"Each MIME part":                                       {facts[inspect.OfMIMEPart]},
		"What an sdbox or mdbox file tells":                    {inspect.Dbox{}},
		"Each message in an sdbox or mdbox file":               {inspect.DboxMessage{}},
		"What a uidlist tells":                                 {inspect.UIDList{}},
		"Each entry of a uidlist":                              {inspect.UIDListEntry{}},
		"What `dovecot-keywords` tells":                        {inspect.Keywords{}},
		"Each keyword letter":                                  {inspect.Letter{}},
		"What `subscriptions` tells":                           {inspect.Subscriptions{}},
		"Each subscribed mailbox":                              {inspect.Subscription{}},
		"What `dovecot.mailbox.log` tells":                     {inspect.MailboxLog{}},
		"Each record of a mailbox log":                         {inspect.MailboxLogRecord{}},
		"What `dovecot-uidvalidity` tells":                     {inspect.UIDValidity{}},
		"What the names of messages in a Maildir tell":         {inspect.Maildir{}},
		"Each message in a Maildir":                            {inspect.MaildirMessage{}},
	}
	types["`restore`, and `resume` and `undo` of one"] = []any{restoreDocument{}}
	types["How many messages of the source"] = []any{restoreCounts{}}
	types["Each message that needs a word"] = []any{restoredDocument{}}
	types["Each flag that the mailbox does not keep"] = []any{droppedDocument{}}
	for lead, all := range types {
		var want []string
		for _, x := range all {
			want = append(want, fields(x)...)
		}
		got := tables[lead]
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: docs/scripting.md has %q, the program %q", lead, got, want)
		}
	}
	for lead := range tables {
		if _, ok := types[lead]; !ok {
			t.Errorf("docs/scripting.md has a table after %q that no type of the program stands for", lead)
		}
	}
}

// keysOf collects the names of all objects in a JSON value.
func keysOf(x any, into map[string]bool) {
	switch x := x.(type) {
	case map[string]any:
		for k, v := range x {
			into[k] = true
			keysOf(v, into)
		}
	case []any:
		for _, v := range x {
			keysOf(v, into)
		}
	}
}

// TestWhatEachVerbWritesIsDocumented runs the verbs: what they write may differ from what their types say.
func TestWhatEachVerbWritesIsDocumented(t *testing.T) {
	known := map[string]bool{}
	for _, names := range documented(t) {
		for _, n := range names {
			known[n] = true
		}
	}
	account := t.TempDir()
	if err := demoaccount.Unpack(account); err != nil {
		t.Fatal(err)
	}
	cut := t.TempDir()
	if err := demoaccount.Unpack(cut); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Truncate(filepath.Join(cut, "storage", "m.1"), 1_000_000), os.WriteFile(filepath.Join(cut, "storage", "m.9"), []byte("no mail"), 0o600)); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	d, err := rundir.Create(state, rundir.Meta{Kind: rundir.KindRepair, Target: "h", Addr: "h:22", MailRoot: "/m", Address: "a@b", Layout: "mdbox", Stage: rundir.StageVerified})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for verb, c := range map[string]struct {
		args []string
		want []string // keys that have to be there
	}{
		"accounts":  {[]string{"--host", "h"}, []string{"accounts", "storage_name", "mailboxes_tree"}},
		"processes": {[]string{"--host", "h", "--stop"}, []string{"processes", "stayed_away"}},
		"backup":    {[]string{"--host", "h"}, []string{"snapshot", "fetched", "linked", "bytes_fetched"}},
		"repair":    {[]string{"--host", "h", "--remedy", "drop-cache", "--apply"}, []string{"found", "severity", "plan", "steps", "verification", "file_notes", "notes", "undo", "saved"}},
		"salvage":   {[]string{"--from", cut, "--to", filepath.Join(t.TempDir(), "out"), "--mailbox", "INBOX"}, []string{"from", "to", "format", "salvaged", "folders", "ledger", "stored", "damaged", "missing", "was", "unread", "why"}},
		"probe":     {[]string{"--host", "h", "--imap", "127.0.0.1:1", "--imap-tls", "none"}, []string{"looks", "looked", "found", "healthy", "connections", "class", "whose"}},
		"runs":      {[]string{"--state-dir", state}, []string{"state_dir", "id", "mail_root", "folder", "can_undo", "can_resume"}},
		"report":    {[]string{"--state-dir", state}, []string{"report_version", "verdict", "state", "support", "subject", "timeline", "mail_root", "findings", "copy"}},
		"inspect":   {[]string{"--file", account}, []string{"files", "index", "log", "dbox", "map_uid", "file_id", "faults", "entries"}},
		"watch":     {[]string{"--imap", "127.0.0.1:1", "--imap-tls", "none", "--imap-user", "anna", "--imap-password-command", "echo x", "--state-dir", filepath.Join(t.TempDir(), "state")}, []string{"alarms", "kind", "since", "not_before", "mailboxes"}},
		"version":   {nil, []string{"version", "go", "system"}},
		"undo":      {[]string{"--host", "h"}, []string{"error", "hint"}},
		"resume":    {[]string{"--host", "h"}, []string{"error", "hint"}},
	} {
		t.Setenv("DOVEMEND_IMAP_PASSWORD", "secret")
		f := newFake()
		f.saved = &repair.Saved{Folder: "/state/runs/x/salvaged", Messages: 1}
		f.verdict.FileNotes, f.verdict.Boxes[0].Notes = []string{"grown"}, []string{"1 more"}
		args := append([]string{verb, "--json"}, c.args...)
		var got map[string]any
		_, out, errs := runQuiet(t, f, args...)
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Errorf("%s: %v in %q (%s)", verb, err, out, errs)
			continue
		}
		keys := map[string]bool{}
		keysOf(got, keys)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			if !known[k] {
				t.Errorf("%s: the field %q is not documented", verb, k)
			}
		}
		for _, k := range append(c.want, "command", "exit") {
			if !keys[k] {
				t.Errorf("%s: there is no field %q in %s", verb, k, out)
			}
		}
	}
}

// runQuiet is runFake for verbs some of which do not ask, and so have no --no-input.
func runQuiet(t *testing.T, f *fake, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if args[0] != "version" {
		return runFake(t, f, args...)
	}
	var out, errs strings.Builder
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, engine: f}
	code = p.run(append([]string{"dovemend"}, args...))
	return code, out.String(), errs.String()
}
