package remote

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	pollEvery = 150 * time.Millisecond // between two looks at the process list
	killWait  = 2 * time.Second        // after SIGKILL; what is there then is stuck in the kernel
)

// processHost is what quiescing needs of the host.
type processHost interface {
	listing(ctx context.Context) (listing, error)
	signalAll(ctx context.Context, list []Process, sig Signal) ([]error, error)
}

// Quiesce ends the user's Dovecot processes and watches that none comes back: SIGTERM, a grace time, SIGKILL for what
// is left, then a settle time in which none may appear. Clients reconnect by themselves, so this is tried several times.
// That some came back is no error: the result says so, and which. Where the host gives no shell the error wraps
// [ErrNoShell]. When ctx ends it returns at once, with what is known so far.
func (h *Host) Quiesce(ctx context.Context, o QuiesceOptions) (Quiet, error) {
	return quiesce(ctx, h, o)
}

// identity is what makes a process the same one at two looks.
type identity struct {
	pid   int
	start string
}

func idOf(p Process) identity { return identity{p.PID, p.Start} }

// quiescing is one Quiesce under way.
type quiescing struct {
	host  processHost
	o     QuiesceOptions
	quiet Quiet
	stuck map[identity]bool // did not end by SIGKILL
	known map[identity]bool // told as an event
}

func quiesce(ctx context.Context, host processHost, o QuiesceOptions) (Quiet, error) {
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	if o.Settle <= 0 {
		o.Settle = 3 * time.Second
	}
	if o.Tries <= 0 {
		o.Tries = 5
	}
	q := &quiescing{host: host, o: o, stuck: map[identity]bool{}, known: map[identity]bool{}}
	err := q.rounds(ctx)
	if err != nil {
		return q.quiet, fmt.Errorf("quiesce: %w", err)
	}
	return q.quiet, nil
}

func (q *quiescing) rounds(ctx context.Context) error {
	running, err := q.look(ctx)
	if err != nil {
		return err
	}
	for range q.o.Tries {
		if err := q.end(ctx, running); err != nil {
			return err
		}
		if running, err = q.settle(ctx); err != nil {
			return err
		}
		if len(running) == 0 {
			q.quiet.Back, q.quiet.Stayed = nil, true
			return nil
		}
		if q.onlyStuck(running) {
			break
		}
	}
	return nil
}

// look lists the processes concerned, and keeps them as those that would be left if this were the end.
func (q *quiescing) look(ctx context.Context) ([]Process, error) {
	l, err := q.host.listing(ctx)
	if err != nil {
		return nil, err
	}
	q.quiet.Hidden = l.hidden
	var running []Process
	for _, p := range l.processes {
		if q.o.Only == nil || q.o.Only(p) {
			running = append(running, p)
		}
	}
	q.quiet.Back = running
	return running, nil
}

// end ends these processes, first politely.
func (q *quiescing) end(ctx context.Context, list []Process) error {
	left, err := q.signal(ctx, "term", list, SIGTERM, q.o.Grace)
	if err != nil || len(left) == 0 {
		return err
	}
	left, err = q.signal(ctx, "kill", left, SIGKILL, killWait)
	for _, p := range left {
		q.stuck[idOf(p)] = true
	}
	return err
}

// signal signals the processes and waits until they are gone, giving those that were not after the time.
func (q *quiescing) signal(ctx context.Context, event string, list []Process, sig Signal, wait time.Duration) ([]Process, error) {
	var targets []Process
	for _, p := range list {
		if !q.stuck[idOf(p)] {
			targets = append(targets, p)
		}
	}
	if len(targets) == 0 {
		return nil, nil
	}
	for _, p := range targets {
		q.known[idOf(p)] = true
		q.event(event, p)
	}
	errs, err := q.host.signalAll(ctx, targets, sig)
	if err != nil {
		return targets, err
	}
	var left []Process
	for i, p := range targets {
		if errors.Is(errs[i], ErrProcessGone) {
			q.gone(p)
			continue
		}
		left = append(left, p)
	}
	for deadline := time.Now().Add(wait); len(left) > 0; {
		if err := pause(ctx, pollEvery); err != nil {
			return left, err
		}
		running, err := q.look(ctx)
		if err != nil {
			return left, err
		}
		left = q.still(left, running)
		if time.Now().After(deadline) {
			break
		}
	}
	return left, nil
}

// still tells those of list that run; of the others it notes that they are gone.
func (q *quiescing) still(list, running []Process) []Process {
	now := map[identity]bool{}
	for _, p := range running {
		now[idOf(p)] = true
	}
	var left []Process
	for _, p := range list {
		if now[idOf(p)] {
			left = append(left, p)
		} else {
			q.gone(p)
		}
	}
	return left
}

// settle watches for the settle time that nothing runs, and gives what does.
func (q *quiescing) settle(ctx context.Context) ([]Process, error) {
	for deadline := time.Now().Add(q.o.Settle); ; {
		running, err := q.look(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range running {
			if !q.known[idOf(p)] {
				q.known[idOf(p)] = true
				q.event("new", p)
			}
		}
		if len(running) > 0 || !time.Now().Before(deadline) {
			return running, nil
		}
		if err := pause(ctx, pollEvery); err != nil {
			return nil, err
		}
	}
}

func (q *quiescing) onlyStuck(list []Process) bool {
	for _, p := range list {
		if !q.stuck[idOf(p)] {
			return false
		}
	}
	return true
}

func (q *quiescing) gone(p Process) {
	q.quiet.Ended = append(q.quiet.Ended, p)
	q.event("gone", p)
}

func (q *quiescing) event(what string, p Process) {
	if q.o.Event != nil {
		q.o.Event(what, p)
	}
}

// pause waits, or returns early with the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
