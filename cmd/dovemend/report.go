package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"dovemend/repair"
	"dovemend/repair/report"
	"dovemend/repair/rundir"
)

// reportDocument is the JSON of the verb: the report itself, and where it was written.
type reportDocument struct {
	envelope
	Format string `json:"format"`
	Output string `json:"output,omitempty"` // the file it was written to
	*report.Report
}

func (p *program) report() *cli.Command {
	return &cli.Command{
		Name:  "report",
		Usage: "tell what happened, to keep or to send to the hosting company; reaches no host",
		Description: "Writes what the folders of runs tell: what was found in which file, what the server said and\n" +
			"when, what was done, how it was verified, where the copies are; and a text for the hosting\n" +
			"company that can be sent as it stands. It needs no connection and changes nothing.\n\n" +
			"  dovemend report                        the latest run, as text\n" +
			"  dovemend report --output report.html   one HTML page, to print or attach\n" +
			"  dovemend report --redact               no addresses, hosts and subjects\n\n" +
			"Words in which your mail program told of the trouble make it complete: --answers takes them.\n\n" +
			"Passwords and keys are never in it, redacted or not. A file that is there already is only\n" +
			"replaced with --force. All times are UTC.\n\n" +
			"Exit codes: 0 written; 1 error; 2 usage, or there is no such run.",
		Flags: join([]cli.Flag{
			&cli.StringSliceFlag{Name: "run", Usage: "`ID` a run (see dovemend runs), latest, or all of the account; may be given more than once (default: the latest)"},
			&cli.StringFlag{Name: "since", Usage: "`DATE` all runs of the account that began then or later: 2026-11-23, or a time as 2026-11-23T18:15:00Z"},
			text("Account", "account", "", "`user@domain` the account (default: that of the latest run)"),
			&cli.StringFlag{Name: "answers", Usage: "`FILE` what your mail program or its log has shown, a line each; - is standard input"},
			&cli.StringFlag{Name: "format", Usage: "`NAME` text, html or json (default: told by the end of --output, else text)"},
			text("", "language", "", "`CODE` en or de (default: German where $LC_ALL, $LC_MESSAGES or $LANG says so)"),
			ownToggle("redact", "replace addresses, user names, hosts, subjects and unusual mailbox names by placeholders"),
			&cli.StringFlag{Name: "output", Usage: "`FILE` write to this file instead of standard output"},
			ownToggle("force", "replace the file if it is there"),
		}, outputFlags()),
		Action: p.verb("report", doReport),
	}
}

// secretWords are in the names of variables whose value must not be in a report, whatever it is made of.
var secretWords = []string{"PASSWORD", "SECRET", "TOKEN", "PING", "PASSPHRASE"}

func doReport(k *call) error {
	doc := &reportDocument{Report: &report.Report{Runs: []report.Run{}}}
	k.doc = doc
	format, err := k.reportFormat()
	if err != nil {
		return err
	}
	language, err := k.reportLanguage()
	if err != nil {
		return err
	}
	o := repair.ReportOptions{StateDir: k.opts.StateDir, Account: k.opts.Account}
	if err := k.reportRuns(&o); err != nil {
		return err
	}
	output, err := k.reportOutput()
	if err != nil {
		return err
	}
	if name := k.String("answers"); name != "" && name != "-" {
		if _, err := readable("answers", name); err != nil {
			return err
		}
	}
	r, err := repair.CollectReport(o)
	switch {
	case errors.Is(err, rundir.ErrNoRun) && len(o.Runs) == 0:
		return &endError{exitUsage, strings.TrimSuffix(err.Error(), ": "+rundir.ErrNoRun.Error()), "dovemend check --host …, which looks at a mailbox and makes a run; dovemend runs lists those there are"}
	case errors.Is(err, repair.ErrSeveralAccounts):
		return &usageError{text: err.Error(), hint: "dovemend runs"}
	case err != nil:
		return err
	}
	doc.Report, doc.Format, doc.Output = r, format, output
	if err := k.reportAnswers(r); err != nil {
		return err
	}
	f := report.Options{Language: language, Redact: k.Bool("redact"), Secrets: secretsAround(os.Environ())}
	if home, err := os.UserHomeDir(); err == nil && len(home) > 1 {
		f.Local = append(f.Local, home)
	}
	r.Finish(f)
	var b bytes.Buffer
	write := map[string]func() error{"text": func() error { return r.Text(&b) }, "html": func() error { return r.HTML(&b) }, "json": func() error { return r.JSON(&b) }}[format]
	switch {
	case output == "" && (k.json || format == "json"):
		k.json = true // the document is the report
		return nil
	case output == "":
		if err := write(); err != nil {
			return err
		}
		_, err := k.p.stdout.Write(b.Bytes())
		return err
	}
	if err := write(); err != nil {
		return err
	}
	if err := writeReport(output, b.Bytes(), k.Bool("force")); err != nil {
		return err
	}
	k.say("Written: %s", output)
	if !k.Bool("redact") {
		k.say("It names the account, the host and folders; --redact replaces them.")
	}
	return nil
}

