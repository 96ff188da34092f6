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
	if b, err := ReadFile(fsys, join(m, "dovecot-keywords"), 1<<20); err == nil {
		var faults []dovecot.Fault
		names, faults = dovecot.ParseMaildirKeywords(b)
		s.blame(join(m, "dovecot-keywords"), faults)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the copy of dovecot-keywords: %w", err)
	}
	uids := map[string]dovecot.UID{}
	if b, err := ReadFile(fsys, join(m, "dovecot-uidlist"), MaxUIDList); err == nil {
		list, faults := dovecot.ParseUIDList(b)
		s.blame(join(m, "dovecot-uidlist"), faults)
		if list.UIDValidity != 0 { // the uidlist wins over the index
			s.UIDValidity, s.NextUID = list.UIDValidity, list.NextUID
		}
		for _, e := range list.Entries {
			uids[e.Name] = e.UID
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the copy of dovecot-uidlist: %w", err)
	}
	for _, sub := range []string{"cur", "new"} {
		dir := join(m, sub)
		entries, err := fs.ReadDir(fsys, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
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

func (s *State) maildirMessage(dir string, e fs.DirEntry, names *dovecot.MaildirKeywords, uids map[string]dovecot.UID) Message {
	n := dovecot.ParseMaildirName(e.Name())
	msg := Message{UID: uids[n.Base], Flags: n.Flags, Keywords: names.Names(n.Keywords), Size: -1,
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
