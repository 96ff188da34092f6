package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// perOutline bounds what the server may send of one message in [Client.Outlines], in bytes, over all messages.
const perOutline = 8 << 10

// Outline is what tells one message from another without its text. Texts are untrusted.
type Outline struct {
	UID       uint32
	Size      int64  // RFC822.SIZE; -1 where the server did not tell it
	GUID      string // Dovecot's X-GUID; "" where the server does not tell it
	MessageID string // the header field's value, unfolded, without spaces around; "" where there is none
}

var (
	outlineUID  = regexp.MustCompile(`(?i)[( ]UID ([0-9]{1,10})\b`)
	outlineSize = regexp.MustCompile(`(?i)[( ]RFC822\.SIZE ([0-9]{1,19})\b`)
	outlineGUID = regexp.MustCompile(`(?i)[( ]X-GUID "?([^ ")]{1,250})"?`)
)

// Outlines asks for size, GUID and Message-ID of all messages with that UID or a higher one, and calls yield for each as it comes in; nothing is kept, and
// nothing becomes seen. Servers that know no X-GUID are asked again without it. An error of yield ends the connection and is
// returned.
func (c *Client) Outlines(ctx context.Context, from uint32, yield func(Outline) error) error {
	return c.outlines(ctx, fmt.Sprintf("%d:*", max(from, 1)), from, yield)
}

// OutlinesOf is [Client.Outlines] of the given messages only.
func (c *Client) OutlinesOf(ctx context.Context, uids []uint32, yield func(Outline) error) error {
	if len(uids) == 0 {
		return nil
	}
	return c.outlines(ctx, uidSet(uids).String(), 0, yield)
}

func (c *Client) outlines(ctx context.Context, set string, from uint32, yield func(Outline) error) error {
	seen := 0
	ask := func(items string) error {
		command := fmt.Sprintf("UID FETCH %s (UID RFC822.SIZE %sBODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])", set, items)
		return c.raw(ctx, "FETCH", smallAnswer+perOutline*int64(c.count), command, func(a answer) error {
			o, ok := outlineOf(a)
			if !ok || o.UID < from {
				return nil
			}
			if seen++; seen > maxMessages {
				return &limitError{fmt.Sprintf("more than %d messages", maxMessages)}
			}
			return yield(o)
		}, "RFC822.SIZE ")
	}
	if !c.noGUID {
		err := ask("X-GUID ")
		var e *Error
		if seen > 0 || !errors.As(err, &e) || e.Type != TypeBad && e.Type != TypeNo {
			return err
		}
		c.noGUID = true
	}
	return ask("")
}

// outlineOf reads a FETCH response; ok is false for any other.
func outlineOf(a answer) (o Outline, ok bool) {
	m := outlineUID.FindSubmatch(a.text)
	if m == nil || !fetchHead.Match(a.text) {
		return o, false
	}
	uid, err := strconv.ParseUint(string(m[1]), 10, 32)
	if err != nil || uid == 0 {
		return o, false
	}
	o = Outline{UID: uint32(uid), Size: -1}
	if m := outlineSize.FindSubmatch(a.text); m != nil {
		if o.Size, err = strconv.ParseInt(string(m[1]), 10, 64); err != nil {
			o.Size = -1
		}
	}
	if m := outlineGUID.FindSubmatch(a.text); m != nil {
		o.GUID = string(m[1])
	}
	// Where the field is sent as a quoted string it has no line end, which the grammar does not allow in one.
	var header []byte
	if n := len(a.literals); n > 0 {
		header = a.literals[n-1]
	} else if _, quoted, ok := bytes.Cut(a.text, []byte(`)] "`)); ok {
		header, _, _ = bytes.Cut(quoted, []byte(`"`))
	}
	o.MessageID = MessageID(header)
	return o, true
}

// MessageID gives the value of the first Message-ID field of a header, unfolded and without spaces around; "" where it has none.
func MessageID(header []byte) string {
	var value []byte
	found := false
	for line := range bytes.Lines(header) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if found {
				value = append(value, line...)
			}
			continue
		}
		if found {
			break
		}
		name, rest, ok := bytes.Cut(line, []byte(":"))
		if found = ok && strings.EqualFold(string(bytes.TrimSpace(name)), "Message-ID"); found {
			value = bytes.Clone(rest)
		}
	}
	return strings.Join(strings.Fields(string(bytes.ReplaceAll(value, []byte{0}, []byte{0x80}))), " ")
}

// Readable asks for envelope, structure, size and flags of messages, as a mail program that opens the mailbox does, and calls yield
// for each that was answered to its end, with its size. What is answered is not kept.
func (c *Client) Readable(ctx context.Context, uids []uint32, yield func(uid uint32, size int64)) error {
	if len(uids) == 0 {
		return nil
	}
	command := "UID FETCH " + uidSet(uids).String() + " (UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)"
	return c.raw(ctx, "FETCH", smallAnswer+maxLine*int64(len(uids)), command, func(a answer) error {
		if o, ok := outlineOf(a); ok {
			yield(o.UID, o.Size)
		}
		return nil
	}, "BODYSTRUCTURE ")
}
