package imap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	goimap "github.com/emersion/go-imap/v2"
)

// Limits of how APPEND is sent.
const (
	minusLiteral = 4096    // LITERAL- (RFC 7888): longer texts are announced, and the server is waited for
	askedLiteral = 8 << 20 // longer texts always are, so that a server can refuse them before they are on their way
	multiCount   = 32      // messages in one APPEND, where MULTIAPPEND (RFC 3502) is offered
	multiBytes   = 512 << 10
	dateTime     = "_2-Jan-2006 15:04:05 -0700"
)

// Letter is one message to be appended. Flags and keywords are sent as they are: [Selected.Allow] tells which the mailbox
// takes.
type Letter struct {
	Flags []string  // system flags and keywords
	Date  time.Time // becomes INTERNALDATE; zero leaves it to the server
	Size  int64     // bytes of the text

	// Open gives the text: exactly Size bytes, lines ending with CRLF, no NUL, which a literal cannot hold. It is called once for each time the
	// message is sent.
	Open func() (io.ReadCloser, error)
}

// Appended is what became of a [Letter].
type Appended struct {
	UIDValidity, UID uint32 // of the new message; 0 where the server does not tell (UIDPLUS, RFC 4315)
	Err              *Error // the server's refusal, or why it was not sent; nil where it was added
}

// Append adds messages to a mailbox, which need not be the selected one. They are sent one behind the other without waiting
// for answers where the server allows it (LITERAL+, LITERAL-), several in one command where it has MULTIAPPEND; a command of
// several that is refused adds none of them (RFC 3502), and each is sent again by itself.
//
// done is called once for each message whose fate is known, in the order of answers, never by two goroutines at a time. What an error
// leaves unknown, the server may or may not have added.
func (c *Client) Append(ctx context.Context, mailbox string, letters []Letter, done func(i int, a Appended)) error {
	caps := c.lib.Caps()
	a := &appending{c: c, mailbox: quote(encodeName(mailbox)), letters: letters, done: done,
		plus: caps.Has(goimap.CapLiteralPlus), minus: caps.Has(goimap.CapLiteralMinus), multi: caps.Has(goimap.CapMultiAppend)}
	return c.do(ctx, "APPEND", smallAnswer+perMessage*int64(len(letters)), func() error {
		t, stop := c.listen()
		defer stop()
		a.tap = t
		if err := a.pass(a.groups()); err != nil {
			return err
		}
		var single [][]int
		for _, g := range a.again {
			for _, i := range g {
				single = append(single, []int{i})
			}
		}
		return a.pass(single)
	})
}

// appending is one Append in progress.
type appending struct {
	c                  *Client
	tap                *tap
	mailbox            string
	letters            []Letter
	done               func(int, Appended)
	plus, minus, multi bool

	mu    sync.Mutex // one done at a time
	again [][]int    // commands of several messages that were refused
}

// groups says which messages are sent in one command.
func (a *appending) groups() (all [][]int) {
	var bytes int64
	for i, l := range a.letters {
		last := len(all) - 1
		if a.multi && last >= 0 && a.unasked(l.Size) && a.unasked(a.letters[i-1].Size) && len(all[last]) < multiCount && bytes+l.Size <= multiBytes {
			all[last] = append(all[last], i)
			bytes += l.Size
			continue
		}
		all, bytes = append(all, []int{i}), l.Size
	}
	return all
}

// unasked says whether a text of that size may be sent without waiting for the server.
func (a *appending) unasked(size int64) bool {
	return size <= askedLiteral && a.plus || size <= minusLiteral && a.minus
}

// sent is a command that waits for its answer.
type sent struct {
	tag   string
	group []int
}

// pass sends commands and takes their answers, both at one time.
func (a *appending) pass(groups [][]int) error {
	waiting := make(chan sent, len(groups)) // in the order they were begun
	goAhead := make(chan bool, 1)           // the server's word on an announced text: send it, or not
	failed := make(chan error, 1)           // how taking answers ended
	asked := make(chan string, 1)           // the tag of the command with the announced text
	go func() { failed <- a.answers(waiting, asked, goAhead) }()
	err := a.send(groups, waiting, asked, goAhead)
	close(waiting)
	if answered := <-failed; answered != nil && (err == nil || errors.Is(err, errHungUp)) {
		err = answered
	}
	return err
}

func (a *appending) send(groups [][]int, waiting chan<- sent, asked chan<- string, goAhead <-chan bool) error {
	out := bufio.NewWriterSize(a.c.w, 64<<10)
	for _, g := range groups {
		s := sent{tag: a.c.newTag(), group: g}
		if err := a.command(out, s, waiting, asked, goAhead); err != nil {
			return err
		}
	}
	if out.Flush() != nil {
		return errHungUp
	}
	return nil
}

