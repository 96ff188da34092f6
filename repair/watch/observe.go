package watch

import "time"

// Failure is something that did not work, explained. Its texts are safe to print.
type Failure struct {
	Class   string   `json:"class"`
	Text    string   `json:"text"` // what happened, the server's own words among it
	Meaning string   `json:"meaning,omitempty"`
	Next    string   `json:"next,omitempty"`
	Log     []string `json:"log,omitempty"` // what the host's own imap process logged about it, explained
}

// shorten bounds what is remembered of a failure.
func (f Failure) shorten() Failure {
	f.Class, f.Text, f.Meaning, f.Next = cut(f.Class, 100), cut(f.Text, maxText), cut(f.Meaning, maxText), cut(f.Next, maxText)
	f.Log = append([]string(nil), f.Log[:min(len(f.Log), 3)]...)
	for i := range f.Log {
		f.Log[i] = cut(f.Log[i], maxText)
	}
	return f
}

// Observation is what one look saw.
type Observation struct {
	At      time.Time
	Failure *Failure // the account could not be looked at, or not to the end; nil if it could
	Host    bool     // and it was the connection to the host that failed, not IMAP
	Banned  bool     // and the login was refused

	Waited bool // nothing was tried, since State.Wait says so

	Limit     int            // of connections, where a reply told it; 0 if none did
	Processes int            // own imap processes on the host before the look; -1 where they cannot be seen
	Clients   map[string]int // the same by the address of the client, where the host tells it

	Listed    []string // the mailboxes there are, as LIST tells
	ListKnown bool     // LIST was asked and answered
	Asked     []string // the mailboxes asked for by name; nil: all

	Mailboxes []Seen // in the order they were looked at
	Storage   *Files // mdbox: what all mailboxes share; nil where it was not looked at
}

// Seen is what was seen of one mailbox.
type Seen struct {
	Name    string
	Looked  bool // the numbers are those the server told now
	Numbers Numbers
	Old     int // of its messages those below the remembered UIDNEXT; -1 where they were not counted
	OldRead int // of these those that are read; -1 where they were not counted
	Failure *Failure
	Waited  bool   // it was left alone, since its Wait says so
	Files   *Files // nil where they were not looked at
}

// Files is what lies in a mailbox's folder. Sizes are bytes, -1 where the file is not there.
type Files struct {
	Layout   string // mdbox, sdbox, maildir
	Index    int64  // dovecot.index; of the storage dovecot.map.index
	Log      int64  // the same name with .log
	Log2     int64  // with .log.2
	Cache    int64  // with .cache
	UIDList  int64  // Maildir: dovecot-uidlist
	BadIndex string // the rule for whose sake Dovecot throws the index away; "" if it does not
	LogWhole bool   // the log, or the one before it, starts from nothing: without the index it tells all
	Mail     bool   // messages lie there; only looked for where the index is not there or bad
}
