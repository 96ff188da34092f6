package reconstruct

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// parallelReads is how many files are read at one time.
var parallelReads = max(4, runtime.GOMAXPROCS(0))

// dboxFile is a file in an sdbox mailbox's folder that holds, or held, a message.
type dboxFile struct {
	name  string
	uid   dovecot.UID
	size  int64
	mtime time.Time
	msg   dovecot.DboxMessage // what is in it; nothing where nothing can be made out
	found bool
	why   error // it could not be read

	healed bool // it is what an earlier copy has of it
}

// readSDBox joins the index with the message files, u.UID. Which messages are in the mailbox is told by the files: an
// expunged one has none. Flags are told by the index alone.
func (s *State) readSDBox(ctx context.Context, fsys fs.FS, acct *Account) error {
	files, err := s.sdboxFiles(ctx, fsys)
	if err != nil {
		return err
	}
	byUID := map[dovecot.UID]*dboxFile{}
	for i := range files {
		if f := &files[i]; f.uid != 0 {
			if f.why == nil && (!f.found || f.msg.Damage != 0) {
				acct.healer.sdbox(s, f)
			}
			byUID[f.uid] = f
		} else if f.found { // .broken and .temp files
			o := Orphan{Message: Message{Size: f.size}, Fate: Uncommitted}
			if strings.HasSuffix(f.name, ".broken") {
				o.Fate = SetAside
			}
			f.describe(&o.Message, s)
			o.From = s.Mailbox.Storage
			acct.Orphans = append(acct.Orphans, o)
		}
	}
	s.recallForgotten(acct.earlier, func(c Copy, then *dovecot.State) bool { return s.sameFile(c, then, byUID) })
	s.followFiles(byUID, acct.earlier)
	gone := dovecot.ReadExpunged(s.evidence())
	var exist []dovecot.UID
	for uid, f := range byUID {
		if s.Index.Find(uid) == nil && f.found && !s.Index.Knew(uid) && !gone.UID(uid) {
			exist = append(exist, uid)
		}
	}
	s.know(exist)
	kept := s.Messages[:0]
	for _, m := range s.Messages {
		f := byUID[m.UID]
		delete(byUID, m.UID)
		if m.By.Mailbox == ByFileName {
			s.Regained++
		}
		switch {
		case f != nil:
			f.describe(&m, s)
		case m.Flags&dovecot.FlagBackend != 0 && (s.Sound || linked(fsys)): // it is in the alternative storage; else it is noise
		case s.Recalled == nil && s.Sound || s.emptied(files):
			f = &dboxFile{name: fmt.Sprintf("u.%d", m.UID), uid: m.UID, size: -1}
			if acct.healer.sdbox(s, f) {
				f.describe(&m, s)
			} else {
				m.Lost = true
			}
		default:
			s.Dropped++ // its file went with an expunge that the index files no longer tell
			continue
		}
		kept = append(kept, m)
	}
	s.Messages = kept
	listed := map[dovecot.GUID]bool{}
	for i := range s.Messages {
		if m := &s.Messages[i]; m.Body.Whole() && !m.GUID.IsZero() {
			listed[m.GUID] = true
		}
	}
	for uid, f := range byUID {
		m := Message{UID: uid, By: Told{Mailbox: ByFileName, UID: ByFileName}}
		f.describe(&m, s)
		// Where the index tells everything, another file of a message that it lists is a copy that somebody made by hand: a COPY would
		// be in it.
		if s.Index.Knew(uid) || gone.UID(uid) || !f.found || s.Sound && listed[m.GUID] {
			m.Stray, m.By.Mailbox = true, ByNothing
		} else {
			s.Regained++
		}
		s.Messages = append(s.Messages, m)
	}
	s.sureNext()
	return nil
}

// linked reports whether the account has an alternative storage.
func linked(fsys fs.FS) bool {
	_, err := fs.Lstat(fsys, AltLink)
	return err == nil
}

// emptied reports whether the folder holds no message any more, and either the list index counts some, or all index files are gone with
// them: then they did not leave it one by one.
func (s *State) emptied(files []dboxFile) bool {
	return s.Recalled != nil && len(files) == 0 && (s.Names.HasCounts && s.Names.Messages > 0 || !s.Files.Tells())
}

