// Package reconstruct reads the local copy of a mailbox and says what is known about it: which messages there are, with
// which UIDs, flags and keywords, and which file told it. It reads only an [io/fs.FS] (a snapshot's), never the host,
// and writes nothing.
package reconstruct

import (
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// State is the best-known truth about one mailbox.
type State struct {
	Mailbox     store.Mailbox
	Layout      store.Layout
	UIDValidity uint32      // 0 where nothing tells it
	NextUID     dovecot.UID // 0 where nothing tells it
	Messages    []Message   // by UID; those without one at the end
	Files       dovecot.Files
	Base        dovecot.Base // which index file the state of a dbox mailbox was built on
	Index       *dovecot.State
	Faults      []FileFault
	Pending     []dovecot.UID          // someone asked to expunge these; they are still there
	Unread      []Unread               // files of the mailbox, or its storage, that are there and could not be copied
	Storage     Storage                // mdbox
	UIDList     bool                   // Maildir: there is a dovecot-uidlist
	Listed      map[dovecot.UID]string // Maildir: the base names that dovecot-uidlist tells
}

// Unread is a file whose bytes the copy lacks although the host has it.
type Unread struct {
	File store.RelPath
	Why  string // from the host: untrusted
}

// Storage is what the mailboxes of an mdbox account share, as the copy holds it.
type Storage struct {
	Copied bool // the copy holds the storage
	Found  bool // the map index, or its log, is there
	Known  bool // the map index could be read: Refs can be believed
	Map    *dovecot.State
	Faults []dovecot.Fault // of the map index and its logs
	Refs   map[dovecot.UID]uint16
	Sizes  map[uint32]int64 // of the files m.N that messages of this mailbox are in; missing where there is no such file
}

// Message is one message of a mailbox as the evidence tells it.
type Message struct {
	UID      dovecot.UID // 0: none is known
	Flags    dovecot.Flags
	Keywords []string
	GUID     dovecot.GUID      // zero where it is not told
	File     store.RelPath     // the file that holds it; "" for mdbox, whose files hold many
	Size     int64             // bytes of File; -1 unknown
	Received time.Time         // zero where it is not told
	MapUID   dovecot.UID       // mdbox
	Stored   dovecot.MapRecord // mdbox: where the storage holds it; zero where the map index does not tell
	Lost     bool              // the index tells of it, but none of its bytes is there
	Renumber bool              // Maildir: its UID stands behind damage in dovecot-uidlist, where Dovecot no longer reads
	Stray    bool              // its file is there, but the index does not tell of it
}

// Flagged reports whether the message carries any flag that a client would miss.
func (m Message) Flagged() bool { return m.Flags&dovecot.FlagsIMAP != 0 }

// FileFault is a fault and the file it is in.
type FileFault struct {
	File store.RelPath
	dovecot.Fault
}

// Counts are the figures of a mailbox that people compare.
type Counts struct {
	Messages  int
	Seen      int
	Flagged   int // \Flagged
	AnyFlag   int // with any flag at all
	Keyworded int // with at least one keyword
}

// Counts counts the messages that can be shown: those whose file is not lost.
func (s *State) Counts() Counts {
	var c Counts
	for _, m := range s.Messages {
		if m.Lost || m.Stray && s.Layout != store.Maildir {
			continue
		}
		c.Messages++
		if m.Flags&dovecot.FlagSeen != 0 {
			c.Seen++
		}
		if m.Flags&dovecot.FlagFlagged != 0 {
			c.Flagged++
		}
		if m.Flagged() {
			c.AnyFlag++
		}
		if len(m.Keywords) > 0 {
			c.Keyworded++
		}
	}
	return c
}

// Keywords lists the names in use, in the order of their first message.
func (s *State) Keywords() []string {
	seen := map[string]bool{}
	var names []string
	for _, m := range s.Messages {
		for _, k := range m.Keywords {
			if !seen[k] {
				seen[k] = true
				names = append(names, k)
			}
		}
	}
	return names
}
