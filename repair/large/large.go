// Package large lays accounts of many messages, as Dovecot would have written them, for benchmarks and tests: nothing else
// uses it. Every account is the same each time, and nothing is wrong in it; who wants damage does it afterwards.
package large

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// Account says which account is laid.
type Account struct {
	Layout    store.Layout
	Messages  int
	Mailboxes int // the messages are dealt out to them in turn
	Cache     bool
}

// Made is the time all that tells a time tells.
const Made = 1577836800

// layer is an account on its way.
type layer struct {
	Account
	dir   string
	boxes []store.Mailbox
	lists []*dovecot.NewIndex // of the mailboxes
	cache []*cacheWriter
	sizes []int // of each message's text, with full line ends
}

// Lay writes the account to a directory, its mail root, and gives its mailboxes.
func (a Account) Lay(dir string) ([]store.Mailbox, error) {
	l := &layer{Account: a, dir: dir}
	for i := range a.Mailboxes {
		name := fmt.Sprintf("box%d", i)
		if i == 0 {
			name = "INBOX"
		}
		at := "mailboxes/" + name + "/dbox-Mails"
		if a.Layout == store.Maildir {
			if at = "." + name; i == 0 {
				at = "."
			}
		}
		l.boxes = append(l.boxes, store.Mailbox{Name: name, Storage: name, Dir: store.RelPath(at)})
		l.lists = append(l.lists, l.index(i))
		l.cache = append(l.cache, newCache())
	}
	lay := map[store.Layout]func() error{store.Maildir: l.maildir, store.SDBox: l.sdbox, store.MDBox: l.mdbox}[a.Layout]
	if lay == nil {
		return nil, fmt.Errorf("lay an account: unknown layout %q", a.Layout)
	}
	if err := lay(); err != nil {
		return nil, fmt.Errorf("lay an account: %w", err)
	}
	for i, x := range l.lists {
		if err := l.writeIndex(path.Join(string(l.boxes[i].Dir), "dovecot.index"), x); err != nil {
			return nil, fmt.Errorf("lay an account: %w", err)
		}
		if a.Cache {
			if err := l.write(path.Join(string(l.boxes[i].Dir), "dovecot.index.cache"), l.cache[i].bytes()); err != nil {
				return nil, fmt.Errorf("lay an account: %w", err)
			}
		}
	}
	if err := l.list(); err != nil {
		return nil, fmt.Errorf("lay an account: %w", err)
	}
	return l.boxes, nil
}

// index is the beginning of a mailbox's index.
func (l *layer) index(i int) *dovecot.NewIndex {
	x := &dovecot.NewIndex{IndexID: Made, UIDValidity: Made + uint32(i), NextUID: 1, Keywords: []string{"$Forwarded", "NonJunk"},
		Exts: []dovecot.NewExt{{Name: "cache", ResetID: cacheSeq, Size: 4, Align: 4}}}
	header, g := make([]byte, 24), boxGUID(i)
	copy(header[4:], g[:])
	switch l.Layout {
	case store.MDBox:
		le.PutUint32(header, Made)
		x.Exts = append(x.Exts, dovecot.NewExt{Name: "mdbox-hdr", Header: header}, dovecot.NewExt{Name: "mdbox", Size: 8, Align: 4}, dovecot.NewExt{Name: "guid", Size: 16, Align: 1})
	case store.SDBox:
		x.Exts = append(x.Exts, dovecot.NewExt{Name: "dbox-hdr", Header: header})
	}
	return x
}

// add adds the n-th message of all to its mailbox, and gives its UID there. Every second one was read, every tenth has a keyword.
func (l *layer) add(n int, data ...[]byte) dovecot.UID {
	x := l.lists[n%l.Mailboxes]
	uid := x.NextUID
	x.NextUID++
	r := dovecot.NewRecord{UID: uid, Data: [][]byte{nil}}
	r.Flags, r.Keywords = flags(n)
	if l.Cache {
		r.Data[0] = le.AppendUint32(nil, l.cache[n%l.Mailboxes].add(n, l.sizes[n]))
	}
	r.Data = append(r.Data, data...)
	x.Records = append(x.Records, r)
	return uid
}

func flags(n int) (dovecot.Flags, []int) {
	var f dovecot.Flags
	var k []int
	if n%2 == 0 {
		f = dovecot.FlagSeen
	}
	if n%10 == 0 {
		k = []int{n / 10 % 2}
	}
	return f, k
}

const filler = "Some text that stands in a line.\n"

// text is a message of about 1 kB; what it is in full is remembered.
func (l *layer) text(n int) string {
	b := fmt.Sprintf("From: a@example.org\nTo: b@example.org\nSubject: message %d\nMessage-ID: %s\n\n%s", n, messageID(n), strings.Repeat(filler, 30))
	l.sizes = append(l.sizes, len(b)+strings.Count(b, "\n"))
	return b
}

func messageID(n int) string { return fmt.Sprintf("<%d@example.org>", n) }

func guid(n int) (g dovecot.GUID) {
	le.PutUint64(g[:], uint64(n+1))
	return g
}

func (l *layer) write(name string, data []byte) error {
	p := filepath.Join(l.dir, filepath.FromSlash(name))
	err := os.WriteFile(p, data, 0o600)
	if os.IsNotExist(err) {
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			return err
		}
		err = os.WriteFile(p, data, 0o600)
	}
	return err
}

func (l *layer) writeIndex(name string, x *dovecot.NewIndex) error {
	b, err := x.Append(nil)
	if err != nil {
		return err
	}
	return l.write(name, b)
}
