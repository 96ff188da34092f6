package plan

import (
	"errors"
	"fmt"
)

// Moves is what an evacuation moves over IMAP. Which messages the server takes is only known when it is asked; the plan
// holds what the copy tells.
type Moves struct {
	Mailbox    string   `json:"mailbox"`              // levels separated by "/"
	Backup     string   `json:"backup"`               // the mailbox that is made; where it is taken it gets a counter
	Back       bool     `json:"back,omitempty"`       // they are moved back at the end
	Messages   int      `json:"messages"`             // that can be moved, by what the copy tells
	Unreadable []uint32 `json:"unreadable,omitempty"` // UIDs of messages that stay behind, by what the copy tells
	Accept     []Loss   `json:"accept,omitempty"`     // losses that were accepted: more unreadable messages may turn up
}

// ErrRebuildFirst: a look at the mailbox over IMAP would make Dovecot build it anew, and lose by that.
var ErrRebuildFirst = errors.New("the damage has to be mended by rebuild first")

// RebuildFirstError says what a look would cost. It is an [ErrRebuildFirst].
type RebuildFirstError struct {
	Mailbox string
	Why     string
}

// Error says what has to be done first.
func (e *RebuildFirstError) Error() string {
	return fmt.Sprintf("evacuate looks at %s over IMAP, and as its files are now that would cost something: %s; rebuild mends them without such a look, and after it evacuate can be done if it is still wanted", safe(e.Mailbox), e.Why)
}

// Is makes a RebuildFirstError an [ErrRebuildFirst].
func (e *RebuildFirstError) Is(target error) bool { return target == ErrRebuildFirst }

// evacuate plans an evacuation: what moves, what stays, and what is true afterwards. The clearing of the emptied folder is
// planned by a run of its own, when it is empty.
func (b *builder) evacuate() error {
	m, mv := b.in.Mailboxes[0], b.in.Moves
	b.p.Mailboxes, b.p.Moves = []string{m.Name}, mv
	f, known := b.facts(m.Name)
	if !known {
		return errors.New("what it would cost has not been measured")
	}
	b.p.Facts = append(b.p.Facts, f)
	b.p.Costs = append(b.p.Costs, Costs(Evacuate, b.in.Account.Layout, f)...)
	after := Promise{Mailbox: m.Name, Messages: 0}
	if mv.Back {
		after.Messages, after.Flags = -1, true
	}
	b.p.Promise = append(b.p.Promise, after)
	b.note("before anything is moved, Dovecot is asked for every message over IMAP, in each way mail programs ask. Those it fails on stay behind too, and are told; nothing is moved where that costs messages which were not accepted")
	b.note("opening the mailbox costs nothing as its files are now, by what the copy tells; messages that are damaged there are never asked for over IMAP, because reading them makes Dovecot rebuild, or fail")
	b.note("each move is written to a journal before and after: stopped anywhere, resume finishes it, and undo moves everything back")
	return nil
}

// lines tells the moves in words.
func (mv *Moves) lines(undo bool) []string {
	if undo {
		return []string{fmt.Sprintf("move the messages of %s back to %s, over IMAP", safe(mv.Backup), safe(mv.Mailbox)), "bring back the files that clearing took away, where it did"}
	}
	l := []string{fmt.Sprintf("make the mailbox %s, over IMAP", safe(mv.Backup)),
		fmt.Sprintf("move %s there from %s, with flags, keywords and dates", count(mv.Messages, "message"), safe(mv.Mailbox))}
	if n := len(mv.Unreadable); n > 0 {
		l = append(l, fmt.Sprintf("write what can be read of %s on which Dovecot fails to this computer", count(n, "message")))
	}
	l = append(l, fmt.Sprintf("clear %s, in a run of its own, and see Dovecot make it anew", safe(mv.Mailbox)))
	if mv.Back {
		l = append(l, fmt.Sprintf("move the messages back, in batches that grow from one, reading them after each; one that breaks the mailbox stays in %s, and is told", safe(mv.Backup)))
	}
	return l
}

// UndoMoves makes the plan of taking an evacuation back. backup is the name that the mailbox was given in the end.
func UndoMoves(run string, original *Plan, backup, manifest string) *Plan {
	mv := *original.Moves
	mv.Backup = backup
	return &Plan{Version: version, Run: run, Of: original.Run, Root: original.Root, Layout: original.Layout, Remedy: Undo, Aside: true,
		Mailboxes: original.Mailboxes, Snapshot: manifest, Facts: original.Facts, Moves: &mv,
		Promise: []Promise{{Mailbox: mv.Mailbox, Messages: -1, Flags: true}}}
}
