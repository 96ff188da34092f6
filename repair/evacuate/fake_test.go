package evacuate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dovemend/remote/imap"
)

// mail is one message of the fake server. Its text names it.
type mail struct {
	uid   uint32
	text  string
	flags []string
	date  time.Time
}

type box struct {
	validity, next uint32
	mails          []*mail
}

// fake is a server with mailboxes, which breaks off where it is told to.
type fake struct {
	boxes     map[string]*box
	subs      map[string]bool
	ways      imap.Ways
	room      int             // how many messages a mailbox may have, 0 for any number
	silent    bool            // it gives no COPYUID
	poison    map[string]bool // by text: reading its text ends the connection
	unmoved   map[string]bool // by text: the server refuses to move it
	validity  uint32
	commands  int
	selecting func(op, name string) // is told of it; may be nil
	delay     int                   // of later
	pending   func() error
	fail      func(s *fake, n int, op string) fault
}

// fault is how a command fails.
type fault int

const (
	works  fault = iota
	before       // the connection ends before it is done
	after        // it is done, and the connection ends before the answer
	half         // of a MOVE: copied and not removed, and the connection ends
	later        // the connection ends, and the server does it only after delay more commands
	no           // refused, and nothing is done
)

var errCut = &imap.Error{Type: imap.TypeClosed, Err: errors.New("cut")}

func newFake(names ...string) *fake {
	s := &fake{boxes: map[string]*box{}, subs: map[string]bool{}, ways: imap.Ways{Move: true, UIDPlus: true}, poison: map[string]bool{}, unmoved: map[string]bool{}, validity: 100}
	for _, n := range names {
		s.create(n)
	}
	return s
}

func (s *fake) create(name string) {
	s.validity++
	s.boxes[name] = &box{validity: s.validity, next: 1}
}

// deliver puts a message into a mailbox. Several may have one date and size.
func (s *fake) deliver(name, text string, flags ...string) {
	b := s.boxes[name]
	b.mails = append(b.mails, &mail{b.next, text, flags, time.Unix(int64(1577836800+len(text)), 0)})
	b.next++
}

// all tells where every message is: text, flags and mailbox, sorted.
func (s *fake) all() []string {
	var list []string
	for name, b := range s.boxes {
		for _, m := range b.mails {
			list = append(list, fmt.Sprintf("%s %s %v", name, m.text, m.flags))
		}
	}
	slices.Sort(list)
	return list
}

// everywhere is the same without the mailboxes.
func (s *fake) everywhere() []string {
	var list []string
	for _, l := range s.all() {
		_, rest, _ := strings.Cut(l, " ")
		list = append(list, rest)
	}
	slices.Sort(list)
	return list
}

type fakeConn struct {
	s    *fake
	open string
	gone bool
	f    fault // of the command
}

func (s *fake) dial(ctx context.Context) (Conn, error) { return &fakeConn{s: s}, ctx.Err() }

// do runs a command.
func (c *fakeConn) do(op string, run func() error) error {
	if c.gone {
		return errCut
	}
	c.s.commands++
	if p := c.s.pending; p != nil {
		if c.s.delay--; c.s.delay < 0 {
			c.s.pending = nil
			if err := p(); err != nil {
				return err
			}
		}
	}
	f := works
	c.f = f
	if c.s.fail != nil {
		f = c.s.fail(c.s, c.s.commands, op)
		c.f = f
	}
	switch f {
	case later:
		c.gone, c.s.pending = true, run
		return errCut
	case before:
		c.gone = true
		return errCut
	case no:
		return &imap.Error{Op: op, Type: imap.TypeNo, Text: "not now"}
	case after:
		c.gone = true
		if err := run(); err != nil {
			return err
		}
		return errCut
	}
	if err := run(); err != nil {
		c.gone = imap.Ended(err)
		return err
	}
	if f == half { // of commands that have no half
		c.gone = true
		return errCut
	}
	return nil
}

func (c *fakeConn) Ways() imap.Ways              { return c.s.ways }
func (c *fakeConn) Logout(context.Context) error { return nil }
func (c *fakeConn) Close() error                 { c.gone = true; return nil }

