package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// opening is a session that is being opened, or is open and waits for its use.
type opening struct {
	done chan struct{} // closed when what follows is there
	s    *ssh.Session
	err  error
}

// abandon closes the session, when it is open.
func (o *opening) abandon() {
	if <-o.done; o.s != nil {
		o.s.Close()
	}
}

// refusedError: the host opens no session now; it may allow only few at a time (OpenSSH's MaxSessions).
type refusedError struct{ text string }

func (e *refusedError) Error() string {
	return "open session: the host refuses it, perhaps for having too many: " + e.text
}

// errStale: the host has closed a session that was opened ahead before it was used.
var errStale = errors.New("open session: the host has closed it unused")

// session gives a session of its own, and says whether it was opened ahead: one always is, so that the next command begins a round
// trip sooner, until the host refuses one. A session of ours may be about to end: after a refusal it tries again for a moment.
func (l *link) session(ctx context.Context) (s *ssh.Session, ahead bool, err error) {
	for wait := 50 * time.Millisecond; ; {
		s, ahead, err = l.sessionNow(ctx)
		var refused *refusedError
		if !errors.As(err, &refused) || wait > time.Second {
			return s, ahead, err
		}
		if ahead { // that was a while ago
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		wait *= 2
	}
}

// sessionNow takes what is opened ahead, or opens a session; a host which does not answer does not hold the caller past ctx.
func (l *link) sessionNow(ctx context.Context) (s *ssh.Session, ahead bool, err error) {
	l.aheadMu.Lock()
	o := l.ahead
	if ahead = o != nil; !ahead {
		o = l.open()
	}
	l.ahead = nil
	if !l.few {
		l.ahead = l.open()
	}
	l.aheadMu.Unlock()
	select {
	case <-o.done:
	case <-ctx.Done():
		go o.abandon()
		return nil, false, ctx.Err()
	case <-l.done:
		go o.abandon()
		return nil, false, l.lost()
	}
	var refused *ssh.OpenChannelError
	switch {
	case o.err == nil:
		l.begin()
		return o.s, ahead, nil
	case errors.As(o.err, &refused):
		l.aheadMu.Lock()
		l.few = true
		l.aheadMu.Unlock()
		return nil, ahead, &refusedError{Safe(refused.Message)}
	}
	if lost := l.lostSoon(); lost != nil {
		return nil, false, lost
	}
	return nil, false, fmt.Errorf("open session: %w", o.err)
}

// stale is for a host that has closed what was opened ahead: that is not done again.
func (l *link) stale() error {
	l.aheadMu.Lock()
	defer l.aheadMu.Unlock()
	if l.ahead != nil {
		go l.ahead.abandon()
	}
	l.ahead, l.few = nil, true
	return errStale
}

// open begins to open a session.
func (l *link) open() *opening {
	o := &opening{done: make(chan struct{})}
	go func() {
		o.s, o.err = l.client.NewSession()
		close(o.done)
	}()
	return o
}
