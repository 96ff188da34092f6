package remote

import "time"

// Process is one running Dovecot mail process of the login user.
type Process struct {
	PID     int
	Start   string // start time as the host tells it (an opaque token: compared, never interpreted)
	UID     int
	Service string // imap, pop3, lmtp, imap-hibernate, …
	Title   string // safe to print: the whole process title
	Account string // user@domain, where verbose_proctitle tells it
	Client  string // client address, where verbose_proctitle tells it
	Command string // the IMAP command in progress, where the title tells it
}

// QuiesceOptions bound how long ending processes may take.
type QuiesceOptions struct {
	Grace  time.Duration         // after SIGTERM before SIGKILL; default 10 s
	Settle time.Duration         // how long none may come back; default 3 s
	Tries  int                   // rounds while clients reconnect; default 5
	Only   func(Process) bool    // nil: all of the user's Dovecot processes
	Event  func(string, Process) // "term", "kill", "gone", "new"; may be nil
}

// Quiet is how quiescing ended.
type Quiet struct {
	Ended  []Process // seen to be gone
	Back   []Process // running at the end: clients that keep coming back, or processes that would not die
	Stayed bool      // true: none ran during the whole settle time
}
