package restore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"dovemend/remote/imap"
	"dovemend/repair/salvage"
)

// Status is what became of a message.
type Status string

// The statuses. Every message of the source ends with one of them.
const (
	Pending    Status = "pending"    // it would be added, or could not be tried yet
	Added      Status = "added"      // the server has taken it
	There      Status = "there"      // the server had it already
	Twin       Status = "twin"       // the source holds the same message twice; the other one counts
	LeftOut    Status = "left-out"   // not asked for
	Refused    Status = "refused"    // the server would not take it
	SetAside   Status = "set-aside"  // the server breaks at it; it is in the run's folder
	Unreadable Status = "unreadable" // it cannot be read from its source
)

// Statuses are all of them, in the order of reports.
var Statuses = []Status{Added, There, Twin, LeftOut, Refused, SetAside, Unreadable, Pending}

// Item is one message of the source and what became of it.
type Item struct {
	ID       string // the same whenever the same source is read
	File     string // in the source
	Offset   int64  // -1 where the file is the message
	Mailbox  string // of the source; untrusted, as are the texts below
	Class    salvage.Class
	Flags    []string
	Keywords []string
	Date     time.Time // when it came; zero unknown
	GUID     string    // 32 hexadecimal digits; "" unknown
	SHA256   string    // of the text as IMAP sends it; "" where it was not read
	Size     int64     // of that text
	Message  string    // its Message-ID; "" without one
	Subject  string    // not decoded, cut
	Doubt    string    // why it may not be on the server as it was sent; "" where it is
	Notes    []string  // what is uncertain, or was changed
	Status   Status
	Why      string // of statuses other than added and there; may hold the server's words
	UID      uint32 // on the server, where known

	open func() (io.ReadCloser, error)
	bare bool // it is to be sent without keywords
}

// Remarks are the notes that a person should see.
func (x *Item) Remarks() []string {
	return slices.DeleteFunc(slices.Clone(x.Notes), func(n string) bool { return n == bareLFNote })
}

// id names a message of a source.
func (x *Item) id(m *salvage.Message) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %q %d %s", x.File, x.Offset, x.Mailbox, m.UID, x.SHA256)
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// letter is the message as it is sent.
func (x *Item) letter(box imap.Selected) imap.Letter {
	l := imap.Letter{Date: x.Date, Size: x.Size, Open: x.text}
	for _, f := range x.Flags {
		if box.Keeps(f) {
			l.Flags = append(l.Flags, f)
		}
	}
	if !x.bare {
		for _, k := range x.Keywords {
			if box.Keeps(k) {
				l.Flags = append(l.Flags, k)
			}
		}
	}
	return l
}

// dropped are the flags and keywords that the mailbox does not keep.
func (x *Item) dropped(box imap.Selected) (list []string) {
	for _, f := range append(append([]string{}, x.Flags...), x.Keywords...) {
		if !box.Keeps(f) {
			list = append(list, f)
		}
	}
	return list
}

// text opens the message as it is sent, and sees to it that it is still the one that was hashed.
func (x *Item) text() (io.ReadCloser, error) {
	r, err := x.open()
	if err != nil {
		return nil, err
	}
	return &checked{in: NewNormal(r), close: r.Close, sum: sha256.New(), want: x.SHA256, size: x.Size}, nil
}

// errChanged: a source does not hold what it held when it was hashed.
var errChanged = errors.New("the message in the source is another one now")

// checked gives a text whose last byte comes only once all of it is known to be what was hashed, so that a server never gets another
// text whole. Errors are told from the connection's by their type.
type checked struct {
	in    io.Reader
	close func() error
	sum   hash.Hash
	want  string
	size  int64 // that it should have
	read  int64
	held  byte // the last one that was read
	ended bool // all is read, and is what it should be
}

func (c *checked) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case c.ended:
		return 0, io.EOF
	}
	held, had := c.held, c.read > 0
	n, err := c.in.Read(p)
	c.sum.Write(p[:n])
	c.read += int64(n)
	switch {
	case err != nil && err != io.EOF:
		return 0, &imap.SourceError{Err: err}
	case c.read > c.size:
		return 0, &imap.SourceError{Err: errChanged}
	case n > 0:
		if c.held = p[n-1]; !had {
			return n - 1, nil
		}
		copy(p[1:n], p[:n-1])
		p[0] = held
		return n, nil
	case err == nil:
		return 0, nil
	}
	if hex.EncodeToString(c.sum.Sum(nil)) != c.want {
		return 0, &imap.SourceError{Err: errChanged}
	}
	if c.ended = true; !had {
		return 0, io.EOF
	}
	p[0] = held
	return 1, io.EOF
}

func (c *checked) Close() error { return c.close() }

// same reads the message again, and says whether it is still the one that was hashed.
func (x *Item) same() error {
	r, err := x.open()
	if err != nil {
		return err
	}
	d, err := digestOf(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if hex.EncodeToString(d.sum[:]) != x.SHA256 {
		return errChanged
	}
	return nil
}

// maxKeyword is how long a keyword may be: Dovecot takes 50 bytes (mail_max_keyword_length), and refuses the message otherwise.
const maxKeyword = 50

// keywords sorts out which of a message's keywords can be sent: atoms without a backslash, which would make them system flags.
func keywords(all []string) (good, notes []string) {
	for _, k := range all {
		was := k
		if strings.HasPrefix(k, `\$`) { // "\$NotJunk", as some programs tell it
			k = k[1:]
		}
		switch {
		case k == "" || len(k) > maxKeyword || strings.HasPrefix(k, `\`) || strings.ContainsFunc(k, notAtom):
			notes = append(notes, fmt.Sprintf("keyword %q cannot be sent over IMAP and is left out", was))
			continue
		case k != was:
			notes = append(notes, fmt.Sprintf("keyword %q is sent as %q: with the backslash it would be a flag of the server's own", was, k))
		}
		good = append(good, k)
	}
	return good, notes
}

func notAtom(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`(){%*"\]`, c) }
