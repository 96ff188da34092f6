package imap

import (
	"context"
	"errors"
	"strings"

	goimap "github.com/emersion/go-imap/v2"
)

// maxMailboxes bounds how many mailboxes an account may list.
const maxMailboxes = 100_000

// Mailbox is one mailbox as LIST names it.
type Mailbox struct {
	Name     string // decoded from modified UTF-7, with the server's delimiter; untrusted: print it through remote.Safe
	NoSelect bool   // a level of the hierarchy without messages
}

// Listing is what LIST tells of an account.
type Listing struct {
	Delimiter string // "" where there is no hierarchy
	Mailboxes []Mailbox
}

// List lists all mailboxes of the account.
func (c *Client) List(ctx context.Context) (*Listing, error) {
	l := &Listing{}
	err := c.do(ctx, "LIST", listAnswer, func() error {
		cmd := c.lib.List("", "*", nil)
		for {
			data := cmd.Next()
			if data == nil {
				return cmd.Close()
			}
			if len(l.Mailboxes) >= maxMailboxes {
				limit := &limitError{"more mailboxes than 100,000"}
				c.w.abort(limit)
				return limit
			}
			if data.Delim != 0 && l.Delimiter == "" {
				l.Delimiter = string(data.Delim)
			}
			m := Mailbox{Name: strings.Clone(data.Mailbox)}
			for _, a := range data.Attrs {
				m.NoSelect = m.NoSelect || a == goimap.MailboxAttrNoSelect || a == goimap.MailboxAttrNonExistent
			}
			l.Mailboxes = append(l.Mailboxes, m)
		}
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Resolve gives the server's name for a mailbox whose levels are separated by "/", as dovemend names it: with the
// server's delimiter, and with the prefix that some servers put before all but INBOX ("INBOX."). ok is false where the
// server lists no such mailbox; the name is then the best guess.
func (l *Listing) Resolve(name string) (server string, ok bool) {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX", true
	}
	plain := name
	if l.Delimiter != "" {
		plain = strings.ReplaceAll(name, "/", l.Delimiter)
	}
	candidates := []string{plain, "INBOX" + l.Delimiter + plain}
	for _, want := range candidates {
		for _, m := range l.Mailboxes {
			if m.Name == want {
				return want, true
			}
		}
	}
	return plain, false
}

// Names gives the mailboxes that can be opened, as dovemend names them: with "/" between levels.
func (l *Listing) Names() []string {
	var names []string
	for _, m := range l.Mailboxes {
		if m.NoSelect {
			continue
		}
		name := m.Name
		if l.Delimiter != "" {
			name = strings.ReplaceAll(name, l.Delimiter, "/")
		}
		names = append(names, name)
	}
	return names
}

// Examined is what EXAMINE or STATUS tells of a mailbox.
type Examined struct {
	UIDValidity uint32
	UIDNext     uint32
	Exists      uint32
	Unseen      int // messages that are not \Seen; -1 where that was not told: STATUS tells it, EXAMINE does not
}

// Examine opens a mailbox for reading only. See the package comment on what that may do to a damaged one.
func (c *Client) Examine(ctx context.Context, mailbox string) (Examined, error) {
	var e Examined
	err := c.do(ctx, "EXAMINE", smallAnswer, func() error {
		data, err := c.lib.Select(mailbox, &goimap.SelectOptions{ReadOnly: true}).Wait()
		if err == nil {
			e = Examined{UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext), Exists: data.NumMessages, Unseen: -1}
			c.count = int(min(data.NumMessages, maxMessages))
		}
		return err
	})
	return e, err
}

// Status asks for a mailbox's numbers without opening it; Dovecot opens it all the same.
func (c *Client) Status(ctx context.Context, mailbox string) (Examined, error) {
	var e Examined
	err := c.do(ctx, "STATUS", smallAnswer, func() error {
		data, err := c.lib.Status(mailbox, &goimap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, NumUnseen: true}).Wait()
		if err != nil {
			return err
		}
		if data == nil || data.NumMessages == nil {
			return errors.New("in STATUS: the answer holds no numbers")
		}
		e = Examined{UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext), Exists: *data.NumMessages, Unseen: -1}
		if data.NumUnseen != nil {
			e.Unseen = int(min(*data.NumUnseen, maxMessages))
		}
		return nil
	})
	return e, err
}
