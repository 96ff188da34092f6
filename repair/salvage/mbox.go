package salvage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"dovemend/repair/pathtext"
)

// mboxFormat writes a file for each mailbox of each class, and beside it a sidecar with what is known of its messages. A file
// gets its name when all are written; one that is there already is compared, and replaced only if it is as we wrote it.
type mboxFormat struct {
	w       *writer
	opened  []*mboxFile       // the last one used last
	renamed map[string]string // files that got another name than was thought
	out     *bufio.Writer     // of the message that is being written
}

// maxOpen bounds how many files are open at once.
const maxOpen = 16

type mboxFile struct {
	temp, entries string // names
	f             *os.File
	w             *bufio.Writer
	size          int64 // of what was written to f and w
	count         int
	lines         *os.File
	linesW        *bufio.Writer
	enc           *json.Encoder // to linesW
}

// sized counts what passes to a buffered writer.
type sized struct {
	w    io.Writer
	size *int64
}

func (s sized) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	*s.size += int64(n)
	return n, err
}

func (x *mboxFormat) start() error { return nil }

func (x *mboxFormat) path(top, mailbox string, try int) string {
	return treePath(top, mailbox, try) + ".mbox"
}
func (x *mboxFormat) make(f *Folder) error { return x.w.mkdirAll(path.Dir(f.Path)) }

