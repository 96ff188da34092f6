package salvage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"os"
	"path"
	"strings"

	"dovemend/repair/snapshot"
)

// Format is how messages are written.
type Format string

// The formats.
const (
	EML     Format = "eml"     // a directory for each mailbox; in it an .eml for each message, and a .json with the same name that tells the rest
	Mbox    Format = "mbox"    // a file for each mailbox, quoted as mboxrd; beside it a .json that tells the rest
	Maildir Format = "maildir" // a Maildir++ tree, with flags in the names, keywords in dovecot-keywords, and times of receipt as file times
)

// Reporter is told how it goes. Methods are called from the goroutine that called [Write].
type Reporter interface {
	Advance(files int, bytes int64) // so many more messages, and bytes of their texts
	Warn(text string)               // something the user should see
}

// Options say how to write.
type Options struct {
	Format   Format
	Headers  bool     // mbox: flags and keywords as Status, X-Status and X-Keywords headers in the messages; otherwise nothing is added to them
	Reporter Reporter // may be nil

	// Each is told what became of each message, before the next one is asked for; may be nil. File is not final for mbox.
	Each func(*Entry)
}

// Summary is what a run did.
type Summary struct {
	Count                    // all messages
	Classes map[Class]*Count // those of each class, as written
	Folders []*Folder        // in the order in which they came up; their counts add up to those of the classes
	Written int              // files with messages that are new, or new versions
	Kept    int              // messages that were there already, as they should be
	Foreign []string         // files of somebody else's that had a name we wanted, at most [maxForeign]
	Index   string           // the name of the index
}

const maxForeign = 1000

// Write writes messages below root. It ends at the first error: one of the local disk (a [snapshot.NoSpaceError] where that
// is full), of the sequence, or the context's. What is complete by then stays, and the same call again goes on from there; the
// index is written only at the end. Memory does not grow with the messages' sizes; for each message it takes 8 bytes or so,
// and with a Maildir the names in the folder that is being written.
//
// Two runs over one directory at the same time make one of them fail, and harm nothing.
func Write(ctx context.Context, root *os.Root, messages iter.Seq2[*Message, error], o Options) (*Summary, error) {
	w := &writer{ctx: ctx, root: root, o: o, buf: make([]byte, 64<<10), seen: map[uint64]struct{}{},
		sum: &Summary{Classes: map[Class]*Count{}}}
	for _, c := range classes {
		w.sum.Classes[c] = &Count{}
	}
	switch o.Format {
	case EML:
		w.format = &emlFormat{w: w}
	case Mbox:
		w.format = &mboxFormat{w: w, renamed: map[string]string{}, out: bufio.NewWriter(nil)}
	case Maildir:
		w.format = &maildirFormat{w: w}
	default:
		return nil, fmt.Errorf("unknown format %q", o.Format)
	}
	if err := w.run(messages); err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			return nil, cause
		}
		return nil, fmt.Errorf("write messages: %w", snapshot.DiskError(err))
	}
	return w.sum, nil
}

type writer struct {
	ctx     context.Context
	root    *os.Root
	o       Options
	format  format
	staging *staging
	folders *folders
	index   *indexFile
	seen    map[uint64]struct{} // hashes of the names given in this run
	sum     *Summary
	buf     []byte
}

// format is what differs between the formats.
type format interface {
	start() error                             // before anything else
	path(top, mailbox string, try int) string // where a mailbox goes; the try-th choice
	make(*Folder) error                       // makes its directories
	open(*Folder) error                       // before its first message in this run
	put(*Message) (*Entry, error)
	finish() error
}

func (w *writer) run(messages iter.Seq2[*Message, error]) (err error) {
	if w.staging, err = openStaging(w.root); err != nil {
		return err
	}
	defer func() {
		if e := w.staging.close(); err == nil {
			err = e
		}
	}()
	if err := w.format.start(); err != nil {
		return err
	}
	if w.folders, err = openFolders(w); err != nil {
		return err
	}
	defer w.folders.log.Close()
	if w.index, err = w.newIndex(); err != nil {
		return err
	}
	defer w.index.close()
	for m, err := range messages {
		if err != nil {
			return err
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.message(m); err != nil {
			return err
		}
	}
	if err := w.format.finish(); err != nil {
		return err
	}
	if err := w.staging.flush(); err != nil {
		return err
	}
	return w.index.finish()
}

// message writes one message and counts it.
func (w *writer) message(m *Message) error {
	if _, err := m.Class.dir(); err != nil {
		return err
	}
	e, err := w.format.put(m)
	if err != nil {
		return err
	}
	f, err := w.folders.get(e.Class, m.Mailbox)
	if err != nil {
		return err
	}
	for _, c := range []*Count{&w.sum.Count, w.sum.Classes[e.Class], &f.Count} {
		c.add(e)
	}
	if w.o.Reporter != nil {
		w.o.Reporter.Advance(1, e.Size)
	}
	if w.o.Each != nil {
		w.o.Each(e)
	}
	return w.index.add(e)
}

// foreign notes a file that stays, and has a name that we wanted.
func (w *writer) foreign(name string) {
	if len(w.sum.Foreign) < maxForeign {
		w.sum.Foreign = append(w.sum.Foreign, name)
	}
	if w.o.Reporter != nil {
		w.o.Reporter.Warn(fmt.Sprintf("%q is not as dovemend wrote it; it stays, and another name is used", name))
	}
}

// given reports whether a name was given in this run, and gives it.
func (w *writer) given(name string) bool {
	h := nameHash(name)
	if _, ok := w.seen[h]; ok {
		return true
	}
	w.seen[h] = struct{}{}
	return false
}

// take takes back a name that was given.
func (w *writer) take(name string) { delete(w.seen, nameHash(name)) }

func nameHash(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(strings.ToLower(name)))
	return h.Sum64()
}

// stage reads a message's text to a file that waits for its name; "" where there is none.
func (w *writer) stage(m *Message, e *Entry) (temp string, err error) {
	f, temp, err := w.staging.create()
	if err != nil {
		return "", err
	}
	t, err := copyText(w.ctx, m, f, w.buf)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	e.read(t)
	if e.unreadable() {
		return "", w.staging.drop(temp)
	}
	when := m.Received
	if when.IsZero() {
		when = m.Saved
	}
	if !when.IsZero() {
		err = w.staging.date(temp, when)
	}
	return temp, err
}

// sidecarOf is the name of the JSON beside a file.
func sidecarOf(name string) string { return strings.TrimSuffix(name, path.Ext(name)) + ".json" }