func (c *fakeConn) List(context.Context) (l *imap.Listing, err error) {
	return l, c.do("LIST", func() error {
		l = &imap.Listing{Delimiter: "/"}
		for n := range c.s.boxes {
			l.Mailboxes = append(l.Mailboxes, imap.Mailbox{Name: n})
		}
		return nil
	})
}

func (c *fakeConn) selecting(op, name string) (x imap.Examined, err error) {
	c.open = ""
	if c.s.selecting != nil {
		c.s.selecting(op, name)
	}
	return x, c.do(op, func() error {
		b := c.s.boxes[name]
		if b == nil {
			return &imap.Error{Op: op, Type: imap.TypeNo, Code: "NONEXISTENT"}
		}
		c.open = name
		x = imap.Examined{UIDValidity: b.validity, UIDNext: b.next, Exists: uint32(len(b.mails))}
		return nil
	})
}

func (c *fakeConn) Select(_ context.Context, name string) (imap.Examined, error) {
	return c.selecting("SELECT", name)
}

func (c *fakeConn) Examine(_ context.Context, name string) (imap.Examined, error) {
	return c.selecting("EXAMINE", name)
}

func (c *fakeConn) messages(yield func(imap.Message) error, want func(*mail) bool) error {
	for _, m := range c.s.boxes[c.open].mails {
		if !want(m) {
			continue
		}
		if err := yield(imap.Message{UID: m.uid, Flags: m.flags, HasFlags: true, InternalDate: m.date, Size: int64(len(m.text))}); err != nil {
			return err
		}
	}
	return nil
}

func (c *fakeConn) FetchFlags(_ context.Context, from uint32, yield func(imap.Message) error) error {
	return c.do("FETCH", func() error {
		b := c.s.boxes[c.open]
		return c.messages(yield, func(m *mail) bool { return m.uid >= from || m == b.mails[len(b.mails)-1] })
	})
}

func (c *fakeConn) FetchSummary(_ context.Context, uids []uint32, yield func(imap.Message) error) error {
	return c.do("FETCH", func() error {
		return c.messages(yield, func(m *mail) bool { return slices.Contains(uids, m.uid) })
	})
}

