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

// rounds is how often new mail is moved after the others before the evacuation gives up.
const rounds = 8

// Run does the evacuation, from its beginning or from where it stopped. Before [State.Changed] an error means that nothing was
// changed.
func (e *Engine) Run(ctx context.Context) error {
	if e.State.Ended {
		return nil
	}
	if err := e.settle(ctx, nil); err != nil {
		return err
	}
	if !e.State.Begun {
		if err := e.begin(ctx); err != nil {
			return err
		}
	}
	if err := e.make(ctx); err != nil {
		return err
	}
	if err := e.empty(ctx); err != nil {
		return err
	}
	if e.Back {
		if err := e.moveBack(ctx); err != nil {
			return err
		}
	}
	return e.note(line{Kind: kindEnd})
}

// begin looks at the mailbox for the first time: is it the one that was copied, and which messages can be read?
func (e *Engine) begin(ctx context.Context) error {
	if err := e.connect(ctx); err != nil {
		return err
	}
	listing, err := e.conn.List(ctx)
	if err != nil {
		return e.failed(err)
	}
	source, _ := listing.Resolve(e.Mailbox)
	if ways := e.conn.Ways(); !ways.Move && !ways.UIDPlus {
		return imap.ErrCannotMove
	}
	e.Report.Stage("looking at " + remote.Safe(e.Mailbox) + " over IMAP")
	x, err := e.look(ctx, source, e.Known.UIDValidity)
	if err != nil {
		return err
	}
	before, err := e.inventory(ctx, 1)
	if err != nil {
		return err
	}
	if err := e.asCopied(before); err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(e.Known.Unreadable), func(l Left) bool { return before[l.UID] == nil })
	ask := slices.DeleteFunc(slices.Sorted(maps.Keys(before)), func(u uint32) bool { return has(left, u) })
	e.drop() // one connection at a time
	found, err := e.find(ctx, source, ask)
	if err != nil {
		return err
	}
	left = append(left, found...)
	if err := e.Agree(left); err != nil {
		return err
	}
	if len(found) > 0 {
		if err := e.flagsKept(ctx, source, x.UIDValidity, before); err != nil {
			return err
		}
	}
	if e.Begin != nil {
		if err := e.Begin(); err != nil {
			return err
		}
	}
	return e.note(line{Kind: kindBegin, Source: source, Validity: x.UIDValidity, Next: x.UIDNext, Total: len(before), Left: left})
}

func has(left []Left, uid uint32) bool {
	return slices.ContainsFunc(left, func(l Left) bool { return l.UID == uid })
}

// asCopied compares the mailbox with its copy: what is missing now was taken away by somebody, or by Dovecot when it built the
// mailbox anew.
func (e *Engine) asCopied(now map[uint32][]string) error {
	gone := 0
	for _, u := range e.Known.UIDs {
		if now[u] == nil {
			gone++
		}
	}
	if gone > 0 {
		return fmt.Errorf("%d of the %d messages that were copied are not in %s any more: %w", gone, len(e.Known.UIDs), remote.Safe(e.Mailbox), ErrLooked)
	}
	return nil
}

func (e *Engine) find(ctx context.Context, source string, uids []uint32) ([]Left, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	e.Report.Stage(fmt.Sprintf("asking Dovecot for each of %d messages, to find those it fails on", len(uids)))
	found, err := e.Find(ctx, source, uids)
	if err != nil {
		return nil, fmt.Errorf("find the messages that cannot be read: %w", err)
	}
	return found, nil
}

// flagsKept makes sure that reading has changed nothing: a message that was found to be broken may have made Dovecot build the
// mailbox anew. Flags that were lost by that are put back; where more was lost, nothing is begun.
func (e *Engine) flagsKept(ctx context.Context, source string, validity uint32, before map[uint32][]string) error {
	if err := e.open(ctx, source, validity); err != nil {
		return err
	}
	now, err := e.inventory(ctx, 1)
	if err != nil {
		return err
	}
	if err := e.asCopied(now); err != nil {
		return err
	}
	for uid, flags := range before {
		is, there := now[uid]
		lost := slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return slices.Contains(is, f) })
		if !there || len(lost) == 0 || len(is) > len(flags)-len(lost) {
			continue // nothing lost, or a client is at work on it
		}
		if err := e.conn.AddFlags(ctx, []uint32{uid}, lost); err != nil {
			return e.failed(err)
		}
	}
	return nil
}

// make makes the backup mailbox, under the first name that is free.
func (e *Engine) make(ctx context.Context) error {
	s := e.State
	if s.Made {
		return nil
	}
	if err := e.connect(ctx); err != nil {
		return err
	}
	listing, err := e.conn.List(ctx)
	if err != nil {
		return e.failed(err)
	}
	for try := 0; ; try++ {
		if s.Backup != "" && listed(listing, s.Backup) { // it was made, or somebody has made one of that name just now
			x, err := e.look(ctx, s.Backup, 0)
			if err != nil {
				return err
			}
			if x.Exists == 0 {
				break
			}
		}
		if name := free(listing, e.Backup); name != s.Backup {
			if err := e.note(line{Kind: kindCreate, Backup: name}); err != nil {
				return err
			}
		}
		e.selected = ""
		err := e.conn.Create(ctx, s.Backup)
		if err == nil {
			break
		}
		if imap.Ended(err) || try >= 3 {
			return e.failed(err)
		}
		if listing, err = e.conn.List(ctx); err != nil {
			return e.failed(err)
		}
		if !listed(listing, s.Backup) { // it was refused for another reason
			return fmt.Errorf("make mailbox %s: %w", remote.Safe(s.Backup), err)
		}
	}
	if err := e.conn.Subscribe(ctx, s.Backup); err != nil {
		return e.failed(err)
	}
	x, err := e.look(ctx, s.Backup, 0)
	if err != nil {
		return err
	}
	e.Report.Info("made mailbox " + remote.Safe(s.Backup))
	return e.note(line{Kind: kindMade, Validity: x.UIDValidity})
}

