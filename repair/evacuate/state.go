package evacuate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"dovemend/repair/journal"
)

// JournalFile is the name of the journal in a run's folder.
const JournalFile = "evacuate.jsonl"

// Item is a message as it was just before it was moved.
type Item struct {
	UID   uint32   `json:"uid"`
	Date  int64    `json:"date"` // received, seconds since 1970
	Size  int64    `json:"size"` // RFC822.SIZE, bytes
	Flags []string `json:"flags,omitempty"`
}

// What became of a message of a batch, where it is no new UID.
const (
	stayed  int64 = 0  // it is still where it was
	missing int64 = -1 // it is neither there nor where it was to go: somebody else has taken it away
)

// Left is a message that stays in the mailbox because it cannot be read or moved.
type Left struct {
	UID uint32 `json:"uid"`
	Why string `json:"why"` // safe to print
}

// Staying are the messages that stay in the mailbox.
type Staying struct {
	Validity uint32 // the UIDVALIDITY under which they have these UIDs
	Left     []Left
}

// At is the place in Left of a message of the mailbox, or -1 where it is none that stays. validity is what its UID belongs to,
// 0 where the mailbox's files no longer tell it.
func (s Staying) At(validity, uid uint32) int {
	if uid == 0 || validity != 0 && validity != s.Validity {
		return -1
	}
	return slices.IndexFunc(s.Left, func(l Left) bool { return l.UID == uid })
}

// The kinds of line in the journal.
const (
	kindBegin  = "begin"     // the mailbox is looked at, and its unreadable messages are known
	kindLook   = "look"      // new mail has been looked at: messages below Next can be read, but for those in Left
	kindLeft   = "left"      // messages that stay
	kindCreate = "create"    // the backup mailbox is about to be made
	kindMade   = "made"      // it is made and subscribed
	kindMove   = "move"      // a batch is about to be moved
	kindCopied = "copied"    // the batch has copies in the other mailbox: New tells their UIDs
	kindMoved  = "moved"     // what became of the batch, message by message
	kindEmpty  = "empty"     // all that can be moved is
	kindClear  = "clear"     // the run Run is about to clear the mailbox
	kindAnew   = "anew"      // the clearing was disturbed, and Dovecot has made the mailbox anew: its UIDs name other messages
	kindFresh  = "fresh"     // it is cleared, and Dovecot answers for the new one
	kindPutOff = "bad"       // of an evacuation's way back: messages that broke the mailbox, by their UIDs in the backup mailbox
	kindSeen   = "seen"      // of an undo: the mailbox answers under another UIDVALIDITY than was known
	kindPutIn  = "restoring" // of an undo: what the clearing took away is about to come back; over IMAP nothing looks at the mailbox until it is
	kindUncl   = "uncleared" // of an undo: what the clearing took away is back
	kindDelete = "delete"    // the backup mailbox, empty, is about to be deleted
	kindGone   = "gone"      // it is
	kindEnd    = "end"
)

// line is one line of the journal.
type line struct {
	Kind     string  `json:"kind"`
	Source   string  `json:"source,omitempty"`   // begin: the mailbox as the server calls it
	Backup   string  `json:"backup,omitempty"`   // create
	Validity uint32  `json:"validity,omitempty"` // begin, anew, fresh, seen: of the mailbox; made: of the backup mailbox
	Next     uint32  `json:"next,omitempty"`     // begin, look: UIDNEXT
	Total    int     `json:"total,omitempty"`    // begin: messages in the mailbox
	Left     []Left  `json:"left,omitempty"`     // begin, look, left, bad
	Back     bool    `json:"back,omitempty"`     // move: from the backup mailbox to the mailbox
	To       uint32  `json:"to,omitempty"`       // move: UIDNEXT of the mailbox they go to
	Items    []Item  `json:"items,omitempty"`    // move
	New      []int64 `json:"new,omitempty"`      // copied, moved: for each item its new UID, or what became of it
	Unsure   bool    `json:"unsure,omitempty"`   // moved: the server may still be at the batch, and what stayed may move yet
	Run      string  `json:"run,omitempty"`      // clear
	Why      string  `json:"err,omitempty"`      // moved: why not all of it; untrusted text
}

