package main

import (
	"time"

	"dovemend/repair/probe"
)

type probeDocument struct {
	runDocument
	Snapshot    *snapshotDocument   `json:"snapshot,omitempty"`
	Found       []diagnosisDocument `json:"found,omitempty"`
	Shared      []findingDocument   `json:"shared,omitempty"`
	Healthy     bool                `json:"healthy"`
	Way         string              `json:"way,omitempty"`    // preauth, tls, …
	Server      string              `json:"server,omitempty"` // HOST:PORT
	Looks       []lookDocument      `json:"looks"`            // at the account
	Login       *lookDocument       `json:"login,omitempty"`  // with the password, where the others went another way
	Looked      []lookedDocument    `json:"looked"`
	NotLooked   []notLookedDocument `json:"not_looked,omitempty"`
	Poison      []poisonDocument    `json:"poison,omitempty"` // with --find-poison
	Connections int                 `json:"connections"`
	Limit       int                 `json:"connection_limit,omitempty"`
	Processes   []processDocument   `json:"processes,omitempty"`
}

// notLookedDocument is a mailbox that a look would have harmed.
type notLookedDocument struct {
	Mailbox string `json:"mailbox"`
	Why     string `json:"why"`
}

type lookedDocument struct {
	Mailbox     string         `json:"mailbox"`
	Healthy     bool           `json:"healthy"`
	Messages    *int           `json:"messages"`
	Seen        *int           `json:"seen"`
	UIDValidity uint32         `json:"uidvalidity"`
	UIDNext     uint32         `json:"uidnext"`
	Sample      *int           `json:"sample"`
	Looks       []lookDocument `json:"looks"`
}

type lookDocument struct {
	Look     string          `json:"look"`
	Command  string          `json:"imap_command"`
	State    string          `json:"state"`
	Why      string          `json:"why,omitempty"`
	Asked    int             `json:"asked"`
	Answered int             `json:"answered"`
	Gone     int             `json:"gone,omitempty"`
	Suspects []uint32        `json:"suspects,omitempty"`
	Replies  []replyDocument `json:"replies,omitempty"`
	Log      []replyDocument `json:"log,omitempty"`
}

// replyDocument is an answer of the server, or a line of its log, explained.
type replyDocument struct {
	Text    string    `json:"text"`
	Count   int       `json:"count"`
	Time    time.Time `json:"time,omitzero"`
	Class   string    `json:"class"`
	Meaning string    `json:"meaning"`
	Whose   string    `json:"whose"`
	Next    string    `json:"next,omitempty"`
}

// tell puts what was looked at into the document.
func (d *probeDocument) tell(l *probe.Looked) {
	d.Looks, d.Looked, d.Connections = describeLooks(l.Account), []lookedDocument{}, l.Connections
	for i := range l.Mailboxes {
		m := &l.Mailboxes[i]
		d.Looked = append(d.Looked, lookedDocument{Mailbox: m.Mailbox, Healthy: m.Healthy(), Messages: unlessUnknown(m.Exists), Seen: unlessUnknown(m.Seen),
			UIDValidity: m.UIDValidity, UIDNext: m.UIDNext, Sample: unlessUnknown(m.Sample), Looks: describeLooks(m.Looks)})
	}
}

func describeLooks(all []probe.LookResult) []lookDocument {
	out := []lookDocument{}
	for _, r := range all {
		out = append(out, lookDocument{Look: string(r.Look), Command: probe.Command(r.Look), State: string(r.State), Why: r.Why, Asked: r.Asked, Answered: r.Answered,
			Gone: r.Gone, Suspects: r.Suspects, Replies: describeReplies(r.Replies), Log: describeReplies(r.Log)})
	}
	return out
}

func describeReplies(all []probe.Reply) []replyDocument {
	var out []replyDocument
	for _, r := range all {
		out = append(out, describeReply(r))
	}
	return out
}

func describeReply(r probe.Reply) replyDocument {
	return replyDocument{Text: r.Text, Count: r.Count, Time: r.At, Class: string(r.Class), Meaning: r.Meaning, Whose: string(r.Whose), Next: r.Next}
}
