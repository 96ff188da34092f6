package restore

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"dovemend/remote"
)

// putAside takes a message that the server breaks at out of the mailbox again, and keeps it in the run's folder. Where the
// server cannot remove single messages, it stays and is named.
func (e *Engine) putAside(ctx context.Context, x *Item, why string) error {
	why = cmp.Or(why, "it does not say why") // see [record.undone]
	if err := x.same(); err != nil {
		x.Doubt = fmt.Sprintf("the server breaks at it (%s), and it stays there: its source cannot be read any more: %v", why, err)
		return nil
	}
	name, err := e.keep(x)
	if err != nil {
		return err
	}
	err = e.canRemove(ctx)
	if errors.Is(err, ErrCannotRemove) {
		x.Doubt = fmt.Sprintf("the server breaks at it (%s), and it stays in the mailbox as UID %d: the server cannot remove single messages; a copy is in %s", why, x.UID, name)
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.remove(ctx, record{ID: x.ID, UID: x.UID, Why: why}); err != nil {
		return fmt.Errorf("take UID %d out again: %w", x.UID, err)
	}
	x.Status, x.Why, x.UID = SetAside, why, 0
	x.Notes = append(x.Notes, "kept as "+name)
	e.rep.Warn("the server breaks at a message: it was taken out again and set aside as " + name)
	return nil
}

// canRemove is nil where the server can remove single messages, and wraps [ErrCannotRemove] where it cannot.
func (e *Engine) canRemove(ctx context.Context) error {
	return e.again(ctx, e.choose, func() error {
		if !e.conn.Ways().UIDPlus {
			return ErrCannotRemove
		}
		return nil
	})
}

// remove takes out messages that this run has added, journaled before and after.
func (e *Engine) remove(ctx context.Context, recs ...record) error {
	var uids []uint32
	for i := range recs {
		recs[i].Kind, recs[i].UIDValidity = kindRemove, e.box.UIDValidity
		uids = append(uids, recs[i].UID)
	}
	if err := e.sync(recs...); err != nil {
		return err
	}
	// Done twice it is done once: a UID is given once only.
	if err := e.again(ctx, e.choose, func() error { return e.conn.Remove(ctx, uids) }); err != nil {
		return err
	}
	for i := range recs {
		recs[i].Kind = kindRemoved
		e.was.Known[recs[i].ID] = recs[i]
	}
	return e.sync(recs...)
}

// keep writes a message to the run's folder.
func (e *Engine) keep(x *Item) (name string, err error) {
	if err := e.root.Mkdir(asideDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	name = path.Join(asideDir, plainName(x.Subject)+"-"+x.ID+".eml")
	in, err := x.open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	f, err := e.root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f)
	_, err = io.Copy(w, in)
	return name, errors.Join(err, w.Flush(), f.Sync(), f.Close())
}

// plainName makes a name of a subject that every file system takes.
func plainName(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '-'
	}, s)
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	if s = strings.Trim(s, "-"); len(s) > maxAsideInName {
		s = s[:maxAsideInName]
	}
	if s == "" {
		return "message"
	}
	return s
}

// Undone is what taking back came to.
type Undone struct {
	Removed int      // messages that are out of the mailbox again
	Gone    int      // that were not there any more
	Kept    []string // that stay, and why; safe to print
}

// Undo removes exactly the messages that the run has added: by the UID that the server told and the hash of the text that it gives
// now, and only those that the source still holds. items are the source, gathered again.
func (e *Engine) Undo(ctx context.Context, items []*Item) (*Undone, error) {
	e.undoing = true
	if err := e.begin(ctx, items); errors.Is(err, ErrNoMailbox) {
		return &Undone{Gone: len(e.was.added())}, nil
	} else if err != nil {
		return nil, err
	}
	u := &Undone{}
	var err error
	if _, u.Removed, err = e.late(ctx, items); err != nil {
		return u, err
	}
	byID := map[string]*Item{}
	for _, x := range items {
		byID[x.ID] = x
	}
	all := map[uint32]record{}
	var uids []uint32
	keep := func(rec record, why string) {
		u.Kept = append(u.Kept, fmt.Sprintf("UID %d: %s", rec.UID, why))
	}
	for _, rec := range e.was.added() {
		x := byID[rec.ID]
		switch {
		case rec.UID == 0:
			keep(rec, "the server never told its UID")
		case rec.Guess:
			keep(rec, "the server fails at it, whatever it is asked, so that nobody can say whether this run has added it")
		case x == nil:
			keep(rec, "its source is gone: it may be the only copy")
		default:
			if err := x.same(); err != nil {
				keep(rec, "its source cannot be read as it was: "+remote.Safe(err.Error()))
				continue
			}
			all[rec.UID] = rec
			uids = append(uids, rec.UID)
		}
	}
	if len(uids) > 0 {
		if err := e.canRemove(ctx); err != nil {
			return u, err
		}
	}
	e.rep.Stage("taking messages out of " + remote.Safe(e.o.Mailbox))
	e.rep.Total(len(uids), 0)
	for _, set := range chunks(uids, lookedAtOnce) {
		if err := e.takeOut(ctx, set, all, u, keep); err != nil {
			return u, err
		}
		e.rep.Advance(len(set), 0)
	}
	return u, nil
}

// takeOut removes those of a set that are what was added.
func (e *Engine) takeOut(ctx context.Context, set []uint32, all map[uint32]record, u *Undone, keep func(record, string)) error {
	present := map[uint32]bool{}
	bad, err := e.look(ctx, set, func(uid uint32, _ int64) { present[uid] = true })
	if err != nil {
		return err
	}
	var out []record
	for _, b := range bad { // it is there: the server breaks at it
		present[b.uid] = false
		out = append(out, all[b.uid])
	}
	var there []uint32
	for _, uid := range set {
		if present[uid] {
			there = append(there, uid)
		}
	}
	unread, err := e.texts(ctx, e.choose, there, func(uid uint32, sum string) {
		if rec := all[uid]; rec.SHA256 == sum {
			out = append(out, rec)
		} else {
			keep(rec, "it holds another text than was added")
		}
	})
	if err != nil {
		return err
	}
	for _, uid := range unread {
		out = append(out, all[uid])
	}
	u.Gone += len(set) - len(there) - len(bad)
	if len(out) == 0 {
		return nil
	}
	if err := e.remove(ctx, out...); err != nil {
		return err
	}
	u.Removed += len(out)
	return nil
}
