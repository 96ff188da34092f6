package salvage

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"dovemend/repair/dovecot"
)

// mboxFields are the header fields in which mbox programs keep what is not part of a message; Dovecot hides the same.
var mboxFields = []string{"content-length", "status", "x-imap", "x-imapbase", "x-keywords", "x-status", "x-uid"}

var fromLine = regexp.MustCompile(`^From .*\b[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?\b.*\b[12][0-9]{3}\b`)

// isFromLine says whether a line begins a message of an mbox: "From SENDER DATE", as all programs write it. That a time and a
// year are in it tells it from a line of a text that was not quoted.
func isFromLine(line string) bool {
	return strings.HasPrefix(line, fromWord) && len(line) < 2000 && fromLine.MatchString(line)
}

// mbox hands out the messages of an mbox file. Lines that were quoted (">From ") lose one ">", as mboxrd has it; where a program
// quotes only "From " itself (mboxo) that is the same, but for texts that hold ">From " of their own. A message ends where an empty
// line and a From_ line follow.
func (r *Reader) mbox(name string) {
	f, err := openRegular(r.root, name)
	if err != nil {
		r.skip(name, plainError(err))
		return
	}
	defer f.Close()
	if _, ok := r.known[place{name, 0}]; !ok {
		if err := r.readEntries(sidecarOf(name), name); err != nil {
			r.skip(sidecarOf(name), plainError(err))
		}
	}
	x := &mboxScan{r: r, name: name, in: bufio.NewReaderSize(f, 64<<10), blank: true, blankSize: 0}
	if err := x.run(); err != nil && !errors.Is(err, errStopped) {
		r.skip(name, "cannot be read to its end: "+plainError(err))
	}
}

// mboxScan goes through an mbox file line by line; lines of any length.
type mboxScan struct {
	r    *Reader
	name string
	in   *bufio.Reader

	at        int64 // of the next line
	blank     bool  // the line before was empty
	blankSize int64 // and so many bytes long

	open   bool // within a message
	from   string
	begin  int64 // of its From_ line
	text   int64 // of its text
	header []byte
	inHead bool
}

func (x *mboxScan) run() error {
	lead := false // something stands before the first message
	for {
		line, err := x.in.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		first, start, size := line, x.at, int64(len(line))
		if x.blank && isFromLine(string(first[:min(len(first), 2000)])) {
			if !x.give(start - x.blankSize) {
				return errStopped
			}
			x.open, x.begin, x.from = true, start, strings.TrimRight(string(first), "\r\n")
			x.text, x.header, x.inHead = start+size, nil, true
		} else if x.open && x.inHead {
			x.header = append(x.header, line...)
			x.inHead = len(bytes.TrimRight(line, "\r\n")) > 0 && len(x.header) < maxHeader
		} else if !x.open && len(bytes.TrimSpace(line)) > 0 {
			lead = true
		}
		x.blank = err == nil && len(bytes.TrimRight(line, "\r\n")) == 0
		for err == bufio.ErrBufferFull {
			line, err = x.in.ReadSlice('\n')
			size += int64(len(line))
			x.blank = false
		}
		if x.blankSize = 0; x.blank {
			x.blankSize = size
		}
		x.at += size
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if x.r.over() {
			return errStopped
		}
	}
	if lead {
		x.r.skip(x.name, "what stands before its first message is none")
	}
	if !x.give(x.at - x.blankSize) {
		return errStopped
	}
	return nil
}

// give hands out the message that ends at an offset.
func (x *mboxScan) give(end int64) bool {
	if !x.open {
		return true
	}
	r, name, from, to := x.r, x.name, x.text, max(end, x.text)
	m := r.message(name, mboxName(name), x.begin)
	e := r.known[place{name, x.begin}]
	openEnd, hide := false, true
	if e != nil {
		e.tell(m)
		openEnd, hide = e.OpenEnd, false
		from += addedHeaders(x.header, m)
	} else {
		m.Received = fromTime(x.from)
		statusOf(m, x.header)
		if isFolderData(x.header) {
			return true
		}
	}
	m.Open = func() (io.ReadCloser, error) {
		s, err := r.section(name, from, to-from)
		if err != nil {
			return nil, err
		}
		return &unquoted{in: bufio.NewReaderSize(s, 32<<10), Closer: s, head: true, hide: hide, openEnd: openEnd, start: true}, nil
	}
	return r.give(m)
}

func mboxName(name string) string {
	base := path.Base(name)
	if base == "mbox" { // Apple Mail exports "Name.mbox/mbox"
		return folderName(path.Dir(name))
	}
	return folderName(path.Join(path.Dir(name), strings.TrimSuffix(strings.TrimSuffix(base, ".mbx"), ".mbox")))
}

