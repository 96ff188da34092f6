package restore

import (
	"encoding/json"
	"os"

	"dovemend/repair/journal"
)

// record is one line of the journal.
type record struct {
	Kind        string `json:"kind"`
	Mailbox     string `json:"mailbox,omitempty"`
	UIDValidity uint32 `json:"uidvalidity,omitempty"`
	UIDNext     uint32 `json:"uidnext,omitempty"`
	ID          string `json:"id,omitempty"`
	File        string `json:"file,omitempty"`
	Offset      int64  `json:"offset,omitempty"`
	SHA256      string `json:"sha256,omitempty"`
	Size        int64  `json:"size,omitempty"`
	UID         uint32 `json:"uid,omitempty"`
	Why         string `json:"why,omitempty"`   // untrusted
	Guess       bool   `json:"guess,omitempty"` // done: the UID is that of a message that cannot be looked at, which may be another one
	Own         bool   `json:"own,omitempty"`   // refused: for what the message is, so that trying again is of no use
}

// The kinds of line.
const (
	kindBegin   = "begin"   // the mailbox as it was before the first message
	kindResume  = "resume"  // the run is taken up again
	kindIntent  = "intent"  // a message is about to be sent
	kindDone    = "done"    // the server has added it
	kindVoid    = "void"    // it was looked for after a hang-up and is not there: it was not added
	kindRefused = "refused" // the server has not added it, and said so
	kindRemove  = "remove"  // it is about to be taken out again
	kindRemoved = "removed" // it is out
	kindLooked  = "looked"  // what was added so far was looked at
	kindExtra   = "extra"   // a second copy that came late is about to be taken out
	kindCleared = "cleared" // it is out
	kindEnd     = "end"     // all messages have their fate
)

// state is what a journal tells.
type state struct {
	Mailbox     string // as the server names it
	UIDValidity uint32
	UIDNext     uint32            // before the first message
	Known       map[string]record // by ID: the last line about each message
	Sent        map[string]record // by ID: its intent
	Fresh       map[string]bool   // by ID: added, and not yet looked at
	Voided      map[string]bool   // by ID: was called lost at some time, and may have come late
	Ended       bool
}

func newState() state {
	return state{Known: map[string]record{}, Sent: map[string]record{}, Fresh: map[string]bool{}, Voided: map[string]bool{}}
}

// read takes in a line of the journal.
func (s *state) read(line []byte) error {
	var rec record
	if err := json.Unmarshal(line, &rec); err != nil {
		return err
	}
	s.take(rec)
	return nil
}

// readJournal reads what a journal tells.
func readJournal(root *os.Root, name string) (state, error) {
	s := newState()
	_, err := journal.Read(root, name, s.read)
	return s, err
}

func (s *state) take(rec record) {
	switch rec.Kind {
	case kindBegin:
		s.Mailbox, s.UIDValidity, s.UIDNext = rec.Mailbox, rec.UIDValidity, rec.UIDNext
	case kindResume:
		s.Ended = false
	case kindEnd:
		s.Ended = true
	case kindIntent:
		s.Sent[rec.ID] = rec
		s.Known[rec.ID] = rec
	case kindVoid:
		s.Voided[rec.ID] = true
		s.Known[rec.ID] = rec
	case kindExtra, kindCleared: // what became of the message itself stays
	case kindLooked:
		clear(s.Fresh)
	case kindDone:
		s.Fresh[rec.ID] = true
		s.Known[rec.ID] = rec
	default:
		s.Known[rec.ID] = rec
	}
}

// open are the messages of which it is not known whether the server has them.
func (s *state) open() (list []record) {
	for _, rec := range s.Known {
		if rec.Kind == kindIntent {
			list = append(list, rec)
		}
	}
	return list
}

// claimed are the UIDs that are known to be messages of the run.
func (s *state) claimed() map[uint32]bool {
	all := map[uint32]bool{}
	for _, rec := range s.Known {
		if rec.UID != 0 {
			all[rec.UID] = true
		}
	}
	return all
}

// nameless are the messages that the server has confirmed without telling their UIDs, and that were not found since.
func (s *state) nameless() (list []record) {
	for id, rec := range s.Known {
		if rec.Kind == kindDone && rec.UID == 0 {
			list = append(list, s.Sent[id])
		}
	}
	return list
}

// undone says whether a message was taken out by an undo, or was about to be: what the server breaks at is taken out for a reason.
func (r record) undone() bool { return r.Why == "" }

// added are the messages that the run has added and not removed.
func (s *state) added() (list []record) {
	for id, rec := range s.Known {
		if rec.Kind == kindDone || rec.Kind == kindRemove {
			rec.SHA256, rec.Size = s.Sent[id].SHA256, s.Sent[id].Size
			list = append(list, rec)
		}
	}
	return list
}

// write writes lines; they are on the disk after sync.
func (e *Engine) write(recs ...record) error { return e.journal.Write(objects(recs)...) }

// sync writes lines and brings all to the disk.
func (e *Engine) sync(recs ...record) error { return e.journal.Add(objects(recs)...) }

func objects(recs []record) []any {
	all := make([]any, len(recs))
	for i := range recs {
		all[i] = recs[i]
	}
	return all
}

// Begun reports whether a run's journal tells of a message that was sent.
func Begun(root *os.Root, name string) (bool, error) {
	s, err := readJournal(root, name)
	return len(s.Sent) > 0, err
}
