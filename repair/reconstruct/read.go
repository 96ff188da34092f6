package reconstruct

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// MaxIndexFile is how much of an index file or log is read: 256 MiB, which is the index of several million messages.
const MaxIndexFile = 256 << 20

// Mailbox reads what the copy tells of one mailbox. A damaged file is no error: it is in the State's Faults.
func Mailbox(ctx context.Context, fsys fs.FS, a store.Account, m store.Mailbox) (*State, error) {
	s := &State{Mailbox: m, Layout: a.Layout}
	if err := s.readIndex(fsys, m); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch a.Layout {
	case store.Maildir:
		return s, s.readMaildir(ctx, fsys, m)
	case store.SDBox:
		return s, s.readSDBox(fsys, m)
	default:
		return s, s.readStorage(fsys)
	}
}

// read gives a file's bytes; nil where it does not exist, or where the copy lacks it, which is remembered.
func (s *State) read(fsys fs.FS, name string, limit int64) ([]byte, error) {
	b, err := ReadFile(fsys, name, limit)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, snapshot.ErrNotCopied):
		s.unread(name, err)
		return nil, nil
	}
	if info, serr := fs.Stat(fsys, name); serr == nil && !info.Mode().IsRegular() {
		s.unread(name, errors.New("it is not a file"))
		return nil, nil
	}
	return nil, fmt.Errorf("read the copy of %s: %w", name, err)
}

func (s *State) unread(name string, err error) {
	s.Unread = append(s.Unread, Unread{store.RelPath(name), err.Error()})
}

// Readable reports whether nothing is known to keep a file from being read.
func (s *State) Readable(name store.RelPath) bool {
	return !slices.ContainsFunc(s.Unread, func(u Unread) bool { return u.File == name })
}

func join(m store.Mailbox, name string) string { return path.Join(string(m.Dir), name) }

// readIndex replays the index files, which for mdbox and sdbox is where the truth is.
func (s *State) readIndex(fsys fs.FS, m store.Mailbox) error {
	for _, f := range []struct {
		name string
		into *[]byte
	}{
		{"dovecot.index", &s.Files.Index},
		{"dovecot.index.backup", &s.Files.Backup},
		{"dovecot.index.log", &s.Files.Log},
		{"dovecot.index.log.2", &s.Files.Log2},
	} {
		var err error
		if *f.into, err = s.read(fsys, join(m, f.name), MaxIndexFile); err != nil {
			return err
		}
	}
	state, faults := dovecot.Replay(s.Files)
	s.Index, s.Base = state, state.Base
	for _, f := range faults {
		s.Faults = append(s.Faults, FileFault{File: store.RelPath(join(m, indexFile(f.File))), Fault: f})
	}
	s.UIDValidity, s.NextUID, s.Pending = state.UIDValidity, state.NextUID, state.PendingExpunge
	if s.Layout == store.Maildir {
		return nil
	}
	for i := range state.Records {
		r := &state.Records[i]
		msg := Message{UID: r.UID, Flags: r.Flags, Keywords: state.KeywordNames(r), Size: -1}
		if id, ok := state.GUID(r); ok {
			msg.GUID = id
		}
		if id, _, ok := state.MapUID(r); ok {
			msg.MapUID = id
		}
		s.Messages = append(s.Messages, msg)
	}
	return nil
}

// indexFile is the name of the file a fault of a replay is in.
func indexFile(which string) string {
	switch which {
	case "backup":
		return "dovecot.index.backup"
	case "log":
		return "dovecot.index.log"
	case "log2":
		return "dovecot.index.log.2"
	}
	return "dovecot.index"
}

// readSDBox joins the index with the message files, u.UID.
func (s *State) readSDBox(fsys fs.FS, m store.Mailbox) error {
	entries, err := fs.ReadDir(fsys, string(m.Dir))
	if err != nil {
		return fmt.Errorf("list the copy of %s: %w", m.Dir, err)
	}
	files := map[dovecot.UID]int64{}
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "u.")
		uid, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || uid == 0 || !e.Type().IsRegular() {
			continue
		}
		size := int64(-1)
		if info, err := e.Info(); err == nil {
			size = info.Size()
		}
		files[dovecot.UID(uid)] = size
	}
	for i := range s.Messages {
		msg := &s.Messages[i]
		size, ok := files[msg.UID]
		msg.Lost = !ok && msg.Flags&dovecot.FlagBackend == 0 // with that flag it is in the alternative storage
		if ok {
			msg.Size, msg.File = size, store.RelPath(join(m, fmt.Sprintf("u.%d", msg.UID)))
			delete(files, msg.UID)
		}
	}
	for uid, size := range files {
		s.Messages = append(s.Messages, Message{UID: uid, Stray: true, Size: size, File: store.RelPath(join(m, fmt.Sprintf("u.%d", uid)))})
	}
	sort.Slice(s.Messages, func(i, j int) bool { return s.Messages[i].UID < s.Messages[j].UID })
	return nil
}

// ReadFile reads a file of the copy of which not more than limit bytes are wanted; a longer one is cut there.
func ReadFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if b == nil {
		b = []byte{}
	}
	return b, err
}
