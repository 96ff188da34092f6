package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"dovemend/repair/store"
)

// A manifest is one JSON object of this shape, so that it can be gone through line by line:
//
//	{"version":1,…,
//	"entries":[
//	{…},
//	{…}],
//	"earlier":[]}

// write writes the manifest with these entries, and gives its hash.
func (m *Manifest) write(w io.Writer, entries *cursor) (string, error) {
	sum := sha256.New()
	b := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)
	head, err := json.Marshal(m.head())
	if err != nil {
		return "", err
	}
	b.Write(head[:len(head)-1])
	var row []byte
	for _, list := range []struct {
		name    string
		entries *cursor
	}{{"entries", entries}, {"earlier", cursorOf(m.Earlier)}} {
		fmt.Fprintf(b, ",\n%q:[", list.name)
		end := "\n"
		for list.entries.next() {
			if row, err = appendRow(row[:0], list.entries.e); err != nil {
				return "", err
			}
			b.WriteString(end)
			b.Write(row)
			end = ",\n"
		}
		if err := list.entries.err; err != nil {
			return "", err
		}
		b.WriteByte(']')
	}
	b.WriteString("}\n")
	if err := b.Flush(); err != nil {
		return "", err
	}
	return hexSum(sum), nil
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// lines reads what write wrote.
type lines struct {
	in   *bufio.Reader
	long []byte
	last bool // the list has no more entries
}

// versionError: the manifest is of another version of dovemend.
type versionError int

func (v versionError) Error() string {
	return fmt.Sprintf("manifest of version %d, and this dovemend knows %d", int(v), manifestVersion)
}

var errManifest = errors.New("not a manifest of dovemend's")

// line gives the next line without its end, until the next call.
func (l *lines) line() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		switch {
		case err == bufio.ErrBufferFull:
			l.long = append(l.long, part...)
			continue
		case err != nil:
			return nil, noEOF(err)
		case len(l.long) > 0:
			l.long = append(l.long, part...)
			part = l.long
		}
		return part[:len(part)-1], nil
	}
}

// head reads all that comes before the entries.
func (l *lines) head() (m Manifest, err error) {
	line, err := l.line()
	if err != nil {
		return m, err
	}
	if !bytes.HasSuffix(line, []byte(`,`)) {
		return m, errManifest
	}
	head := append(slices.Clone(line[:len(line)-1]), '}')
	var h headJSON
	if err := json.Unmarshal(head, &h); err != nil {
		return m, err
	}
	if h.Version != manifestVersion {
		return m, versionError(h.Version)
	}
	return h.manifest(), nil
}

// list begins a list of entries.
func (l *lines) list(name, end string) error {
	line, err := l.line()
	if err != nil {
		return err
	}
	begun, ok := bytes.CutPrefix(line, []byte(`"`+name+`":[`))
	if l.last = string(begun) == end; !ok || len(begun) > 0 && !l.last {
		return errManifest
	}
	return nil
}

// entry reads the next entry of a list that ends so; io.EOF at its end.
func (l *lines) entry(end string, e *Entry) error {
	if l.last {
		return io.EOF
	}
	line, err := l.line()
	if err != nil {
		return err
	}
	row, last := bytes.CutSuffix(line, []byte(end))
	if l.last = last; !last {
		var ok bool
		if row, ok = bytes.CutSuffix(line, []byte(`,`)); !ok {
			return errManifest
		}
	}
	return readRow(row, e)
}

// How the two lists end. No row ends so: the last byte of one is that of an object.
const (
	entriesEnd = `],`
	earlierEnd = `]}`
)

// readManifest reads the whole of a manifest.
func readManifest(r io.Reader) (m Manifest, digest string, err error) {
	sum := sha256.New()
	l := &lines{in: bufio.NewReaderSize(io.TeeReader(r, sum), 1<<16)}
	if m, err = l.head(); err != nil {
		return m, "", err
	}
	for _, list := range []struct {
		name, end string
		entries   *[]Entry
	}{{"entries", entriesEnd, &m.Entries}, {"earlier", earlierEnd, &m.Earlier}} {
		err := l.list(list.name, list.end)
		for err == nil {
			var e Entry
			if err = l.entry(list.end, &e); err == nil {
				*list.entries = append(*list.entries, e)
			}
		}
		if err != io.EOF {
			return m, "", fmt.Errorf("manifest, %s: %w", list.name, err)
		}
	}
	if n, err := io.Copy(io.Discard, l.in); n > 0 || err != nil {
		return m, "", errors.Join(errManifest, err)
	}
	if !slices.IsSortedFunc(m.Entries, byPath) {
		slices.SortFunc(m.Entries, byPath)
	}
	return m, hexSum(sum), nil
}

// passManifest reads the head of a manifest and goes through its entries, which are read as they are asked for.
func passManifest(r io.Reader) (head Manifest, entries *cursor, err error) {
	l := &lines{in: bufio.NewReaderSize(r, 1<<16)}
	if head, err = l.head(); err != nil {
		return head, nil, err
	}
	if err := l.list("entries", entriesEnd); err != nil {
		return head, nil, fmt.Errorf("manifest, entries: %w", err)
	}
	last, i := store.RelPath(""), -1
	return head, &cursor{read: func() (int, *Entry, error) {
		i++
		var e Entry
		err := l.entry(entriesEnd, &e)
		if err == nil && e.Path <= last {
			err = errors.New("its entries are not in order")
		}
		last = e.Path
		return i, &e, err
	}}, nil
}