// Batch is a move whose outcome is not known yet.
type Batch struct {
	Back  bool
	To    uint32
	Items []Item
	New   []int64 // once they are copied
}

// Message is one that was moved, and where it is now.
type Message struct {
	Item          // UID is its present one
	InBackup bool // else in the mailbox
	Missing  bool // in neither
	Bad      bool // it broke the mailbox when it was moved back
}

// State is what a journal tells.
type State struct {
	Begun      bool
	Source     string // as the server calls the mailbox
	Validity   uint32 // of the mailbox as it is now; 0 where that is not known
	Total      int    // messages when it began
	Next       uint32 // messages below it have been looked at
	Left       []Left // by their UIDs in the mailbox before it is cleared
	LeftID     uint32 // the UIDVALIDITY of the mailbox to which the UIDs of Left belong
	Earlier    []Left // by UIDs it had before its clearing was disturbed
	Bad        []Left // by their UIDs in the backup mailbox: they broke the mailbox when they were moved back
	Backup     string // "" before it is about to be made
	Made       bool   // the backup mailbox is there
	BackupID   uint32 // its UIDVALIDITY
	Messages   []*Message
	Open       *Batch
	Doubts     []*Batch // of batches whose server process could not be ended: the messages that had not moved when it was looked
	Empty      bool
	ClearRuns  []string // the last one is the one that did it
	Fresh      bool
	Restoring  bool // of an undo: what the clearing took may be back in part
	Uncleared  bool // of an undo: what the clearing took is back
	Deleting   bool
	BackupGone bool
	Ended      bool

	source, backup map[uint32]*Message
	out            map[uint32]uint32 // UIDs of the mailbox under Validity whose messages were moved out: their UIDs in the backup mailbox
}

// NewState is that of a journal without lines.
func NewState() *State {
	return &State{source: map[uint32]*Message{}, backup: map[uint32]*Message{}, out: map[uint32]uint32{}}
}

// Staying are the messages that stay.
func (s *State) Staying() Staying { return Staying{Validity: s.LeftID, Left: s.Left} }

// Changed reports whether anything in the account may have been changed.
func (s *State) Changed() bool { return s.Backup != "" }

// ghosts are the UIDs of the mailbox under which messages were that are in the backup mailbox now, with their UIDs there.
func (s *State) ghosts(uids []uint32) map[uint32]uint32 {
	all := map[uint32]uint32{}
	for _, u := range uids {
		if to := s.out[u]; to != 0 && s.backup[to] != nil {
			all[u] = to
		}
	}
	return all
}

// clearRun is the last run that was to clear the mailbox; "" where there is none.
func (s *State) clearRun() string {
	if len(s.ClearRuns) == 0 {
		return ""
	}
	return s.ClearRuns[len(s.ClearRuns)-1]
}

// Counts tells how many messages are in the backup mailbox, back in the mailbox, and in neither.
func (s *State) Counts() (backup, source, gone int) {
	for _, m := range s.Messages {
		switch {
		case m.Missing:
			gone++
		case m.InBackup:
			backup++
		default:
			source++
		}
	}
	return backup, source, gone
}

// ReadState reads the journal of a run; extra continues a state that was read before.
func ReadState(root *os.Root, from *State) (*State, error) {
	if from == nil {
		from = NewState()
	}
	_, err := journal.Read(root, JournalFile, from.read)
	return from, err
}

func (s *State) read(b []byte) error {
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	return s.take(l)
}

var errOrder = errors.New("a line that cannot follow what came before")

