package salvage

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"dovemend/repair/dovecot"
)

// maxHeader is how much of a message is looked at for its Return-Path.
const maxHeader = 64 << 10

// mboxrd quotes lines that an mbox reader would take for the beginning of a message: one ">" more before "From ", however
// many stand there already. Taking one away gives the text back.
type mboxrd struct {
	w       *bufio.Writer
	inLine  bool // behind the ">"s that a line may begin with
	matched int  // how much of "From " was seen at its beginning and not yet written
}

const fromWord = "From "

func (q *mboxrd) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if q.inLine {
			end := bytes.IndexByte(b, '\n') + 1
			q.inLine = end == 0
			if end == 0 {
				end = len(b)
			}
			q.w.Write(b[:end])
			b = b[end:]
			continue
		}
		switch c := b[0]; {
		case c == '>' && q.matched == 0:
			q.w.WriteByte(c)
		case c == fromWord[q.matched]:
			if q.matched++; q.matched == len(fromWord) {
				q.w.WriteByte('>') // behind the others is as good as before them
				q.flush()
			}
		default:
			q.flush()
			continue
		}
		b = b[1:]
	}
	return n, q.err()
}

func (q *mboxrd) flush() {
	q.w.WriteString(fromWord[:q.matched])
	q.matched, q.inLine = 0, true
}

func (q *mboxrd) err() error { _, err := q.w.Write(nil); return err }

// mboxMessage writes one message: From_ line, headers if they are asked for, quoted text. It looks at the text's header first.
type mboxMessage struct {
	m       *Message
	headers bool
	quoted  mboxrd
	head    []byte
	started bool
}

func (x *mboxMessage) Write(b []byte) (int, error) {
	if x.started {
		return x.quoted.Write(b)
	}
	x.head = append(x.head, b...)
	if len(x.head) < maxHeader && !bytes.Contains(x.head, []byte("\n\n")) && !bytes.Contains(x.head, []byte("\n\r\n")) {
		return len(b), nil
	}
	return len(b), x.start()
}

func (x *mboxMessage) start() error {
	x.started = true
	w := x.quoted.w
	when := x.m.Received
	if when.IsZero() {
		when = x.m.Saved
	}
	if when.IsZero() {
		when = time.Unix(0, 0)
	}
	fmt.Fprintf(w, "From %s %s\n", sender(x.head), when.UTC().Format(time.ANSIC))
	if x.headers {
		end := "\n"
		if i := bytes.IndexByte(x.head, '\n'); i > 0 && x.head[i-1] == '\r' {
			end = "\r\n"
		}
		for _, line := range statusHeaders(x.m) {
			io.WriteString(w, line+end)
		}
	}
	_, err := x.quoted.Write(x.head)
	x.head = nil
	return err
}

// end writes what stands behind the text: its last line's end where it has none, and an empty line.
func (x *mboxMessage) end(openEnd bool) error {
	if !x.started {
		if err := x.start(); err != nil {
			return err
		}
	}
	if !x.quoted.inLine {
		x.quoted.flush()
	}
	if openEnd {
		x.quoted.w.WriteByte('\n')
	}
	x.quoted.w.WriteByte('\n')
	return x.quoted.err()
}

// sender is the envelope's, as the header's Return-Path has it.
func sender(header []byte) string {
	for line := range bytes.Lines(header) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !strings.EqualFold(string(bytes.TrimSpace(name)), "Return-Path") {
			continue
		}
		address := strings.Trim(strings.TrimSpace(string(value)), "<>")
		if address == "" || len(address) > 320 || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' }) {
			break
		}
		return address
	}
	return "MAILER-DAEMON"
}

// statusHeaders are the headers in which mbox programs keep flags and keywords. "RO" and "O" say that the message is not new.
func statusHeaders(m *Message) []string {
	status := "O"
	if m.Flags&dovecot.FlagSeen != 0 {
		status = "RO"
	}
	out := []string{"Status: " + status}
	more := ""
	for _, f := range []struct {
		flag   dovecot.Flags
		letter string
	}{{dovecot.FlagAnswered, "A"}, {dovecot.FlagFlagged, "F"}, {dovecot.FlagDraft, "T"}, {dovecot.FlagDeleted, "D"}} {
		if m.Flags&f.flag != 0 {
			more += f.letter
		}
	}
	if more != "" {
		out = append(out, "X-Status: "+more)
	}
	var keywords []string
	for _, k := range m.Keywords {
		if k != "" && !strings.ContainsFunc(k, func(r rune) bool { return r <= ' ' || r > '~' }) {
			keywords = append(keywords, k)
		}
	}
	if len(keywords) > 0 {
		out = append(out, "X-Keywords: "+strings.Join(keywords, " "))
	}
	return out
}
