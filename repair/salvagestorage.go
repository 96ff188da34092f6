package repair

import (
	"io"
	"io/fs"

	"dovemend/repair/store"
)

// storageFile keeps the file of mdbox's storage open that was read last: the messages of a mailbox stand in it one behind the
// other. Messages are read one at a time.
type storageFile struct {
	fsys fs.FS
	name store.RelPath
	file *shared // nil: none
}

// open gives the file. It stays open until another one is asked for, or close is called.
func (s *storageFile) open(name store.RelPath) (fs.File, error) {
	if s.file != nil && s.name == name {
		return s.file, nil
	}
	s.close()
	f, err := s.fsys.Open(string(name))
	at, ok := f.(io.ReaderAt)
	if err != nil || !ok {
		return f, err
	}
	s.name, s.file = name, &shared{f, at}
	return s.file, nil
}

func (s *storageFile) close() {
	if s.file != nil {
		_ = s.file.File.Close() // it was only read
		s.file = nil
	}
}

// shared is a file that stays open when its readers close it.
type shared struct {
	fs.File
	io.ReaderAt
}

func (*shared) Close() error { return nil }