// take adds one line.
func (s *State) take(l line) error {
	switch l.Kind {
	case kindBegin:
		s.Begun, s.Source, s.Validity, s.Next, s.Total = true, l.Source, l.Validity, l.Next, l.Total
		s.LeftID = l.Validity
		s.Left = append(s.Left, l.Left...)
	case kindLook:
		s.Next = l.Next
		s.Left = append(s.Left, l.Left...)
	case kindLeft:
		s.Left = append(s.Left, l.Left...)
	case kindCreate:
		s.Backup, s.Made = l.Backup, false
	case kindMade:
		if s.BackupID != 0 && s.BackupID != l.Validity { // of an undo: the first one is not there any more
			s.lost(true)
			clear(s.backup)
			s.Doubts = nil
		}
		s.Made, s.BackupID, s.Deleting, s.BackupGone = true, l.Validity, false, false
	case kindMove:
		if s.Open != nil {
			return errOrder
		}
		s.Open = &Batch{Back: l.Back, To: l.To, Items: l.Items}
		s.Empty = s.Empty && l.Back
	case kindCopied, kindMoved:
		if s.Open == nil || len(l.New) != len(s.Open.Items) {
			return errOrder
		}
		if s.Open.New = l.New; l.Kind == kindMoved {
			s.moved(l.Unsure)
		}
	case kindEmpty:
		s.Empty = true
	case kindClear:
		s.ClearRuns = append(s.ClearRuns, l.Run)
	case kindAnew:
		s.Earlier = append(s.Earlier, s.Left...)
		s.Validity, s.LeftID, s.Next, s.Left, s.Empty = l.Validity, l.Validity, 0, nil, false
		s.Doubts = nil
		clear(s.source)
		clear(s.out)
		s.lost(false)
	case kindFresh:
		s.Fresh, s.Validity, s.Next = true, l.Validity, 0
		s.Doubts = nil
		clear(s.source)
		clear(s.out)
		s.lost(false)
	case kindSeen:
		s.Validity, s.Next = l.Validity, 0
		s.Doubts = nil
		clear(s.source)
		clear(s.out)
		s.lost(false)
	case kindPutIn:
		s.Restoring = true
	case kindPutOff:
		for _, x := range l.Left {
			if m := s.backup[x.UID]; m != nil {
				m.Bad = true
			}
			s.Bad = append(s.Bad, x)
		}
	case kindUncl:
		s.Uncleared, s.Restoring, s.Validity = true, false, 0
		s.lost(false)
		s.Doubts = nil
		clear(s.source)
		clear(s.out)
	case kindDelete:
		s.Deleting = true
	case kindGone:
		s.BackupGone = true
	case kindEnd:
		s.Ended = true
	default:
		return fmt.Errorf("kind %q is not known", l.Kind)
	}
	return nil
}

// moved takes the outcome of the open batch.
func (s *State) moved(unsure bool) {
	b := s.Open
	s.Open = nil
	s.doubt(b, unsure)
	from, to := s.source, s.backup
	if b.Back {
		from, to = to, from
	}
	for i, it := range b.Items {
		m := from[it.UID]
		if m == nil {
			if b.New[i] == stayed {
				continue
			}
			m = &Message{InBackup: b.Back}
			s.Messages = append(s.Messages, m)
		}
		m.Item = it
		switch n := b.New[i]; {
		case n == stayed:
		case n == missing:
			m.Missing = true
			delete(from, it.UID)
		default:
			delete(from, it.UID)
			if !b.Back {
				s.out[it.UID] = uint32(n)
			}
			m.UID, m.InBackup = uint32(n), !b.Back
			to[m.UID] = m
		}
	}
}

// lost lets the messages that were in one of the mailboxes be told as missing: its files were exchanged, or it is gone.
func (s *State) lost(inBackup bool) {
	for _, m := range s.Messages {
		if m.InBackup == inBackup {
			m.Missing = true
		}
	}
}
