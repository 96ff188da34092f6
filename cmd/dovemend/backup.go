package main

import (
	"github.com/urfave/cli/v2"

	"dovemend/cmd/internal/ui"
	"dovemend/repair/store"
)

// runDocument says which run and which account a verb worked on.
type runDocument struct {
	envelope
	Run       string   `json:"run,omitempty"`
	Folder    string   `json:"folder,omitempty"`
	Account   string   `json:"account,omitempty"`
	MailRoot  string   `json:"mail_root,omitempty"`
	Layout    string   `json:"layout,omitempty"`
	Mailboxes []string `json:"mailboxes,omitempty"`
}

type snapshotDocument struct {
	Files      int      `json:"files"`
	Bytes      int64    `json:"bytes"`
	Fetched    int      `json:"fetched"`       // files downloaded
	Linked     int      `json:"linked"`        // files taken from the previous copy
	Down       int64    `json:"bytes_fetched"` // downloaded, what was copied twice included
	Verified   string   `json:"verified"`      // hash, reread, listing
	Torn       []string `json:"torn"`          // changed each time they were copied
	Unreadable []string `json:"unreadable"`    // not in the copy
}

type backupDocument struct {
	runDocument
	Snapshot *snapshotDocument `json:"snapshot,omitempty"`
}

func (p *program) backup() *cli.Command {
	return &cli.Command{
		Name:  "backup",
		Usage: "make a verified copy of a mailbox or an account, and change nothing",
		Description: "Copies the files of the mailboxes (for mdbox also storage/, where the mail itself is) into\n" +
			"a folder of this machine: a plain directory tree and a list with hashes. What a previous\n" +
			"copy holds unchanged is not downloaded again. Nothing on the host is changed. What is lost\n" +
			"later, check and repair look up in such a copy by themselves.\n\n" +
			"Exit codes: 0 copied and verified; 1 error, or files that could not be read; 2 usage;\n" +
			"3 copied, but some files changed all the while; 5 login or host key; 130 interrupted.",
		Flags:  join(hostFlags(), accountFlags(), mailboxFlags(), transferFlags(), outputFlags()),
		Action: p.verb("backup", doBackup),
	}
}

func doBackup(k *call) error {
	doc := &backupDocument{}
	k.doc = doc
	k.opts.Copying = true
	if err := k.connect(k.ctx()); err != nil {
		return err
	}
	r, err := k.begin("backup", &doc.runDocument)
	if err != nil {
		return err
	}
	m, err := r.Snapshot(k.ctx())
	if err != nil {
		return err
	}
	k.progress.Done()
	return k.reportBackup(doc, m)
}

// begin chooses account and mailboxes by the flags and opens a run on them.
func (k *call) begin(kind string, doc *runDocument) (job, error) {
	a, boxes, err := k.session.Choose(k.ctx())
	if err != nil {
		return nil, err
	}
	if kind == "repair" {
		if err := k.checkConfirm(boxes); err != nil {
			return nil, err
		}
	}
	return k.beginOn(kind, a, boxes, doc)
}

func (k *call) beginOn(kind string, a store.Account, boxes []store.Mailbox, doc *runDocument) (job, error) {
	r, err := k.session.NewRun(k.ctx(), kind, a, boxes)
	if err != nil {
		return nil, err
	}
	k.job = r
	doc.Run, doc.Folder = r.ID(), r.Folder()
	doc.Account, doc.MailRoot, doc.Layout = a.Address, string(a.Root), string(a.Layout)
	for _, m := range boxes {
		doc.Mailboxes = append(doc.Mailboxes, m.Name)
	}
	return r, nil
}

// endJob records how the verb ended in the run's folder, and lets go of it.
func (k *call) endJob(code int, err error) {
	if k.job == nil {
		return
	}
	if eerr := k.job.End(code, err); eerr != nil {
		k.progress.Warn("the run's folder cannot be written: " + eerr.Error())
	}
	if cerr := k.job.Close(); cerr != nil {
		k.progress.Warn("close run " + k.job.ID() + ": " + cerr.Error())
	}
}

func (k *call) reportBackup(doc *backupDocument, m copied) error {
	d := describeSnapshot(m)
	doc.Snapshot = d
	k.say("Copied %s, %s, of %s.", ui.Count(d.Files, "file"), ui.Bytes(d.Bytes), ui.Safe(nameOr(doc.Account, doc.MailRoot)))
	if d.Linked > 0 {
		k.say("Of these %s were unchanged since the last copy and not downloaded again; %s came over the line.", ui.Count(d.Linked, "file"), ui.Bytes(d.Down))
	}
	k.say("Checked against the host: %s.", verifiedText(d))
	k.say("Run %s, in %s", doc.Run, doc.Folder)
	for _, f := range d.Torn {
		k.say("changed all the while: %s", ui.Safe(f))
	}
	for _, f := range d.Unreadable {
		k.say("could not be read: %s", ui.Safe(f))
	}
	switch {
	case len(d.Unreadable) > 0:
		return &endError{exitError, ui.Count(len(d.Unreadable), "file") + " could not be read and are not in the copy",
			"look at their modes on the host, then the same command again: what was copied is not copied twice"}
	case len(d.Torn) > 0:
		return &endError{exitFindings, ui.Count(len(d.Torn), "file") + " changed each time they were copied; their copy is not from one moment",
			"dovemend processes --stop …, then the same command again"}
	}
	return nil
}

func describeSnapshot(c copied) *snapshotDocument {
	d := &snapshotDocument{Files: c.stats.Files, Bytes: c.stats.Bytes, Fetched: c.stats.Fetched, Linked: c.stats.Linked, Down: c.stats.Down, Verified: c.verified,
		Torn: []string{}, Unreadable: []string{}}
	for _, e := range c.notable {
		if e.Err != "" {
			d.Unreadable = append(d.Unreadable, string(e.Path))
		} else {
			d.Torn = append(d.Torn, string(e.Path))
		}
	}
	return d
}

func verifiedText(d *snapshotDocument) string {
	switch d.Verified {
	case "hash":
		if d.Linked > 0 {
			return "what was copied by its SHA-256, computed on both sides; what the last copy had unchanged by size, time and place on the disk"
		}
		return "every file by its SHA-256, computed on both sides"
	case "reread":
		return "every file read a second time and compared"
	case "listing":
		return "by a second listing; the host cannot compute hashes (--verify full reads everything again)"
	}
	return d.Verified
}
