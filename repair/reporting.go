package repair

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/repair/report"
	"dovemend/repair/rundir"
	"dovemend/repair/salvage"
)

// ReportOptions say which runs a report is about. It is made from the folders of runs alone: no host is reached.
type ReportOptions struct {
	StateDir string
	Runs     []string  // IDs, or beginnings of IDs, or "latest"; empty: the latest run of the account
	All      bool      // all runs of the account
	Since    time.Time // with All: those that began then or later
	Account  string    // user@domain; "" that of the newest run
}

// CollectReport reads what the folders of runs tell into a report, in the order of time. A run that takes back another brings that
// one along. Runs that were made by an earlier version, and runs whose files are damaged, are told as far as they can be. The error
// wraps rundir.ErrNoRun where there is none.
func CollectReport(o ReportOptions) (*report.Report, error) {
	runs, notes, err := chosenRuns(o)
	if err != nil {
		return nil, err
	}
	r := &report.Report{Made: time.Now().UTC().Truncate(time.Second), By: Version, Notes: notes}
	if n := len(runs) - report.MostRuns; n > 0 {
		runs, r.LeftOut = runs[n:], n
	}
	for _, l := range runs {
		if err := collectRun(r, o.StateDir, l); err != nil {
			r.Notes = append(r.Notes, "run "+l.ID+": "+remote.Safe(strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	return r, nil
}

// chosenRuns gives the runs a report is about, the oldest first.
func chosenRuns(o ReportOptions) (runs []rundir.Listed, notes []string, err error) {
	all, err := rundir.List(o.StateDir)
	if err != nil {
		return nil, nil, err
	}
	for _, l := range all {
		if l.Err != nil {
			notes = append(notes, "run "+l.ID+": "+remote.Safe(l.Err.Error()))
		}
	}
	all = slices.DeleteFunc(all, func(l rundir.Listed) bool { return l.Err != nil })
	slices.Reverse(all)
	add := func(l rundir.Listed) {
		if !slices.ContainsFunc(runs, func(x rundir.Listed) bool { return x.ID == l.ID }) {
			runs = append(runs, l)
		}
	}
	if len(o.Runs) > 0 {
		for _, id := range o.Runs {
			d, err := rundir.Open(o.StateDir, id)
			if err != nil {
				return nil, nil, err
			}
			if len(runs) > 0 && !sameAccount(runs[0].Meta, d.Meta()) {
				return nil, nil, errors.Join(fmt.Errorf("runs %s and %s are of different accounts: %w", runs[0].ID, d.ID(), ErrSeveralAccounts), d.Close())
			}
			add(rundir.Listed{ID: d.ID(), Path: d.Path(), Meta: d.Meta()})
			if err := d.Close(); err != nil {
				return nil, nil, err
			}
		}
	} else {
		fit := slices.DeleteFunc(slices.Clone(all), func(l rundir.Listed) bool { return o.Account != "" && !strings.EqualFold(l.Meta.Address, o.Account) })
		if len(fit) == 0 {
			return nil, nil, fmt.Errorf("nothing to report in %s: %w", o.StateDir, rundir.ErrNoRun)
		}
		newest := fit[len(fit)-1]
		for _, l := range fit {
			if l.ID == newest.ID || o.All && sameAccount(l.Meta, newest.Meta) && !l.Meta.Created.Before(o.Since) {
				add(l)
			}
		}
	}
	for _, l := range slices.Clone(runs) {
		if i := slices.IndexFunc(all, func(x rundir.Listed) bool { return l.Meta.Of != "" && x.ID == l.Meta.Of }); i >= 0 {
			add(all[i])
		}
	}
	slices.SortFunc(runs, func(a, b rundir.Listed) int { return strings.Compare(a.ID, b.ID) })
	return runs, notes, nil
}

// ErrSeveralAccounts: the runs named are not all of one account.
var ErrSeveralAccounts = errors.New("a report is about one account")

// collectRun adds one run to the report. What can be read is told, whatever else cannot.
func collectRun(r *report.Report, state string, l rundir.Listed) error {
	dir, err := rundir.Open(state, l.ID)
	if err != nil {
		return err
	}
	m := dir.Meta()
	run := report.Run{ID: m.ID, Kind: string(m.Kind), Remedy: m.Remedy, Stage: string(m.Stage), Begun: m.Created, Ended: m.Ended, Error: m.Error,
		Of: m.Of, UndoneBy: m.UndoneBy, Program: m.Version, Folder: dir.Path(), Boxes: m.Mailboxes}
	if !m.Ended.IsZero() {
		run.Exit = &m.Exit
	}
	r.Account.Address, r.Account.MailRoot, r.Account.Layout = m.Address, string(m.MailRoot), string(m.Layout)
	for _, b := range m.Mailboxes {
		if !slices.Contains(r.Account.Mailboxes, b) {
			r.Account.Mailboxes = append(r.Account.Mailboxes, b)
		}
	}
	r.Host.Name, r.Host.Login, r.Host.HostKey = m.Addr, m.User, m.HostKey
	c := &collector{dir: dir, r: r, run: &run}
	for _, part := range []func() error{c.host, c.copied, c.found, c.verification, c.log, c.planned, c.overIMAP, c.saved, c.timeline} {
		err = errors.Join(err, part())
	}
	r.Runs = append(r.Runs, run)
	return errors.Join(err, dir.Close())
}

type collector struct {
	dir *rundir.Dir
	r   *report.Report
	run *report.Run
}

// read reads a file that a run has kept; ok is false where there is none.
func (c *collector) read(name string, v any) (ok bool, err error) {
	err = c.dir.ReadJSON(name, v)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (c *collector) host() error {
	var k keptHost
	ok, err := c.read(hostFile, &k)
	if ok {
		h := &c.r.Host
		h.SSHServer, h.System, h.Shell = k.SSHServer, k.OS, &k.Shell
		if k.Dovecot != "" {
			h.Dovecot = k.Dovecot
		}
	}
	return err
}

func (c *collector) copied() error {
	if !c.dir.Meta().HasSnapshot() {
		return nil
	}
	out := &report.Copy{Folder: filepath.Join(c.dir.Path(), rundir.SnapshotDir)}
	c.run.Copy = out
	var k keptCopy
	ok, err := c.read(copyFile, &k)
	if ok {
		out.Files, out.Bytes, out.Verified, out.Torn, out.Unreadable = k.Files, k.Bytes, k.Verified, k.TornCount, k.UnreadN
		for _, p := range slices.Concat(k.Unreadable, k.Torn) {
			if len(out.Paths) < report.MostPaths {
				out.Paths = append(out.Paths, string(p))
			}
		}
	}
	return err
}

func (c *collector) found() error {
	var k keptChecked
	ok, err := c.read(checkedFile, &k)
	if !ok {
		return err
	}
	run := c.run
	run.Examined = true
	run.FindingsLeftOut = k.More
	var all []report.Finding
	take := func(box string, list []keptFinding) {
		for _, f := range list {
			switch f.Severity {
			case "broken":
				run.Broken++
			case "suspect":
				run.Suspect++
			}
			all = append(all, report.Finding{Mailbox: box, Severity: string(f.Severity), Rule: f.Rule, File: string(f.File), Offset: report.Number(f.Offset),
				Text: f.Text, Effect: f.Effect, Cure: string(f.Cure), Advice: f.Advice})
		}
	}
	for _, b := range k.Mailboxes {
		run.Found = append(run.Found, report.Box{Mailbox: string(b.Mailbox), Messages: report.Number(b.Messages), Seen: b.Seen, Flagged: b.Flagged,
			UIDValidity: b.UIDValidity, UIDNext: b.UIDNext, Bytes: b.Bytes})
		take(string(b.Mailbox), b.Findings)
	}
	take("", k.Shared)
	// What matters most comes first, so that what is left out matters least.
	rank := map[string]int{"broken": 0, "suspect": 1, "note": 2}
	slices.SortStableFunc(all, func(a, b report.Finding) int { return rank[a.Severity] - rank[b.Severity] })
	if n := len(all) - report.MostFindings; n > 0 {
		all, run.FindingsLeftOut = all[:report.MostFindings], run.FindingsLeftOut+n
	}
	run.Findings = all
	return err
}

func (c *collector) verification() error {
	var k keptVerification
	ok, err := c.read(verificationFile, &k)
	if !ok {
		return err
	}
	c.r.Host.Greeting = orElse(k.Greeting, c.r.Host.Greeting)
	v := &report.Verified{At: k.At, OK: k.OK, IMAP: k.IMAP, IMAPNot: k.IMAPNot, Files: some(k.Files), FileNotes: some(k.FileNotes)}
	for _, b := range k.Boxes[:min(len(k.Boxes), report.MostLines)] {
		v.Boxes = append(v.Boxes, report.VerifiedBox{Mailbox: b.Mailbox, OK: b.OK, Messages: report.Number(b.Messages), Expected: report.Number(b.Expected), Problems: some(b.Problems), Notes: some(b.Notes)})
	}
	c.run.Verification = v
	for _, l := range k.Looks {
		for i, m := range slices.Concat(l.Replies, l.Log) {
			if len(c.run.Replies) == report.MostReplies {
				c.run.RepliesLeftOut++
				continue
			}
			at := m.At
			if at.IsZero() {
				at = l.At
			}
			c.run.Replies = append(c.run.Replies, report.Reply{At: at, Last: m.Last, Mailbox: l.Mailbox, FromLog: i >= len(l.Replies), Text: m.Text, Count: m.Count,
				Class: string(m.Class), Whose: string(m.Whose), Meaning: m.Meaning, Next: m.Next, Limit: m.Limit})
		}
	}
	return err
}

// some gives the first of a list.
func some(list []string) []string {
	if n := len(list) - report.MostLines; n > 0 {
		return append(slices.Clone(list[:report.MostLines]), fmt.Sprintf("and %d more of that kind", n))
	}
	return list
}

func (c *collector) saved() error {
	root, err := c.dir.Root().OpenRoot(rundir.SalvagedDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	total, err := salvage.Total(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && total.Messages > 0 {
		c.run.Saved = &report.Saved{Folder: filepath.Join(c.dir.Path(), rundir.SalvagedDir), Messages: total.Messages, Unreadable: total.Unreadable}
	}
	return err
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
