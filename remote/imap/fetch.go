package imap

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// maxMessages bounds how many messages of one mailbox are read.
const maxMessages = 2_000_000

// ErrNoSort is the cause of the error of [Client.UIDSort] where the server has no SORT.
var ErrNoSort = errors.New("the server cannot sort")

// Message is what FETCH tells of one message. Flags and keywords are as the server sends them, untrusted.
type Message struct {
	UID          uint32
	Flags        []string // system flags, with their backslash, without \Recent
	Keywords     []string
	HasFlags     bool
	InternalDate time.Time // zero where it was not asked for
	Size         int64     // RFC822.SIZE in bytes; -1 where it was not asked for
}

// Body is what fetching one message's text gave.
type Body struct {
	UID    uint32
	SHA256 [32]byte // of the text as sent: lines end with CRLF, NUL is sent as 0x80
	Size   int64    // bytes of it
	None   bool     // the server sent no text for this message
}

// UIDSort asks for all UIDs, the latest message first (UID SORT (REVERSE DATE) UTF-8 ALL), as mail programs do.
func (c *Client) UIDSort(ctx context.Context) ([]uint32, error) {
	var uids []uint32
	err := c.do(ctx, "SORT", smallAnswer+perNumber*int64(c.count), func() (err error) {
		if !c.lib.Caps().Has(goimap.CapSort) {
			return &Error{Op: "SORT", Type: TypeRefused, Err: ErrNoSort}
		}
		uids, err = c.lib.UIDSort(&imapclient.SortOptions{
			SearchCriteria: &goimap.SearchCriteria{},
			SortCriteria:   []imapclient.SortCriterion{{Key: imapclient.SortKeyDate, Reverse: true}},
		}).Wait()
		return err
	})
	if err != nil {
		return nil, err
	}
	return uids, nil
}

// FetchFlags asks for UID and flags of all messages from the given UID on, and calls yield for each in the server's
// order. Dovecot answers it from the index alone, so it works where messages cannot be read. An error of yield ends the
// connection and is returned.
func (c *Client) FetchFlags(ctx context.Context, from uint32, yield func(Message) error) error {
	set := goimap.UIDSet{{Start: goimap.UID(max(from, 1)), Stop: 0}}
	return c.fetch(ctx, set, &goimap.FetchOptions{UID: true, Flags: true}, messageOnly(yield), "FLAGS (")
}

// FetchDates asks for UID, INTERNALDATE and RFC822.SIZE of the given messages. Dovecot may have to open them for that.
func (c *Client) FetchDates(ctx context.Context, uids []uint32, yield func(Message) error) error {
	if len(uids) == 0 {
		return nil
	}
	return c.fetch(ctx, uidSet(uids), &goimap.FetchOptions{UID: true, InternalDate: true, RFC822Size: true}, messageOnly(yield), "INTERNALDATE ", "RFC822.SIZE ")
}

// FetchBodies asks for the whole text of the given messages, which do not become seen, and calls yield with length and
// hash of each. Texts are streamed, never kept. Messages the server leaves out are simply not yielded.
func (c *Client) FetchBodies(ctx context.Context, uids []uint32, yield func(Body) error) error {
	if len(uids) == 0 {
		return nil
	}
	section := &goimap.FetchItemBodySection{Peek: true}
	opts := &goimap.FetchOptions{UID: true, BodySection: []*goimap.FetchItemBodySection{section}}
	return c.fetch(ctx, uidSet(uids), opts, func(m Message, body *Body) error {
		if body == nil {
			return nil
		}
		body.UID = m.UID
		return yield(*body)
	}, "BODY[] ")
}

func messageOnly(yield func(Message) error) func(Message, *Body) error {
	return func(m Message, _ *Body) error { return yield(m) }
}

func uidSet(uids []uint32) goimap.UIDSet {
	var set goimap.UIDSet
	for _, u := range uids {
		if u != 0 {
			set.AddNum(goimap.UID(u))
		}
	}
	return set
}

// fetch runs one UID FETCH. A message whose data broke off is not yielded.
func (c *Client) fetch(ctx context.Context, set goimap.UIDSet, opts *goimap.FetchOptions, yield func(Message, *Body) error, want ...string) error {
	var own error
	err := c.do(ctx, "FETCH", smallAnswer+perMessage*int64(c.count), func() error {
		cmd := c.lib.Fetch(set, opts)
		for n := 0; ; n++ {
			data := cmd.Next()
			if data == nil {
				return cmd.Close()
			}
			if n >= maxMessages {
				limit := &limitError{fmt.Sprintf("more than %d messages", maxMessages)}
				c.w.abort(limit)
				cmd.Close()
				return limit
			}
			m, body, err := message(data)
			if err != nil {
				// The stream ended inside a text. The command is left to the library, which ends it: closing it here would
				// read the rest of that text beside the library's own reading.
				return err
			}
			if m.UID == 0 {
				continue
			}
			if own = yield(m, body); own != nil {
				c.w.Close()
				cmd.Close()
				return own
			}
		}
	}, want...)
	if own != nil {
		return own
	}
	return err
}

// message takes one FETCH response as it comes in.
func message(data *imapclient.FetchMessageData) (m Message, body *Body, err error) {
	m.Size = -1
	for {
		switch item := data.Next().(type) {
		case nil:
			return m, body, nil
		case imapclient.FetchItemDataUID:
			m.UID = uint32(item.UID)
		case imapclient.FetchItemDataFlags:
			m.HasFlags = true
			m.Flags, m.Keywords = nil, nil
			for _, f := range item.Flags {
				switch {
				case f == `\Recent`:
				case len(f) > 0 && f[0] == '\\':
					m.Flags = append(m.Flags, string(f))
				default:
					m.Keywords = append(m.Keywords, string(f))
				}
			}
		case imapclient.FetchItemDataInternalDate:
			m.InternalDate = item.Time
		case imapclient.FetchItemDataRFC822Size:
			m.Size = item.Size
		case imapclient.FetchItemDataBodySection:
			b := &Body{None: item.Literal == nil}
			if item.Literal != nil {
				sum := sha256.New()
				n, copyErr := io.Copy(sum, item.Literal)
				b.Size = n
				sum.Sum(b.SHA256[:0])
				// The library takes a stream that ends early for the end of the literal.
				if copyErr == nil && n < item.Literal.Size() {
					copyErr = io.ErrUnexpectedEOF
				}
				if copyErr != nil {
					return m, nil, copyErr
				}
			}
			body = b
		}
	}
}
