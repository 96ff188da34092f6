// Package rebuild makes new files for damaged mailboxes from what was reconstructed of them: an index that tells all that is
// known, mdbox's map index, a Maildir's uidlist and keywords, message files with their framing mended. It decides what
// takes whose place. It reads the local copy, writes through [Output] alone, and proves what it wrote by reading it back.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"dovemend/repair/check"
	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// Output takes the new files, by names that are clean and relative.
type Output interface {
	Create(name string) (io.WriteCloser, error)
}

// Input is what a rebuild is made from.
type Input struct {
	FS      fs.FS // the copy
	Account *reconstruct.Account
	Reports []*check.Report // of Account.Boxes, in their order
	Shared  []check.Finding // what concerns the account as a whole
	Now     time.Time
	Force   bool // rebuild the mailboxes in which nothing wrong was found too
	ByFlag  bool // rebuild no dbox mailbox exactly: leave it to Dovecot, by what is known and the mark that has it rebuild
	Out     Output
}

// NewFile is a file that a rebuild has made.
type NewFile struct {
	Path    store.RelPath // where it belongs
	Source  string        // its name in the Output
	Size    int64
	SHA256  string // in hex
	Mode    fs.FileMode
	MTime   time.Time // zero: of no matter
	Mailbox string    // whose it is; "" where it is shared
	Why     string
}

// Move is a file that gets another name in its folder.
type Move struct {
	From, To store.RelPath
	Mailbox  string
	Why      string
}

// NewTime is a file that gets another time: that of a Maildir's message says when it was received.
type NewTime struct {
	Path    store.RelPath // after moves
	From    store.RelPath // before them
	MTime   time.Time
	Mailbox string
}

// NewMode is a file that gets its permissions back.
type NewMode struct {
	Path    store.RelPath
	Mode    fs.FileMode
	Mailbox string
}

// TakeOut is a file that a new one replaces, or that is in the way.
type TakeOut struct {
	Path    store.RelPath
	Mailbox string
	Poison  bool // a message on which Dovecot fails, moved out of the mailbox
	Why     string
}

// LeftOut is a message that is not in the rebuilt mailbox, because Dovecot would fail on it.
type LeftOut struct {
	Message reconstruct.Message
	Why     string
}

// How says what is done for one mailbox.
type How string

// The ways.
const (
	Nothing How = "nothing" // nothing wrong was found that it could mend
	Access  How = "access"  // files that could not be read get their permissions back; what they hold is not known yet
	Cache   How = "cache"   // only the cache is removed
	Exact   How = "exact"   // its list of messages is written anew, and proven to say what is known
	ByFlag  How = "by flag" // its list is written with the mark on which Dovecot rebuilds it from the storage, by its own rules
)

// Box is what a rebuild makes of one mailbox.
type Box struct {
	Mailbox     store.Mailbox
	How         How
	Messages    int // in it afterwards
	UIDValidity uint32
	NewValidity bool // nothing tells the old one
	LeftOut     []LeftOut
	Mended      int // messages whose framing, or name, is mended
	Healed      int // messages that are put back as an earlier copy has them
	Regained    int
	Recalled    bool // an earlier copy told what the files no longer tell
	Notes       []string
}

// Work is a rebuild: what it puts, moves and takes out. Files that are put come first, under other names; then what is in the way
// is taken out, and they take its place.
type Work struct {
	Put   []NewFile
	Move  []Move
	Times []NewTime
	Modes []NewMode
	Take  []TakeOut
	Boxes []Box
	Notes []string
}

// builder is a rebuild on its way.
type builder struct {
	Input
	w      *Work
	n      int                         // files made so far
	out    map[*reconstruct.State]*box // what becomes of each mailbox
	taken  map[store.RelPath]bool
	newMap *newMap
	texts  fs.FS // what the messages say: the copy, with what earlier ones told
}

// box is a mailbox on its way.
type box struct {
	Box
	s    *reconstruct.State
	rep  *check.Report
	keep []*reconstruct.Message // by UID, ascending
	next dovecot.UID            // the next UID is not below it
}

// UnprovenError: a new file could not be made, or does not say what it should when it is read back.
type UnprovenError struct{ Err error }

func (e *UnprovenError) Error() string { return e.Err.Error() }

func (e *UnprovenError) Unwrap() error { return e.Err }

func unproven(format string, args ...any) error { return &UnprovenError{fmt.Errorf(format, args...)} }

