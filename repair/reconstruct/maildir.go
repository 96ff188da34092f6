package reconstruct

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// MaxUIDList is how much of a dovecot-uidlist is read: 256 MiB, which is more than a million messages.
const MaxUIDList = 256 << 20

// maildirReader joins the files in cur and new with dovecot-uidlist, dovecot-keywords and the index.
type maildirReader struct {
	*State
	fsys      fs.FS
	names     *dovecot.MaildirKeywords
	noNames   bool                                  // there is no dovecot-keywords, or no name in it can be read
	cutLetter int                                   // whose name in dovecot-keywords is cut off, or -1
	uids      map[string]listed                     // by base name
	pending   map[dovecot.UID]bool                  // whose flags in the index are ahead of the file name
	cached    map[*dovecot.Record]map[string][]byte // what the cache tells of records without a file
	earlier   map[string]bool                       // base names whose UID an earlier copy told
	by        Copy                                  // that copy
}

// listed is what dovecot-uidlist tells of a file.
type listed struct {
	uid    dovecot.UID
	fields string
	behind bool // damage, where Dovecot no longer reads
}

// readMaildir reads the mailbox. The file names tell the flags, but where the index is ahead of them.
func (s *State) readMaildir(ctx context.Context, fsys fs.FS, acct *Account) error {
	r := &maildirReader{State: s, fsys: fsys, names: &dovecot.MaildirKeywords{}, pending: map[dovecot.UID]bool{}, cached: map[*dovecot.Record]map[string][]byte{}}
	m := s.Mailbox
	b, err := s.read(fsys, join(m, "dovecot-keywords"), 1<<20)
	if err != nil {
		return err
	}
	r.noNames, r.cutLetter = b == nil, -1
	if b != nil {
		var faults []dovecot.Fault
		r.names, faults = dovecot.ParseMaildirKeywords(b)
		r.noNames = *r.names == dovecot.MaildirKeywords{} // an empty file tells no more than none
		r.cutLetter = cutLetter(b, r.names)
		s.blame(join(m, "dovecot-keywords"), faults)
	}
	if b, err = s.read(fsys, join(m, "dovecot-uidlist"), MaxUIDList); err != nil {
		return err
	}
	before := len(r.Faults)
	r.readUIDList(join(m, "dovecot-uidlist"), b)
	if b == nil || len(r.Faults) > before {
		r.recallList(acct.earlier)
	}
	if s.Sound {
		for _, uid := range s.Index.PendingFlags {
			r.pending[uid] = true
		}
	}
	if err := r.readFolder(ctx); err != nil {
		return err
	}
	if err := r.measure(ctx); err != nil {
		return err
	}
	if err := r.heal(ctx, acct.healer); err != nil {
		return err
	}
	if err := r.twins(); err != nil {
		return err
	}
	if err := r.matchUIDs(); err != nil {
		return err
	}
	r.nameKeywords()
	r.recallNames(acct.earlier, r.usedLetters())
	s.KeywordNames = *r.names
	if err := r.cachedDates(); err != nil {
		return err
	}
	for i := range s.Messages {
		r.flags(&s.Messages[i])
	}
	s.sureNext()
	return ctx.Err()
}

// readFolder lists the messages.
func (r *maildirReader) readFolder(ctx context.Context) error {
	for _, sub := range []string{"cur", "new"} {
		dir := join(r.Mailbox, sub)
		entries, err := fs.ReadDir(r.fsys, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.NoFolder = append(r.NoFolder, store.RelPath(dir))
			continue
		case NotCopied(err):
			r.unread(dir, err)
			continue
		case err != nil:
			return fmt.Errorf("list the copy of %s: %w", dir, err)
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
				r.Messages = append(r.Messages, r.message(dir, e))
			}
		}
	}
	return nil
}

