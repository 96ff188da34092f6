package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
)

const (
	maxTries    = 3       // in a row, to connect and open the mailbox
	maxHarmless = 5       // failures that say themselves that no message is to blame
	maxGathered = 2 << 20 // ranges of UIDs in one answer; an honest server cannot need them
)

// fatalError ends a search.
type fatalError struct {
	stop Stop
	err  error
}

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

func isFatal(err error) bool {
	var e *fatalError
	return errors.As(err, &e)
}

// stopped says whether err means that the search was ended from here.
func stopped(ctx context.Context, err error) bool {
	var e *imap.Error
	return err != nil && (ctx.Err() != nil || errors.As(err, &e) && e.Type == imap.TypeStopped)
}

// ask puts one question and gives the messages that were answered. Where the server hung up, the connection is gone
// afterwards.
func (f *finder) ask(ctx context.Context, look imap.Look, set uidSet) (uidSet, error) {
	if err := f.open(ctx); err != nil {
		return nil, err
	}
	f.lines, f.seesLog = nil, f.conn.Stderr != nil
	ranges := set
	if f.found.Only == nil && f.found.Exists != nil {
		ranges = set.bridge(uidSet(f.found.Exists).minus(set))
	}
	f.trip(imap.Commands(ranges))
	var g gather
	var yield func(uint32)
	tooMany := false
	if look.NamesMessages() {
		yield = func(uid uint32) {
			if tooMany = tooMany || len(g.set) > maxGathered; !tooMany {
				g.add(uid)
			}
		}
	}
	err := f.conn.AskRanges(ctx, look, ranges, yield)
	answered := normal(g.set).and(set)
	if err == nil && !look.NamesMessages() {
		answered = set
	}
	if tooMany {
		return nil, &fatalError{StopMailbox, errors.New("the server tells of more messages than a mailbox can have")}
	}
	return answered, f.after(ctx, err)
}

func (f *finder) trip(n int) {
	f.trips += n
	f.found.RoundTrips += n
}

// after notes a failure, and lets go of a connection that is gone.
func (f *finder) after(ctx context.Context, err error) error {
	var e *imap.Error
	switch {
	case err == nil:
		f.hangups = 0
		return nil
	case stopped(ctx, err) || errors.As(err, &e) && e.Type == imap.TypeRefused:
		return err
	}
	f.found.Failures++
	x := imap.Explain(err)
	text := err.Error()
	if errors.As(err, &e) && e.Raw != "" {
		text = e.Op + ": " + e.Raw
	}
	f.found.Replies = addReply(f.found.Replies, remote.Safe(text), x)
	if imap.Ended(err) {
		f.hangups++
		f.drop(ctx)
	} else {
		f.collect()
	}
	return err
}

// harmless reports whether a failure says itself that no message is to blame for it.
func harmless(err error) bool {
	switch imap.Explain(err).Class {
	case imap.ClassInconsistent, imap.ClassUIDValidity, imap.ClassUnavailable, imap.ClassConnectionLimit, imap.ClassBusy,
		imap.ClassLock, imap.ClassThrottled, imap.ClassBye, imap.ClassExpunged, imap.ClassDiskFull:
		return true
	}
	return false
}

// patience waits after such a failure. Too many of them in a row end the search.
func (f *finder) patience(ctx context.Context, err error) error {
	if f.relogins++; f.relogins > maxHarmless {
		return &fatalError{StopConnection, err}
	}
	f.hangups = max(f.hangups, f.relogins)
	if f.conn == nil { // connect waits
		return nil
	}
	return f.wait(ctx)
}

// open makes sure of a connection on which the mailbox is examined.
func (f *finder) open(ctx context.Context) error {
	if f.conn != nil && f.examined {
		return nil
	}
	for try := 1; ; try++ {
		err := f.connect(ctx)
		if err == nil {
			if err = f.examine(ctx); err == nil {
				return nil
			}
			err = f.after(ctx, err)
			if !imap.Ended(err) && !stopped(ctx, err) && !isFatal(err) {
				err = &fatalError{StopMailbox, err}
			}
		}
		if stopped(ctx, err) || errors.Is(err, errSpent) || isFatal(err) {
			return err
		}
		if try == maxTries {
			stop := StopConnection
			var e *imap.Error
			if errors.As(err, &e) && (e.Op == "EXAMINE" || e.Op == "LIST") {
				stop = StopMailbox
			}
			return &fatalError{stop, err}
		}
	}
}

