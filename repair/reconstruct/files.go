package reconstruct

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"dovemend/repair/dovecot"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// MaxIndexFile is how much of an index file or log is read: 256 MiB, which is the index of several million messages.
const MaxIndexFile = 256 << 20

// read gives a file's bytes; nil where it does not exist, or where the copy lacks it, which is remembered.
func (s *State) read(fsys fs.FS, name string, limit int64) ([]byte, error) {
	b, why, err := readEvidence(fsys, name, limit)
	if why != nil {
		s.unread(name, why)
	}
	return b, err
}

// readEvidence reads a file that may be missing. why says why the copy lacks a file that the host has.
func readEvidence(fsys fs.FS, name string, limit int64) (b []byte, why, err error) {
	b, err = ReadFile(fsys, name, limit)
	switch {
	case err == nil:
		return b, nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case errors.Is(err, snapshot.ErrNotCopied):
		return nil, err, nil
	}
	if info, serr := fs.Stat(fsys, name); serr == nil && !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file"), nil
	}
	return nil, nil, fmt.Errorf("read the copy of %s: %w", name, err)
}

func (s *State) unread(name string, err error) {
	s.Unread = append(s.Unread, Unread{store.RelPath(name), err.Error()})
}

// Readable reports whether nothing is known to keep a file from being read.
func (s *State) Readable(name store.RelPath) bool {
	return !slices.ContainsFunc(s.Unread, func(u Unread) bool { return u.File == name })
}

func join(m store.Mailbox, name string) string { return path.Join(string(m.Dir), name) }

// ReadFile reads a file of the copy of which not more than limit bytes are wanted; a longer one is cut there.
func ReadFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	room := int64(512)
	info, err := f.Stat()
	if at, ok := f.(io.Seeker); ok && err == nil && info.Mode().IsRegular() { // the file itself says how long it is: Stat has a snapshot's word
		if end, err := at.Seek(0, io.SeekEnd); err == nil {
			room = end
		}
		if _, err := at.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
	b := bytes.NewBuffer(make([]byte, 0, min(room, limit)+bytes.MinRead))
	_, err = b.ReadFrom(io.LimitReader(f, limit))
	return b.Bytes(), err
}

// readFiles reads the files of an index. Those that the copy lacks are named to unread.
func readFiles(fsys fs.FS, prefix string, unread func(name string, why error)) (dovecot.Files, error) {
	var f dovecot.Files
	for _, part := range []struct {
		end  string
		into *[]byte
	}{{"", &f.Index}, {".backup", &f.Backup}, {".log", &f.Log}, {".log.2", &f.Log2}} {
		b, why, err := readEvidence(fsys, prefix+part.end, MaxIndexFile)
		if err != nil {
			return f, err
		}
		if why != nil {
			unread(prefix+part.end, why)
		}
		*part.into = b
	}
	return f, nil
}

// indexFile is the name of the file a fault of a replay is in.
func indexFile(prefix, which string) store.RelPath {
	switch which {
	case "backup":
		prefix += ".backup"
	case "log":
		prefix += ".log"
	case "log2":
		prefix += ".log.2"
	}
	return store.RelPath(prefix)
}

// NotCopied reports whether an error says that the copy lacks a file that the host has.
func NotCopied(err error) bool { return errors.Is(err, snapshot.ErrNotCopied) }