// readUIDList joins all lines that can be read. Dovecot reads up to the first one that it cannot, and gives the files of
// all others new UIDs.
func (r *maildirReader) readUIDList(file string, b []byte) {
	r.uids = map[string]listed{}
	r.UIDList = b != nil
	if b == nil {
		return
	}
	list, faults := dovecot.ParseUIDList(b)
	r.blame(file, faults)
	r.ListedValidity = list.UIDValidity
	if list.UIDValidity != 0 && !(r.UIDValidity != 0 && r.Sound && r.Names.Known && r.Names.UIDValidity == r.UIDValidity) {
		r.UIDValidity = list.UIDValidity // the uidlist wins over the index, but not over the index and the list index together
	}
	r.NextUID = max(list.NextUID, r.NextUID)
	if !list.MailboxGUID.IsZero() {
		r.GUID = list.MailboxGUID
	}
	r.ListOther = list.Other
	damage := int64(len(b))
	for _, f := range faults {
		if f.Rule != "uidlist-duplicate" {
			damage = min(damage, f.Offset)
		}
	}
	r.Listed = make(map[dovecot.UID]string, len(list.Entries))
	for _, e := range list.Entries {
		if e.UID != list.Cut { // else only if there is a file of this very name
			r.Listed[e.UID] = e.Name
		}
		r.uids[e.Name] = listed{e.UID, e.Fields, e.Offset >= damage}
	}
}

func (r *maildirReader) message(dir string, e fs.DirEntry) Message {
	n := dovecot.ParseMaildirName(e.Name())
	l, known := r.uids[n.Base]
	msg := Message{UID: l.uid, Renumber: l.behind, Flags: n.Flags, Size: -1, Name: n, Fields: l.fields, File: store.RelPath(path.Join(dir, e.Name())),
		By: Told{Mailbox: ByFileName, Flags: ByFileName}}
	msg.Body = Body{File: msg.File, Size: -1, Plain: n.Size, Virtual: n.Virtual, Counted: -1}
	if info, err := e.Info(); err == nil {
		msg.Size, msg.Received = info.Size(), info.ModTime().UTC().Truncate(time.Second)
		msg.By.Received = ByFileTime
		msg.Body.Size = msg.Size
	}
	if n.Time > 0 {
		msg.Saved, msg.By.Saved = time.Unix(n.Time, 0).UTC(), ByFileName
	}
	if known {
		msg.By.UID = ByUIDList
		if r.earlier[n.Base] {
			msg.By.UID = ByEarlier
			r.recalledBy(r.by).UIDs++
		}
		r.Listed[l.uid] = n.Base
	} else {
		msg.Stray = true // it gets its UID the next time the mailbox is opened
	}
	return msg
}

// flags are told by the file name, but for messages that the index has marked, or whose change is only asked for there: it is
// ahead of the name. Keywords that dovecot-keywords has no room for are in the index alone.
func (r *maildirReader) flags(m *Message) {
	m.Keywords = r.names.Names(m.Name.Keywords)
	rec := r.Index.Find(m.UID)
	if rec == nil || m.UID == 0 {
		return
	}
	m.ModSeq, _ = r.Index.ModSeqOf(rec)
	told := r.Index.KeywordNames(rec)
	if rec.Suspect || r.Recalled != nil && !r.Recalled.Whole {
		return // it may be noise, and an earlier copy's index may be behind the names
	}
	if rec.Flags&dovecot.FlagDirty != 0 || r.pending[m.UID] {
		m.Flags, m.Keywords, m.By.Flags = rec.Flags, told, ByIndex
		return
	}
	for _, k := range told {
		if !r.named(k) && r.full() && !slices.ContainsFunc(m.Keywords, func(have string) bool { return strings.EqualFold(have, k) }) {
			m.Keywords = append(m.Keywords, k)
		}
	}
}

// named reports whether dovecot-keywords knows a keyword.
func (r *maildirReader) named(keyword string) bool {
	return slices.ContainsFunc(r.names[:], func(name string) bool { return strings.EqualFold(name, keyword) })
}

// full reports whether dovecot-keywords has no room left.
func (r *maildirReader) full() bool { return !slices.Contains(r.names[:], "") }

func (s *State) blame(file string, faults []dovecot.Fault) {
	for _, f := range faults {
		s.Faults = append(s.Faults, FileFault{File: store.RelPath(file), Fault: f})
	}
}
