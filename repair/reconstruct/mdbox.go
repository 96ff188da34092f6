package reconstruct

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"dovemend/repair/dovecot"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// MapFile is the map index of an mdbox account, relative to the mail root.
const MapFile store.RelPath = "storage/dovecot.map.index"

// StorageFile is where the messages with this file number are, relative to the mail root.
func StorageFile(id uint32) store.RelPath {
	return store.RelPath(path.Join("storage", fmt.Sprintf("m.%d", id)))
}

// readStorage looks up each message in the map index. What lies where its file has no bytes is lost.
func (s *State) readStorage(fsys fs.FS) error {
	if _, err := fs.Stat(fsys, "storage"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	t := &s.Storage
	t.Copied = true
	var files dovecot.Files
	for _, f := range []struct {
		end  string
		into *[]byte
	}{{"", &files.Index}, {".log", &files.Log}, {".log.2", &files.Log2}, {".backup", &files.Backup}} {
		var err error
		if *f.into, err = s.read(fsys, string(MapFile)+f.end, MaxIndexFile); err != nil {
			return err
		}
	}
	t.Found = files.Index != nil || files.Log != nil
	t.Map, t.Faults = dovecot.Replay(files)
	records, ok := t.Map.MapRecords()
	t.Known = ok && t.Found
	t.Refs = make(map[dovecot.UID]uint16, len(records))
	at := make(map[dovecot.UID]dovecot.MapRecord, len(records))
	for _, r := range records {
		t.Refs[r.MapUID], at[r.MapUID] = r.Refs, r
	}
	t.Sizes = map[uint32]int64{}
	looked := map[uint32]bool{}
	for i := range s.Messages {
		m := &s.Messages[i]
		r, ok := at[m.MapUID]
		if !ok {
			continue
		}
		m.Stored, m.File = r, StorageFile(r.FileID)
		if !looked[r.FileID] {
			looked[r.FileID] = true
			info, err := fs.Stat(fsys, string(m.File))
			switch {
			case err == nil:
				t.Sizes[r.FileID] = info.Size()
			case !errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("look at the copy of %s: %w", m.File, err)
			}
		}
		size, there := t.Sizes[r.FileID]
		m.Lost = !there || int64(r.Offset) >= size
	}
	return nil
}

// NotCopied reports whether an error says that the copy lacks a file that the host has.
func NotCopied(err error) bool { return errors.Is(err, snapshot.ErrNotCopied) }
