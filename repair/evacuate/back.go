package evacuate

import (
	"context"
	"fmt"
	"slices"

	"dovemend/remote"
)

// waiting lists the messages of ours in the backup mailbox that may go back, by their UIDs there.
func (s *State) waiting(bad bool) []uint32 {
	var uids []uint32
	for _, m := range s.Messages {
		if m.InBackup && !m.Missing && (bad || !m.Bad) {
			uids = append(uids, m.UID)
		}
	}
	slices.Sort(uids)
	return uids
}

// moveBack moves the messages back, in batches that grow from one message on, and has the mailbox read after each in every way
// that mail programs do. A message that breaks it goes to the backup mailbox again, and is named.
func (e *Engine) moveBack(ctx context.Context) error {
	s := e.State
	e.Report.Stage("moving the messages back, with a look after each batch")
	e.Report.Total(len(s.waiting(false)), 0)
	for size := 1; ; size = min(size*2, e.Batch) {
		if err := e.settle(ctx, nil); err != nil {
			return err
		}
		if err := e.reread(ctx, &size); err != nil {
			return err
		}
		uids := s.waiting(false)
		if len(uids) == 0 {
			break
		}
		refused, err := e.move(ctx, true, uids[:min(size, len(uids))], size)
		if err != nil {
			return err
		}
		if len(refused) > 0 {
			if err := e.putOff(refused); err != nil {
				return err
			}
		}
	}
	return e.deleteBackup(ctx)
}

// reread looks at the messages that were moved back since the last look. One that cannot be read goes to the backup mailbox
// again.
func (e *Engine) reread(ctx context.Context, size *int) error {
	s := e.State
	var fresh []uint32
	var next uint32
	for _, m := range s.Messages {
		if !m.InBackup && !m.Missing && m.UID >= s.Next {
			fresh, next = append(fresh, m.UID), max(next, m.UID+1)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	slices.Sort(fresh)
	e.drop()
	found, err := e.Find(ctx, s.Source, fresh)
	if err != nil {
		return fmt.Errorf("look at the messages that were moved back: %w", err)
	}
	if len(found) > 0 {
		*size = 1
		var bad []uint32
		var breaking []*Message
		for _, l := range found {
			bad = append(bad, l.UID)
			breaking = append(breaking, s.source[l.UID])
		}
		refused, err := e.move(ctx, false, bad, 1)
		if err != nil {
			return err
		}
		for _, l := range refused {
			e.Report.Warn(fmt.Sprintf("UID %d of %s breaks Dovecot and cannot be moved out again: %s", l.UID, remote.Safe(e.Mailbox), l.Why))
		}
		if err := e.putOff(inBackup(found, breaking)); err != nil {
			return err
		}
	}
	return e.note(line{Kind: kindLook, Next: next})
}

// inBackup gives messages, as they were found in the mailbox, by the UIDs that they have in the backup mailbox now.
func inBackup(found []Left, were []*Message) (list []Left) {
	for i, l := range found {
		if m := were[i]; m != nil && m.InBackup && !m.Missing {
			list = append(list, Left{UID: m.UID, Why: l.Why})
		}
	}
	return list
}

// putOff remembers messages of the backup mailbox that stay there.
func (e *Engine) putOff(bad []Left) error {
	for _, l := range bad {
		e.Report.Warn(fmt.Sprintf("UID %d of %s stays there, because it breaks the mailbox: %s", l.UID, remote.Safe(e.State.Backup), l.Why))
	}
	if len(bad) == 0 {
		return nil
	}
	return e.note(line{Kind: kindPutOff, Left: bad})
}

// deleteBackup deletes the backup mailbox, which was made here, where nothing is in it any more.
func (e *Engine) deleteBackup(ctx context.Context) error {
	s := e.State
	if s.BackupGone || !s.Made {
		return nil
	}
	if err := e.connect(ctx); err != nil {
		return err
	}
	listing, err := e.conn.List(ctx)
	if err != nil {
		return e.failed(err)
	}
	if s.Deleting && !listed(listing, s.Backup) { // it was deleted just before the kill
		if err := e.conn.Unsubscribe(ctx, s.Backup); err != nil {
			return e.failed(err)
		}
		return e.note(line{Kind: kindGone})
	}
	x, err := e.look(ctx, s.Backup, s.BackupID)
	if err != nil {
		return err
	}
	if x.Exists > 0 {
		e.Report.Info(fmt.Sprintf("%s holds %d messages, and stays", remote.Safe(s.Backup), x.Exists))
		return nil
	}
	if err := e.note(line{Kind: kindDelete}); err != nil {
		return err
	}
	e.selected = ""
	if err := e.conn.DeleteEmpty(ctx, s.Backup); err != nil {
		return e.failed(err)
	}
	return e.note(line{Kind: kindGone})
}