// connect makes a connection, after a pause where the last one was lost. What the host has said no to is not tried again.
func (f *finder) connect(ctx context.Context) error {
	if f.conn != nil {
		return nil
	}
	if f.dials > max(f.o.Reconnects, 0) {
		f.found.Stop = StopReconnects
		return errSpent
	}
	if err := f.wait(ctx); err != nil {
		return err
	}
	f.dials++
	f.found.Connections++
	conn, err := f.dial(ctx)
	if err == nil {
		f.conn, f.logged, f.examined = conn, 0, false
		return nil
	}
	f.hangups++
	if ctx.Err() != nil {
		return err
	}
	x := imap.Explain(err)
	f.found.Replies = addReply(f.found.Replies, remote.Safe(err.Error()), x)
	switch x.Class {
	case imap.ClassConnectionLimit:
		return &fatalError{StopLimit, err}
	case imap.ClassUnavailable, imap.ClassClosed, imap.ClassTimeout, imap.ClassUnreachable, imap.ClassBye:
		return err
	}
	return &fatalError{StopConnection, err}
}

// wait lets the server breathe after it has hung up.
func (f *finder) wait(ctx context.Context) error {
	if f.o.Pause < 0 || f.hangups == 0 {
		return nil
	}
	t := time.NewTimer(f.o.Pause << min(f.hangups-1, 5))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// examine opens the mailbox and sees that it is the one it was.
func (f *finder) examine(ctx context.Context) error {
	if f.found.ServerName == "" {
		f.trip(1)
		l, err := f.conn.List(ctx)
		if err != nil {
			return err
		}
		f.found.ServerName, _ = l.Resolve(f.found.Mailbox)
	}
	f.trip(1)
	e, err := f.conn.Examine(ctx, f.found.ServerName)
	if err != nil {
		return err
	}
	if v := f.found.UIDValidity; v != 0 && v != e.UIDValidity {
		return &fatalError{StopUIDValidity, fmt.Errorf("UIDVALIDITY was %d and is now %d: %w", v, e.UIDValidity, ErrUIDValidity)}
	}
	if f.found.UIDValidity == 0 || f.found.UIDNext == 0 {
		f.found.UIDValidity, f.found.UIDNext = e.UIDValidity, e.UIDNext
		if e.UIDNext == 0 { // a server that does not tell it
			f.found.UIDNext = 1<<32 - 1
		}
	}
	f.examined = true
	return nil
}

// drop ends the connection, if there is one.
func (f *finder) drop(ctx context.Context) {
	if f.conn == nil {
		return
	}
	f.conn.Logout(ctx)
	f.collect()
	f.conn, f.examined = nil, false
}

// collect takes notices and new log lines.
func (f *finder) collect() {
	for _, n := range f.conn.Notices() {
		f.found.Replies = addReply(f.found.Replies, remote.Safe(strings.TrimSpace(n.Type+" "+n.Text)), imap.ExplainNotice(n))
	}
	if f.conn.Stderr == nil {
		return
	}
	log, next := f.conn.Stderr(f.logged)
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSpace(line)
		if x, ok := imap.ExplainLog(line); ok && x.Whose != imap.WhoseNone {
			f.lines = addReply(f.lines, remote.Safe(line), x)
			f.found.Log = addReply(f.found.Log, remote.Safe(line), x)
		}
	}
	f.logged = next
}

// looksOf names looks in words.
func looksOf(looks []imap.Look) string {
	var names []string
	for _, l := range looks {
		names = append(names, l.Command())
	}
	return strings.Join(slices.Compact(names), ", ")
}
