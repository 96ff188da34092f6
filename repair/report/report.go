// Package report tells what happened to an account, for its owner to keep and for the hosting company to act upon: a [Report] is
// data that package repair has collected from the folders of runs, and three writers print it, as text, as one HTML page and as
// JSON, in English or German. [Report.Redact] takes out what names people, and no secret is ever in one. The package is pure: it
// reads and writes no file, and knows no host.
package report

import (
	"encoding/json"
	"strconv"
	"time"
)

// The bounds of what a report tells in full of one run; what is more is counted. The run's folder holds all of it.
const (
	MostFindings = 60
	MostPaths    = 8
	MostReplies  = 40
	MostEvents   = 80
	MostLines    = 40 // problems and notes of a verification, of one kind
	MostRuns     = 20
)

// Report is all that is told. Fields are only ever added to. Texts are in Language; texts from the host are safe to print once
// [Report.Finish] has been called.
//
// The tag redact says what [Report.Redact] takes a field for: "-" a word of ours, "path" of the host, "local" a path of this
// computer, "mailbox", "host", "user", "address", "remove"; without one it is free text.
type Report struct {
	Version        int       `json:"report_version"`      // of this form: 1
	Made           time.Time `json:"made"`                // when the report was made
	By             string    `json:"made_by" redact:"-"`  // version of dovemend that made it
	Language       string    `json:"language" redact:"-"` // "en" or "de"
	Redacted       bool      `json:"redacted"`            // whether what names people is taken out
	Verdict        Verdict   `json:"verdict"`             // how it stands, in a few sentences
	Account        Account   `json:"account"`             // whose mail, and where
	Host           Host      `json:"host"`                // what is known of the host
	Answers        []Reply   `json:"answers"`             // what the owner's mail programs or logs have shown
	AnswersLeftOut int       `json:"answers_left_out"`
	Runs           []Run     `json:"runs"`           // in the order of time
	LeftOut        int       `json:"runs_left_out"`  // older runs that are not told
	Support        Letter    `json:"support"`        // a text for the hosting company
	Notes          []string  `json:"notes,omitzero"` // what could not be told, and why
}

// The tones of a verdict.
const (
	ToneGood      = "good"
	ToneAttention = "attention"
	ToneBad       = "bad"
)

// Verdict is how things stand after the newest run.
type Verdict struct {
	State string `json:"state" redact:"-"` // one of the State constants
	Tone  string `json:"tone" redact:"-"`  // "good", "attention" or "bad"
	Title string `json:"title"`            // one sentence
	Lines []Line `json:"lines"`            // what was lost, what was found, what was done, what to do now
}

// Line is a sentence and what it is about.
type Line struct {
	Label string `json:"label"`
	Text  string `json:"text"`
}

// The states a verdict tells.
const (
	StateRepaired      = "repaired"        // done and verified over IMAP
	StateRepairedFiles = "repaired-files"  // done and verified by the files alone
	StateNothing       = "nothing-to-do"   // a repair that had nothing to do
	StateNotPromised   = "not-as-promised" // done, and something is not as it should be
	StateApplied       = "not-verified"    // done, and not looked at
	StateStopped       = "stopped"         // stopped midway
	StatePlanned       = "planned"         // planned, nothing changed
	StateFound         = "found"           // something is wrong, nothing changed
	StateHealthy       = "healthy"         // nothing is wrong as far as the files tell
	StateCopied        = "copied"          // copied, and not examined
	StateRestored      = "restored"        // messages were put back
	StateUndone        = "undone"          // taken back
	StateFailed        = "failed"          // ended with an error, nothing changed
)

// Account says whose mail it is and where it lies.
type Account struct {
	Address   string   `json:"address" redact:"address"`
	MailRoot  string   `json:"mail_root" redact:"path"`
	Layout    string   `json:"layout" redact:"-"`
	Mailboxes []string `json:"mailboxes" redact:"mailbox"`
}

