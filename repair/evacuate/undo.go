package evacuate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// Uncleared says what an undo does about the clearing of the mailbox.
type Uncleared struct {
	Done bool // it was cleared to its end: what is in the mailbox now came since, and is moved out of the way first
	// Restore brings the files back that the clearing took away. It is nil where it took nothing. Called again after a kill, it
	// goes on. [ErrNewMail] means that there are messages in the mailbox that are neither of them nor were moved out of the way.
	Restore func(ctx context.Context) error
}

// Undo takes an evacuation back: what the clearing took comes back, by its files, and every message of the backup mailbox
// that the evacuation has put there moves back over IMAP, with what is new in the mailbox. Messages that were moved have other UIDs
// then. e.State is that of the evacuation, continued by the undo's own journal. A backup mailbox that is empty in the end
// is deleted, because the evacuation made it.
func (e *Engine) Undo(ctx context.Context, u Uncleared) error {
	s := e.State
	s.Ended = false
	if e.Begin != nil {
		if err := e.Begin(); err != nil {
			return err
		}
	}
	if err := e.settle(ctx, nil); err != nil {
		return err
	}
	if s.Made || s.BackupID != 0 {
		if err := e.remake(ctx); err != nil {
			return err
		}
	}
	if u.Restore != nil && !s.Uncleared {
		if err := e.putIn(ctx, u); err != nil {
			return err
		}
	}
	if !s.Made {
		return e.unmake(ctx)
	}
	uids := s.waiting(true)
	e.Report.Stage("moving messages back to " + remote.Safe(s.Source))
	e.Report.Total(len(uids), 0)
	if len(uids) > 0 {
		refused, err := e.move(ctx, true, uids, e.Batch)
		if err != nil {
			return err
		}
		for _, l := range refused {
			e.Report.Warn(fmt.Sprintf("UID %d of %s stays there: %s", l.UID, remote.Safe(s.Backup), l.Why))
		}
	}
	if err := e.settle(ctx, nil); err != nil {
		return err
	}
	if err := e.deleteBackup(ctx); err != nil {
		return err
	}
	return e.note(line{Kind: kindEnd})
}

// putIn brings back what the clearing took, once nothing is in the way. A mailbox into which a part of it came back before a kill is not
// opened, or Dovecot would take it for what it is not: Restore itself sees from the files whether new mail has come.
func (e *Engine) putIn(ctx context.Context, u Uncleared) error {
	s := e.State
	gather := u.Done && !s.Restoring
	for range rounds {
		if gather && s.Made {
			if err := e.gather(ctx); err != nil {
				return err
			}
		}
		e.drop()
		if !s.Restoring {
			if err := e.note(line{Kind: kindPutIn}); err != nil {
				return err
			}
		}
		err := u.Restore(ctx)
		if err == nil {
			return e.note(line{Kind: kindUncl})
		}
		if !errors.Is(err, ErrNewMail) || !s.Made {
			return err
		}
		e.Report.Info("new mail has come meanwhile; it is moved out of the way too")
		gather = true
	}
	return fmt.Errorf("%w: close the mail programs and filters that put mail into %s", ErrBusy, remote.Safe(s.Source))
}

// remake makes the backup mailbox again where it is gone: at the end of the way back it is deleted. An undo that was killed while it
// made it goes on.
func (e *Engine) remake(ctx context.Context) error {
	if !e.State.Made {
		return e.make(ctx)
	}
	if err := e.connect(ctx); err != nil {
		return err
	}
	listing, err := e.conn.List(ctx)
	if err != nil {
		return e.failed(err)
	}
	if listed(listing, e.State.Backup) {
		return nil
	}
	e.State.Made, e.State.Backup = false, ""
	return e.make(ctx)
}

// gather moves what is in the cleared mailbox to the backup mailbox, so that it is not in the way of the files that come back.
func (e *Engine) gather(ctx context.Context) error {
	for range rounds {
		var there []uint32
		var sure bool
		err := e.insist(ctx, func() (err error) {
			there, sure, err = e.inTheWay(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if !sure {
			continue
		}
		if len(there) == 0 {
			return nil
		}
		e.Report.Stage(fmt.Sprintf("moving what is in %s out of the way", remote.Safe(e.State.Source)))
		refused, err := e.move(ctx, false, there, e.Batch)
		if err != nil {
			return err
		}
		if len(refused) == len(there) {
			return fmt.Errorf("the server does not move %d messages out of %s, and they would be in the way of what comes back: UID %d: %s",
				len(refused), remote.Safe(e.State.Source), refused[0].UID, refused[0].Why)
		}
	}
	return fmt.Errorf("%w: close the mail programs and filters that put mail into %s", ErrBusy, remote.Safe(e.State.Source))
}

// inTheWay tells which messages are to be gathered; it is not sure where it has taken some out that showed again.
func (e *Engine) inTheWay(ctx context.Context) (there []uint32, sure bool, err error) {
	s := e.State
	if err := e.settle(ctx, nil); err != nil {
		return nil, false, err
	}
	x, err := e.look(ctx, s.Source, 0)
	if err != nil {
		return nil, false, err
	}
	if x.UIDValidity != s.Validity {
		if err := e.note(line{Kind: kindSeen, Validity: x.UIDValidity}); err != nil {
			return nil, false, err
		}
	}
	disturbed := x.UIDValidity == s.LeftID && !s.Fresh // Dovecot has written back what it had in memory
	if err := e.open(ctx, s.Source, s.Validity); err != nil {
		return nil, false, err
	}
	now, err := e.inventory(ctx, 1)
	if err != nil {
		return nil, false, err
	}
	if disturbed {
		maps.DeleteFunc(now, func(u uint32, _ []string) bool { return has(s.Left, u) })
		again, err := e.banish(ctx, slices.Sorted(maps.Keys(now)))
		if err != nil || again == nil {
			return nil, false, err
		}
	}
	return slices.Sorted(maps.Keys(now)), true, nil
}

// unmake deletes a backup mailbox of which it is not known whether it was made.
func (e *Engine) unmake(ctx context.Context) error {
	s := e.State
	if s.Backup != "" && !s.BackupGone {
		if err := e.connect(ctx); err != nil {
			return err
		}
		listing, err := e.conn.List(ctx)
		if err != nil {
			return e.failed(err)
		}
		if listed(listing, s.Backup) {
			x, err := e.look(ctx, s.Backup, 0)
			if err != nil {
				return err
			}
			if x.Exists == 0 {
				e.selected = ""
				if err := e.conn.DeleteEmpty(ctx, s.Backup); err != nil {
					return e.failed(err)
				}
			}
		}
	}
	return e.note(line{Kind: kindEnd})
}

func listed(l *imap.Listing, name string) bool {
	return slices.ContainsFunc(l.Mailboxes, func(m imap.Mailbox) bool { return m.Name == name && !m.NoSelect })
}

// Missing gives the messages that should be in the mailbox, by what the state tells, and are not, or lack a flag. It opens none.
func Missing(ctx context.Context, c Conn, s *State) (uids []uint32, err error) {
	if _, err := c.Examine(ctx, s.Source); err != nil {
		return nil, err
	}
	now := map[uint32][]string{}
	err = c.FetchFlags(ctx, 1, func(m imap.Message) error {
		now[m.UID] = append(append([]string{}, m.Flags...), m.Keywords...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, m := range s.Messages {
		if m.InBackup || m.Missing {
			continue
		}
		is, there := now[m.UID]
		if !there || slices.ContainsFunc(m.Flags, func(f string) bool { return !slices.Contains(is, f) }) {
			uids = append(uids, m.UID)
		}
	}
	return uids, nil
}
