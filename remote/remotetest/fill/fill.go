package fill

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dovemend/remote/remotetest/mailgen"
)

// Names of the mailboxes that Fill makes, for people and with "/" between the levels.
const (
	Inbox   = "INBOX"
	Archive = "Archive/2020"
	Umlauts = "Entwürfe/Größe"
	Sent    = "Sent"
	Empty   = "Empty"
)

// Shape says how much mail there is. The zero value gives the account of the table of damages: an INBOX of 45 messages, 22
// seen and 5 with the keyword Work, after 5 were expunged and 10 moved to Archive/2020.
type Shape struct {
	Seed                       uint64
	Inbox, Seen, Work          int // messages left in INBOX, how many are seen, how many have the keyword Work
	Expunged, Moved, Copied    int // from INBOX: removed, moved to Archive/2020, copied to Sent
	InSent, InUmlauts, InAside int // messages appended to Sent, Entwürfe/Größe, Archive/2020
	// MailRoot, if given, makes Fill go on changing flags until that many folders under it have a dovecot.index.log.2:
	// those of the mailboxes in Rotate, by default of all with mail. With Backups it goes on until they have a
	// dovecot.index.backup too, which a Maildir never has.
	MailRoot string
	Rotate   []string
	Backups  bool
}

func (s *Shape) defaults() {
	for _, v := range []struct {
		field *int
		value int
	}{{&s.Inbox, 45}, {&s.Seen, 22}, {&s.Work, 5}, {&s.Expunged, 5}, {&s.Moved, 10}, {&s.Copied, 4}, {&s.InSent, 20}, {&s.InUmlauts, 9}, {&s.InAside, 6}} {
		if *v.field == 0 {
			*v.field = v.value
		}
	}
}

// Fill fills an empty account and reads it back.
func Fill(ctx context.Context, t Target, s Shape) (*Truth, error) {
	s.defaults()
	c, err := login(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("fill account: %w", err)
	}
	defer c.close()
	if err := c.fill(s); err != nil {
		return nil, fmt.Errorf("fill account: %w", err)
	}
	if s.MailRoot != "" {
		if err := c.rotate(ctx, s); err != nil {
			return nil, fmt.Errorf("fill account: %w", err)
		}
	}
	if _, err := c.do("LOGOUT"); err != nil && !strings.Contains(err.Error(), "BYE") {
		return nil, fmt.Errorf("fill account: %w", err)
	}
	return Read(ctx, t)
}

// name encodes a name for IMAP.
func (c *client) name(s string) string {
	return quoted(StorageName(strings.ReplaceAll(s, "/", c.sep)))
}

