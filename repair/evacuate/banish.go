package evacuate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// banish takes messages out of the mailbox that were moved out before and show again. That happens where a clearing is disturbed:
// dovecot.index is older than what its log told, and a mail program that opens the mailbox when the log is gone makes Dovecot believe
// it. Only what has the very text of its copy in the backup mailbox is such a message; others have got a used UID, and are new. These are
// returned, or nil where something was taken out.
func (e *Engine) banish(ctx context.Context, uids []uint32) (again map[uint32]bool, err error) {
	s := e.State
	again = map[uint32]bool{}
	ghosts := s.ghosts(uids)
	if len(ghosts) == 0 {
		return again, nil
	}
	is, err := e.texts(ctx, slices.Sorted(maps.Keys(ghosts)))
	if err != nil && (ctx.Err() != nil || !imap.Ended(err)) {
		return nil, err
	}
	if err != nil { // they have no text any more, and Dovecot has noticed that
		return nil, nil
	}
	if _, err := e.look(ctx, s.Backup, s.BackupID); err != nil {
		return nil, err
	}
	was, err := e.texts(ctx, slices.Sorted(maps.Values(ghosts)))
	if err != nil {
		return nil, err
	}
	var proven []uint32
	for u, to := range ghosts {
		x, there := is[u]
		y, copied := was[to]
		if there && copied && x == y {
			proven = append(proven, u)
		} else {
			again[u] = true
		}
	}
	if len(proven) == 0 {
		return again, nil
	}
	slices.Sort(proven)
	e.Report.Info(fmt.Sprintf("%d messages that were moved show in %s again, and are taken out", len(proven), remote.Safe(e.Mailbox)))
	if err := e.open(ctx, s.Source, s.Validity); err != nil {
		return nil, err
	}
	return nil, e.failed(e.conn.Remove(ctx, proven))
}
