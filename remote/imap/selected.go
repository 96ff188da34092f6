package imap

import (
	"context"
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"
)

// Selected is what SELECT tells of a mailbox that messages are to be put into.
type Selected struct {
	Examined
	Permanent   []string // PERMANENTFLAGS: flags and keywords that are kept; untrusted
	NewKeywords bool     // and others may be given
}

// SelectKeeping is [Client.Select], and tells which flags and keywords the mailbox keeps.
func (c *Client) SelectKeeping(ctx context.Context, mailbox string) (Selected, error) {
	var s Selected
	err := c.do(ctx, "SELECT", smallAnswer, func() error {
		data, err := c.lib.Select(mailbox, nil).Wait()
		if err != nil {
			return err
		}
		s.Examined = Examined{UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext), Exists: data.NumMessages}
		c.count = int(min(data.NumMessages, maxMessages))
		for _, f := range data.PermanentFlags {
			if f == goimap.FlagWildcard {
				s.NewKeywords = true
			} else {
				s.Permanent = append(s.Permanent, string(f))
			}
		}
		return nil
	})
	return s, err
}

// Keeps says whether the mailbox keeps a flag or keyword. A server that names none at all is taken to keep the system flags.
func (s Selected) Keeps(flag string) bool {
	system := strings.HasPrefix(flag, `\`)
	switch {
	case !system && s.NewKeywords:
		return true
	case len(s.Permanent) == 0 && !s.NewKeywords:
		return system
	}
	return slices.ContainsFunc(s.Permanent, func(p string) bool { return strings.EqualFold(p, flag) })
}
