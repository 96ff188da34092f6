// Package repair is one repair in progress: a [Session] is a connection to a host, a [Run] a folder with snapshot, plan
// and journal, and its methods are the stages in their order. It never prints: what it has to say goes to a [Reporter].
package repair

import (
	"log/slog"
	"time"

	"dovemend/remote"
	"dovemend/repair/check"
	"dovemend/repair/evacuate"
	"dovemend/repair/plan"
	"dovemend/repair/store"
)

// Options is everything a repair, a backup or an undo is told from outside. No secret is in it.
type Options struct {
	StateDir  string        // where runs are kept
	Remote    remote.Config // how to connect
	Account   string        // user@domain, or "" where there is only one
	MailRoot  store.HostPath
	Mailboxes []string // names for people or storage names; empty means INBOX
	All       bool     // every mailbox of the account
	Copying   bool     // a copy is the first thing that will be made

	Remedy     plan.Remedy
	Aside      bool        // set removed things aside on the host
	Confirm    []string    // mailboxes whose clearing was confirmed by name
	AcceptLoss []plan.Loss // losses accepted by name
	MoveBack   bool        // an evacuation moves the messages back at its end

	Verify  string // "auto": hashes where the host can compute them, else listing; "full": read everything again
	Quiesce remote.QuiesceOptions
	IMAP    IMAPOptions
	Log     *slog.Logger // to the run's log.txt besides; may be nil

	cutMoves func(lines int) error // for tests: see [evacuate.Engine.Cut]
	batch    int                   // for tests: messages per move
	finder   evacuate.Finder       // for tests: instead of asking Dovecot
}

// IMAPOptions say how to look at the mailbox over IMAP after the repair.
type IMAPOptions struct {
	Off        bool                   // files only
	Preauth    bool                   // try the host's own imap binary first
	Addr       string                 // HOST:PORT; "" for the SSH host, port 993
	TLS        string                 // "tls", "starttls", "none"
	ThroughSSH bool                   // connect from the host's side
	User       string                 // default: the account's address
	Password   func() (string, error) // nil: no login by password
	CAFile     string                 // more trusted certificates, PEM
	Timeout    time.Duration
}

// Reporter is the only way out of a repair. Methods may be called from several goroutines.
type Reporter interface {
	Stage(text string)              // a new stage has begun, in words: "copying the mailbox"
	Total(files int, bytes int64)   // how much the stage has to do; 0 unknown
	Advance(files int, bytes int64) // progress since the last call
	Info(text string)               // something worth knowing
	Warn(text string)               // something the user should see even when quiet
}

// Silent is a Reporter that says nothing.
type Silent struct{}

func (Silent) Stage(string)       {}
func (Silent) Total(int, int64)   {}
func (Silent) Advance(int, int64) {}
func (Silent) Info(string)        {}
func (Silent) Warn(string)        {}

// Diagnosis is what is known of one mailbox from its copy.
type Diagnosis struct {
	Mailbox     store.Mailbox
	Messages    int // as Dovecot would show it if the files are read as they are; -1 unknown
	Seen        int
	Flagged     int
	Keywords    []string
	UIDValidity uint32
	UIDNext     uint32
	Bytes       int64 // of the mailbox's own folder
	Findings    []Finding
}

// Finding is one thing wrong with a file, in words for its owner.
type Finding = check.Finding

// Offer is one remedy as the wizard shows it.
type Offer struct {
	Remedy      plan.Remedy
	Does        string // "removes dovecot.index; Dovecot makes it anew from its log"
	Costs       []plan.Cost
	Recommended bool
	Why         string // why it is recommended, or why not
	Refused     string // why it cannot be done here; "" if it can
}

// Verification is the comparison after a repair.
type Verification struct {
	Files     []string // differences in files; empty is good
	FileNotes []string // what Dovecot or a client did to the files since; no failure
	IMAP      string   // how it was looked at over IMAP: "preauth", "tls", …, "" not at all
	IMAPNot   string   // why not
	Boxes     []BoxVerdict
	Again     bool // what could not be read can be read now: another run finds what it needs
	OK        bool
}

// BoxVerdict is what IMAP said of one mailbox after the repair.
type BoxVerdict struct {
	Mailbox  string
	Messages int
	Expected int      // -1 not foretold
	Problems []string // missing, flags changed, replies explained
	Replies  []string // the server's replies that were not OK, with their explanation
	Notes    []string // worth knowing, no failure
	OK       bool
}