// empty moves everything that can be moved, clears the mailbox, and sees it answer. New mail that comes in between is moved
// too, and never cleared.
func (e *Engine) empty(ctx context.Context) error {
	again := false
	for round := 0; !e.State.Fresh; round++ {
		if round >= rounds {
			return fmt.Errorf("%w: close the mail programs and filters that put mail into %s", ErrBusy, remote.Safe(e.Mailbox))
		}
		if !e.State.Empty {
			if err := e.moveOut(ctx); err != nil {
				return err
			}
		}
		e.drop()
		run := e.State.clearRun()
		if again {
			run = ""
		}
		err := e.Clear(ctx, e.State.Staying(), run, func(run string) error {
			if run == e.State.clearRun() {
				return nil
			}
			return e.note(line{Kind: kindClear, Run: run})
		})
		if errors.Is(err, ErrNewMail) {
			e.Report.Info("new mail has come meanwhile; it is moved too")
			e.State.Empty = false
			continue
		}
		if err != nil {
			return err
		}
		x, err := e.answers(ctx)
		if err != nil {
			return err
		}
		if again = x.UIDValidity == e.State.Validity; again { // Dovecot was at work meanwhile, and has written what it had in memory
			e.Report.Info("a mail program woke Dovecot up while the mailbox was cleared; it is cleared again. Close that program if you can")
			e.State.Empty = false
			continue
		}
		if err := e.note(line{Kind: kindFresh, Validity: x.UIDValidity}); err != nil {
			return err
		}
	}
	return nil
}

// answers sees Dovecot make the cleared mailbox anew. Its first session may end in an error over that.
func (e *Engine) answers(ctx context.Context) (x imap.Examined, err error) {
	e.Report.Stage("seeing Dovecot make " + remote.Safe(e.Mailbox) + " anew")
	for range 3 {
		if x, err = e.look(ctx, e.State.Source, 0); err == nil {
			if _, err = e.inventory(ctx, 1); err == nil {
				return x, nil
			}
		}
		if ctx.Err() != nil {
			break
		}
		e.drop()
	}
	return x, fmt.Errorf("open %s after it was cleared: %w", remote.Safe(e.Mailbox), err)
}

// moveOut moves all but the messages that stay, with a look at those that came since the last one.
func (e *Engine) moveOut(ctx context.Context) error {
	s := e.State
	for range rounds {
		var going []uint32
		var again map[uint32]bool
		err := e.insist(ctx, func() (err error) {
			going, again, err = e.going(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if len(going) == 0 {
			return e.note(line{Kind: kindEmpty})
		}
		if again == nil { // some are gone: to see what is left
			continue
		}
		last := max(going[len(going)-1]+1, s.Next)
		if fresh := slices.DeleteFunc(slices.Clone(going), func(u uint32) bool { return u < s.Next && !again[u] }); len(fresh) > 0 {
			e.drop()
			found, err := e.find(ctx, s.Source, fresh)
			if err != nil {
				return err
			}
			if err := e.Agree(slices.Concat(s.Left, found)); err != nil {
				return err
			}
			if err := e.note(line{Kind: kindLook, Next: last, Left: found}); err != nil {
				return err
			}
			going = slices.DeleteFunc(going, func(u uint32) bool { return has(found, u) })
		}
		e.Report.Stage(fmt.Sprintf("moving messages to %s", remote.Safe(s.Backup)))
		e.Report.Total(len(going), 0)
		refused, err := e.move(ctx, false, going, e.Batch)
		if err != nil {
			return err
		}
		if len(refused) > 0 {
			if err := e.note(line{Kind: kindLeft, Left: refused}); err != nil {
				return err
			}
			if err := e.Agree(s.Left); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%w: close the mail programs and filters that put mail into %s", ErrBusy, remote.Safe(e.Mailbox))
}

// going tells which messages are to be moved, once what showed again is taken out of them; again are those that only look as if, nil where
// some were taken out, or may have been.
func (e *Engine) going(ctx context.Context) (going []uint32, again map[uint32]bool, err error) {
	s := e.State
	if err := e.settle(ctx, nil); err != nil {
		return nil, nil, err
	}
	e.selected = "" // to see what has come
	if len(s.ClearRuns) > 0 {
		x, err := e.look(ctx, s.Source, 0)
		if err != nil {
			return nil, nil, err
		}
		if x.UIDValidity != s.Validity {
			if err := e.note(line{Kind: kindAnew, Validity: x.UIDValidity}); err != nil {
				return nil, nil, err
			}
		}
	}
	if err := e.open(ctx, s.Source, s.Validity); err != nil {
		return nil, nil, err
	}
	now, err := e.inventory(ctx, 1)
	if err != nil {
		return nil, nil, err
	}
	going = slices.DeleteFunc(slices.Sorted(maps.Keys(now)), func(u uint32) bool { return has(s.Left, u) })
	if len(going) == 0 && len(s.Doubts) > 0 { // one may have moved just now
		if err := e.settle(ctx, nil); err != nil {
			return nil, nil, err
		}
	}
	if len(going) == 0 {
		return nil, nil, nil
	}
	again, err = e.banish(ctx, going)
	return going, again, err
}