// command sends one command. It is announced to the taker of answers when its first byte is on its way.
func (a *appending) command(out *bufio.Writer, s sent, waiting chan<- sent, asked chan<- string, goAhead <-chan bool) error {
	for n, i := range s.group {
		l := &a.letters[i]
		text, err := l.Open()
		if err != nil {
			if len(s.group) == 1 { // nothing of it is on its way
				a.tell(i, Appended{Err: &Error{Op: "APPEND", Type: TypeRefused, Text: "its text cannot be read", Err: err}})
				return nil
			}
			return a.broken(i, err)
		}
		if n == 0 {
			waiting <- s
			fmt.Fprintf(out, "%s APPEND %s", s.tag, a.mailbox)
		}
		if len(l.Flags) > 0 {
			fmt.Fprintf(out, " (%s)", strings.Join(l.Flags, " "))
		}
		if !l.Date.IsZero() {
			fmt.Fprintf(out, " \"%s\"", l.Date.Format(dateTime))
		}
		if a.unasked(l.Size) {
			fmt.Fprintf(out, " {%d+}\r\n", l.Size)
		} else {
			asked <- s.tag
			fmt.Fprintf(out, " {%d}\r\n", l.Size)
			if out.Flush() != nil {
				return errors.Join(errHungUp, text.Close())
			}
			select {
			case send := <-goAhead:
				if !send { // it was refused, and the command is over
					return text.Close()
				}
			case <-a.c.w.done:
				return errors.Join(errHungUp, text.Close())
			}
		}
		count, err := io.Copy(out, io.LimitReader(text, l.Size))
		if cerr := text.Close(); err == nil {
			err = cerr
		}
		var source *SourceError
		switch {
		case errors.As(err, &source):
			return a.broken(i, err)
		case err != nil:
			return errHungUp
		case count < l.Size:
			return a.broken(i, io.ErrUnexpectedEOF)
		}
	}
	if _, err := out.WriteString("\r\n"); err != nil {
		return errHungUp
	}
	return nil
}

// SourceError is an error of reading a message's text, not of the connection; what [Letter.Open] gives returns it.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "read the message: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// BrokenError: a message's text ended early while it was sent, so that the connection had to be given up: what is missing can be
// made up for by nothing.
type BrokenError struct {
	Index int // of the letter
	Err   error
}

func (e *BrokenError) Error() string {
	return "APPEND: the message's text ended early: " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

func (a *appending) broken(i int, err error) error {
	a.c.w.Close()
	return &Error{Op: "APPEND", Type: TypeClosed, Text: "a message's text ended early", Err: &BrokenError{Index: i, Err: err}}
}

// tell calls done, one at a time.
func (a *appending) tell(i int, r Appended) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done(i, r)
}

var appendUID = regexp.MustCompile(`(?i)\[APPENDUID ([0-9]{1,10}) ([0-9:,]+)\]`)

// answers takes the answers of all commands that come through waiting, in whatever order the server gives them.
func (a *appending) answers(waiting <-chan sent, asked <-chan string, goAhead chan<- bool) error {
	open := map[string][]int{}
	pending, more := "", true // the tag of the command whose text was announced
	for {
		for more && len(open) == 0 {
			s, ok := <-waiting
			if more = ok; ok {
				open[s.tag] = s.group
			}
		}
		if len(open) == 0 {
			return nil
		}
		r, err := a.tap.next(a.c.w)
		if err != nil {
			return err
		}
		// A command is in waiting before its first byte is sent, so what is answered is there.
		for drained := false; !drained; {
			select {
			case s, ok := <-waiting:
				if more = ok; ok {
					open[s.tag] = s.group
				} else {
					drained = true
				}
			case pending = <-asked:
			default:
				drained = true
			}
		}
		tag := r.tag()
		if tag == "+" && pending != "" {
			pending = ""
			goAhead <- true
		}
		group, ok := open[tag]
		if !ok {
			continue
		}
		delete(open, tag)
		a.answered(group, r)
		if tag == pending {
			pending = ""
			goAhead <- false
		}
	}
}

func (a *appending) answered(group []int, r answer) {
	if err := a.c.statusOf("APPEND", r); err != nil {
		if len(group) > 1 {
			a.again = append(a.again, group)
			return
		}
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Op: "APPEND", Type: TypeProtocol, Err: err}
		}
		a.tell(group[0], Appended{Err: e})
		return
	}
	validity, uids := appendedUIDs(r.text, len(group))
	for n, i := range group {
		one := Appended{}
		if uids != nil {
			one = Appended{UIDValidity: validity, UID: uids[n]}
		}
		a.tell(i, one)
	}
}

// appendedUIDs reads the response code APPENDUID; nil where it is not there, or not of so many messages.
func appendedUIDs(text []byte, count int) (validity uint32, uids []uint32) {
	m := appendUID.FindSubmatch(text)
	if m == nil {
		return 0, nil
	}
	v, err := strconv.ParseUint(string(m[1]), 10, 32)
	if err != nil {
		return 0, nil
	}
	for part := range bytes.SplitSeq(m[2], []byte(",")) {
		lo, hi, span := bytes.Cut(part, []byte(":"))
		first, err := strconv.ParseUint(string(lo), 10, 32)
		if err != nil || first == 0 {
			return 0, nil
		}
		last := first
		if span {
			if last, err = strconv.ParseUint(string(hi), 10, 32); err != nil || last < first {
				return 0, nil
			}
		}
		if last-first >= uint64(count) {
			return 0, nil
		}
		for u := first; u <= last; u++ {
			uids = append(uids, uint32(u))
		}
	}
	if len(uids) != count {
		return 0, nil
	}
	return uint32(v), uids
}

// quote makes a quoted string of a name that is plain ASCII.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
