package reconstruct

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// MaxUIDList is how much of a dovecot-uidlist is read: 256 MiB, which is more than a million messages.
const MaxUIDList = 256 << 20

// readMaildir joins the files in cur and new with dovecot-uidlist and dovecot-keywords. The file names tell the flags,
// but for records the index has marked dirty: there it is ahead of the name.
func (s *State) readMaildir(ctx context.Context, fsys fs.FS, m store.Mailbox) error {
	names := &dovecot.MaildirKeywords{}
	b, err := s.read(fsys, join(m, "dovecot-keywords"), 1<<20)
	if err != nil {
		return err
	}
	if b != nil {
		var faults []dovecot.Fault
		names, faults = dovecot.ParseMaildirKeywords(b)
		s.blame(join(m, "dovecot-keywords"), faults)
	}
	if b, err = s.read(fsys, join(m, "dovecot-uidlist"), MaxUIDList); err != nil {
		return err
	}
	uids := s.readUIDList(join(m, "dovecot-uidlist"), b)
	for _, sub := range []string{"cur", "new"} {
		dir := join(m, sub)
		entries, err := fs.ReadDir(fsys, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case NotCopied(err):
			s.unread(dir, err)
			continue
		case err != nil:
			return fmt.Errorf("list the copy of %s: %w", dir, err)
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			s.Messages = append(s.Messages, s.maildirMessage(dir, e, names, uids))
		}
	}
	sort.SliceStable(s.Messages, func(i, j int) bool {
		x, y := s.Messages[i].UID, s.Messages[j].UID
		return x != 0 && (y == 0 || x < y)
	})
	return nil
}

// listed is what dovecot-uidlist tells of a file.
type listed struct {
	uid    dovecot.UID
	behind bool // damage, where Dovecot no longer reads
}

// readUIDList joins all lines that can be read. Dovecot reads up to the first one that it cannot, and gives the files of
// all others new UIDs.
func (s *State) readUIDList(file string, b []byte) map[string]listed {
	uids := map[string]listed{}
	s.UIDList = b != nil
	if b == nil {
		return uids
	}
	list, faults := dovecot.ParseUIDList(b)
	s.blame(file, faults)
	if list.UIDValidity != 0 { // the uidlist wins over the index
		s.UIDValidity, s.NextUID = list.UIDValidity, list.NextUID
	}
	damage := int64(len(b))
	for _, f := range faults {
		if f.Rule != "uidlist-duplicate" {
			damage = min(damage, f.Offset)
		}
	}
	s.Listed = make(map[dovecot.UID]string, len(list.Entries))
	for _, e := range list.Entries {
		s.Listed[e.UID] = e.Name
		uids[e.Name] = listed{e.UID, e.Offset >= damage}
	}
	return uids
}

func (s *State) maildirMessage(dir string, e fs.DirEntry, names *dovecot.MaildirKeywords, uids map[string]listed) Message {
	n := dovecot.ParseMaildirName(e.Name())
	msg := Message{UID: uids[n.Base].uid, Renumber: uids[n.Base].behind, Flags: n.Flags, Keywords: names.Names(n.Keywords), Size: -1,
		File: store.RelPath(path.Join(dir, e.Name()))}
	if info, err := e.Info(); err == nil {
		msg.Size, msg.Received = info.Size(), info.ModTime().UTC().Truncate(time.Second)
	}
	if msg.UID == 0 {
		msg.Stray = true // it gets its UID the next time the mailbox is opened
	} else if r := s.Index.Find(msg.UID); r != nil && r.Flags&dovecot.FlagDirty != 0 {
		msg.Flags, msg.Keywords = r.Flags, s.Index.KeywordNames(r)
	}
	return msg
}

func (s *State) blame(file string, faults []dovecot.Fault) {
	for _, f := range faults {
		s.Faults = append(s.Faults, FileFault{File: store.RelPath(file), Fault: f})
	}
}
