// Package journal keeps a file of lines that are only ever added, each synced before what it announces is done. A line is a
// JSON object whose last member, sum, is the beginning of the SHA-256 of the sum before it and of the line up to the sum:
// so a torn line is seen, and so is one that was changed or taken away. What the lines say is the caller's business.
package journal

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

// ErrDamaged: the journal is damaged elsewhere than at its very end.
var ErrDamaged = errors.New("journal cannot be trusted")

// mostFilling is how much is read behind a torn line, in bytes.
const mostFilling = 1 << 20

const (
	sumDigits  = 32
	sumOpening = `,"sum":"`
	sumLen     = len(sumOpening) + sumDigits + len(`"}`)
)

// head is what every line begins with.
type head struct {
	N  int       `json:"n"` // from 1 on
	At time.Time `json:"at"`
}

// Position is a place in a journal, behind a good line, from which the next follows. The zero value is its beginning.
type Position struct {
	Lines int   // how many came before
	Bytes int64 // their length
	sum   string
}

func (p Position) chain(body []byte) string {
	h := sha256.New()
	h.Write([]byte(p.sum))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))[:sumDigits]
}

// after is the position behind a line of so many bytes, its end counted.
func (p Position) after(bytes int, sum string) Position {
	return Position{p.Lines + 1, p.Bytes + int64(bytes), sum}
}

// Check tells whether a line, without its end, can follow, and the position behind it.
func (p Position) Check(line []byte) (next Position, good bool) {
	if len(line) < sumLen {
		return p, false
	}
	body, tail := line[:len(line)-sumLen], line[len(line)-sumLen:]
	sum := p.chain(body)
	var h head
	if string(tail) != sumOpening+sum+`"}` || json.Unmarshal(line, &h) != nil || h.N != p.Lines+1 {
		return p, false
	}
	return p.after(len(line)+1, sum), true
}

// Seal makes the line that comes next, with its end, of a JSON object that has no members n, at and sum.
func (p Position) Seal(v any, at time.Time) (line []byte, next Position, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, p, err
	}
	body, err := json.Marshal(head{p.Lines + 1, at.UTC().Truncate(time.Millisecond)})
	if err != nil {
		return nil, p, err
	}
	body = body[:len(body)-1] // without the closing brace
	if b = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("{")), []byte("}")); len(b) > 0 {
		body = append(append(body, ','), b...)
	}
	sum := p.chain(body)
	line = append(body, sumOpening+sum+"\"}\n"...)
	return line, p.after(len(line), sum), nil
}

// Read reads the named journal of a folder and hands its lines out in their order, each as it was given to [Writer.Add]
// with the members n, at and sum besides. One that is not there has no lines. What is behind the last good line is a torn
// write, on which nothing was built; but where more whole lines follow it, or take gives an error, the journal is damaged:
// [ErrDamaged]. end is behind the last good line that take took.
func Read(root *os.Root, name string, take func(line []byte) error) (end Position, err error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return end, nil
	}
	if err != nil {
		return end, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	return ReadFrom(f, take)
}

// ReadFrom is Read for a journal that is open.
func ReadFrom(r io.Reader, take func(line []byte) error) (end Position, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF { // its end, or a torn line
			return end, nil
		}
		if err != nil {
			return end, fmt.Errorf("read journal: %w", err)
		}
		line = bytes.TrimSuffix(line, []byte{'\n'})
		next, good := end.Check(line)
		if !good {
			// Behind a torn line there can be what a file system fills up with, and nothing else.
			rest, err := io.ReadAll(io.LimitReader(in, mostFilling))
			if err != nil {
				return end, fmt.Errorf("read journal: %w", err)
			}
			if len(bytes.TrimRight(rest, "\x00")) > 0 {
				return end, fmt.Errorf("line %d: %w", end.Lines+1, ErrDamaged)
			}
			return end, nil
		}
		if err := take(line); err != nil {
			return end, fmt.Errorf("line %d: %w: %w", end.Lines+1, ErrDamaged, err)
		}
		end = next
	}
}

// Writer adds lines to a journal. After an error nothing more is written: what is in the file then is told by reading it.
type Writer struct {
	f     *os.File
	p     Position
	err   error
	After func(lines int) error // for tests: once so many lines are written; an error is as one of writing
}

// Open reads a journal as [Read] does, and opens it for adding to; a torn end is cut off.
func Open(root *os.Root, name string, take func(line []byte) error) (*Writer, error) {
	p, err := Read(root, name, take)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := f.Truncate(p.Bytes); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), f.Close())
	}
	return &Writer{f: f, p: p}, nil
}

// Add adds lines, each a JSON object, and syncs them. When it returns nil they will be there whatever happens.
func (w *Writer) Add(lines ...any) error {
	if err := w.Write(lines...); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return w.fail(err)
	}
	return nil
}

// Write is Add without the sync, which a later Add or Sync makes up for: for what has happened, and can be found out again.
func (w *Writer) Write(lines ...any) error {
	if w.err != nil {
		return w.err
	}
	for _, v := range lines {
		line, next, err := w.p.Seal(v, time.Now())
		if err != nil {
			return w.fail(err)
		}
		if _, err := w.f.Write(line); err != nil {
			return w.fail(err)
		}
		w.p = next
		if w.After != nil {
			if err := w.After(w.p.Lines); err != nil {
				return w.fail(err)
			}
		}
	}
	return nil
}

// Sync brings what was written to the disk.
func (w *Writer) Sync() error { return w.Add() }

func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("write journal: %w", err)
	return w.err
}

// Close closes the file.
func (w *Writer) Close() error { return w.f.Close() }
