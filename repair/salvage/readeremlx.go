package salvage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"dovemend/repair/dovecot"
)

// maxPlist bounds what is read behind an .emlx's message, in bytes. Apple Mail writes some hundred.
const maxPlist = 1 << 20

// The bits of an .emlx's flags that a mail server has a flag or keyword for.
var (
	emlxFlags = map[int]dovecot.Flags{0: dovecot.FlagSeen, 2: dovecot.FlagAnswered, 4: dovecot.FlagFlagged, 6: dovecot.FlagDraft}
	emlxWords = []struct {
		bit  int
		word string
	}{{8, "$Forwarded"}, {24, "$Junk"}, {25, "$NotJunk"}}
)

// emlxDeleted is the bit of a message that somebody deleted in Apple Mail, and that was not yet removed for good.
const emlxDeleted = 1

// emlx hands out a message of Apple Mail: a line with its length in bytes, the message, and a property list with flags and
// the date of receipt. In a .partial.emlx attachments are left out, which Apple Mail keeps as files of their own.
func (r *Reader) emlx(name string) {
	m := r.message(name, appleMailbox(name), -1)
	start, size, end, err := r.emlxFrame(name)
	if err != nil {
		m.Open = func() (io.ReadCloser, error) { return nil, err }
		m.lacks("it is not framed as an .emlx is: " + plainError(err))
		r.give(m)
		return
	}
	cut := start+size > end
	m.Open = func() (io.ReadCloser, error) { return r.section(name, start, min(size, end-start)) }
	if cut {
		m.lacks(fmt.Sprintf("its end is missing: %d of %d bytes are there", end-start, size))
	} else {
		r.emlxProperties(m, name, start+size)
	}
	if m.Received.IsZero() {
		m.Received = r.headerTime(m)
	}
	if m.Received.IsZero() {
		m.Received = r.modified(name)
	}
	if strings.HasSuffix(strings.ToLower(name), ".partial.emlx") {
		m.lacks("this is only a part of the message: Apple Mail keeps its attachments elsewhere, or on the server")
	}
	r.give(m)
}

// emlxFrame reads the first line: where the message begins, how long it is, and where the file ends.
func (r *Reader) emlxFrame(name string) (start, size, end int64, err error) {
	f, err := openRegular(r.root, name)
	if err != nil {
		return 0, 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, 0, err
	}
	line, err := bufio.NewReaderSize(io.LimitReader(f, 64), 64).ReadSlice('\n')
	if err != nil {
		return 0, 0, 0, errors.New("its first line is not the message's length")
	}
	size, err = strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	if err != nil || size < 0 {
		return 0, 0, 0, errors.New("its first line is not the message's length")
	}
	if size > 1<<50 {
		return 0, 0, 0, errors.New("its first line tells an absurd length")
	}
	return int64(len(line)), size, info.Size(), nil
}

// emlxProperties reads what stands behind the message.
func (r *Reader) emlxProperties(m *Message, name string, at int64) {
	f, err := r.section(name, at, -1)
	if err != nil {
		return
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPlist))
	if err != nil {
		return
	}
	p, err := parsePlist(b)
	if err != nil {
		m.Notes = append(m.Notes, "its flags and date of receipt cannot be read: "+err.Error())
		return
	}
	if flags, ok := p.number("flags"); ok {
		bits := uint64(int64(flags))
		for bit, f := range emlxFlags {
			if bits&(1<<bit) != 0 {
				m.Flags |= f
			}
		}
		for _, w := range emlxWords {
			if bits&(1<<w.bit) != 0 {
				m.Keywords = append(m.Keywords, w.word)
			}
		}
		if bits&(1<<emlxDeleted) != 0 {
			m.Class, m.Notes = Expunged, append(m.Notes, "it was deleted in Apple Mail")
		}
	}
	if seconds, ok := p.number("date-received"); ok && seconds > 0 && seconds < 1e11 {
		m.Received = plausible(time.Unix(int64(seconds), 0))
	}
}

// appleMailbox is what the path of a message in Apple Mail's store tells: ".../INBOX.mbox/…/Messages/1.emlx", and levels
// as "Work.mbox/Done.mbox".
func appleMailbox(name string) string {
	var levels []string
	for part := range strings.SplitSeq(path.Dir(name), "/") {
		if level, ok := strings.CutSuffix(part, ".mbox"); ok {
			levels = append(levels, level)
		}
	}
	if len(levels) == 0 {
		return folderName(path.Dir(name))
	}
	return strings.Join(levels, "/")
}
