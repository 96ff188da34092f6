package snapshot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"
)

const partialName = "partial.jsonl"

// journal is the list of files an unfinished Take has copied: a head like the manifest's, then an entry a line, each
// written after its file is in place. Its lines are believed only after the local bytes were hashed again.
type journal struct {
	mu   sync.Mutex
	f    *os.File
	w    *bufio.Writer
	last time.Time
	err  error
}

// journalLine is an entry that is done, or one whose bytes were moved to before/.
type journalLine struct {
	Earlier *Entry `json:"earlier"`
}

// openJournal opens a new journal or goes on with one that is there: then done is called with the files it holds, and m gets the time when
// that Take began and the earlier states it found.
func openJournal(dst *os.Root, m *Manifest, done func(Entry) error) (j *journal, err error) {
	f, err := dst.OpenFile(partialName, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, local(err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	head, end, err := readJournal(f, done)
	if err != nil {
		return nil, err
	}
	if head != nil && (head.Root != m.Root || head.Address != m.Address) {
		return nil, fmt.Errorf("%w: %q", ErrOtherPartial, head.Root)
	}
	// What follows the last whole line is cut off.
	if err = f.Truncate(end); err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, local(err)
	}
	j = &journal{f: f, w: bufio.NewWriter(f), last: time.Now()}
	if head != nil {
		m.Taken = head.Taken
		for _, e := range head.Earlier {
			if info, err := dst.Lstat(path.Join(beforeDir, e.Local)); err == nil && info.Mode().IsRegular() && info.Size() == e.Size {
				m.Earlier = append(m.Earlier, e)
			}
		}
		return j, nil
	}
	line, err := json.Marshal(m.head())
	if err != nil {
		return nil, err
	}
	j.w.Write(append(line, '\n'))
	err = local(j.w.Flush())
	return j, err
}

// readJournal reads the whole lines of a journal and calls done with each file; end is where they end. A journal without a head counts
// as empty.
func readJournal(f io.Reader, done func(Entry) error) (head *Manifest, end int64, err error) {
	r := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
			return head, end, nil
		}
		if err != nil {
			return nil, 0, err
		}
		if head == nil {
			var h headJSON
			if json.Unmarshal(line, &h) != nil || h.Version != manifestVersion {
				return nil, 0, nil
			}
			m := h.manifest()
			head = &m
		} else {
			var before journalLine
			if json.Unmarshal(line, &before) == nil && before.Earlier != nil {
				head.Earlier = append(head.Earlier, *before.Earlier)
				end += int64(len(line))
				continue
			}
			var e Entry
			if json.Unmarshal(bytes.TrimSpace(line), &e) != nil {
				return head, end, nil
			}
			if err := done(e); err != nil {
				return nil, 0, err
			}
		}
		end += int64(len(line))
	}
}

// add notes that a file is in place.
func (j *journal) add(e *Entry) error { return j.line(appendRow(nil, e)) }

// addEarlier notes that a file's bytes were moved to before/.
func (j *journal) addEarlier(e *Entry) error { return j.line(json.Marshal(journalLine{e})) }

func (j *journal) line(line []byte, err error) error {
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.w.Write(line)
		j.err = j.w.WriteByte('\n')
	}
	if now := time.Now(); j.err == nil && now.Sub(j.last) > 500*time.Millisecond {
		j.last, j.err = now, j.w.Flush()
	}
	return local(j.err)
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = j.w.Flush()
	}
	return local(errors.Join(j.err, j.f.Close()))
}

// removeIfThere removes a local file or empty directory of the snapshot's own bookkeeping.
func removeIfThere(dst *os.Root, name string) error {
	if err := dst.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return local(err)
	}
	return nil
}
