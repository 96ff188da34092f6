// Package salvage writes messages that were read out of damage below a local directory, as .eml files, as mbox files or
// as a Maildir, with all that is known of them beside. How messages are found is not its business: it takes them one
// by one and opens each only while it writes it.
//
// A message's bytes are never altered: what is known of it stands in JSON files beside it (only mbox has to quote lines
// that begin with "From ", in the reversible way called mboxrd). Names follow from the messages alone, so a run over an
// earlier output writes only what is missing or different. A file that dovemend did not write is never overwritten, and a
// file that is half written never has a final name. Everything goes through an [os.Root], files with mode 0600 in directories
// with mode 0700.
//
// The output is
//
//	mailboxes/ expunged/ orphans/ damaged/   one for each [Class]; in it, by mailbox, what the [Format] makes of them
//	index.json                               all messages of the run and their counts, written last
//	.dovemend-salvage.jsonl                  which folder stands for which mailbox
//	.dovemend-incoming/                      while writing: files that are not yet complete
package salvage

import (
	"fmt"
	"io"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// Class says what became of a message.
type Class string

// The classes. A message whose text turns out not to be whole is put with the damaged ones, whatever it was.
const (
	Current  Class = "current"  // it is in its mailbox
	Expunged Class = "expunged" // somebody removed it, and its bytes are still there
	Orphan   Class = "orphan"   // no mailbox refers to it; Mailbox is where it was first saved to, or a guess
	Damaged  Class = "damaged"  // some of its bytes are gone
)

// classes in the order of reports, with the directories they are written to.
var classes = []Class{Current, Expunged, Orphan, Damaged}

func (c Class) dir() (string, error) {
	switch c {
	case Current:
		return "mailboxes", nil
	case Expunged:
		return "expunged", nil
	case Orphan:
		return "orphans", nil
	case Damaged:
		return "damaged", nil
	}
	return "", fmt.Errorf("unknown class %q", c)
}

// Message is one message to be written. Nothing in it is trusted to be a safe name.
type Message struct {
	Mailbox     string // for people: decoded, hierarchy separated by "/"
	Class       Class
	UID         dovecot.UID // 0 where it has none
	UIDValidity uint32
	Flags       dovecot.Flags
	Keywords    []string
	GUID        dovecot.GUID // zero where it is not known
	Received    time.Time    // zero where it is not known
	Saved       time.Time
	Source      Source
	Notes       []string // what is missing or uncertain, in words

	// Open gives its plain text, line ends as stored. It may be called more than once. An error of its or of reading
	// means that the text is damaged there: what came before is written. What it gives may be a [Noted].
	Open func() (io.ReadCloser, error)
}

// Noted is a reader that knows, once it was read to its end, what is missing from the text it gave: detached attachments
// ([dovecot.Reassembly]), for one, whose places hold a line that says so.
type Noted interface {
	io.ReadCloser
	Missing() []string // in words; any makes the message a damaged one
}

// Source is where a message was found.
type Source struct {
	File   store.RelPath // relative to the mail root
	Offset int64         // in the file; -1 where the file is the message
}
