package reconstruct

import (
	"io/fs"
	"slices"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// readIndex replays the index files, which for mdbox and sdbox is where the truth is.
func (s *State) readIndex(fsys fs.FS, m store.Mailbox) error {
	prefix := join(m, "dovecot.index")
	var err error
	if s.Files, err = readFiles(fsys, prefix, s.unread); err != nil {
		return err
	}
	state, faults := dovecot.Replay(s.Files)
	for _, f := range faults {
		s.Faults = append(s.Faults, FileFault{File: indexFile(prefix, f.File), Fault: f})
	}
	if info, err := fs.Stat(fsys, prefix); err == nil && state.Base == dovecot.BaseIndex {
		s.written = info.ModTime()
	}
	s.take(state)
	return nil
}

// take makes an index what is known of the mailbox.
func (s *State) take(state *dovecot.State) {
	s.Index, s.Base, s.Sound = state, state.Base, state.Exact
	s.UIDValidity, s.NextUID, s.ModSeq, s.Pending = state.UIDValidity, state.NextUID, state.ModSeq, state.PendingExpunge
	s.GUID, _ = state.MailboxGUID()
	s.believeList()
	if s.Layout != store.Maildir {
		s.listed()
	}
}

// listed makes messages of the index's records.
func (s *State) listed() {
	s.Messages = make([]Message, 0, len(s.Index.Records))
	for i := range s.Index.Records {
		s.Messages = append(s.Messages, s.indexed(&s.Index.Records[i]))
	}
}

// know has the index read again with messages that exist by other evidence: what remains in the logs may tell their flags.
func (s *State) know(exist []dovecot.UID) {
	if s.Sound || len(exist) == 0 {
		return
	}
	slices.Sort(exist)
	if s.joined != nil {
		s.Index, _ = s.joined.Replay(exist)
	} else {
		s.Index, _ = dovecot.ReplayKnowing(s.Files, exist)
	}
	s.NextUID = max(s.NextUID, s.Index.NextUID)
	s.listed()
}

// indexed is a message as the index tells it.
func (s *State) indexed(r *dovecot.Record) Message {
	m := Message{UID: r.UID, Flags: r.Flags, Keywords: s.Index.KeywordNames(r), Size: -1, Body: Body{Size: -1, Virtual: -1, Plain: -1}}
	by := ByIndex
	if !s.Sound || r.Recovered || r.Suspect {
		by = ByDamaged
		if s.Recalled != nil && !r.Recovered {
			by = ByEarlier
		}
	}
	m.By = Told{Mailbox: by, UID: by, Flags: by}
	if r.Phantom {
		m.By.Mailbox, m.By.UID = ByFileName, ByFileName
	}
	if id, ok := s.Index.GUID(r); ok {
		m.GUID = id
	}
	if id, saved, ok := s.Index.MapUID(r); ok {
		m.MapUID = id
		if saved != 0 {
			m.Saved, m.By.Saved = time.Unix(int64(saved), 0).UTC(), by
		}
	}
	m.ModSeq, _ = s.Index.ModSeqOf(r)
	return m
}

// believeList takes from the list index what the mailbox's own index does not tell.
func (s *State) believeList() {
	if !s.Names.Known {
		return
	}
	doubtful := s.Index.Doubtful
	if s.UIDValidity == 0 || doubtful && s.Names.UIDValidity != 0 {
		s.UIDValidity = s.Names.UIDValidity
	}
	if s.GUID.IsZero() {
		s.GUID = s.Names.GUID
	}
	if s.Names.UIDValidity == s.UIDValidity { // it is written after the mailbox's own index
		s.NextUID = max(s.NextUID, s.Names.NextUID)
		s.ModSeq = max(s.ModSeq, s.Names.ModSeq)
	}
}
