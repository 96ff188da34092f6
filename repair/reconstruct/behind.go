package reconstruct

import (
	"cmp"
	"fmt"
	"io/fs"

	"dovemend/repair/dovecot"
)

// A log that ends between two transactions is a sound one. That it once was longer only other files can tell.

// cutShort notes that the end of what was noted in the index is lost, by what another file tells.
func (s *State) cutShort(format string, args ...any) {
	file, size := indexFile(join(s.Mailbox, "dovecot.index"), "log"), len(s.Files.Log)
	if s.Files.Log == nil {
		file, size = indexFile(join(s.Mailbox, "dovecot.index"), ""), len(s.Files.Index)
	}
	s.Faults = append(s.Faults, FileFault{File: file, Fault: dovecot.Fault{File: "log", Offset: int64(size), Rule: "log-end-lost", Detail: fmt.Sprintf(format, args...)}})
	s.Sound = false
	s.listed()
}

// shorter reports whether a log of now was longer when an earlier copy was made: it only grows.
func (s *State) shorter(earlier Earlier) (then, now int, ok bool) {
	for c := range earlier.all {
		name := join(s.Mailbox, "dovecot.index.log")
		info, err := fs.Stat(c.FS, name)
		if err != nil {
			continue
		}
		for _, log := range [][]byte{s.Files.Log, s.Files.Log2} {
			if log == nil || info.Size() <= int64(len(log)) {
				continue
			}
			if b, _, err := readEvidence(c.FS, name, MaxIndexFile); err == nil && dovecot.WasLonger(log, b) {
				return len(b), len(log), true
			}
		}
		return 0, 0, false
	}
	return 0, 0, false
}

// ahead is the first message file of an sdbox mailbox whose UID its index has not given yet; nil where there is none.
func (s *State) ahead(byUID map[dovecot.UID]*dboxFile) *dboxFile {
	gone := dovecot.ReadExpunged(s.evidence())
	listed := map[dovecot.GUID]bool{}
	for i := range s.Messages {
		if f := byUID[s.Messages[i].UID]; f != nil && f.found {
			listed[f.msg.GUID] = true // another file of it is a copy that somebody made by hand
		}
	}
	var first *dboxFile
	for uid, f := range byUID {
		if uid >= s.Index.NextUID && !gone.UID(uid) && f.found && f.msg.Damage == 0 && !f.msg.GUID.IsZero() && !listed[f.msg.GUID] &&
			(first == nil || cmp.Less(uid, first.uid)) {
			first = f
		}
	}
	return first
}

// followFiles looks whether the index files end before the mail does, and asks the earlier copies then.
func (s *State) followFiles(byUID map[dovecot.UID]*dboxFile, earlier Earlier) {
	if !s.Sound || s.Index.NextUID == 0 || len(s.Unread) > 0 {
		return
	}
	why := s.behind(byUID)
	if why == "" {
		return
	}
	s.cutShort("%s", why)
	if s.Recalled == nil {
		s.recall(earlier)
	}
	if s.Recalled != nil && s.Sound && s.behind(byUID) != "" { // the copy tells no more of its end
		s.Sound, s.Recalled.Whole = false, false
		s.listed()
	}
}

// behind says what tells that the index is not the last state of the mailbox; "" where nothing does.
func (s *State) behind(byUID map[dovecot.UID]*dboxFile) string {
	if f := s.ahead(byUID); f != nil {
		return fmt.Sprintf("the file %s is there, and it tells of no message from UID %d on", f.name, s.Index.NextUID)
	}
	if s.passedBy() && len(byUID) > 0 {
		for i := range s.Messages {
			if m := &s.Messages[i]; byUID[m.UID] == nil && m.Flags&dovecot.FlagBackend == 0 {
				return fmt.Sprintf("%s tells of later changes, and message %d has no file any more", ListFile, m.UID)
			}
		}
	}
	return ""
}

// passedBy reports whether the list index tells of later changes than the mailbox's own index, after which it is written.
func (s *State) passedBy() bool {
	n := &s.Names
	return n.Known && n.UIDValidity == s.UIDValidity && (n.HasCounts && n.NextUID > s.Index.NextUID || n.ModSeq > s.Index.ModSeq)
}
