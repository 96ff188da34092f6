// Package journal keeps a file of lines that are only ever added, each synced before what it announces is done. A line is a
// JSON object whose last member, sum, is the beginning of the SHA-256 of the sum before it and of the line up to the sum,
// as in the journal of package apply: so a torn line is seen, and so is one that was changed or taken away. What the lines
// say is the caller's business.
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

func chain(prev string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(prev))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))[:sumDigits]
}

// head is what every line begins with.
type head struct {
	N  int       `json:"n"` // from 1 on
	At time.Time `json:"at"`
}

// position is how far the good lines of a journal go.
type position struct {
	lines int
	sum   string
	bytes int64
}

// Read reads the named journal of a folder and hands its lines out in their order, each as it was given to [Writer.Add]
// with the members n, at and sum besides. One that is not there has no lines. What is behind the last good line is a torn
// write, on which nothing was built; but where more whole lines follow it, the journal is damaged: [ErrDamaged].
func Read(root *os.Root, name string, take func(line []byte) error) error {
	_, err := read(root, name, take)
	return err
}

func read(root *os.Root, name string, take func(line []byte) error) (p position, err error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF { // its end, or a torn line
			return p, nil
		}
		if err != nil {
			return p, fmt.Errorf("read journal: %w", err)
		}
		line = bytes.TrimSuffix(line, []byte{'\n'})
		sum, good := p.check(line)
		if !good {
			// Behind a torn line there can be what a file system fills up with, and nothing else.
			rest, err := io.ReadAll(io.LimitReader(in, mostFilling))
			if err != nil {
				return p, fmt.Errorf("read journal: %w", err)
			}
			if len(bytes.TrimRight(rest, "\x00")) > 0 {
				return p, fmt.Errorf("line %d: %w", p.lines+1, ErrDamaged)
			}
			return p, nil
		}
		if err := take(line); err != nil {
			return p, fmt.Errorf("line %d: %w: %w", p.lines+1, ErrDamaged, err)
		}
		p = position{p.lines + 1, sum, p.bytes + int64(len(line)) + 1}
	}
}

// check tells whether a line, without its end, can follow.
func (p position) check(line []byte) (sum string, good bool) {
	if len(line) < sumLen {
		return "", false
	}
	body, tail := line[:len(line)-sumLen], line[len(line)-sumLen:]
	sum = chain(p.sum, body)
	var h head
	return sum, string(tail) == sumOpening+sum+`"}` && json.Unmarshal(line, &h) == nil && h.N == p.lines+1
}

// Writer adds lines to a journal. After an error nothing more is written: what is in the file then is told by reading it.
type Writer struct {
	f     *os.File
	p     position
	err   error
	After func(lines int) error // for tests: once so many lines are written; an error is as one of writing
}

// Open reads a journal as [Read] does, and opens it for adding to; a torn end is cut off.
func Open(root *os.Root, name string, take func(line []byte) error) (*Writer, error) {
	p, err := read(root, name, take)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := f.Truncate(p.bytes); err != nil {
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
		line, sum, err := w.seal(v)
		if err != nil {
			return w.fail(err)
		}
		if _, err := w.f.Write(line); err != nil {
			return w.fail(err)
		}
		w.p = position{w.p.lines + 1, sum, w.p.bytes + int64(len(line))}
		if w.After != nil {
			if err := w.After(w.p.lines); err != nil {
				return w.fail(err)
			}
		}
	}
	return nil
}

// Sync brings what was written to the disk.
func (w *Writer) Sync() error { return w.Add() }

// seal makes the line that comes next.
func (w *Writer) seal(v any) (line []byte, sum string, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, "", err
	}
	body, err := json.Marshal(head{w.p.lines + 1, time.Now().UTC().Truncate(time.Millisecond)})
	if err != nil {
		return nil, "", err
	}
	body = body[:len(body)-1] // without the closing brace
	if b = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("{")), []byte("}")); len(b) > 0 {
		body = append(append(body, ','), b...)
	}
	sum = chain(w.p.sum, body)
	return append(body, sumOpening+sum+"\"}\n"...), sum, nil
}

func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("write journal: %w", err)
	return w.err
}

// Close closes the file.
func (w *Writer) Close() error { return w.f.Close() }
