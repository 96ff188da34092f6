// Package fill puts mail into an account of a real Dovecot over IMAP, the way people's mail programs do over the years
// (flags, keywords, expunges, moves, copies), and reads back the truth: what the account holds as IMAP tells it.
package fill

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"dovemend/remote/remotetest/mailgen"
)

// Target is an account's IMAP server on loopback, in the clear.
type Target struct {
	Addr, User, Password string
}

// Truth is all that IMAP tells of an account, by the mailbox names for people with "/" between the levels.
type Truth struct {
	Mailboxes map[string]*Mailbox
}

// Mailbox is one mailbox's truth. Messages are in the order of their UIDs.
type Mailbox struct {
	Name        string // for people, "Entwürfe/Größe"
	Storage     string // modified UTF-7 with the server's separator, as IMAP has it
	UIDValidity uint32
	UIDNext     uint32
	Messages    []Message
}

// Message is one message's truth.
type Message struct {
	UID      uint32
	Flags    []string // system flags with their backslash, sorted, without \Recent
	Keywords []string // sorted
	Date     time.Time
	Size     int64    // RFC822.SIZE
	Sum      [32]byte // SHA-256 of BODY[], in which Dovecot shows NUL bytes as 0x80
	Number   int      // of the generated message (mailgen.NumberHeader); -1 where it tells none
}

// Read asks for everything, with EXAMINE and PEEK only.
func Read(ctx context.Context, t Target) (*Truth, error) {
	c, err := login(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("read account: %w", err)
	}
	defer c.close()
	list, err := c.do(`LIST "" "*"`)
	if err != nil {
		return nil, fmt.Errorf("read account: %w", err)
	}
	truth := &Truth{Mailboxes: make(map[string]*Mailbox)}
	for _, l := range list {
		f := parse(l)
		if len(f) < 5 || f[1].text != "LIST" || slices.ContainsFunc(f[2].list, func(a token) bool { return strings.EqualFold(a.text, `\Noselect`) }) {
			continue
		}
		if strings.HasPrefix(f[4].text, "dovemend-aside") {
			continue // a Maildir with LAYOUT=fs shows what was set aside as a folder
		}
		m, err := c.read(f[4].text)
		if err != nil {
			return nil, fmt.Errorf("read mailbox %q: %w", f[4].text, err)
		}
		truth.Mailboxes[m.Name] = m
	}
	return truth, nil
}

