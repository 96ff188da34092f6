package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"dovemend/repair/dovecot"
)

var (
	errTooDeep = errors.New("folders lie too deep in each other; what is in here is not looked at")
	errTooMany = errors.New("too many files; what is in here is not looked at")
)

// Limits of files that are read as a whole. Dovecot rotates logs at 1 MiB and lets a cache grow to 1 GiB; an index has
// some 40 bytes for each message.
const (
	maxWhole = 128 << 20
	maxCache = 1 << 30
)

// file dumps one file.
func (w *walker) file(name string, fi fs.FileInfo) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	d := newDump(w.shown(name), kindByName(w.shown(name)), fi.Size())
	if !fi.Mode().IsRegular() {
		d.Kind, d.Size, d.Note = KindSpecial, -1, special(fi.Mode())
		return w.put(d)
	}
	if d.Kind == KindMaildir {
		w.maildir(d, path.Dir(name), []fs.FileInfo{fi})
		return w.put(d)
	}
	f, err := w.fsys.Open(name)
	if err != nil {
		w.unreadable(d, err)
		return w.put(d)
	}
	defer f.Close()
	if err := w.content(d, name, f, fi.Size()); err != nil {
		w.unreadable(d, err)
	}
	return w.put(d)
}

// special says why something is not opened.
func special(m fs.FileMode) Word {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link, which is not followed"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe, which is not opened"
	case m&fs.ModeSocket != 0:
		return "a socket, which is not opened"
	}
	return "a device, which is not opened"
}

// content finds out what an open file is where its name has not told, and reads it.
func (w *walker) content(d *Dump, name string, f fs.File, size int64) error {
	var r io.Reader = f
	if d.Kind == KindUnknown {
		head := make([]byte, headSize)
		n, err := io.ReadFull(f, head)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("read %q: %w", d.Path, err)
		}
		head = head[:n]
		if d.Kind = kindByContent(head, size); d.Kind == KindUnknown {
			d.Note = whatItIs(head, size)
			return nil
		}
		r = io.MultiReader(bytes.NewReader(head), f)
	}
	if d.Kind == KindDbox {
		at, ok := f.(io.ReaderAt)
		if !ok {
			b, err := w.read(d, r, maxWhole)
			if err != nil {
				return err
			}
			at, size = bytes.NewReader(b), int64(len(b))
		}
		w.dbox(d, at, size, w.mapExtents(name))
		return nil
	}
	return w.parse(d, name, r)
}

// parse reads a file that has to be in memory as a whole.
func (w *walker) parse(d *Dump, name string, r io.Reader) error {
	limit := int64(maxWhole)
	if d.Kind == KindCache {
		limit = maxCache
	}
	b, err := w.read(d, r, limit)
	if err != nil {
		return err
	}
	switch d.Kind {
	case KindIndex:
		w.index(d, b)
	case KindLog:
		w.log(d, b, func() *dovecot.Index { return w.indexOf(name) })
	case KindCache:
		w.cache(d, b)
	case KindUIDList:
		w.uidlist(d, b)
	case KindKeywords:
		w.keywords(d, b)
	case KindSubscriptions:
		w.subscriptions(d, b)
	case KindMailboxLog:
		w.mailboxLog(d, b)
	case KindUIDValidity:
		w.uidvalidity(d, path.Base(name), b)
	}
	return nil
}

// read reads up to limit bytes; more are told as a fault.
func (w *walker) read(d *Dump, r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", d.Path, err)
	}
	if int64(len(b)) > limit {
		b = b[:limit]
		d.wrong([]dovecot.Fault{{Offset: limit, Rule: "file-too-large", Detail: fmt.Sprintf("only the first %d bytes are looked at", limit)}})
	}
	return b, nil
}
