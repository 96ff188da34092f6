package repair

import (
	"context"
	"errors"
	"strings"
	"time"

	"dovemend/remote"
)

// stiller gives what ends the imap processes on the host before a message counts as lost whose connection broke: one of them may have received it
// and wait for the mailbox's lock. Their clients come back by themselves. nil without a host.
func (r *Run) stiller(look *Look) func(context.Context) (bool, error) {
	if r.s.host == nil {
		return nil
	}
	return func(ctx context.Context) (bool, error) {
		if err := look.Close(); err != nil { // its process would be ended with the others
			return false, err
		}
		o := r.s.o.Quiesce
		o.Settle, o.Tries = time.Millisecond, 1
		if o.Only == nil {
			o.Only = func(p remote.Process) bool { return p.Service == "imap" }
		}
		quiet, err := r.s.host.Quiesce(ctx, o)
		if errors.Is(err, remote.ErrNoShell) {
			return false, nil
		}
		r.log.Info("imap processes ended before messages are looked for", "ended", len(quiet.Ended), "back", len(quiet.Back), "hidden", quiet.Hidden, "error", err)
		here := look.How == "preauth" || strings.Contains(look.How, "through SSH") // else the server may be another machine
		return err == nil && here && quiet.Stayed && !quiet.Hidden, err
	}
}
