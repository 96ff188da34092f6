package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// list counts what is stored, by the files alone.
func (x *salvager) list(ctx context.Context) error {
	if t := x.acct.Storage; t != nil {
		x.out.Ledger.Stored = len(t.Stored)
		for _, u := range t.Unread {
			x.unread(u.File, u.Why)
		}
		if !t.Copied && len(t.Unread) == 0 && slices.ContainsFunc(x.acct.Boxes, func(s *reconstruct.State) bool { return len(s.Messages) > 0 }) {
			x.unread("storage", "the mail itself is in storage/, which is not in this copy")
		}
		some := make([]bool, len(t.Files))
		for i := range t.Stored {
			some[t.Stored[i].File] = true
		}
		for i, f := range t.Files {
			switch {
			case f.Why != nil:
				x.unread(f.Name, f.Why.Error())
			case !some[i] && f.Size > f.Header: // else it was only begun
				x.unread(f.Name, "no message can be made out in it")
			}
		}
	}
	for _, s := range x.acct.Boxes {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, u := range s.Unread {
			x.unread(u.File, u.Why)
		}
		var err error
		switch s.Layout {
		case store.SDBox:
			err = x.listFolder(string(s.Mailbox.Dir), sdboxFile)
		case store.Maildir:
			for _, sub := range []string{"cur", "new", "tmp"} {
				if err == nil {
					err = x.listFolder(path.Join(string(s.Mailbox.Dir), sub), map[bool]func(fs.FileInfo) kind{true: delivery, false: maildirFile}[sub == "tmp"])
				}
			}
		}
		if err != nil {
			return err
		}
	}
	x.out.Ledger.Stored += len(x.stored)
	return nil
}

func (x *salvager) unread(name store.RelPath, why string) {
	if !x.named[name] {
		x.named[name] = true
		x.out.Unread = append(x.out.Unread, reconstruct.Unread{File: name, Why: why})
	}
}

// kind is what a file is, by its name.
type kind int

const (
	noMessage  kind = iota
	itsMessage      // a message of the mailbox
	leftover        // what Dovecot set aside, or did not finish
)

func sdboxFile(i fs.FileInfo) kind {
	digits, ok := strings.CutPrefix(i.Name(), "u.")
	uid, err := strconv.ParseUint(digits, 10, 32)
	switch {
	case ok && err == nil && uid != 0:
		return itsMessage
	case strings.HasSuffix(i.Name(), ".broken"), strings.HasPrefix(i.Name(), ".temp.") && i.Size() > 0:
		return leftover
	}
	return noMessage
}

func maildirFile(i fs.FileInfo) kind {
	if strings.HasPrefix(i.Name(), ".") {
		return noMessage
	}
	return itsMessage
}

// delivery is a file in a Maildir's tmp: one that was never finished, or one that was moved on while it was copied.
func delivery(i fs.FileInfo) kind {
	if strings.HasPrefix(i.Name(), ".") || i.Size() == 0 || dovecot.ParseMaildirName(i.Name()).Time <= 0 {
		return noMessage
	}
	return leftover
}

// listFolder lists the files of a folder that are messages.
func (x *salvager) listFolder(dir string, what func(fs.FileInfo) kind) error {
	entries, err := fs.ReadDir(x.fsys, dir)
	if errors.Is(err, fs.ErrNotExist) || reconstruct.NotCopied(err) {
		return nil // what could not be listed is among the unread
	}
	if err != nil {
		return fmt.Errorf("list the copy of %s: %w", dir, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		p := place{store.RelPath(path.Join(dir, e.Name())), -1}
		switch what(info) {
		case noMessage:
			continue
		case leftover:
			x.temp[p] = info
		}
		x.stored = append(x.stored, p)
	}
	return nil
}
