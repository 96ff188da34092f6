package reconstruct

import (
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// Copy is a copy of the account that was made earlier, when less was lost.
type Copy struct {
	ID    string // of the run that made it
	Taken time.Time
	FS    fs.FS
}

// Earlier gives the earlier copies of an account, the last one first. They are opened as they are asked for.
type Earlier iter.Seq[Copy]

// Recalled says which earlier copy told what the files of a mailbox no longer tell.
type Recalled struct {
	ID    string
	Taken time.Time
	// Whole: it told what was lost amid the index files, whose end is there, so that nothing is missing. Otherwise what was noted
	// after it may be lost: messages have the flags that they had then.
	Whole bool
	Anew  bool // Dovecot had made the index files anew, without the mail
	UIDs  int  // Maildir: messages of which it told the UID
	Names int  // Maildir: keywords of which it told the name
}

// When is the time of a copy in words.
func When(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// String says it in a sentence, without its end.
func (r *Recalled) String() string {
	text := fmt.Sprintf("what the files no longer tell was taken from the copy of %s (run %s)", When(r.Taken), r.ID)
	switch {
	case r.Whole:
		return text + ": what came after it is still told by the files themselves"
	case r.UIDs > 0 || r.Names > 0:
		return text
	}
	return text + ": flags and labels are those of then, and changes since are not known"
}

// recall has the index read again with what an earlier copy of its files tells, where they are damaged or gone.
func (s *State) recall(earlier Earlier) {
	if len(s.Unread) > 0 { // what could not be copied may tell more
		return
	}
	if s.Sound && s.Layout != store.Maildir {
		if then, now, ok := s.shorter(earlier); ok {
			s.cutShort("it had %d bytes when an earlier copy was made, and now has %d", then, now)
		}
	}
	if !s.Sound {
		s.recallAs(earlier, s.Files, func(_ Copy, state *dovecot.State) bool { return !s.told() || state.UIDValidity == s.UIDValidity })
	}
}

// recallForgotten does so where Dovecot has made the index files anew, so that they are sound and know nothing of the mail.
func (s *State) recallForgotten(earlier Earlier, fits func(Copy, *dovecot.State) bool) (recalled bool) {
	if len(s.Index.Records) > 0 { // mail has come since, under the new UIDVALIDITY
		return false
	}
	if !s.recallAs(earlier, dovecot.Files{}, fits) {
		return false
	}
	s.Recalled.Anew, s.written = true, time.Time{}
	return true
}

// recallAs makes the index what the last earlier copy that fits tells, joined with the files of now.
func (s *State) recallAs(earlier Earlier, now dovecot.Files, fits func(Copy, *dovecot.State) bool) bool {
	for c := range earlier.all {
		then, err := readFiles(c.FS, join(s.Mailbox, "dovecot.index"), func(string, error) {})
		if err != nil {
			continue
		}
		r, ok := dovecot.Recall(now, then)
		if !ok {
			continue
		}
		if state, _ := r.Replay(nil); len(state.Records) > 0 && fits(c, state) {
			s.joined, s.Recalled, s.Anew = &r, &Recalled{ID: c.ID, Taken: c.Taken, Whole: r.Whole}, false
			s.left = s.Index
			s.take(state)
			return true
		}
	}
	return false
}

// countRegained adds the messages that only an earlier copy lists.
func (s *State) countRegained() {
	if s.left == nil {
		return
	}
	for i := range s.Messages {
		m := &s.Messages[i]
		if listed := m.By.Mailbox == ByEarlier || m.By.Mailbox == ByIndex || m.By.Mailbox == ByDamaged; listed && s.Belongs(m) && s.left.Find(m.UID) == nil {
			s.Regained++
		}
	}
}

// all is the sequence; empty where there is none.
func (e Earlier) all(yield func(Copy) bool) {
	if e != nil {
		e(yield)
	}
}

// told reports whether the mailbox's own files, or the list index, tell its UIDVALIDITY.
func (s *State) told() bool { return s.UIDValidity != 0 && !s.Index.Doubtful }

// Kept is an earlier copy that holds messages of a mailbox.
type Kept struct {
	ID       string // of the run that made it
	Taken    time.Time
	Messages int
}

// lacks reports whether messages of the mailbox are known to be lost, all or some.
func (s *State) lacks() bool {
	if len(s.NoFolder) > 0 || s.Layout != store.Maildir && len(s.Messages) == 0 && (s.Names.Messages > 0 || !s.Files.Tells()) {
		return true
	}
	return slices.ContainsFunc(s.Messages, func(m Message) bool { return m.Lost || s.Breaks(&m) && !m.Body.Healed })
}

// kept finds the last earlier copy that holds messages of the mailbox.
func (s *State) kept(earlier Earlier) *Kept {
	for c := range earlier.all {
		n := 0
		if s.Layout == store.Maildir {
			for _, sub := range []string{"cur", "new"} {
				entries, err := fs.ReadDir(c.FS, join(s.Mailbox, sub))
				if err == nil {
					n += len(entries)
				}
			}
		} else if f, err := readFiles(c.FS, join(s.Mailbox, "dovecot.index"), func(string, error) {}); err == nil {
			then, _ := dovecot.Replay(f)
			n = len(then.Records)
		}
		if n > 0 {
			return &Kept{ID: c.ID, Taken: c.Taken, Messages: n}
		}
	}
	return nil
}

// evidence are the mailbox's index files, with what was recalled of them.
func (s *State) evidence() dovecot.Files {
	if s.joined != nil {
		return s.joined.Files
	}
	return s.Files
}

// recallList completes what dovecot-uidlist tells from that of an earlier copy: a base name is given once, and under one UIDVALIDITY keeps its UID.
func (r *maildirReader) recallList(earlier Earlier) {
	if !r.Readable(store.RelPath(join(r.Mailbox, "dovecot-uidlist"))) {
		return
	}
	given := map[dovecot.UID]bool{}
	for _, l := range r.uids {
		given[l.uid] = true
	}
	for c := range earlier.all {
		b, _, err := readEvidence(c.FS, join(r.Mailbox, "dovecot-uidlist"), MaxUIDList)
		if err != nil || b == nil {
			continue
		}
		list, faults := dovecot.ParseUIDList(b)
		if len(faults) > 0 || list.UIDValidity == 0 || r.UIDValidity != 0 && r.UIDValidity != list.UIDValidity {
			continue
		}
		if r.Listed == nil {
			r.Listed = map[dovecot.UID]string{}
		}
		r.by, r.earlier = c, map[string]bool{}
		for _, e := range list.Entries {
			if _, ok := r.uids[e.Name]; ok || given[e.UID] {
				continue
			}
			r.uids[e.Name] = listed{e.UID, e.Fields, true}
			r.earlier[e.Name] = true
		}
		r.UIDValidity, r.NextUID = list.UIDValidity, max(r.NextUID, list.NextUID)
		if r.GUID.IsZero() {
			r.GUID = list.MailboxGUID
		}
		if r.ListOther == nil {
			r.ListOther = list.Other
		}
		return
	}
}

// recallNames finds the names of keyword letters in the dovecot-keywords of an earlier copy, where neither the file nor the index tells
// them any more.
func (r *maildirReader) recallNames(earlier Earlier, used uint32) {
	lacks := func() bool {
		return slices.ContainsFunc(r.letters(used), func(letter int) bool { return r.names[letter] == "" })
	}
	if !lacks() || !r.Readable(store.RelPath(join(r.Mailbox, "dovecot-keywords"))) {
		return
	}
	for c := range earlier.all {
		b, _, err := readEvidence(c.FS, join(r.Mailbox, "dovecot-keywords"), 1<<20)
		if err != nil || b == nil {
			continue
		}
		names, faults := dovecot.ParseMaildirKeywords(b)
		if len(faults) > 0 {
			continue
		}
		n := 0
		for _, letter := range r.letters(used) {
			if name := names[letter]; r.names[letter] == "" && name != "" && !r.named(name) {
				r.names[letter] = name
				n++
			}
		}
		if n > 0 {
			r.Renamed = true
			r.recalledBy(c).Names += n
			return
		}
	}
}

// letters are the numbers of the keyword letters in a set.
func (r *maildirReader) letters(set uint32) []int {
	var list []int
	for letter := range r.names {
		if set&(1<<letter) != 0 {
			list = append(list, letter)
		}
	}
	return list
}

// recalledBy notes that a copy told something.
func (s *State) recalledBy(c Copy) *Recalled {
	if s.Recalled == nil || s.Recalled.ID != c.ID {
		old := s.Recalled
		s.Recalled = &Recalled{ID: c.ID, Taken: c.Taken, Whole: old == nil || old.Whole}
		if old != nil {
			s.Recalled.UIDs, s.Recalled.Names = old.UIDs, old.Names
		}
	}
	return s.Recalled
}

// once is what an earlier copy of an mdbox account tells of all its mailboxes.
type once struct {
	in   map[store.RelPath]map[dovecot.GUID]bool // the messages of each mailbox, by its directory
	size map[store.RelPath]int64                 // of the files of the storage
}

// lived reports whether a message was in any mailbox.
func (o *once) lived(id dovecot.GUID) bool {
	for _, in := range o.in {
		if in[id] {
			return true
		}
	}
	return false
}

// dead reports whether a stored message was there, and in no mailbox: it had been expunged by then.
func (o *once) dead(t *Storage, st *Stored) bool {
	return o != nil && !st.GUID.IsZero() && st.End <= o.size[t.Files[st.File].Name] && !o.lived(st.GUID)
}

// once reads the last earlier copy that tells of all mailboxes, where the map index does not tell which messages are still referred to.
// nil where there is none.
func (acct *Account) once(t *Storage, boxes []*State) *once {
	if t.Sound || !slices.ContainsFunc(boxes, func(s *State) bool { return s.Recalled != nil }) {
		return nil
	}
	for c := range acct.earlier.all {
		o := &once{in: map[store.RelPath]map[dovecot.GUID]bool{}, size: map[store.RelPath]int64{}}
		if !o.mailboxes(c, acct.Account.Mailboxes) {
			continue
		}
		for _, f := range t.Files {
			if info, err := fs.Stat(c.FS, string(f.Name)); err == nil && f.ID != 0 {
				o.size[f.Name] = info.Size()
			}
		}
		return o
	}
	return nil
}

// mailboxes reads what a copy tells of the mailboxes; whole is false where it does not tell all.
func (o *once) mailboxes(c Copy, boxes []store.Mailbox) (whole bool) {
	for _, m := range boxes {
		f, err := readFiles(c.FS, join(m, "dovecot.index"), func(string, error) {})
		if err != nil || !f.Tells() { // a copy of some mailboxes does not tell of the others
			return false
		}
		s, _ := dovecot.Replay(f)
		if !s.Exact {
			return false
		}
		in := make(map[dovecot.GUID]bool, len(s.Records))
		for i := range s.Records {
			id, ok := s.GUID(&s.Records[i])
			if !ok {
				return false
			}
			in[id] = true
		}
		o.in[m.Dir] = in
	}
	return true
}
