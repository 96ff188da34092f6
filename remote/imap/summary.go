package imap

import (
	"context"

	goimap "github.com/emersion/go-imap/v2"
)

// FetchSummary asks for UID, flags, INTERNALDATE and RFC822.SIZE of the given messages. Those that are not there are simply
// not yielded. Dovecot may have to open the others.
func (c *Client) FetchSummary(ctx context.Context, uids []uint32, yield func(Message) error) error {
	if len(uids) == 0 {
		return nil
	}
	return c.fetch(ctx, uidSet(uids), &goimap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true}, messageOnly(yield),
		"FLAGS (", "INTERNALDATE ", "RFC822.SIZE ")
}