func (c *client) read(storage string) (*Mailbox, error) {
	m := &Mailbox{Storage: storage, Name: displayName(strings.ReplaceAll(storage, c.sep, "/"))}
	answers, err := c.do("EXAMINE %s", quoted(storage))
	if err != nil {
		return nil, err
	}
	exists := -1
	for _, l := range answers {
		var n uint32
		if _, err := fmt.Sscanf(l, "* OK [UIDVALIDITY %d]", &n); err == nil {
			m.UIDValidity = n
		}
		if _, err := fmt.Sscanf(l, "* OK [UIDNEXT %d]", &n); err == nil {
			m.UIDNext = n
		}
		if n, ok := strings.CutSuffix(strings.TrimPrefix(l, "* "), " EXISTS"); ok {
			if exists, err = strconv.Atoi(n); err != nil {
				return nil, fmt.Errorf("answer %q", l)
			}
		}
	}
	if exists > 0 {
		err = c.each(func(l string) error {
			f := parse(l)
			if len(f) < 4 || f[2].text != "FETCH" {
				return nil
			}
			msg, err := message(f[3].list)
			if err == nil {
				m.Messages = append(m.Messages, msg)
			}
			return err
		}, "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
	}
	if err == nil && len(m.Messages) != exists {
		err = fmt.Errorf("%d messages were fetched of %d", len(m.Messages), exists)
	}
	slices.SortFunc(m.Messages, func(a, b Message) int { return cmp.Compare(a.UID, b.UID) })
	return m, err
}

func message(f []token) (Message, error) {
	m := Message{Number: -1}
	seen := 0
	for i := 0; i+1 < len(f); i += 2 {
		v := f[i+1]
		seen++
		switch f[i].text {
		case "UID":
			n, err := strconv.ParseUint(v.text, 10, 32)
			if err != nil {
				return m, fmt.Errorf("uid %q", v.text)
			}
			m.UID = uint32(n)
		case "FLAGS":
			for _, flag := range v.list {
				switch {
				case strings.EqualFold(flag.text, `\Recent`):
				case strings.HasPrefix(flag.text, `\`):
					m.Flags = append(m.Flags, flag.text)
				default:
					m.Keywords = append(m.Keywords, flag.text)
				}
			}
			slices.Sort(m.Flags)
			slices.Sort(m.Keywords)
		case "INTERNALDATE":
			t, err := time.Parse("_2-Jan-2006 15:04:05 -0700", v.text)
			if err != nil {
				return m, fmt.Errorf("internal date %q", v.text)
			}
			m.Date = t.UTC()
		case "RFC822.SIZE":
			n, err := strconv.ParseInt(v.text, 10, 64)
			if err != nil {
				return m, fmt.Errorf("size %q", v.text)
			}
			m.Size = n
		case "BODY[]":
			m.Sum, m.Number = sha256.Sum256([]byte(v.text)), number([]byte(v.text))
		default:
			seen--
		}
	}
	if seen != 5 {
		return m, fmt.Errorf("an answer tells %d of 5 things", seen)
	}
	return m, nil
}

// number finds the message's number in its header.
func number(body []byte) int {
	head, _, _ := bytes.Cut(body, []byte("\r\n\r\n"))
	for l := range bytes.Lines(head) {
		name, value, ok := bytes.Cut(l, []byte(":"))
		if ok && textproto.CanonicalMIMEHeaderKey(string(name)) == mailgen.NumberHeader {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(value))); err == nil {
				return n
			}
		}
	}
	return -1
}

// Diff tells in words how two truths differ, at most 50 differences; nothing where they are the same.
func (t *Truth) Diff(now *Truth) []string {
	var d []string
	for _, name := range slices.Sorted(maps.Keys(t.Mailboxes)) {
		if now.Mailboxes[name] == nil {
			d = append(d, fmt.Sprintf("mailbox %q is gone", name))
			continue
		}
		d = append(d, t.Mailboxes[name].Diff(now.Mailboxes[name])...)
	}
	for _, name := range slices.Sorted(maps.Keys(now.Mailboxes)) {
		if t.Mailboxes[name] == nil {
			d = append(d, fmt.Sprintf("mailbox %q is new", name))
		}
	}
	return d[:min(len(d), 50)]
}

// Diff tells how a mailbox differs from what it was.
func (m *Mailbox) Diff(now *Mailbox) []string {
	var d []string
	say := func(format string, args ...any) {
		d = append(d, fmt.Sprintf("%s: ", m.Name)+fmt.Sprintf(format, args...))
	}
	if m.UIDValidity != now.UIDValidity {
		say("UIDVALIDITY was %d, is %d", m.UIDValidity, now.UIDValidity)
	}
	if m.UIDNext != now.UIDNext {
		say("UIDNEXT was %d, is %d", m.UIDNext, now.UIDNext)
	}
	have := make(map[uint32]Message, len(now.Messages))
	for _, b := range now.Messages {
		have[b.UID] = b
	}
	for _, a := range m.Messages {
		b, ok := have[a.UID]
		delete(have, a.UID)
		switch {
		case !ok:
			say("UID %d (number %d) is gone", a.UID, a.Number)
			continue
		case a.Sum != b.Sum || a.Size != b.Size:
			say("UID %d (number %d, %d bytes) is another message (number %d, %d bytes)", a.UID, a.Number, a.Size, b.Number, b.Size)
		}
		if !slices.Equal(a.Flags, b.Flags) || !slices.Equal(a.Keywords, b.Keywords) {
			say("UID %d had flags %v %v, has %v %v", a.UID, a.Flags, a.Keywords, b.Flags, b.Keywords)
		}
		if !a.Date.Equal(b.Date) {
			say("UID %d was of %v, is of %v", a.UID, a.Date, b.Date)
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(have)) {
		say("UID %d (number %d) is new", uid, have[uid].Number)
	}
	return d
}

// Count is the number of messages that have a flag or keyword; all messages for "".
func (m *Mailbox) Count(flag string) int {
	n := 0
	for _, msg := range m.Messages {
		if flag == "" || slices.Contains(msg.Flags, flag) || slices.Contains(msg.Keywords, flag) {
			n++
		}
	}
	return n
}
