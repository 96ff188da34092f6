// Package check says what is wrong with a mailbox, from its local copy alone: each [Finding] names a file, what the user
// sees because of it and what cures it. A damaged mailbox is a result, not an error. It changes nothing anywhere.
package check

import (
	"slices"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	Broken  Severity = "broken"  // Dovecot fails here, or shows less than the files tell
	Suspect Severity = "suspect" // Dovecot may fail here
	Note    Severity = "note"    // worth knowing, nothing to do
)

// Cure is what can be done about a finding: the name of a remedy, or nothing of the kind.
type Cure string

// The cures. They are remedies by name; CureNone is for what none of them cures, or what needs none.
const (
	CureNone      Cure = ""
	CureCache     Cure = "drop-cache"
	CureRebuild   Cure = "rebuild"
	CureDropIndex Cure = "drop-index"
	CureClear     Cure = "clear"
)

// Finding is one thing wrong with a file, in words for its owner.
type Finding struct {
	Severity Severity      `json:"severity"`
	Rule     string        `json:"rule"` // stable, in kebab-case: "index-empty"
	File     store.RelPath `json:"file"`
	Offset   int64         `json:"offset"` // -1 where it concerns the whole file
	Text     string        `json:"text"`   // what is wrong
	Effect   string        `json:"effect"` // what the user sees because of it
	Cure     Cure          `json:"cure"`   // the remedy that cures it
	Advice   string        `json:"advice"` // what to do about it, in words
}

// Report is all that is known of one mailbox from its copy.
type Report struct {
	State    *reconstruct.State
	Verdict  dovecot.Verdict // what Dovecot does when it opens the index files as they are
	Findings []Finding
	Damaged  int     // messages whose own bytes are damaged
	AsIs     Outcome // what Dovecot comes to if nothing is done
	NoIndex  Outcome // what Dovecot would come to if dovecot.index were removed
	Opened   Outcome // what Dovecot comes to if the mailbox is opened, and no damaged message of it is ever read
}

// Needs reports whether a finding of the mailbox wants this cure.
func (r *Report) Needs(c Cure) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Cure == c })
}

// Outcome is what a mailbox would be after a change, against what it is in the State. The counts are upper bounds: Dovecot may
// lose less, and never more. A message that is surely gone counts in Gone alone; one of which that is not sure, in the others too.
type Outcome struct {
	Verdict  dovecot.Verdict
	Gone     int // messages that the mailbox no longer shows
	Flags    int // messages that lose a flag
	Keywords int // messages that lose a keyword
	UIDs     int // messages whose UID, or the mailbox's UIDVALIDITY, changes
	Why      string
}

// Loses reports whether the outcome is worse than the State.
func (o Outcome) Loses() bool { return o.Flags > 0 || o.Keywords > 0 || o.UIDs > 0 || o.Gone > 0 }

// WorseThan reports whether this outcome loses anything more than the other one. What a message that is gone had counts
// as lost with it.
func (o Outcome) WorseThan(b Outcome) bool {
	return o.Gone > b.Gone || o.Gone+o.Flags > b.Gone+b.Flags || o.Gone+o.Keywords > b.Gone+b.Keywords || o.Gone+o.UIDs > b.Gone+b.UIDs
}

// Helps reports whether removing dovecot.index is good for the mailbox: nothing more is lost than if nothing is done, and
// either something less, or nothing at all.
func (r *Report) Helps() bool {
	return r.State.Files.Index != nil && !r.NoIndex.WorseThan(r.AsIs) && (r.AsIs.WorseThan(r.NoIndex) || !r.NoIndex.Loses())
}