// Build makes the files of a rebuild, and proves them. Where that cannot be done for a dbox mailbox or its storage, it falls back
// on what administrators do: the list of messages, as far as it is known, with the mark on which Dovecot rebuilds the mailbox. The
// error is an [UnprovenError] where that cannot be done either.
func Build(ctx context.Context, in Input) (*Work, error) {
	b, err := build(ctx, in, 0)
	var not *UnprovenError
	if in.ByFlag || !dbox(in.Account) || !errors.As(err, &not) {
		return b.w, err
	}
	in.ByFlag = true
	again, err2 := build(ctx, in, b.n)
	if err2 != nil {
		return nil, errors.Join(err, err2)
	}
	again.w.Notes = append(again.w.Notes, "a full rebuild cannot be proven here: "+not.Error())
	return again.w, nil
}

// build makes the files, the first of them with a number behind made.
func build(ctx context.Context, in Input, made int) (*builder, error) {
	b := &builder{Input: in, texts: in.Account.Texts(in.FS), w: &Work{}, n: made, out: map[*reconstruct.State]*box{}, taken: map[store.RelPath]bool{}}
	var boxes []*box
	for i, s := range in.Account.Boxes {
		x := &box{s: s, rep: in.Reports[i], Box: Box{Mailbox: s.Mailbox, UIDValidity: s.UIDValidity, Regained: s.Regained}}
		x.How = b.how(x)
		if s.Recalled != nil && (x.How == Exact || x.How == ByFlag) {
			x.Recalled, x.Notes = true, append(x.Notes, s.Recalled.String())
		}
		b.out[s] = x
		boxes = append(boxes, x)
	}
	if err := b.shared(ctx); err != nil {
		return b, fmt.Errorf("rebuild the storage: %w", err)
	}
	for _, x := range boxes {
		if err := ctx.Err(); err != nil {
			return b, err
		}
		if err := b.mailbox(ctx, x); err != nil {
			return b, fmt.Errorf("rebuild %s: %w", x.s.Mailbox.Dir, err)
		}
		b.w.Boxes = append(b.w.Boxes, x.Box)
	}
	if err := b.healed(ctx); err != nil {
		return b, err
	}
	b.listIndex()
	return b, nil
}

