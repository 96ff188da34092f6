package salvage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"dovemend/repair/snapshot"
)

const stagingDir = ".dovemend-incoming"

// A batch is brought to the disk and given its names together: one sync for many small files.
var (
	batchFiles       = 500
	batchBytes int64 = 64 << 20
)

// staging keeps files that are not complete under names of their own, and gives complete ones their final names.
type staging struct {
	root  *os.Root
	in    *os.Root // the directory
	count int
	moves []move
	bytes int64
	dirs  map[string]bool
	noted bool // something new stands in the file named stateName
}

// move is a file that waits for its name.
type move struct {
	temp, final string
	replace     bool   // final is dovemend's own
	remove      string // an older file of dovemend's for the same message, under another name
}

// openStaging makes the directory, and takes away what a run that ended early left in it.
func openStaging(root *os.Root) (*staging, error) {
	s := &staging{root: root, dirs: map[string]bool{}}
	if err := root.Mkdir(stagingDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if info, err := root.Lstat(stagingDir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", stagingDir)
	}
	var err error
	if s.in, err = root.OpenRoot(stagingDir); err != nil {
		return nil, err
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, s.in.Close())
	}
	return s, nil
}

// sweep removes files that staging made, and no others.
func (s *staging) sweep() error {
	entries, err := fs.ReadDir(s.in.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.Trim(e.Name(), "-0123456789") == "" {
			if err := s.in.Remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// close takes the directory away, unless something foreign is in it.
func (s *staging) close() error {
	err := errors.Join(s.sweep(), s.in.Close())
	_ = s.root.Remove(stagingDir)
	return err
}

// create makes a file without a final name.
func (s *staging) create() (*os.File, string, error) {
	s.count++
	name := fmt.Sprintf("%d-%06d", os.Getpid(), s.count)
	f, err := s.in.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	return f, path.Join(stagingDir, name), err
}

// date gives a file a time.
func (s *staging) date(temp string, t time.Time) error { return s.in.Chtimes(path.Base(temp), t, t) }

// drop removes a file that gets no name.
func (s *staging) drop(temp string) error { return s.in.Remove(path.Base(temp)) }

// write makes a file of some bytes that waits for its name.
func (s *staging) write(b []byte, m move) error {
	f, temp, err := s.create()
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	m.temp = temp
	return s.add(m, int64(len(b)))
}

// add lets a complete file wait for its name.
func (s *staging) add(m move, size int64) error {
	s.moves = append(s.moves, m)
	if s.bytes += size; len(s.moves) >= batchFiles || s.bytes >= batchBytes {
		return s.flush()
	}
	return nil
}

// flush gives all that wait their names, once their bytes are on the disk.
func (s *staging) flush() error {
	if len(s.moves) == 0 {
		return nil
	}
	temps := make([]string, 0, len(s.moves)+1)
	for _, m := range s.moves {
		temps = append(temps, m.temp)
	}
	if s.noted { // where mailboxes go is on the disk before anything is there
		temps, s.noted = append(temps, stateName), false
	}
	if err := snapshot.SyncFiles(s.root, temps); err != nil {
		return err
	}
	clear(s.dirs)
	var dir *os.Root // of the last one: messages come mailbox by mailbox
	defer func() {
		if dir != nil {
			_ = dir.Close()
		}
	}()
	for i, m := range s.moves {
		if d := path.Dir(m.final); i == 0 || d != path.Dir(s.moves[i-1].final) {
			next, err := s.root.OpenRoot(d)
			if err != nil {
				return err
			}
			if dir != nil {
				_ = dir.Close()
			}
			dir = next
		}
		if info, err := dir.Lstat(path.Base(m.final)); err == nil && !(m.replace && info.Mode().IsRegular()) {
			return fmt.Errorf("write %s: %w", m.final, fs.ErrExist) // it was not there a moment ago
		}
		if m.remove != "" { // first: the message is where it came from, and two of it would be one too many
			if err := s.root.Remove(m.remove); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := s.root.Rename(m.temp, m.final); err != nil {
			return err
		}
		s.dirs[path.Dir(m.final)] = true
	}
	for dir := range s.dirs {
		snapshot.SyncDir(s.root, dir)
	}
	s.moves, s.bytes = s.moves[:0], 0
	return nil
}
