// Package reconstruct reads the local copy of an account's mail and says what is known about each mailbox: which messages
// there are, with which UIDs, flags, keywords and dates, where their bytes lie, and which file told it. Evidence is merged
// from all that survived: index, backup, logs, cache, list index, map index, message files and their names. It reads only
// an [io/fs.FS] (a snapshot's), never the host, and writes nothing.
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
	GUID        dovecot.GUID // the mailbox's own; zero where nothing tells it
	UIDValidity uint32       // 0 where nothing tells it
	NextUID     dovecot.UID  // above every UID that was ever given, as far as can be told
	ModSeq      uint64       // highest that is told; 0 where none is
	Messages    []Message    // by UID; those without one at the end
	Files       dovecot.Files
	Base        dovecot.Base // which index file the state of a dbox mailbox was built on
	Index       *dovecot.State
	Faults      []FileFault
	Pending     []dovecot.UID          // someone asked to expunge these; they are still there
	Unread      []Unread               // files of the mailbox, or its storage, that are there and could not be copied
	Storage     *Storage               // mdbox: what all mailboxes of the account share
	UIDList     bool                   // Maildir: there is a dovecot-uidlist
	Listed      map[dovecot.UID]string // Maildir: the base names that dovecot-uidlist tells
	Names       Listed                 // what the list index tells of the mailbox

	ListedValidity uint32                  // Maildir: UIDVALIDITY as dovecot-uidlist tells it; 0 where it does not
	ListOther      []string                // Maildir: further fields of the head of dovecot-uidlist
	KeywordNames   dovecot.MaildirKeywords // Maildir: what the letters stand for, as far as anything tells
	Renamed        bool                    // Maildir: some of them only the index tells
	Nameless       bool                    // Maildir: file names have keyword letters, and dovecot-keywords is gone or names none
	Twins          []store.RelPath         // Maildir: files with the name and the bytes of a message that is told of already
	NoFolder       []store.RelPath         // Maildir: cur or new, where it does not exist

	// Sound: the index files tell everything that was ever noted in them. Otherwise messages may have been in the mailbox
	// that they do not tell of, and others may have left it.
	Sound bool
	// Anew: Dovecot has made the index files anew while the mail was older, so that they know nothing of it.
	Anew bool
	// Dropped counts messages that the index files tell of, and that have left the mailbox by what others tell: moved, or expunged.
	Dropped int
	// Matched counts messages of a Maildir whose UIDs dovecot-uidlist no longer tells, and the index does.
	Matched int
	// Regained counts messages that no index file tells of, and that are in the mailbox by what others tell.
	Regained int

	Kept     *Kept     // an earlier copy that holds messages of the mailbox, where some are lost here; nil where none does
	Recalled *Recalled // what an earlier copy told; nil where none was asked, or could tell anything

	joined  *dovecot.Recalled // the index files with what it told
	left    *dovecot.State    // what they tell without it; nil where nothing was recalled
	then    *dovecot.State    // what the index files of the copy thenID tell
	thenID  string
	written time.Time // when dovecot.index was, on which the state was built; zero where that is not known
	sure    bool      // NextUID is above every UID that may have been given
}

// Margins above the last UID that is known where nothing tells how many were given in all: a UID must never name two messages
// under one UIDVALIDITY, because mail programs remember what they have seen by it.
const (
	someLost = 1 << 16 // the end of what was noted is lost
	allLost  = 1 << 24 // nothing is known of the mailbox but its UIDVALIDITY
)

// sureNext raises the next UID above every UID that may have been given in the mailbox, once.
func (s *State) sureNext() {
	if s.sure {
		return
	}
	s.sure = true
	s.ascend()
	s.NextUID = max(s.NextUID, 1)
	switch {
	case s.Sound || s.Layout == store.Maildir && s.UIDList || s.UIDValidity == 0:
	case s.noNextUID() && s.NextUID < allLost:
		s.NextUID = allLost
	default:
		s.NextUID = min(s.NextUID, ^dovecot.UID(0)-someLost) + someLost
	}
}

// Unread is a file whose bytes the copy lacks although the host has it.
type Unread struct {
	File store.RelPath
	Why  string // from the host: untrusted
}

// Message is one message of a mailbox as the evidence tells it.
type Message struct {
	UID      dovecot.UID // 0: none is known
	Flags    dovecot.Flags
	Keywords []string
	GUID     dovecot.GUID  // zero where it is not told
	File     store.RelPath // the file that holds it; an mdbox file holds many
	Size     int64         // bytes of File, for mdbox of the message alone; -1 unknown
	Received time.Time     // zero where it is not told
	Saved    time.Time     // to this mailbox; zero where it is not told
	ModSeq   uint64
	Body     Body // where its text lies

	Name   dovecot.MaildirName // Maildir: what the file's name tells
	Fields string              // Maildir: what dovecot-uidlist tells besides, as written

	MapUID   dovecot.UID       // mdbox
	Stored   dovecot.MapRecord // mdbox: where the storage holds it; zero where nothing tells
	Lost     bool              // the index tells of it, but none of its bytes is there
	Clash    bool              // Maildir: another message has its file's base name, and with it its UID
	Renumber bool              // Maildir: its UID stands behind damage in dovecot-uidlist, where Dovecot no longer reads
	Stray    bool              // its file is there, but the index does not tell of it, and nothing says that it belongs to the mailbox

	By Told // which evidence told what

	Dbox   *dovecot.DboxMessage // mdbox and sdbox: as it lies in its file; nil where nothing of it can be read
	stored *Stored              // mdbox
}

// Body is where a message's stored text lies, and what is wrong with it.
type Body struct {
	File        store.RelPath // "" where there is none
	Offset      int64         // in File
	Size        int64         // bytes as stored; -1 where it is the whole file
	Virtual     int64         // as metadata or file name tell it; -1 where they do not
	Plain       int64         // bytes of the plain text where it is stored otherwise; -1 where it is stored as it is
	Encoding    dovecot.Encoding
	Attachments string // parts that lie in files of their own
	Damage      dovecot.DboxDamage
	Altered     bool // its text is not the one that was stored: sizes do not fit

	// Maildir: Size is that of the file, Plain and Virtual are what its name says.
	Counted int64 // size with full line ends, as counted; -1 where it was not
	Cut     bool  // its end is missing
	NoHead  bool  // it does not begin as mail does
	Why     error // the copy lacks it
	Healed  bool  // it is damaged or gone on the host; this is what an earlier copy has of it
}

// Whole reports whether nothing is known to be wrong with the text or its framing.
func (b Body) Whole() bool { return b.Damage == 0 && !b.Altered && b.File != "" }

// Breaks reports whether Dovecot fails on the message as it lies there. In dbox a text that was altered within its bounds does
// not disturb it; in a Maildir the sizes in the file's name must be those of the file.
func (s *State) Breaks(m *Message) bool {
	if m.Body.Healed {
		return true
	}
	if s.Layout == store.Maildir {
		return m.Body.Altered
	}
	return m.Body.Damage != 0 || s.Layout == store.SDBox && m.File != "" && m.Body.File == "" && m.Body.Why == nil
}

// Place is where the storage of an mdbox account holds the message; nil where it does not.
func (m *Message) Place() *Stored { return m.stored }

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
	for i := range s.Messages {
		m := &s.Messages[i]
		if !s.Belongs(m) {
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

// Belongs reports whether a message is in the mailbox and has a text: it is not lost, and in dbox no stray file.
func (s *State) Belongs(m *Message) bool {
	return !m.Lost && (!m.Stray || s.Layout == store.Maildir)
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