func (c *fakeConn) FetchBodies(_ context.Context, uids []uint32, yield func(imap.Body) error) error {
	return c.do("FETCH", func() error {
		for _, m := range c.s.boxes[c.open].mails {
			if !slices.Contains(uids, m.uid) {
				continue
			}
			if c.s.poison[m.text] {
				return errCut
			}
			if err := yield(imap.Body{UID: m.uid, SHA256: sha256.Sum256([]byte(m.text)), Size: int64(len(m.text))}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *fakeConn) Create(_ context.Context, name string) error {
	return c.do("CREATE", func() error {
		if c.s.boxes[name] != nil {
			return &imap.Error{Op: "CREATE", Type: imap.TypeNo, Code: "ALREADYEXISTS"}
		}
		c.s.create(name)
		return nil
	})
}

func (c *fakeConn) Subscribe(_ context.Context, name string) error {
	return c.do("SUBSCRIBE", func() error { c.s.subs[name] = true; return nil })
}

func (c *fakeConn) Unsubscribe(_ context.Context, name string) error {
	return c.do("UNSUBSCRIBE", func() error { delete(c.s.subs, name); return nil })
}

func (c *fakeConn) DeleteEmpty(ctx context.Context, name string) error {
	if err := c.do("DELETE", func() error {
		if len(c.s.boxes[name].mails) > 0 {
			return &imap.Error{Op: "DELETE", Type: imap.TypeRefused, Err: imap.ErrNotEmpty}
		}
		delete(c.s.boxes, name)
		return nil
	}); err != nil {
		return err
	}
	return c.Unsubscribe(ctx, name)
}

// transfer copies, and then removes, each as far as it is to be done.
func (c *fakeConn) transfer(op string, uids []uint32, to string, remove bool) (imap.Copied, error) {
	got := imap.Copied{New: map[uint32]uint32{}}
	from := c.s.boxes[c.open]
	err := c.do(op, func() error {
		target := c.s.boxes[to]
		if target == nil {
			return &imap.Error{Op: op, Type: imap.TypeNo, Code: "TRYCREATE"}
		}
		for _, m := range from.mails {
			if slices.Contains(uids, m.uid) && c.s.unmoved[m.text] {
				return &imap.Error{Op: op, Type: imap.TypeNo, Text: "Internal error occurred."}
			}
		}
		if c.s.room > 0 && len(target.mails)+len(uids) > c.s.room {
			return &imap.Error{Op: op, Type: imap.TypeNo, Code: "OVERQUOTA", Text: "Quota exceeded"}
		}
		got.UIDValidity = target.validity
		for _, m := range from.mails {
			if slices.Contains(uids, m.uid) {
				got.New[m.uid] = target.next
				target.mails = append(target.mails, &mail{target.next, m.text, slices.Clone(m.flags), m.date})
				target.next++
			}
		}
		if remove && c.f != half {
			from.mails = slices.DeleteFunc(from.mails, func(m *mail) bool { return slices.Contains(uids, m.uid) })
		}
		return nil
	})
	if c.s.silent || !c.s.ways.UIDPlus {
		got = imap.Copied{}
	}
	return got, err
}

func (c *fakeConn) Move(_ context.Context, uids []uint32, to string) (imap.Copied, error) {
	return c.transfer("MOVE", uids, to, true)
}

func (c *fakeConn) Copy(_ context.Context, uids []uint32, to string) (imap.Copied, error) {
	return c.transfer("COPY", uids, to, false)
}

func (c *fakeConn) Remove(_ context.Context, uids []uint32) error {
	return c.do("EXPUNGE", func() error {
		b := c.s.boxes[c.open]
		b.mails = slices.DeleteFunc(b.mails, func(m *mail) bool { return slices.Contains(uids, m.uid) })
		return nil
	})
}

func (c *fakeConn) AddFlags(_ context.Context, uids []uint32, flags []string) error {
	return c.do("STORE", func() error {
		for _, m := range c.s.boxes[c.open].mails {
			if slices.Contains(uids, m.uid) {
				m.flags = append(m.flags, flags...)
			}
		}
		return nil
	})
}

// find finds poison by reading every message alone.
func (s *fake) find(ctx context.Context, name string, uids []uint32) (list []Left, err error) {
	for _, m := range s.boxes[name].mails {
		if slices.Contains(uids, m.uid) && s.poison[m.text] {
			list = append(list, Left{m.uid, "it breaks off"})
		}
	}
	return list, ctx.Err()
}

// clearing stands for the clearing of the mailbox by its files: a run that can be killed in the middle.
type clearing struct {
	s    *fake
	name string
	took []*mail // what it took away
	was  uint32
	runs map[string]bool // done
}

func (c *clearing) clear(_ context.Context, stay Staying, run string, begun func(string) error) error {
	b := c.s.boxes[c.name]
	if run == "" || !c.runs[run] {
		for _, m := range b.mails {
			if stay.At(b.validity, m.uid) < 0 {
				return ErrNewMail
			}
		}
		run = fmt.Sprintf("run-%d", len(c.runs))
		if err := begun(run); err != nil {
			return err
		}
		c.runs[run] = true
		c.took, c.was = b.mails, b.validity
		c.s.create(c.name)
	}
	return begun(run)
}

func (c *clearing) uncleared(run string) Uncleared {
	if !c.runs[run] {
		return Uncleared{}
	}
	return Uncleared{Done: true, Restore: func(context.Context) error {
		b := c.s.boxes[c.name]
		if b.validity == c.was {
			return nil
		}
		for _, m := range b.mails { // the files that are there are set aside
			if !slices.ContainsFunc(c.took, func(t *mail) bool { return t.text == m.text }) {
				return errors.New("messages are in the way")
			}
		}
		last := uint32(0)
		for _, m := range c.took {
			last = max(last, m.uid)
		}
		c.s.boxes[c.name] = &box{validity: c.was, next: last + 1000, mails: c.took}
		return nil
	}}
}
