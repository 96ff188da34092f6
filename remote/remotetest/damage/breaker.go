package damage

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// breaker does the breaking, and notes what it did.
type breaker struct {
	Target
	*rand.Rand
	folder  string // of the mailbox being broken
	changes []Change
}

func (b *breaker) path(name string) string { return filepath.Join(b.folder, name) }

func (b *breaker) storage(name string) string { return filepath.Join(b.MailRoot, "storage", name) }

func (b *breaker) note(c Change) { b.changes = append(b.changes, c) }

// folders are all folders of the account with index files of mailboxes that hold, or held, mail.
func (b *breaker) folders() ([]string, error) {
	var all []string
	err := filepath.WalkDir(b.MailRoot, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == cache {
			all = append(all, filepath.Dir(path))
		}
		return err
	})
	if err == nil && len(all) == 0 {
		err = nothing("no mailbox beneath %s", b.MailRoot)
	}
	return all, err
}

// each does something to each folder of the account.
func (b *breaker) each(do func(i int) error) error {
	all, err := b.folders()
	if err != nil {
		return err
	}
	own := b.folder
	defer func() { b.folder = own }()
	for i, folder := range all {
		b.folder = folder
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

// size is a file's length.
func (b *breaker) size(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// remove removes files of which at least the first must exist.
func (b *breaker) remove(paths ...string) error {
	for i, p := range paths {
		size, err := b.size(p)
		if err == nil {
			err = os.Remove(p)
		}
		if i > 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		b.note(Change{File: p, What: Removed, Length: size})
	}
	return nil
}

// removeDir removes a directory with the files in it.
func (b *breaker) removeDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := b.remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(dir); err != nil {
		return err
	}
	b.note(Change{File: dir, What: Removed})
	return nil
}

// rename gives a file another name.
func (b *breaker) rename(from, to string) error {
	size, err := b.size(from)
	if err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	b.note(Change{File: from, What: Moved, Length: size, To: to})
	return nil
}

// create makes a file beside another one, with its owner, mode and time.
func (b *breaker) create(path, like string, data []byte) error {
	st, err := os.Stat(like)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, data, st.Mode().Perm()); err != nil {
		return err
	}
	b.note(Change{File: path, What: Added, Length: int64(len(data))})
	return errors.Join(own(path, st), os.Chtimes(path, st.ModTime(), st.ModTime()))
}

// change opens a file that exists for a change of its bytes in place.
func (b *breaker) change(path string, do func(*os.File) error) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(do(f), f.Close()); err != nil {
		return err
	}
	when := time.Now()
	if !strings.HasPrefix(filepath.Base(path), "dovecot") {
		when = st.ModTime()
	}
	return os.Chtimes(path, when, when)
}

// overwrite puts other bytes where some are.
func (b *breaker) overwrite(path string, at int64, data []byte) error {
	if len(data) == 0 {
		return nothing("no byte of %s to change", path)
	}
	b.note(Change{File: path, What: Overwritten, Offset: at, Length: int64(len(data))})
	return b.change(path, func(f *os.File) error {
		_, err := f.WriteAt(data, at)
		return err
	})
}

// garbage puts up to n random bytes over a file, from the given place on; a negative place is the middle.
func (b *breaker) garbage(path string, at, n int64) error {
	size, err := b.size(path)
	if err != nil {
		return err
	}
	if at < 0 {
		at = max(0, (size-n)/2)
	}
	return b.overwrite(path, at, b.noise(min(n, size-at)))
}

// noise is n random bytes.
func (b *breaker) noise(n int64) []byte {
	if n < 0 {
		return nil
	}
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(b.Uint32())
	}
	return data
}

// truncate keeps the first bytes of a file.
func (b *breaker) truncate(path string, keep int64) error {
	size, err := b.size(path)
	if err != nil {
		return err
	}
	if keep < 0 || keep >= size && size > 0 {
		return nothing("%s has %d bytes", path, size)
	}
	b.note(Change{File: path, What: Cut, Offset: keep, Length: size - keep})
	return b.change(path, func(f *os.File) error { return f.Truncate(keep) })
}

// cut keeps that much of a file, in percent.
func (b *breaker) cut(path string, percent int64) error {
	size, err := b.size(path)
	if err != nil {
		return err
	}
	return b.truncate(path, size*percent/100)
}

// add puts bytes behind a file's end.
func (b *breaker) add(path string, data []byte) error {
	size, err := b.size(path)
	if err != nil {
		return err
	}
	b.note(Change{File: path, What: Added, Offset: size, Length: int64(len(data))})
	return b.change(path, func(f *os.File) error {
		_, err := f.WriteAt(data, size)
		return err
	})
}

// grow lengthens a file by bytes that take no room on disk.
func (b *breaker) grow(path string, to int64) error {
	size, err := b.size(path)
	if err != nil {
		return err
	}
	b.note(Change{File: path, What: Added, Offset: size, Length: to - size})
	return b.change(path, func(f *os.File) error { return f.Truncate(to) })
}

// between is a random number from low to below high; low where there is no room.
func (b *breaker) between(low, high int64) int64 {
	if high <= low {
		return low
	}
	return low + b.Int64N(high-low)
}
