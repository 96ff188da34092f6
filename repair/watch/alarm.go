package watch

import (
	"fmt"
	"time"
)

// Kind is what an alarm is about.
type Kind string

// The kinds of alarm. Those of loss stay until they are accepted or over; see [Kind.Loss].
const (
	Failed      Kind = "look-failed"      // the account or the mailbox cannot be looked at
	FilesBroken Kind = "files-damaged"    // the files are evidently damaged, so that it was not looked at over IMAP
	Lost        Kind = "messages-lost"    // messages are gone without a reason
	NewValidity Kind = "uidvalidity-new"  // the mailbox was made anew
	UIDNextBack Kind = "uidnext-back"     // its next UID is lower than before
	AllUnread   Kind = "all-unread"       // nothing is read any more
	Gone        Kind = "mailbox-gone"     // it is not listed any more
	NoMailboxes Kind = "list-empty"       // no mailbox is listed at all
	NearLimit   Kind = "connections-near" // the limit of connections is near
	CacheGrows  Kind = "cache-large"
	LogGrows    Kind = "log-large"
	IndexGrows  Kind = "index-large"
)

// Kinds are all kinds, in the order of their weight.
var Kinds = []Kind{FilesBroken, NoMailboxes, Gone, Lost, NewValidity, UIDNextBack, AllUnread, Failed, NearLimit, CacheGrows, IndexGrows, LogGrows}

// Loss reports whether alarms of this kind stay until the loss is made good, accepted, or held long enough.
func (k Kind) Loss() bool {
	switch k {
	case Lost, NewValidity, UIDNextBack, AllUnread, Gone:
		return true
	}
	return false
}

// Alarm is one thing that is wrong. Its texts are safe to print as far as the observation's were.
type Alarm struct {
	Kind    Kind
	Class   string // of a failed look: the class of the answer
	Mailbox string // "" for the account as a whole
	Text    string // what was seen
	Meaning string
	Next    string
	Log     []string // what the host's own imap process logged, explained
	Since   time.Time
	New     bool // it was not there at the last look
}

func (a *Alarm) key() string { return string(a.Kind) + "|" + a.Class + "|" + a.Mailbox }

const checkFirst = "Stop the mail programs. Run dovemend backup, then dovemend check, before anything looks at it again."

// explained are the meaning and the next step of each kind whose text does not bring its own.
var explained = map[Kind][2]string{
	FilesBroken: {"Dovecot would make the mailbox anew as soon as a mail program opens it, and show it empty or with all marks gone, without an error. dovemend did not look at it over IMAP, not to set that off.",
		"Stop the mail programs. Run dovemend backup with --all-mailboxes at once, then dovemend check, which says what cures it."},
	Lost:        {"Messages that were there are not there any more, and they came up in no other mailbox that is watched. Where nobody deleted them, an index or the files themselves were lost.", checkFirst + " If you deleted them yourself: dovemend watch with --accept."},
	NewValidity: {"The mailbox's index was lost and made anew. Mail programs download every message again; read marks and labels, or messages, may be gone.", checkFirst + " If this is as it should be: dovemend watch with --accept."},
	UIDNextBack: {"Message numbers are given out a second time: the index is older than it was, as after a backup was put back, or was rebuilt. Mail programs may mistake one message for another.", checkFirst + " If this is as it should be: dovemend watch with --accept."},
	AllUnread:   {"The messages are there, and all marks of what was read are gone: so Dovecot rebuilds a lost index.", checkFirst + " If you marked all as unread yourself: dovemend watch with --accept."},
	Gone:        {"A mailbox that held messages is not listed any more, and none was renamed to take its place.", checkFirst + " If you deleted it yourself: dovemend watch with --accept."},
	NoMailboxes: {"The server lists no mailbox at all: the account's directory is gone, cannot be read, or the server looks elsewhere.", "Change nothing. Look with dovemend accounts whether the files are there, and ask the hosting company."},
	NearLimit:   {"When the limit is reached no mail program gets in, and all of them say that something is wrong with the mailbox. Often one program, or a script, connects in a loop.", "dovemend processes shows who is connected; close what is not needed, or end it with --stop."},
	CacheGrows:  {"Dovecot's cache of the mailbox grows. Versions before 2.3.11 crash when it reaches 1 GB, those before 2.3.21 when they clean one up that is as large.", "dovemend repair with --remedy drop-cache; it costs nothing."},
	LogGrows:    {"The log of the mailbox's changes is far larger than Dovecot lets it become: it is not rotated any more, because something holds it locked or it is damaged.", "dovemend check; dovemend processes shows what holds the mailbox."},
	IndexGrows:  {"The mailbox's index is far larger than its messages need.", "dovemend check, which says what is wrong with it."},
}

func (k Kind) alarm(mailbox, format string, args ...any) Alarm {
	x := explained[k]
	return Alarm{Kind: k, Mailbox: mailbox, Text: fmt.Sprintf(format, args...), Meaning: x[0], Next: x[1]}
}

func (f *Failure) alarm(mailbox string) Alarm {
	return Alarm{Kind: Failed, Class: f.Class, Mailbox: mailbox, Text: f.Text, Meaning: f.Meaning, Next: f.Next, Log: f.Log}
}
