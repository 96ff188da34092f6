package fill

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Mark is the keyword that [Use] sets and takes away. No message has it.
const Mark = "$MDNSent"

// Use does in each of some mailboxes what a mail program does that somebody works with, and leaves all as it was: it opens
// the mailbox for writing, marks its last message, and takes the mark away. Damage that reading does not meet comes to light
// when Dovecot writes. Where that fails, the other mailboxes are used all the same; the error tells of all.
func Use(ctx context.Context, t Target, mailboxes []string) error {
	var c *client
	var errs []error
	for _, box := range mailboxes {
		if c == nil {
			var err error
			if c, err = login(ctx, t); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
		if err := c.use(box); err != nil {
			errs = append(errs, fmt.Errorf("use mailbox %q: %w", box, err), c.close())
			c = nil
		}
	}
	if c != nil {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

func (c *client) use(box string) error {
	answers, err := c.do("SELECT %s", c.name(box))
	if err != nil || slices.Contains(answers, "* 0 EXISTS") {
		return err
	}
	for _, command := range []string{"UID STORE * +FLAGS.SILENT (" + Mark + ")", "UID STORE * -FLAGS.SILENT (" + Mark + ")", "UNSELECT"} {
		if _, err := c.do("%s", command); err != nil {
			return err
		}
	}
	return nil
}
