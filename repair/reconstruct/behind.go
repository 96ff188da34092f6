package reconstruct

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"dovemend/repair/dovecot"
)

// A log that ends between two transactions is a sound one. That it once was longer only other files can tell.

// cutShort notes that the end of what was noted in the index is lost, by what another file tells.
func (s *State) cutShort(format string, args ...any) {
	which, size := "log", len(s.Files.Log)
	if s.Files.Log == nil {
		which, size = "index", len(s.Files.Index)
	}
	s.Faults = append(s.Faults, FileFault{File: indexFile(join(s.Mailbox, "dovecot.index"), which), Fault: dovecot.Fault{File: which, Offset: int64(size), Rule: "log-end-lost", Detail: fmt.Sprintf(format, args...)}})
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

// findBehind finds the mailboxes whose index files are sound and end too early, by what the storage and the list index tell, and asks the
// earlier copies for the rest.
func (r *reconciler) findBehind() {
	for asked := map[*State]bool{}; ; {
		found := r.behind()
		if len(found) == 0 {
			return
		}
		for s, why := range found {
			for i := range s.Messages {
				if st := s.Messages[i].stored; st != nil {
					st.Claims--
				}
			}
			if !asked[s] {
				asked[s] = true
				s.cutShort("%s", why)
				if s.Recalled == nil {
					s.recall(r.acct.earlier)
				}
			} else { // what the copy tells ends too early, too
				s.Sound = false
				if s.Recalled != nil {
					s.Recalled.Whole = false
				}
				s.listed()
			}
			delete(r.gone, s)
			s.ascend()
			s.resolve(r.t)
		}
	}
}

// behind lists such mailboxes, with what tells it.
func (r *reconciler) behind() map[*State]string {
	// Whether another mailbox may have what nobody lists: one that has lost something, or that is not here.
	a := r.acct.Account
	loses := a.Partial || len(a.Unreadable) > 0 || len(r.boxes) < len(a.Mailboxes) || len(r.acct.Gone()) > 0 ||
		slices.ContainsFunc(r.boxes, func(s *State) bool { return !s.Sound || s.Anew })
	last := map[*State]dovecot.UID{}
	over := map[*State]bool{}
	for _, s := range r.boxes {
		for i := range s.Messages {
			m := &s.Messages[i]
			if m.stored == nil {
				_, mapped := r.t.Mapped(m.MapUID)
				over[s] = over[s] || r.t.Sound && m.Lost && m.MapUID != 0 && m.MapUID < r.t.Map.NextUID && !mapped
				continue
			}
			if m.stored.Mailbox == s.Mailbox.Storage {
				last[s] = max(last[s], m.stored.MapUID)
			}
			over[s] = over[s] || m.stored.Refs >= 0 && m.stored.Claims > m.stored.Refs
		}
	}
	found := map[*State]string{}
	under := false
	for i := range r.t.Stored {
		st := &r.t.Stored[i]
		if r.t.Files[st.File].ID == 0 || r.t.Sound && (st.MapUID == 0 || st.Claims >= st.Refs) || !r.t.Sound && st.Claims > 0 || r.claimedElsewhere(st) {
			continue
		}
		under = true
		if s := r.box(st); !loses && r.t.Sound && s != nil && s.Sound && s.refersTo(r.t) && st.MapUID > last[s] && st.Claims == 0 && !r.expunged(s).GUID(st.GUID) {
			found[s] = fmt.Sprintf("the storage holds message %d, which was saved to this mailbox after the last one that is told", st.MapUID)
		}
	}
	for _, s := range r.boxes {
		if s.Sound && !s.Anew && len(s.Unread) == 0 && (under || over[s]) && s.passedBy() {
			found[s] = fmt.Sprintf("%s tells of later changes", ListFile)
		}
	}
	return found
}