// healed puts the files with mail that an earlier copy holds whole in place of what is left of them. Those of a mailbox that is not rebuilt
// stay as they are.
func (b *builder) healed(ctx context.Context) error {
	wanted := map[store.RelPath]string{}
	for _, s := range b.Account.Boxes {
		x := b.out[s]
		for i := range s.Messages {
			if m := &s.Messages[i]; x.How == Exact && m.Body.Healed && s.Belongs(m) {
				wanted[m.File] = x.Mailbox.Name
			}
		}
	}
	for _, h := range b.Account.Healed() {
		mailbox, ok := wanted[h.File]
		if !ok || slices.ContainsFunc(b.w.Put, func(f NewFile) bool { return f.Path == h.File }) { // mended further: written already
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.Account.Storage != nil {
			mailbox = "" // it is shared
		}
		b.take(TakeOut{Path: h.File, Mailbox: mailbox, Why: "replaced by the same file as an earlier copy has it"})
		err := b.put(NewFile{Path: h.File, Mode: b.modeOf(h.File), MTime: h.MTime, Mailbox: mailbox, Why: "a file with mail, as the copy of run " + h.ID + " has it"},
			func(w io.Writer) error {
				f, err := b.texts.Open(string(h.File))
				if err != nil {
					return err
				}
				n, err := io.Copy(w, f)
				if err == nil && n != h.Size {
					err = fmt.Errorf("%d of %d bytes", n, h.Size)
				}
				return errors.Join(err, f.Close())
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// how decides what a mailbox needs.
func (b *builder) how(x *box) How {
	switch {
	case len(b.locked(x.s)) > 0:
		return Access
	case (x.rep.Needs(check.CureRebuild) || b.Force) && b.ByFlag && x.s.Layout != store.Maildir:
		return ByFlag
	case x.rep.Needs(check.CureRebuild) || b.Force:
		return Exact
	case x.rep.Needs(check.CureCache):
		return Cache
	}
	return Nothing
}

// byFlag writes what is known of a dbox mailbox, for Dovecot to rebuild it.
func (b *builder) byFlag(x *box) error {
	for i := range x.s.Messages {
		if m := &x.s.Messages[i]; x.s.Belongs(m) && (x.s.Layout != store.MDBox || m.MapUID != 0) {
			x.keep = append(x.keep, m)
		}
	}
	x.Messages, x.Regained = len(x.keep), 0
	b.validity(x)
	x.Notes = append(x.Notes, "its list of messages is written with a mark, on which Dovecot rebuilds the mailbox by its own rules when it is next opened: "+
		"numbers, flags and labels that the list tells stay; messages that had been deleted, and are still stored, may come back")
	return b.index(x)
}

// locked lists the mailbox's files that the copy lacks because their owner may not read them.
func (b *builder) locked(s *reconstruct.State) []NewMode {
	var list []NewMode
	unread := s.Unread
	if s.Storage != nil {
		unread = append(slices.Clone(unread), s.Storage.Unread...)
		for _, f := range s.Storage.Files {
			if f.Why != nil {
				unread = append(unread, reconstruct.Unread{File: f.Name})
			}
		}
	}
	for i := range s.Messages {
		if s.Messages[i].Body.Why != nil {
			unread = append(unread, reconstruct.Unread{File: s.Messages[i].File})
		}
	}
	seen := map[store.RelPath]bool{}
	for _, u := range unread {
		if seen[u.File] {
			continue
		}
		seen[u.File] = true
		info, err := fs.Lstat(b.FS, string(u.File))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o600 == 0o600 {
			continue
		}
		list = append(list, NewMode{u.File, info.Mode().Perm() | 0o600, s.Mailbox.Name})
	}
	return list
}

// shared does what concerns all mailboxes: for mdbox its storage.
func (b *builder) shared(ctx context.Context) error {
	if b.Account.Storage == nil {
		return nil
	}
	return b.storage(ctx)
}

func (b *builder) mailbox(ctx context.Context, x *box) error {
	switch {
	case x.How == Nothing:
		x.Messages = x.s.Counts().Messages
		return nil
	case x.How == Access:
		x.Messages = -1
		b.w.Modes = append(b.w.Modes, b.locked(x.s)...)
		return nil
	case x.How == Cache:
		x.Messages = x.s.Counts().Messages
		b.take(TakeOut{Path: x.file("dovecot.index.cache"), Mailbox: x.Mailbox.Name, Why: "the cache holds nothing of its own: Dovecot fills it anew"})
		return nil
	case x.How == ByFlag:
		return b.byFlag(x)
	case x.s.Layout == store.Maildir:
		return b.maildir(ctx, x)
	case x.s.Layout == store.SDBox:
		return b.sdbox(ctx, x)
	}
	return b.mdbox(x)
}

func (x *box) file(name string) store.RelPath {
	return store.RelPath(joinPath(x.s.Mailbox.Dir, name))
}

// take takes a file out, if the copy holds it.
func (b *builder) take(t TakeOut) {
	if b.taken[t.Path] {
		return
	}
	if info, err := fs.Stat(b.FS, string(t.Path)); err != nil || !info.Mode().IsRegular() {
		return
	}
	b.taken[t.Path] = true
	b.w.Take = append(b.w.Take, t)
}

// indexFiles takes all index files of an index out. They only mean something together.
func (b *builder) indexFiles(prefix store.RelPath, mailbox, why string) {
	for _, end := range []string{".cache", ".backup", ".log.2", ".log", ""} {
		b.take(TakeOut{Path: prefix + store.RelPath(end), Mailbox: mailbox, Why: why})
	}
}

// modeOf is the mode that a new file in a folder gets: that of the files it replaces, else 0600.
func (b *builder) modeOf(paths ...store.RelPath) fs.FileMode {
	for _, p := range paths {
		if info, err := fs.Stat(b.FS, string(p)); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o600 == 0o600 {
			return info.Mode().Perm()
		}
	}
	return 0o600
}

// listIndex takes a damaged list index out: Dovecot makes it anew from the mailboxes themselves. With LAYOUT=index it cannot.
func (b *builder) listIndex() {
	if len(b.Account.ListFaults) == 0 {
		return
	}
	for _, s := range b.Account.Boxes {
		if isGUIDFolder(s.Mailbox) {
			b.w.Notes = append(b.w.Notes, "the list of mailboxes is damaged; it is left as it is, because with this layout it is the only place of their names")
			return
		}
	}
	b.indexFiles(reconstruct.ListFile, "", "the list of mailboxes is damaged: Dovecot makes it anew from the mailboxes")
}

// dbox reports whether the account has an sdbox or mdbox mailbox to rebuild.
func dbox(a *reconstruct.Account) bool {
	return slices.ContainsFunc(a.Boxes, func(s *reconstruct.State) bool { return s.Layout != store.Maildir })
}
