package main

import (
	"dovemend/repair"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
)

type repairDocument struct {
	runDocument
	Remedy       string                `json:"remedy,omitempty"`
	Of           string                `json:"of,omitempty"` // undo: the run that is taken back
	Snapshot     *snapshotDocument     `json:"snapshot,omitempty"`
	Found        []diagnosisDocument   `json:"found,omitempty"`
	Shared       []findingDocument     `json:"shared,omitempty"` // what concerns the account as a whole
	Plan         *planDocument         `json:"plan,omitempty"`
	Applied      bool                  `json:"applied"`
	Evacuated    *evacuatedDocument    `json:"evacuated,omitempty"`
	Saved        *savedDocument        `json:"saved,omitempty"`
	Verification *verificationDocument `json:"verification,omitempty"`
	Undo         string                `json:"undo,omitempty"` // the command that takes it back
}

// savedDocument tells of messages that had to leave their mailbox, and were saved before.
type savedDocument struct {
	Folder     string `json:"folder"`
	Messages   int    `json:"messages"`
	Unreadable int    `json:"unreadable"`
}

// evacuatedDocument tells what became of the messages of an evacuation, or of taking one back.
type evacuatedDocument struct {
	Backup   string         `json:"backup"` // the mailbox that was made; empty where it is gone again
	Moved    int            `json:"moved"`
	Back     int            `json:"back"`
	Taken    int            `json:"taken"`
	Left     []leftDocument `json:"left"`
	Breaking []leftDocument `json:"breaking"`
}

// leftDocument is a message that was not moved, or not moved back.
type leftDocument struct {
	UID uint32 `json:"uid"`
	Why string `json:"why"`
}

func describeEvacuated(x *repair.Evacuated) *evacuatedDocument {
	list := func(left []evacuate.Left) []leftDocument {
		out := []leftDocument{}
		for _, l := range left {
			out = append(out, leftDocument{l.UID, l.Why})
		}
		return out
	}
	return &evacuatedDocument{x.Backup, x.Moved, x.Back, x.Taken, list(x.Left), list(x.Breaking)}
}

// movesDocument is what an evacuation plans to move.
type movesDocument struct {
	Backup     string   `json:"backup"`
	Messages   int      `json:"messages"`
	Unreadable []uint32 `json:"unreadable"`
	Back       bool     `json:"back"`
}

type findingDocument struct {
	Severity string `json:"severity"` // broken, suspect, note
	Rule     string `json:"rule"`
	File     string `json:"file"`
	Offset   *int64 `json:"offset"` // null where it concerns the whole file
	Text     string `json:"text"`
	Effect   string `json:"effect,omitempty"`
	Cure     string `json:"cure,omitempty"`
	Advice   string `json:"advice,omitempty"`
}

type diagnosisDocument struct {
	Mailbox     string            `json:"mailbox"`
	Messages    *int              `json:"messages"`
	Seen        int               `json:"seen"`
	Flagged     int               `json:"flagged"`
	Keywords    []string          `json:"keywords,omitempty"`
	UIDValidity uint32            `json:"uidvalidity"`
	UIDNext     uint32            `json:"uidnext"`
	Bytes       int64             `json:"bytes"`
	Findings    []findingDocument `json:"findings"`
}

type stepDocument struct {
	Seq  int    `json:"seq"`
	Op   string `json:"op"`
	Path string `json:"path"`
	To   string `json:"to,omitempty"`
	Why  string `json:"why,omitempty"`
}

type costDocument struct {
	Loss    string `json:"loss"`
	Mailbox string `json:"mailbox,omitempty"`
	Count   int    `json:"count"`
	Text    string `json:"text"`
}

type planDocument struct {
	Aside bool           `json:"aside"`
	Moves *movesDocument `json:"moves,omitempty"`
	Steps []stepDocument `json:"steps"`
	Costs []costDocument `json:"costs"`
	Notes []string       `json:"notes,omitempty"`
}

type verdictDocument struct {
	Mailbox  string   `json:"mailbox"`
	OK       bool     `json:"ok"`
	Messages int      `json:"messages"`
	Expected *int     `json:"expected"`
	Problems []string `json:"problems,omitempty"`
	Replies  []string `json:"replies,omitempty"`
	Notes    []string `json:"notes,omitempty"` // worth knowing, no failure
}

type verificationDocument struct {
	OK        bool              `json:"ok"`
	Files     []string          `json:"files"`                // differences; empty is good
	FileNotes []string          `json:"file_notes,omitempty"` // what Dovecot or a mail program did to the files since
	IMAP      string            `json:"imap"`                 // how: preauth, tls, …; empty: not at all
	IMAPNot   string            `json:"imap_not,omitempty"`
	Mailboxes []verdictDocument `json:"mailboxes"`
}

func describeDiagnoses(all []repair.Diagnosis) []diagnosisDocument {
	out := []diagnosisDocument{}
	for _, d := range all {
		x := diagnosisDocument{Mailbox: d.Mailbox.Name, Messages: unlessUnknown(d.Messages), Seen: d.Seen, Flagged: d.Flagged,
			Keywords: d.Keywords, UIDValidity: d.UIDValidity, UIDNext: d.UIDNext, Bytes: d.Bytes, Findings: describeFindings(d.Findings)}
		out = append(out, x)
	}
	return out
}

func describeFindings(all []repair.Finding) []findingDocument {
	out := []findingDocument{}
	for _, f := range all {
		fd := findingDocument{Severity: string(f.Severity), Rule: f.Rule, File: string(f.File), Text: f.Text,
			Effect: f.Effect, Cure: string(f.Cure), Advice: f.Advice}
		if f.Offset >= 0 {
			fd.Offset = &f.Offset
		}
		out = append(out, fd)
	}
	return out
}

func describePlan(p *plan.Plan) *planDocument {
	d := &planDocument{Aside: p.Aside, Steps: []stepDocument{}, Costs: []costDocument{}, Notes: p.Notes}
	if m := p.Moves; m != nil {
		d.Moves = &movesDocument{m.Backup, m.Messages, append([]uint32{}, m.Unreadable...), m.Back}
	}
	for _, s := range p.Steps {
		d.Steps = append(d.Steps, stepDocument{Seq: s.Seq, Op: string(s.Op), Path: string(s.Path), To: string(s.To), Why: s.Why})
	}
	for _, c := range p.Costs {
		d.Costs = append(d.Costs, costDocument{Loss: string(c.Loss), Mailbox: c.Mailbox, Count: c.Count, Text: c.Text})
	}
	return d
}

func describeVerification(v *repair.Verification) *verificationDocument {
	d := &verificationDocument{OK: v.OK, Files: append([]string{}, v.Files...), FileNotes: v.FileNotes, IMAP: v.IMAP, IMAPNot: v.IMAPNot, Mailboxes: []verdictDocument{}}
	for _, b := range v.Boxes {
		d.Mailboxes = append(d.Mailboxes, verdictDocument{Mailbox: b.Mailbox, OK: b.OK, Messages: b.Messages,
			Expected: unlessUnknown(b.Expected), Problems: b.Problems, Replies: b.Replies, Notes: b.Notes})
	}
	return d
}

// unlessUnknown turns the -1 of what is not known into null.
func unlessUnknown(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}