// reportFormat is --format, or what the end of --output tells.
func (k *call) reportFormat() (string, error) {
	if k.IsSet("format") {
		return oneOf(k.Context, "format", "text", "html", "json")
	}
	switch strings.ToLower(filepath.Ext(k.String("output"))) {
	case ".html", ".htm":
		return "html", nil
	case ".json":
		return "json", nil
	}
	return "text", nil
}

// reportLanguage is --language, or that of the environment.
func (k *call) reportLanguage() (string, error) {
	if k.IsSet("language") {
		return oneOf(k.Context, "language", report.Languages()...)
	}
	return languageOf(os.Getenv), nil
}

// languageOf tells the language of a report from the variables of the locale.
func languageOf(getenv func(string) string) string {
	set := cmp.Or(getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG"))
	if lang, _, _ := strings.Cut(strings.ToLower(set), "_"); lang == "de" || strings.HasPrefix(lang, "de.") || strings.HasPrefix(lang, "de@") {
		return report.German
	}
	return report.English
}

// reportRuns reads which runs are meant.
func (k *call) reportRuns(o *repair.ReportOptions) error {
	o.Runs = k.StringSlice("run")
	if slices.Contains(o.Runs, "") {
		return &usageError{text: "--run is empty", hint: "dovemend runs"}
	}
	if slices.Contains(o.Runs, "all") {
		if len(o.Runs) > 1 {
			return &usageError{text: "--run all is every run of the account: no other --run beside it"}
		}
		o.Runs, o.All = nil, true
	}
	if !k.IsSet("since") {
		return nil
	}
	if len(o.Runs) > 0 {
		return &usageError{text: "--since and --run ID exclude each other: both say which runs are meant"}
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.ParseInLocation(form, k.String("since"), time.Local); err == nil {
			o.All, o.Since = true, at
			return nil
		}
	}
	return &usageError{text: fmt.Sprintf("--since %q: must be a date as 2026-11-23, or a time as 2026-11-23T18:15:00Z", k.String("since"))}
}

// reportAnswers takes what --answers names into the report.
func (k *call) reportAnswers(r *report.Report) (err error) {
	name := k.String("answers")
	switch name {
	case "":
		return nil
	case "-":
		return repair.AddAnswers(r, k.p.stdin)
	}
	if name, err = readable("answers", name); err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read the answers: %w", err)
	}
	defer f.Close()
	return repair.AddAnswers(r, f)
}

// reportOutput checks --output and gives it in full; "" for standard output.
func (k *call) reportOutput() (string, error) {
	if !k.IsSet("output") {
		if k.Bool("force") {
			return "", &usageError{text: "--force is about a file: it needs --output"}
		}
		return "", nil
	}
	out, err := writable("output", k.String("output"))
	if err != nil {
		return "", err
	}
	if inside(out, filepath.Join(k.opts.StateDir, "runs")) {
		return "", &usageError{text: fmt.Sprintf("--output %q: lies in a run's folder, in which nothing is to be changed", out)}
	}
	if _, err := os.Lstat(out); err == nil && !k.Bool("force") {
		return "", &usageError{text: fmt.Sprintf("--output %q: is there already", out), hint: "the same command with another --output, or with --force, which replaces the file"}
	}
	return out, nil
}

// writeReport writes the file, whole or not at all. Nobody but its owner may read it: it names people.
func writeReport(name string, b []byte, force bool) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".dovemend-report-*")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	temp := f.Name()
	_, err = f.Write(b)
	err = cmp.Or(err, f.Sync())
	err = cmp.Or(err, f.Close())
	if err == nil && !force {
		if err = os.Link(temp, name); err == nil { // which does not replace what came meanwhile
			return os.Remove(temp)
		}
		if _, there := os.Lstat(name); there == nil {
			err = fmt.Errorf("%s is there already", name)
		} else {
			err = os.Rename(temp, name) // no links on this file system
		}
	} else if err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// secretsAround gives the values of variables that hold secrets. The shortest are left alone: they would blank half the text.
func secretsAround(env []string) []string {
	var out []string
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasSuffix(name, "_COMMAND") || len(value) < 4 {
			continue
		}
		if slices.ContainsFunc(secretWords, func(s string) bool { return strings.Contains(strings.ToUpper(name), s) }) {
			out = append(out, value)
		}
	}
	return out
}
