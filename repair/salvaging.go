package repair

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/salvage"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// Salvaged is what came of writing the messages of a copy out.
type Salvaged struct {
	*salvage.Summary
	Ledger      Ledger
	Incomplete  []salvage.Entry // messages that are not whole, as they were written; at most [maxIncomplete]
	Unread      []reconstruct.Unread
	Altered     []snapshot.Altered // files that are not as they were copied
	Alternative string             // where the account's alternative storage is on its host; "" where there is none
	Empty       bool               // nothing is stored, and the index files say so too
}

// maxIncomplete is how many damaged messages are named; the index of what was written names all.
const maxIncomplete = 1000

// Ledger accounts for every message that is stored in the copy. What is stored is counted in the files, and what became of it
// as it is written: Stored is the sum of Written, Duplicates, Unreadable and Elsewhere, and the messages of the summary are
// Written, Unreadable, Copies, Away and Lost.
type Ledger struct {
	Stored     int // messages in files of the copy, in whatever state
	Written    int // as far as they can be read
	Duplicates int // the same message stored once more, as an interrupted purge or delivery leaves it: written once
	Unreadable int // nothing of them can be read
	Elsewhere  int // of mailboxes that were not asked for
	Copies     int // written again, because another mailbox has the same message
	Away       int // told of by the index files, and in the account's alternative storage, which the copy lacks
	Lost       int // told of by the index files of a mailbox, and stored nowhere in the copy
}

func (l Ledger) balanced(all int) bool {
	return l.Stored == l.Written+l.Duplicates+l.Unreadable+l.Elsewhere && all == l.Written+l.Unreadable+l.Copies+l.Away+l.Lost
}

// Whole reports whether every message was written from beginning to end.
func (s *Salvaged) Whole() bool {
	return len(s.Incomplete) == 0 && len(s.Unread) == 0 && len(s.Altered) == 0
}

// Salvage writes every message of some mailboxes of the copy out, with those that were removed from them and those that no
// mailbox refers to. open gives the directory for them, and is called once there is something to write: where there is
// nothing, the result has no Index. Nothing in the copy is changed.
func (l *Local) Salvage(ctx context.Context, boxes []store.Mailbox, open func() (*os.Root, error), o salvage.Options, rep Reporter) (*Salvaged, error) {
	l.begin(rep)
	acct, err := l.read(ctx, boxes)
	if err != nil {
		return nil, fmt.Errorf("examine the copy: %w", err)
	}
	x, err := l.newSalvager(ctx, acct, len(boxes) == len(l.Account.Mailboxes))
	if err != nil {
		return nil, fmt.Errorf("examine the copy: %w", err)
	}
	defer x.storage.close()
	if err := x.list(ctx); err != nil {
		return nil, fmt.Errorf("examine the copy: %w", err)
	}
	out := &x.out
	out.Altered, out.Alternative = l.Altered, reconstruct.Alternative(l.FS)
	next, stop := iter.Pull2(x.messages())
	defer stop()
	first, err, more := next()
	if !more {
		out.Summary = &salvage.Summary{Classes: map[salvage.Class]*salvage.Count{}}
		out.Empty = x.empty()
		return out, x.settle()
	}
	root, oerr := open()
	if err = errors.Join(err, oerr); err != nil {
		return nil, err
	}
	defer root.Close()
	rep.Stage("writing messages")
	rep.Total(x.expected(), 0)
	o.Reporter, o.Each = rep, x.written
	out.Summary, err = salvage.Write(ctx, root, func(yield func(*salvage.Message, error) bool) {
		for m, err := first, err; more; m, err, more = next() {
			if !yield(m, err) {
				return
			}
		}
	}, o)
	if err != nil {
		return nil, err
	}
	return out, x.settle()
}

// empty reports whether every mailbox is known to be empty.
func (x *salvager) empty() bool {
	for _, s := range x.acct.Boxes {
		if x.trash[s] {
			continue
		}
		if s.Layout == store.Maildir && len(s.NoFolder) > 0 || s.Layout != store.Maildir && (!s.Sound || s.Base == dovecot.BaseNone && s.Files.Log == nil) {
			return false
		}
	}
	return len(x.acct.Boxes) > 0 && len(x.out.Unread) == 0 && len(x.out.Altered) == 0
}

// written is told what became of each message, before the next one is asked for.
func (x *salvager) written(e *salvage.Entry) {
	unreadable := e.Size == 0 && e.Problem != ""
	if e.Class == salvage.Damaged {
		if len(x.out.Incomplete) < maxIncomplete {
			x.out.Incomplete = append(x.out.Incomplete, *e)
		}
	}
	l := &x.out.Ledger
	if x.now == (place{}) {
		if x.away {
			l.Away++
		} else {
			l.Lost++
		}
		return
	}
	switch {
	case x.seen[x.now].told:
		l.Copies++
		return
	case unreadable:
		l.Unreadable++
	default:
		l.Written++
	}
	x.seen[x.now] = fate{told: true, whole: e.Problem == "" && len(e.Notes) == x.notes}
}

// settle makes sure that every stored message is accounted for.
func (x *salvager) settle() error {
	all := 0
	if x.out.Summary != nil {
		all = x.out.Messages
	}
	if l := x.out.Ledger; !l.balanced(all) {
		return fmt.Errorf("the messages do not add up, which is a fault in dovemend: %d entries, %+v", all, l)
	}
	return nil
}
