// Package probe asks over IMAP what a mailbox holds and whether it works, and compares the answer with what is expected.
//
// A look over IMAP can change a damaged mailbox: Dovecot rebuilds a broken dbox index at the first EXAMINE and may throw
// flags away. So [Take] may be called only after the mailbox's files were copied and the copy verified; nothing in this
// package can check that. Messages never become seen, and nothing is changed on purpose.
package probe

import (
	"regexp"
	"time"

	"dovemend/remote/imap"
)

// Reading is what IMAP says of one mailbox.
type Reading struct {
	Mailbox     string // as asked for, levels separated by "/"
	ServerName  string // as the server calls it; untrusted
	Opened      bool   // it could be examined
	UIDValidity uint32
	UIDNext     uint32
	Exists      int
	Messages    []Message // in the server's order
	Sorted      int       // how many UIDs UID SORT gave; -1 where it was not asked or failed
	Complete    bool      // everything asked for was read, or its failure is told at the message
	Replies     []Reply   // what the server answered that was not OK, at most 200
	Stderr      []Reply   // what the host's own imap process logged meanwhile and is worth knowing, at most 200
}

// Message is what IMAP says of one message.
type Message struct {
	UID          uint32
	Flags        []string  // system flags with their backslash, sorted, without \Recent
	Keywords     []string  // sorted
	InternalDate time.Time // zero where the server did not tell
	Size         int64     // RFC822.SIZE, bytes; -1 where the server did not tell
	BodySHA256   string    // hex, of the text as IMAP sends it (see Digest); "" where it was not read
	BodySize     int64     // bytes of that text
	BodyErr      string    // why its text (or date and size) could not be read, safe to print; "" if it could or was not tried
}

// Reply is one answer or log line, with what it means. Both texts are safe to print.
type Reply struct {
	Text  string
	Count int       // how often it came
	At    time.Time // when it first came, by this computer's clock
	Last  time.Time // and when last
	imap.Explanation
}

// OK reports whether the mailbox could be read through and through, without a complaint of the server.
func (r *Reading) OK() bool {
	if !r.Opened || !r.Complete {
		return false
	}
	for _, m := range r.Messages {
		if m.BodyErr != "" {
			return false
		}
	}
	for _, reply := range r.Replies {
		if reply.Whose != imap.WhoseNone {
			return false
		}
	}
	return true
}

const maxReplies = 200

// timing is what Dovecot adds to its answers; it differs each time.
var timing = regexp.MustCompile(` \([0-9.+ ]+ secs\)\.?$`)

// addReply counts a text that is there already.
func addReply(list []Reply, text string, x imap.Explanation) []Reply {
	text = timing.ReplaceAllString(text, "")
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range list {
		if list[i].Text == text {
			list[i].Count++
			list[i].Last = now
			return list
		}
	}
	if len(list) >= maxReplies {
		return list
	}
	return append(list, Reply{Text: text, Count: 1, At: now, Last: now, Explanation: x})
}
