package fill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"dovemend/remote/remotetest/mailgen"
)

// Append puts messages into a mailbox, with their flags, keywords and dates.
func Append(ctx context.Context, t Target, mailbox string, mails []mailgen.Mail) error {
	c, err := login(ctx, t)
	if err != nil {
		return fmt.Errorf("append messages: %w", err)
	}
	defer c.close()
	var commands []string
	for _, m := range mails {
		commands = append(commands, c.append(mailbox, append(append([]string{}, m.Flags...), m.Keywords...), m))
	}
	if err := c.all(commands); err != nil {
		return fmt.Errorf("append messages: %w", err)
	}
	return nil
}

// Later says how an account goes on that [Fill] made.
type Later struct {
	Seed uint64
	Mail []mailgen.Mail // comes in: the first half into INBOX, the rest into Sent and Archive/2020
}

// GoOn lets an account live on for some days, and reads it back: in all mailboxes flags and keywords come and go and messages are
// expunged; some are moved from INBOX to Archive/2020, and from there to Entwürfe/Größe; new ones come, and of those in INBOX some are
// copied to Sent. No mailbox ever gets the same message twice.
func GoOn(ctx context.Context, t Target, l Later) (*Truth, error) {
	c, err := login(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("change account: %w", err)
	}
	defer c.close()
	if err := c.goOn(l); err != nil {
		return nil, fmt.Errorf("change account: %w", err)
	}
	if _, err := c.do("LOGOUT"); err != nil && !strings.Contains(err.Error(), "BYE") {
		return nil, fmt.Errorf("change account: %w", err)
	}
	return Read(ctx, t)
}

func (c *client) goOn(l Later) error {
	r := rand.New(rand.NewPCG(l.Seed, 0x6c61746572))
	for _, box := range []string{Inbox, Archive, Umlauts, Sent} {
		uids, err := c.uids(box)
		if err != nil {
			return err
		}
		r.Shuffle(len(uids), func(i, j int) { uids[i], uids[j] = uids[j], uids[i] })
		some := func(n int) string { // the next few, so that what is expunged or moved is nothing else
			n = min(n, max(len(uids)-2, 0))
			set := strings.Join(uids[:n], ",")
			uids = uids[n:]
			return set
		}
		steps := []struct{ command, set string }{
			{`UID STORE %s +FLAGS.SILENT (\Seen \Flagged)`, some(3)},
			{`UID STORE %s -FLAGS.SILENT (\Seen \Answered)`, some(3)},
			{`UID STORE %s +FLAGS.SILENT (Work $Later)`, some(2)},
			{`UID STORE %s -FLAGS.SILENT (Work NonJunk $label1)`, some(5)},
			{`UID STORE %s FLAGS.SILENT (\Answered NonJunk)`, some(1)},
		}
		dead := some(2)
		steps = append(steps, struct{ command, set string }{`UID STORE %s +FLAGS.SILENT (\Deleted)`, dead}, struct{ command, set string }{`UID EXPUNGE %s`, dead})
		switch box {
		case Inbox:
			steps = append(steps, struct{ command, set string }{`UID MOVE %s ` + c.name(Archive), some(4)})
		case Archive:
			steps = append(steps, struct{ command, set string }{`UID MOVE %s ` + c.name(Umlauts), some(2)})
		}
		for _, step := range steps {
			if step.set == "" {
				continue
			}
			if _, err := c.do(step.command, step.set); err != nil {
				return err
			}
		}
	}
	var appends []string
	for i, m := range l.Mail {
		box := [...]string{Inbox, Inbox, Sent, Archive}[i*4/len(l.Mail)]
		appends = append(appends, c.append(box, append(append([]string{}, m.Flags...), m.Keywords...), m))
	}
	if err := c.all(appends); err != nil || len(l.Mail) < 8 {
		return err
	}
	uids, err := c.uids(Inbox)
	if err != nil {
		return err
	}
	// Sent and Archive/2020 are not opened any more: in a Maildir, what came last stays where a delivery puts it.
	_, err = c.do(`UID COPY %s `+c.name(Sent), strings.Join(uids[len(uids)-2:], ","))
	return err
}

// uids selects a mailbox and gives its UIDs.
func (c *client) uids(box string) ([]string, error) {
	if _, err := c.do("SELECT %s", c.name(box)); err != nil {
		return nil, err
	}
	answers, err := c.do("UID SEARCH ALL")
	if err != nil {
		return nil, err
	}
	for _, l := range answers {
		if list, ok := strings.CutPrefix(l, "* SEARCH"); ok {
			return strings.Fields(list), nil
		}
	}
	return nil, nil
}
