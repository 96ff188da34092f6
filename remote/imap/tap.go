package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// keptLiteral bounds what is kept of one literal of a response that the tap reads, in bytes.
const keptLiteral = 64 << 10

// keptAnswer bounds what is kept of all literals of one response, in bytes.
const keptAnswer = 256 << 10

// errHungUp stands for the end of the connection until [Client.failure] finds out why.
var errHungUp = errors.New("the connection ended")

// answer is one response as the server sent it: its text with each literal's place left empty behind "{n}", and the literals
// (of each at most keptLiteral bytes).
type answer struct {
	text     []byte
	literals [][]byte
}

// tagged gives the tag of a tagged response, "+" for a continuation, "*" for any other.
func (a answer) tag() string {
	tag, _, _ := bytes.Cut(a.text, []byte(" "))
	return string(bytes.TrimRight(tag, "\r\n"))
}

// tap takes the server's responses instead of the library, for commands that the library cannot send: several APPENDs at
// one time, items of FETCH that it does not know. It reads from the next response on; the scanner's limits hold as ever.
type tap struct {
	out    chan answer
	gone   chan struct{} // closed when nobody listens any more
	active bool
	cur    answer
	kept   int // bytes of its literals
}

// take follows one piece of a response; end says that the response is over with it.
func (t *tap) take(b []byte, literal, end bool, done <-chan struct{}) {
	if literal {
		last := len(t.cur.literals) - 1
		if room := min(keptLiteral-len(t.cur.literals[last]), keptAnswer-t.kept); room > 0 {
			b = b[:min(room, len(b))]
			t.cur.literals[last] = append(t.cur.literals[last], b...)
			t.kept += len(b)
		}
		return
	}
	t.cur.text = append(t.cur.text, b...)
	if !end {
		if b[len(b)-1] == '\n' {
			t.cur.literals = append(t.cur.literals, nil)
		}
		return
	}
	select {
	case t.out <- t.cur:
	case <-t.gone:
	case <-done:
	}
	t.cur, t.kept = answer{}, 0
}

// listen lets a tap read until the returned function is called, which must be between responses.
func (c *Client) listen() (t *tap, stop func()) {
	t = &tap{out: make(chan answer, 64), gone: make(chan struct{})}
	c.w.mu.Lock()
	c.w.tap = t
	c.w.mu.Unlock()
	return t, func() {
		c.w.mu.Lock()
		c.w.tap = nil
		c.w.mu.Unlock()
		close(t.gone)
	}
}

// next waits for the next response.
func (t *tap) next(w *wire) (answer, error) {
	select {
	case a := <-t.out:
		return a, nil
	default:
	}
	select {
	case a := <-t.out:
		return a, nil
	case <-w.done:
		select { // what came before the end counts
		case a := <-t.out:
			return a, nil
		default:
			return answer{}, errHungUp
		}
	}
}

// newTag gives a tag that the library does not use.
func (c *Client) newTag() string {
	c.tags++
	return fmt.Sprintf("dm%d", c.tags)
}

// raw sends one command line, without tag and line end, and calls each for every untagged response.
func (c *Client) raw(ctx context.Context, op string, budget int64, command string, each func(answer) error, want ...string) error {
	var own error
	err := c.do(ctx, op, budget, func() error {
		t, stop := c.listen()
		defer stop()
		tag := c.newTag()
		if _, err := c.w.Write([]byte(tag + " " + command + "\r\n")); err != nil {
			return errHungUp
		}
		for {
			a, err := t.next(c.w)
			if err != nil {
				return err
			}
			switch a.tag() {
			case tag:
				return c.statusOf(op, a)
			case "*":
				if own = each(a); own != nil {
					c.w.Close()
					return own
				}
			}
		}
	}, want...)
	if own != nil {
		return own
	}
	return err
}

// statusOf turns a tagged response into an error; nil for OK.
func (c *Client) statusOf(op string, a answer) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	s, ok := parseStatus(a.text, c.w.scan.secrets...)
	if !ok {
		return &Error{Op: op, Type: TypeProtocol, Text: "server sends what is not IMAP"}
	}
	if s.typ == "OK" {
		return nil
	}
	e := &Error{Op: op, Type: s.typ, Code: s.code, Text: s.text, Raw: s.raw, UID: c.w.scan.uid}
	e.Partial = c.w.scan.partial && e.UID != 0
	return e
}
