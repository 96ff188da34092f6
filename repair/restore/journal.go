package restore

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// ErrJournal: the journal is damaged elsewhere than at its very end.
var ErrJournal = errors.New("journal cannot be trusted")

// record is one line of the journal: a JSON object whose last member, sum, is the beginning of the SHA-256 of the sum before it and of
// the line up to the sum, so that a torn line is seen, and one that was changed or taken away.
type record struct {
	N           int       `json:"n"` // from 1 on
	Kind        string    `json:"kind"`
	At          time.Time `json:"at"`
	Mailbox     string    `json:"mailbox,omitempty"`
	UIDValidity uint32    `json:"uidvalidity,omitempty"`
	UIDNext     uint32    `json:"uidnext,omitempty"`
	ID          string    `json:"id,omitempty"`
	File        string    `json:"file,omitempty"`
	Offset      int64     `json:"offset,omitempty"`
	SHA256      string    `json:"sha256,omitempty"`
	Size        int64     `json:"size,omitempty"`
	UID         uint32    `json:"uid,omitempty"`
	Why         string    `json:"why,omitempty"` // untrusted
	Own         bool      `json:"own,omitempty"` // refused: for what the message is, so that trying again is of no use
}

// The kinds of line.
const (
	kindBegin   = "begin"   // the mailbox as it was before the first message
	kindResume  = "resume"  // the run is taken up again
	kindIntent  = "intent"  // a message is about to be sent
	kindDone    = "done"    // the server has added it
	kindVoid    = "void"    // it was looked for after a hang-up and is not there: it was not added
	kindRefused = "refused" // the server has not added it, and said so
	kindRemove  = "remove"  // it is about to be taken out again
	kindRemoved = "removed" // it is out
	kindLooked  = "looked"  // what was added so far was looked at
	kindEnd     = "end"     // all messages have their fate
)

const sumDigits = 32

// journal is the file, open for appending.
type journal struct {
	f   *os.File
	n   int
	sum string
	cut func(n int) error // tests: called when line n is on the disk
}

// state is what a journal tells.
type state struct {
	Mailbox     string // as the server names it
	UIDValidity uint32
	UIDNext     uint32            // before the first message
	Known       map[string]record // by ID: the last line about each message
	Sent        map[string]record // by ID: its intent
	Fresh       map[string]bool   // by ID: added, and not yet looked at
	Ended       bool

	lines int
	sum   string
	good  int64
}

// readJournal reads lines as far as they are good. A torn end is no damage: what was not synced was not acted upon.
func readJournal(root *os.Root, name string) (state, error) {
	s := state{Known: map[string]record{}, Sent: map[string]record{}, Fresh: map[string]bool{}}
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return s, fmt.Errorf("read journal: %w", err)
		}
		rec, sum, ok := unseal(s.sum, s.lines+1, bytes.TrimSuffix(line, []byte{'\n'}))
		if err == io.EOF || !ok {
			rest, _ := io.ReadAll(io.LimitReader(in, 1<<20))
			if len(bytes.TrimRight(rest, "\x00")) > 0 {
				return s, fmt.Errorf("read journal: line %d: %w", s.lines+1, ErrJournal)
			}
			return s, nil
		}
		s.take(rec)
		s.lines, s.sum, s.good = s.lines+1, sum, s.good+int64(len(line))
	}
}

func (s *state) take(rec record) {
	switch rec.Kind {
	case kindBegin:
		s.Mailbox, s.UIDValidity, s.UIDNext = rec.Mailbox, rec.UIDValidity, rec.UIDNext
	case kindResume:
		s.Ended = false
	case kindEnd:
		s.Ended = true
	case kindIntent:
		s.Sent[rec.ID] = rec
		s.Known[rec.ID] = rec
	case kindLooked:
		clear(s.Fresh)
	case kindDone:
		s.Fresh[rec.ID] = true
		s.Known[rec.ID] = rec
	default:
		s.Known[rec.ID] = rec
	}
}

// open are the messages of which it is not known whether the server has them.
func (s *state) open() (list []record) {
	for _, rec := range s.Known {
		if rec.Kind == kindIntent {
			list = append(list, rec)
		}
	}
	return list
}

// added are the messages that the run has added and not removed.
func (s *state) added() (list []record) {
	for id, rec := range s.Known {
		if rec.Kind == kindDone || rec.Kind == kindRemove {
			rec.SHA256, rec.Size = s.Sent[id].SHA256, s.Sent[id].Size
			list = append(list, rec)
		}
	}
	return list
}

// openJournal goes on behind the last good line.
func openJournal(root *os.Root, name string, s state) (*journal, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write journal: %w", err)
	}
	err = f.Truncate(s.good)
	if _, serr := f.Seek(s.good, io.SeekStart); err == nil {
		err = serr
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write journal: %w", err), f.Close())
	}
	return &journal{f: f, n: s.lines, sum: s.sum}, nil
}

// write writes lines; they are on the disk after sync.
func (j *journal) write(recs ...record) error {
	var b bytes.Buffer
	var cut error
	for _, rec := range recs {
		rec.N, rec.At = j.n+1, time.Now().UTC()
		line, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		line = line[:len(line)-1]
		j.sum = chain(j.sum, line)
		b.Write(line)
		b.WriteString(`,"sum":"` + j.sum + "\"}\n")
		j.n++
		if j.cut != nil {
			if cut = j.cut(j.n); cut != nil {
				break
			}
		}
	}
	if _, err := j.f.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return cut
}

// sync writes lines and brings all to the disk.
func (j *journal) sync(recs ...record) error {
	if err := j.write(recs...); err != nil {
		return err
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

func (j *journal) close() error { return j.f.Close() }

func chain(prev string, body []byte) string {
	h := sha256.New()
	io.WriteString(h, prev)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))[:sumDigits]
}

// unseal reads one line, without its end.
func unseal(prev string, n int, line []byte) (rec record, sum string, ok bool) {
	tail := len(`,"sum":""}`) + sumDigits
	if len(line) < tail {
		return record{}, "", false
	}
	body := line[:len(line)-tail]
	sum = chain(prev, body)
	if string(line[len(body):]) != `,"sum":"`+sum+`"}` || json.Unmarshal(line, &rec) != nil || rec.N != n {
		return record{}, "", false
	}
	return rec, sum, true
}

// Begun reports whether a run's journal tells of a message that was sent.
func Begun(root *os.Root, name string) (bool, error) {
	s, err := readJournal(root, name)
	return len(s.Sent) > 0, err
}
