package salvage

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// isMaildir says whether a directory is a Maildir: it has cur, and new or tmp beside.
func (r *Reader) isMaildir(name string) bool {
	is := func(sub string) bool {
		info, err := r.root.Lstat(path.Join(name, sub))
		return err == nil && info.IsDir()
	}
	return is("cur") && (is("new") || is("tmp"))
}

// maildirName gives the mailbox of a folder of a Maildir++: ".Work.Done" is Work/Done, what has none is INBOX.
func maildirName(dir string) string {
	base := path.Base(dir)
	if !strings.HasPrefix(base, ".") || base == "." {
		return "INBOX"
	}
	var levels []string
	for level := range strings.SplitSeq(base[1:], ".") {
		levels = append(levels, store.DecodeName(level))
	}
	return strings.Join(levels, "/")
}

// maildir hands out what is in cur and new of a Maildir; deliveries in tmp that were never finished are passed over. Flags are in the
// names of files, keywords' names in dovecot-keywords; a file's time is when the message came.
func (r *Reader) maildir(dir string) {
	var letters dovecot.MaildirKeywords
	if f, err := openRegular(r.root, path.Join(dir, "dovecot-keywords")); err == nil {
		if b, err := io.ReadAll(io.LimitReader(f, 1<<20)); err == nil {
			k, _ := dovecot.ParseMaildirKeywords(b)
			letters = *k
		}
		f.Close()
	}
	class := r.maildirClass(dir)
	for _, sub := range []string{"cur", "new"} {
		entries, err := fs.ReadDir(r.root.FS(), path.Join(dir, sub))
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.skip(path.Join(dir, sub), plainError(err))
			}
			continue
		}
		for _, e := range entries {
			name := path.Join(dir, sub, e.Name())
			if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
				r.skip(name, "no message")
				continue
			}
			m := r.message(name, maildirName(dir), -1)
			n := dovecot.ParseMaildirName(e.Name())
			m.Class, m.Flags, m.Keywords = class, n.Flags, letters.Names(n.Keywords)
			if m.Received = r.modified(name); n.Time > 0 && m.Received.IsZero() {
				m.Received = plausible(time.Unix(n.Time, 0))
			}
			if known := r.known[place{name, -1}]; known != nil {
				known.tell(m)
			}
			m.Open = func() (io.ReadCloser, error) {
				s, err := r.section(name, 0, -1)
				if err != nil {
					return nil, err
				}
				plain := dovecot.NewPlainReader(s) // some hosts store them compressed
				plain.SetLimit(64<<20 + 1000*s.(*section).want)
				return struct {
					io.Reader
					io.Closer
				}{plain, s}, nil
			}
			if !r.give(m) {
				return
			}
		}
	}
}

// maildirClass is what the tree a Maildir is in tells, in a folder of salvaged messages.
func (r *Reader) maildirClass(dir string) Class {
	if r.known == nil {
		return Current
	}
	top, _, _ := strings.Cut(dir, "/")
	for _, c := range classes {
		if name, err := c.dir(); err == nil && name == top {
			return c
		}
	}
	return Current
}