func (c *client) fill(s Shape) error {
	for _, box := range []string{"Archive", Archive, Umlauts, Sent, Empty} {
		if _, err := c.do("CREATE %s", c.name(box)); err != nil {
			return err
		}
		if _, err := c.do("SUBSCRIBE %s", c.name(box)); err != nil {
			return err
		}
	}
	total := s.Inbox + s.Expunged + s.Moved
	mails := mailgen.Series(s.Seed, total+s.InSent+s.InUmlauts+s.InAside)
	r := rand.New(rand.NewPCG(s.Seed, 0x66696c6c))
	// Which of INBOX's messages go where: the rest of the shuffled numbers stays.
	order := r.Perm(total)
	expunged, moved, kept := order[:s.Expunged], order[s.Expunged:s.Expunged+s.Moved], order[s.Expunged+s.Moved:]
	seen, work := make(map[int]bool), make(map[int]bool)
	for i, n := range r.Perm(len(kept)) {
		seen[kept[n]] = i < s.Seen
	}
	for i, n := range r.Perm(len(kept)) {
		work[kept[n]] = i < s.Work
	}
	var appends []string
	for i, m := range mails {
		box := Inbox
		switch {
		case i >= total+s.InSent+s.InUmlauts:
			box = Archive
		case i >= total+s.InSent:
			box = Umlauts
		case i >= total:
			box = Sent
		}
		flags := append([]string{}, m.Flags...)
		if box == Inbox { // seen and Work are counted there
			flags = flags[:0]
			for _, f := range m.Flags {
				if f != `\Seen` {
					flags = append(flags, f)
				}
			}
		}
		appends = append(appends, c.append(box, append(flags, m.Keywords...), m))
	}
	if err := c.all(appends); err != nil {
		return err
	}
	if _, err := c.do("SELECT INBOX"); err != nil {
		return err
	}
	steps := []struct{ command, set string }{
		{`UID STORE %s +FLAGS.SILENT (\Seen)`, uids(order, func(n int) bool { return seen[n] })},
		{`UID STORE %s +FLAGS.SILENT (Work)`, uids(order, func(n int) bool { return work[n] })},
		{`UID STORE %s +FLAGS.SILENT (\Deleted)`, uids(expunged, nil)},
		{`UID EXPUNGE %s`, uids(expunged, nil)},
		{`UID MOVE %s ` + c.name(Archive), uids(moved, nil)},
		{`UID COPY %s ` + c.name(Sent), uids(kept[:min(s.Copied, len(kept))], nil)},
	}
	for _, step := range steps {
		if step.set == "" {
			continue
		}
		if _, err := c.do(step.command, step.set); err != nil {
			return err
		}
	}
	// A mail program reads envelopes and structures, which makes Dovecot write its cache.
	_, err := c.do("UID FETCH 1:* (ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (REFERENCES X-PRIORITY)])")
	return err
}

// uids makes a set of the UIDs of INBOX's messages by their numbers: appended in order, number n has UID n+1.
func uids(numbers []int, want func(int) bool) string {
	var set []string
	for _, n := range numbers {
		if want == nil || want(n) {
			set = append(set, fmt.Sprint(n+1))
		}
	}
	return strings.Join(set, ",")
}

// append is the command that adds a message; one with NUL bytes goes as a literal8 (RFC 3516).
func (c *client) append(box string, flags []string, m mailgen.Mail) string {
	mark := ""
	if bytes.IndexByte(m.Bytes, 0) >= 0 {
		mark = "~"
	}
	return fmt.Sprintf("APPEND %s (%s) \"%s\" %s{%d+}\r\n%s", c.name(box), strings.Join(flags, " "), m.Date.Format("02-Jan-2006 15:04:05 -0700"), mark, len(m.Bytes), m.Bytes)
}

// rotate changes a flag to and fro until Dovecot has rotated the logs of all mailboxes with mail in them.
func (c *client) rotate(ctx context.Context, s Shape) error {
	all := s.Rotate
	if len(all) == 0 {
		all = []string{Inbox, Archive, Umlauts, Sent}
	}
	for range 20 {
		found, err := filesNamed(s.MailRoot, "dovecot.index.log.2")
		if err != nil {
			return err
		}
		backups := len(all)
		if s.Backups {
			if backups, err = filesNamed(s.MailRoot, "dovecot.index.backup"); err != nil {
				return err
			}
		}
		if found >= len(all) && backups >= len(all) {
			return nil
		}
		select { // logs younger than a second are not rotated
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(1100 * time.Millisecond):
		}
		for _, box := range all {
			commands := []string{"SELECT " + c.name(box)}
			for range 40 {
				commands = append(commands, "UID STORE 1:* +FLAGS.SILENT ("+Mark+")", "UID STORE 1:* -FLAGS.SILENT ("+Mark+")")
			}
			if err := c.all(append(commands, "CLOSE")); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("index logs under %s are not rotated; is the host started with RotateLogs?", s.MailRoot)
}

// filesNamed counts files of a name beneath a directory.
func filesNamed(root, name string) (int, error) {
	n := 0
	err := filepath.WalkDir(root, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == name {
			n++
		}
		return err
	})
	return n, err
}