// Host says what is known of the host.
type Host struct {
	Name      string `json:"name" redact:"host"`                  // as it was connected to, host:port
	Login     string `json:"login" redact:"user"`                 // SSH
	HostKey   string `json:"host_key,omitzero" redact:"remove"`   // fingerprint
	SSHServer string `json:"ssh_server,omitzero"`                 // as it calls itself
	System    string `json:"system,omitzero" redact:"-"`          // "Linux"
	Shell     *bool  `json:"shell,omitzero"`                      // whether the login has a shell; absent where it is not known
	Dovecot   string `json:"dovecot_version,omitzero" redact:"-"` // as the host's own program gives it
	Greeting  string `json:"imap_greeting,omitzero"`              // how the IMAP server greets
}

// Run is one run: a copy, a repair, or one that takes back another.
type Run struct {
	ID       string    `json:"id" redact:"-"`
	Kind     string    `json:"kind" redact:"-"`
	Remedy   string    `json:"remedy,omitzero" redact:"-"`
	Stage    string    `json:"stage" redact:"-"`
	Begun    time.Time `json:"begun"`
	Ended    time.Time `json:"ended,omitzero"`
	Exit     *int      `json:"exit_code,omitzero"` // of its last command; absent where that has not ended
	Error    string    `json:"failure,omitzero"`
	Of       string    `json:"of,omitzero" redact:"-"`
	UndoneBy string    `json:"undone_by,omitzero" redact:"-"`
	Program  string    `json:"program,omitzero" redact:"-"` // version of dovemend that did it
	Folder   string    `json:"folder" redact:"local"`       // on the owner's computer
	Boxes    []string  `json:"mailboxes" redact:"mailbox"`

	Examined        bool      `json:"examined"` // whether what was found is kept
	Found           []Box     `json:"found"`
	Findings        []Finding `json:"findings"`
	FindingsLeftOut int       `json:"findings_left_out"`
	Broken          int       `json:"broken"`  // findings of that severity, those left out included
	Suspect         int       `json:"suspect"` // likewise
	Costs           []string  `json:"costs"`   // what the plan said would be lost
	Planned         []string  `json:"planned"` // what was to be known of the plan
	Steps           int       `json:"steps"`   // of the plan
	StepsDone       int       `json:"steps_done"`
	Applied         bool      `json:"applied"` // whether anything on the host was changed
	Done            []Done    `json:"done"`
	Copy            *Copy     `json:"copy,omitzero"`
	Saved           *Saved    `json:"saved,omitzero"`
	Replies         []Reply   `json:"replies"`
	RepliesLeftOut  int       `json:"replies_left_out"`
	Verification    *Verified `json:"verification,omitzero"`
	Timeline        []Event   `json:"timeline"`
	EventsLeftOut   int       `json:"events_left_out"`
}

// Box is what the copy told of one mailbox, before anything was changed.
type Box struct {
	Mailbox     string `json:"mailbox" redact:"mailbox"`
	Messages    Number `json:"messages"` // -1 unknown
	Seen        int    `json:"seen"`
	Flagged     int    `json:"flagged"`
	UIDValidity uint32 `json:"uidvalidity"`
	UIDNext     uint32 `json:"uidnext"`
	Bytes       int64  `json:"bytes"`
}

// Finding is one thing that was wrong.
type Finding struct {
	Mailbox  string `json:"mailbox" redact:"mailbox"` // "" where it concerns the account
	Severity string `json:"severity" redact:"-"`
	Rule     string `json:"rule" redact:"-"`
	File     string `json:"file" redact:"path"`
	Offset   Number `json:"offset"` // -1 the whole file
	Text     string `json:"text"`
	Effect   string `json:"effect,omitzero"`
	Cure     string `json:"cure,omitzero" redact:"-"`
	Advice   string `json:"advice,omitzero"`
}