// sameFile reports whether a message file that the index does not know is one that an earlier copy lists.
func (s *State) sameFile(c Copy, then *dovecot.State, byUID map[dovecot.UID]*dboxFile) bool {
	for uid, f := range byUID {
		if then.Find(uid) == nil || !f.found || f.msg.GUID.IsZero() || s.Index.Knew(uid) {
			continue
		}
		was := dboxFile{name: f.name, uid: uid, size: -1}
		info, err := fs.Stat(c.FS, join(s.Mailbox, f.name))
		if err != nil {
			continue
		}
		was.size = info.Size()
		if err := was.parse(c.FS, join(s.Mailbox, f.name)); err == nil && was.found && was.msg.GUID == f.msg.GUID {
			return true
		}
	}
	return false
}

// ascend sorts the messages by UID, those without one at the end, and raises the next UID above them.
func (s *State) ascend() {
	slices.SortStableFunc(s.Messages, func(a, b Message) int {
		return int(int64(a.UID-1) - int64(b.UID-1)) // 0 becomes the greatest
	})
	for i := range s.Messages {
		if m := &s.Messages[i]; m.UID >= s.NextUID && !m.Stray && m.UID != ^dovecot.UID(0) {
			s.NextUID = m.UID + 1
		}
	}
}

// sdboxFiles reads every message file of the folder.
func (s *State) sdboxFiles(ctx context.Context, fsys fs.FS) ([]dboxFile, error) {
	entries, err := fs.ReadDir(fsys, string(s.Mailbox.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no folder, no mail
	}
	if err != nil {
		return nil, fmt.Errorf("list the copy of %s: %w", s.Mailbox.Dir, err)
	}
	var files []dboxFile
	for _, e := range entries {
		f := dboxFile{name: e.Name(), size: -1}
		digits, ok := strings.CutPrefix(e.Name(), "u.")
		uid, err := strconv.ParseUint(digits, 10, 32)
		switch {
		case !e.Type().IsRegular():
			continue
		case ok && err == nil && uid != 0 && uid != 1<<32-1: // no UID could follow that one
			f.uid = dovecot.UID(uid)
		case !strings.HasSuffix(e.Name(), ".broken") && !strings.HasPrefix(e.Name(), ".temp."):
			continue
		}
		if info, err := e.Info(); err == nil {
			f.size, f.mtime = info.Size(), info.ModTime().UTC()
		}
		files = append(files, f)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i := range files {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return files[i].parse(fsys, join(s.Mailbox, files[i].name))
		})
	}
	return files, g.Wait()
}

// parse reads the file as a dbox file.
func (f *dboxFile) parse(fsys fs.FS, name string) error {
	file, err := fsys.Open(name)
	if err != nil {
		f.why = err
		if NotCopied(err) || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("read the copy of %s: %w", name, err)
	}
	defer file.Close()
	at, err := ReaderAt(file, f.size)
	if err != nil {
		return fmt.Errorf("read the copy of %s: %w", name, err)
	}
	box, _, err := dovecot.ParseDbox(at, f.size, []dovecot.DboxExtent{{Offset: dovecot.DboxFirstMessage, Size: f.size - dovecot.DboxFirstMessage}})
	if err != nil {
		return fmt.Errorf("read the copy of %s: %w", name, err)
	}
	if len(box.Messages) > 0 {
		f.msg, f.found = box.Messages[0], true
		if box.Version == 0 {
			f.msg.Damage |= dovecot.DboxFileHeaderLost
		}
	}
	return nil
}

// describe adds to a message what its file tells.
func (f *dboxFile) describe(m *Message, s *State) {
	m.File, m.Size = store.RelPath(join(s.Mailbox, f.name)), f.size
	m.Body = Body{Size: -1, Virtual: -1, Plain: -1}
	if !f.mtime.IsZero() {
		m.Saved, m.By.Saved = f.mtime, ByFileTime // an sdbox file is written once
	}
	m.Body.Why = f.why
	if f.found {
		m.describe(m.File, &f.msg)
	}
	m.Body.Healed = f.healed
}

// describe adds to a message what its own metadata tell.
func (m *Message) describe(file store.RelPath, d *dovecot.DboxMessage) {
	m.Body = Body{File: file, Offset: d.BodyOffset, Size: d.BodySize, Virtual: d.VirtualSize, Plain: d.PhysicalSize, Encoding: d.Encoding,
		Attachments: d.Attachments, Damage: d.Damage &^ dovecot.DboxAltered, Altered: d.Damage&dovecot.DboxAltered != 0}
	m.Dbox = d
	if !d.GUID.IsZero() {
		m.GUID = d.GUID
	}
	if d.Received >= 0 {
		m.Received, m.By.Received = time.Unix(d.Received, 0).UTC(), ByMessage
	}
}
