package remote

import (
	"context"
	"errors"
	"fmt"
)

// current gives the link as it is: for changing verbs, which never connect anew.
func (h *Host) current() (*link, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("%w: closed", ErrDisconnected)
	}
	if h.dead != nil {
		return nil, h.dead
	}
	if err := h.now.lost(); err != nil {
		return nil, err
	}
	return h.now, nil
}

// readable gives a link for reading work: where the connection is lost it is made anew, by one of all that ask. When
// that does not succeed the host stays lost.
func (h *Host) readable(ctx context.Context) (*link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // the choice below is by chance where both are ready
	}
	select {
	case h.redial <- struct{}{}:
		defer func() { <-h.redial }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l, err := h.current()
	if err == nil {
		return l, nil
	}
	h.mu.Lock()
	final := h.closed || h.dead != nil || h.now.hostile.Load()
	h.mu.Unlock()
	if final {
		return nil, err
	}
	h.log.Warn("connection lost, connecting again", "cause", err)
	l, redialErr := h.connectAgain(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if redialErr != nil {
		if ctx.Err() == nil {
			h.dead = fmt.Errorf("%w; connecting again: %w", err, redialErr)
			return nil, h.dead
		}
		return nil, ctx.Err()
	}
	if h.closed {
		l.close(fmt.Errorf("%w: closed", ErrDisconnected))
		return nil, l.lost()
	}
	h.now = l
	return l, nil
}

// reading does work that only reads; when the connection is lost under it, it is made anew and the work done again,
// once.
func (h *Host) reading(ctx context.Context, work func(*link) error) error {
	for try := 0; ; try++ {
		l, err := h.readable(ctx)
		if err != nil {
			return err
		}
		err = work(l)
		if err == nil || try > 0 || ctx.Err() != nil || (l.lost() == nil && !errors.Is(err, ErrDisconnected)) {
			return err
		}
	}
}