// Done is a group of steps of the plan that are alike.
type Done struct {
	What         string   `json:"what" redact:"-"` // "remove", "set-aside", "put", "into-place", …
	Why          string   `json:"why,omitzero"`
	Steps        int      `json:"steps"`
	Done         int      `json:"done"` // how many of them
	Bytes        int64    `json:"bytes"`
	Paths        []string `json:"paths" redact:"path"`
	PathsLeftOut int      `json:"paths_left_out"`
}

// Copy is the copy that was made before.
type Copy struct {
	Folder     string   `json:"folder" redact:"local"`
	Files      int      `json:"files"`
	Bytes      int64    `json:"bytes"`
	Verified   string   `json:"verified,omitzero" redact:"-"` // "hash", "reread", "listing"
	Torn       int      `json:"torn"`                         // files that changed each time they were copied
	Unreadable int      `json:"unreadable"`                   // files that could not be read
	Paths      []string `json:"paths" redact:"path"`          // the first of those
}

// Saved are messages that had to leave their mailbox and were written to the owner's computer.
type Saved struct {
	Folder     string `json:"folder" redact:"local"`
	Messages   int    `json:"messages"`
	Unreadable int    `json:"unreadable"`
}

// Reply is what the server said, or what its own process wrote into its log.
type Reply struct {
	At      time.Time `json:"at"` // by the owner's clock; zero where it was not kept
	Last    time.Time `json:"last,omitzero"`
	Mailbox string    `json:"mailbox,omitzero" redact:"mailbox"`
	FromLog bool      `json:"from_log"` // it is a line of the server's log
	Text    string    `json:"text"`
	Count   int       `json:"count"`
	Class   string    `json:"class" redact:"-"`
	Whose   string    `json:"whose" redact:"-"`
	Meaning string    `json:"meaning,omitzero"`
	Next    string    `json:"next,omitzero"`
	Limit   int       `json:"limit,omitzero"` // of connections, where the reply names it
}

// Verified is how the comparison afterwards ended.
type Verified struct {
	At        time.Time     `json:"at"`
	OK        bool          `json:"ok"`
	IMAP      string        `json:"imap" redact:"-"` // how it was looked at; "" not at all
	IMAPNot   string        `json:"imap_not,omitzero"`
	Files     []string      `json:"files"`
	FileNotes []string      `json:"file_notes"`
	Boxes     []VerifiedBox `json:"mailboxes"`
}

// VerifiedBox is what IMAP said of one mailbox.
type VerifiedBox struct {
	Mailbox  string   `json:"mailbox" redact:"mailbox"`
	OK       bool     `json:"ok"`
	Messages Number   `json:"messages"` // -1 not looked at
	Expected Number   `json:"expected"` // -1 not foretold
	Problems []string `json:"problems"`
	Notes    []string `json:"notes"`
}

// Event is one thing that happened.
type Event struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"`
	What  string    `json:"what" redact:"-"`         // a word of ours: "begin", "stage", "steps", "failed", "end", …
	Did   string    `json:"did,omitzero" redact:"-"` // of steps: what was done, as in the groups of steps
	Text  string    `json:"text"`
	Count int       `json:"count,omitzero"`
}

// Letter is a text that can be sent to the hosting company as it stands.
type Letter struct {
	Subject string   `json:"subject"`
	Body    []string `json:"body"` // lines
}

// Newest is the run that a verdict is about: the last one. nil where there is none.
func (r *Report) Newest() *Run {
	if len(r.Runs) == 0 {
		return nil
	}
	return &r.Runs[len(r.Runs)-1]
}

// Number is one that may not be known: -1 then, and null in JSON.
type Number int64

// MarshalJSON writes null for what is not known.
func (n Number) MarshalJSON() ([]byte, error) {
	if n < 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(n), 10), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = -1
		return nil
	}
	return json.Unmarshal(b, (*int64)(n))
}