func (x *mboxFormat) open(f *Folder) error {
	if err := x.make(f); err != nil {
		return err
	}
	st := &mboxFile{}
	f.state = st
	for _, name := range []*string{&st.temp, &st.entries} {
		file, temp, err := x.w.staging.create()
		if err != nil {
			return err
		}
		*name = temp
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

// use opens a mailbox's files, and closes others where too many are open.
func (x *mboxFormat) use(f *Folder) (*mboxFile, error) {
	st := f.state.(*mboxFile)
	if i := slices.Index(x.opened, st); i >= 0 {
		x.opened = append(slices.Delete(x.opened, i, i+1), st)
		return st, nil
	}
	if len(x.opened) >= maxOpen {
		if err := x.opened[0].close(); err != nil {
			return nil, err
		}
		x.opened = slices.Delete(x.opened, 0, 1)
	}
	var err error
	if st.f, err = x.w.root.OpenFile(st.temp, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, err
	}
	if st.lines, err = x.w.root.OpenFile(st.entries, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, errors.Join(err, st.f.Close())
	}
	st.w, st.linesW = bufio.NewWriterSize(st.f, 64<<10), bufio.NewWriter(st.lines)
	st.enc = jsonLines(st.linesW)
	x.opened = append(x.opened, st)
	return st, nil
}

func (st *mboxFile) close() error {
	return errors.Join(st.w.Flush(), st.linesW.Flush(), st.f.Close(), st.lines.Close())
}

func (x *mboxFormat) put(m *Message) (*Entry, error) {
	e := entryOf(m)
	for {
		f, err := x.w.folders.get(e.Class, m.Mailbox)
		if err != nil {
			return nil, err
		}
		st, err := x.use(f)
		if err != nil {
			return nil, err
		}
		class, start := e.Class, st.size
		x.out.Reset(sized{st.w, &st.size})
		out := &mboxMessage{m: m, headers: x.w.o.Headers, quoted: mboxrd{w: x.out}}
		t, err := copyText(x.w.ctx, m, out, x.w.buf)
		if err != nil {
			return nil, err
		}
		if e.read(t); e.unreadable() || e.Class != class { // it does not belong here
			if err := st.truncate(start); err != nil {
				return nil, err
			}
			if e.unreadable() {
				return e, nil
			}
			continue
		}
		if err := errors.Join(out.end(t.openEnd), out.quoted.w.Flush()); err != nil {
			return nil, err
		}
		e.File, e.Offset = f.Path, &start
		st.count++
		return e, st.enc.Encode(e)
	}
}

// truncate takes back what was written from an offset on.
func (st *mboxFile) truncate(to int64) error {
	err := st.w.Flush()
	st.size = to
	return errors.Join(err, st.f.Truncate(to))
}

func (x *mboxFormat) finish() error {
	for _, st := range x.opened {
		if err := st.close(); err != nil {
			return err
		}
	}
	x.opened = nil
	for _, f := range x.w.folders.order {
		if err := x.finishFile(f); err != nil {
			return err
		}
	}
	return nil
}

// finishFile gives a file its name.
func (x *mboxFormat) finishFile(f *Folder) error {
	w, st := x.w, f.state.(*mboxFile)
	if st.count == 0 {
		return errors.Join(w.staging.drop(st.temp), w.staging.drop(st.entries))
	}
	sum, _, err := w.hashOf(st.temp)
	if err != nil {
		return err
	}
	planned := f.Path
	for try := 1; ; try++ {
		if try > 1 {
			f.Path = fmt.Sprintf("%s~%d.mbox", strings.TrimSuffix(planned, ".mbox"), try)
		}
		there, sideOurs, err := x.look(f.Path, sum)
		if err != nil {
			return err
		}
		if there == foreign {
			w.foreign(f.Path)
			continue
		}
		if f.Path != planned {
			x.renamed[planned] = f.Path
		}
		if there == equal {
			w.sum.Kept += st.count
			err = w.staging.drop(st.temp)
		} else {
			w.sum.Written += st.count
			err = w.staging.add(move{temp: st.temp, final: f.Path, replace: there == older}, st.size)
		}
		if err != nil {
			return err
		}
		return x.sidecar(f, st, sum, sideOurs)
	}
}

// look compares what stands under a file's name, and that of its sidecar, with what is to stand there.
func (x *mboxFormat) look(name, sum string) (there presence, sideOurs bool, err error) {
	w := x.w
	var h head
	if side := sidecarOf(name); w.exists(side) {
		file, err := openRegular(w.root, side)
		if err != nil {
			return foreign, false, nil
		}
		h, err = readHead(file)
		file.Close()
		if err != nil || h.Writer != writerName {
			return foreign, false, nil
		}
		sideOurs = true
	}
	is, other, err := w.hashOf(name)
	switch {
	case err != nil:
		return 0, false, err
	case other:
		return foreign, false, nil
	case is == "":
		return nothing, sideOurs, nil
	case is == sum:
		return equal, sideOurs, nil
	case sideOurs && h.SHA256 == is:
		return older, sideOurs, nil
	}
	return foreign, false, nil
}

// sidecar writes what is known of a file's messages: a JSON document, put together without holding it in memory.
func (x *mboxFormat) sidecar(f *Folder, st *mboxFile, sum string, ours bool) error {
	head, err := jsonLine(struct {
		Writer  string        `json:"writer"`
		SHA256  string        `json:"sha256"` // of the mbox file
		Mailbox pathtext.Path `json:"mailbox"`
		Class   Class         `json:"class"`
		Count   int           `json:"count"`
	}{writerName, sum, f.Mailbox, f.Class, st.count})
	if err != nil {
		return err
	}
	return x.w.document(head, st.entries, x.renamed, sidecarOf(f.Path), ours)
}

// document writes a JSON object with some fields and, as its last one, the messages whose entries stand in a staged file,
// which it drops. Where the same document is there already, nothing is written.
func (w *writer) document(fields []byte, entries string, renamed map[string]string, final string, replace bool) error {
	in, err := openRegular(w.root, entries)
	if err != nil {
		return err
	}
	defer in.Close()
	f, temp, err := w.staging.create()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 64<<10)
	out.Write(bytes.TrimSuffix(fields, []byte("}\n")))
	out.WriteString(`,"messages":[`)
	lines := bufio.NewReaderSize(in, 64<<10)
	for sep := "\n"; ; sep = ",\n" {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 {
			break
		}
		if err == nil && len(renamed) > 0 {
			line, err = rename(line, renamed)
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		out.WriteString(sep)
		out.Write(bytes.TrimSuffix(line, []byte("\n")))
	}
	out.WriteString("\n]}\n")
	size, err := int64(0), out.Flush()
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err := errors.Join(err, f.Close(), w.staging.drop(entries)); err != nil {
		return err
	}
	sum, _, err := w.hashOf(temp)
	if err != nil {
		return err
	}
	if is, _, err := w.hashOf(final); err != nil || is == sum {
		return errors.Join(err, w.staging.drop(temp))
	}
	return w.staging.add(move{temp: temp, final: final, replace: replace}, size)
}

// rename puts another file name into an entry.
func rename(line []byte, renamed map[string]string) ([]byte, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, err
	}
	if to := renamed[e.File]; to != "" {
		e.File = to
	}
	return jsonLine(e)
}