// addedHeaders is how long the header fields are that [Write] has put on top of a message.
func addedHeaders(header []byte, m *Message) (n int64) {
	lines := statusHeaders(m)
	for _, want := range lines {
		line, rest, ok := bytes.Cut(header, []byte("\n"))
		if !ok || string(bytes.TrimRight(line, "\r")) != want {
			return 0
		}
		n += int64(len(line)) + 1
		header = rest
	}
	return n
}

// fromTime reads the date of a From_ line, in UTC where it tells no zone.
func fromTime(line string) time.Time {
	words := strings.Fields(line)
	for i := range words {
		rest := strings.Join(words[i:], " ")
		for _, form := range []string{"Mon Jan 2 15:04:05 2006", "Mon Jan 2 15:04:05 2006 -0700", "Mon Jan 2 15:04:05 -0700 2006", "Mon Jan 2 15:04:05 MST 2006", "Mon Jan 2 15:04 2006", "Mon, 2 Jan 2006 15:04:05 -0700"} {
			if t, err := time.Parse(form, rest); err == nil {
				return plausible(t)
			}
		}
	}
	return time.Time{}
}

// statusOf reads flags and keywords from the fields that mbox programs keep them in.
func statusOf(m *Message, header []byte) {
	letters := map[rune]dovecot.Flags{'R': dovecot.FlagSeen, 'A': dovecot.FlagAnswered, 'F': dovecot.FlagFlagged, 'T': dovecot.FlagDraft, 'D': dovecot.FlagDeleted}
	for name, value := range headerFields(header) {
		switch strings.ToLower(name) {
		case "status", "x-status":
			for _, c := range value {
				m.Flags |= letters[c]
			}
		case "x-keywords":
			for _, k := range strings.Fields(value) {
				if !slices.Contains(m.Keywords, k) {
					m.Keywords = append(m.Keywords, k)
				}
			}
		}
	}
}

// isFolderData tells the message that some programs put first into an mbox, for themselves.
func isFolderData(header []byte) bool {
	internal, subject := false, false
	for name, value := range headerFields(header) {
		internal = internal || strings.EqualFold(name, "X-IMAP") || strings.EqualFold(name, "X-IMAPbase")
		subject = subject || strings.EqualFold(name, "Subject") && strings.Contains(value, "FOLDER INTERNAL DATA")
	}
	return internal && subject
}

// unquoted gives a message's text as it was before it was put into an mbox.
type unquoted struct {
	in *bufio.Reader
	io.Closer
	head    bool // within the header
	hide    bool // leave mbox programs' own fields out
	openEnd bool // the last line end is the mbox's
	start   bool // at a line's beginning
	field   bool // the last field was left out
	rest    []byte
	held    bool // a line end that may be the last
	err     error
}

func (u *unquoted) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.more()
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// more takes the next piece of a line.
func (u *unquoted) more() {
	line, err := u.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		err = nil
	}
	u.err = err
	out := line
	whole := len(line) > 0 && line[len(line)-1] == '\n'
	if u.start && len(line) > 0 {
		out = u.begin(line)
	} else if u.head && u.field {
		out = nil
	}
	if len(line) > 0 {
		u.start = whole
	}
	if u.openEnd {
		out = u.hold(out)
	}
	u.rest = out
}

// begin looks at the beginning of a line.
func (u *unquoted) begin(line []byte) []byte {
	if i := len(line) - len(bytes.TrimLeft(line, ">")); i > 0 && bytes.HasPrefix(line[i:], []byte(fromWord)) {
		line = line[1:]
	}
	if !u.head {
		return line
	}
	switch {
	case len(bytes.TrimRight(line, "\r\n")) == 0:
		u.head, u.field = false, false
	case line[0] == ' ' || line[0] == '\t': // goes on with the field before
	case u.hide:
		name, _, ok := bytes.Cut(line, []byte(":"))
		u.field = ok && slices.Contains(mboxFields, strings.ToLower(string(name)))
	}
	if u.field {
		return nil
	}
	return line
}

// hold keeps the last line feed back until more comes.
func (u *unquoted) hold(out []byte) []byte {
	if len(out) == 0 {
		return out
	}
	b := make([]byte, 0, len(out)+1)
	if u.held {
		b = append(b, '\n')
	}
	if u.held = out[len(out)-1] == '\n'; u.held {
		out = out[:len(out)-1]
	}
	return append(b, out...)
}
