package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

// answerTimeout is how long the host may take to answer one SFTP request. A stalled network file system of a shared
// host can need a minute.
const answerTimeout = 2 * time.Minute

// linkCall does a thing that cannot be interrupted and returns early when ctx or the connection ends, or after
// answerTimeout. What it gives then goes to discard, which may be nil.
func linkCall[T any](ctx context.Context, l *link, do func() (T, error), discard func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	var r result
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.v, r.err = do()
	}()
	if err := l.answered(ctx, done); err != nil {
		if discard != nil {
			go func() {
				if <-done; r.err == nil {
					discard(r.v)
				}
			}()
		}
		return none, err
	}
	return r.v, l.explain(r.err)
}

// answered waits for done, for the end of ctx or the connection, or for answerTimeout.
func (l *link) answered(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return l.lost()
	case <-timer.C:
		return fmt.Errorf("the host did not answer in %v: %w", answerTimeout, os.ErrDeadlineExceeded)
	}
}

// explain gives the loss of the connection for an error that came of it.
func (l *link) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, ErrDisconnected) {
		l.close(fmt.Errorf("%w: the host ended the SFTP session", ErrDisconnected))
	}
	if lost := l.lost(); lost != nil {
		return lost
	}
	return err
}

// validRemote says whether p can be a path on a host at all.
func validRemote(p string) bool {
	return p != "" && len(p) <= 4096 && strings.IndexByte(p, 0) < 0
}
