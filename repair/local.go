package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dovemend/remote"
	"dovemend/repair/check"
	"dovemend/repair/reconstruct"
	"dovemend/repair/rundir"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

// Local is a copy of an account's mail on this machine: that of a run, or a tree that another tool has copied. Nothing in it
// is changed.
type Local struct {
	Where    string // the run's ID, or the directory
	FS       fs.FS  // names begin at the mail root
	Account  store.Account
	Snapshot *snapshot.Snapshot // nil for a tree of another tool
	Altered  []snapshot.Altered // files that are not as they were copied, by the list of a snapshot

	Notes []string // what a copy was taken for, where that was not plain

	earlier *earlier // copies of the account; nil for one that is of no run
	close   []func() error
}

// read reconstructs mailboxes of the copy, with what earlier copies tell.
func (l *Local) read(ctx context.Context, boxes []store.Mailbox) (*reconstruct.Account, error) {
	if l.earlier == nil {
		return reconstruct.Read(ctx, l.FS, l.Account, boxes)
	}
	return reconstruct.ReadAfter(ctx, l.FS, l.Account, boxes, l.earlier.copies)
}

// heal is read that takes messages' texts from earlier copies too.
func (l *Local) heal(ctx context.Context, boxes []store.Mailbox) (*reconstruct.Account, error) {
	if l.earlier == nil {
		return reconstruct.Read(ctx, l.FS, l.Account, boxes)
	}
	return reconstruct.ReadHealed(ctx, l.FS, l.Account, boxes, l.earlier.copies)
}

// NoCopyError: a directory holds no copy of mail that could be read.
type NoCopyError struct {
	Dir string
	Err error
}

func (e *NoCopyError) Error() string {
	return fmt.Sprintf("%s holds no mail that could be read: %v", e.Dir, e.Err)
}

// Unwrap gives the cause.
func (e *NoCopyError) Unwrap() error { return e.Err }

// HalfCopyError: a copy was begun, and is not finished, or its list is damaged. What it holds may lack anything.
type HalfCopyError struct {
	Dir   string
	Files string // the folder with what was copied so far
	List  error  // why its list cannot be read; nil where there is none
}

// Unwrap gives the cause.
func (e *HalfCopyError) Unwrap() error { return e.List }

func (e *HalfCopyError) Error() string {
	if e.List != nil {
		return fmt.Sprintf("the copy in %s is unfinished or damaged: its list, manifest.json, cannot be read. The mail that was copied is in %s", e.Dir, e.Files)
	}
	return fmt.Sprintf("there is no finished copy in %s: making it was interrupted", e.Dir)
}

// Close lets go of the copy.
func (l *Local) Close() error {
	var errs []error
	for i := len(l.close) - 1; i >= 0; i-- {
		errs = append(errs, l.close[i]())
	}
	l.close = nil
	return errors.Join(errs...)
}

// OpenRun opens the copy of a run.
func OpenRun(ctx context.Context, state, id string) (*Local, error) {
	dir, err := rundir.Open(state, id)
	if err != nil {
		return nil, err
	}
	root, err := dir.SnapshotRoot()
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	before := &earlier{state: state, key: dir.Meta().Key(), before: dir.ID(), log: slog.New(slog.DiscardHandler)}
	l := &Local{Where: dir.ID(), earlier: before, close: []func() error{dir.Close, root.Close, before.Close}}
	if err := l.openSnapshot(ctx, root); err != nil {
		half := &HalfCopyError{Dir: "run " + dir.ID(), Files: filepath.Join(dir.Path(), rundir.SnapshotDir, snapshot.FilesDir)}
		switch {
		case errors.Is(err, snapshot.ErrList):
			half.List = err
			return nil, errors.Join(half, l.Close())
		case errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(*NoCopyError)):
			return nil, errors.Join(half, l.Close())
		}
		return nil, errors.Join(fmt.Errorf("open the copy of run %s: %w", l.Where, err), l.Close())
	}
	return l, nil
}

// OpenLocal opens a tree of mail files: the folder of a run, its snapshot, or any copy of an account's mail root or of something
// above it. address chooses one of several accounts.
func OpenLocal(ctx context.Context, dir, address string) (*Local, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"", rundir.SnapshotDir} {
		if _, err := os.Stat(filepath.Join(abs, sub, "manifest.json")); err != nil {
			continue
		}
		if info, err := os.Stat(filepath.Join(abs, sub, snapshot.FilesDir)); err != nil || !info.IsDir() {
			continue // a file of another program
		}
		root, err := os.OpenRoot(filepath.Join(abs, sub))
		if err != nil {
			return nil, err
		}
		l := &Local{Where: dir, close: []func() error{root.Close}}
		if err := l.openSnapshot(ctx, root); err != nil {
			if errors.Is(err, snapshot.ErrList) {
				err = &HalfCopyError{Dir: dir, Files: filepath.Join(dir, sub, snapshot.FilesDir), List: err}
				return nil, errors.Join(err, l.Close())
			}
			return nil, errors.Join(fmt.Errorf("open the copy in %s: %w", dir, err), l.Close())
		}
		return l, nil
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	l := &Local{Where: dir, close: []func() error{root.Close}}
	for _, sub := range []string{".", rundir.SnapshotDir} {
		if snapshot.Begun(root.FS(), sub) {
			return nil, errors.Join(&HalfCopyError{Dir: dir, Files: filepath.Join(dir, sub, snapshot.FilesDir)}, l.Close())
		}
	}
	fsys, ok := root.FS().(fs.ReadLinkFS)
	if !ok {
		return nil, errors.Join(errors.New("this system cannot look at symbolic links"), l.Close())
	}
	if err := l.find(ctx, fsys, abs, address); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.trueNames()
	return l, nil
}

// openSnapshot makes a snapshot the copy.
func (l *Local) openSnapshot(ctx context.Context, root *os.Root) error {
	s, altered, err := snapshot.ReadAsIs(root)
	if err != nil {
		return err
	}
	l.Altered = altered
	m := s.Manifest()
	fsys := shelf{s.FS(), shelfName, nil}
	a, err := store.At(ctx, fsys, "/"+shelfName)
	if err != nil {
		return &NoCopyError{Dir: l.Where, Err: err}
	}
	l.Snapshot = s
	l.take(fsys, a)
	l.Account.Address, l.Account.Partial = m.Address, !m.Covers(nil)
	if m.Layout != "" {
		l.Account.Layout = m.Layout // a copy of some mailboxes may no longer tell it
	}
	return nil
}

// find looks for the account in a tree, and where there is none, for an account that the tree is a part of. dir is the tree's name.
func (l *Local) find(ctx context.Context, tree fs.ReadLinkFS, dir, address string) error {
	err := l.findIn(ctx, shelf{tree, shelfName, nil}, address)
	if !errors.Is(err, store.ErrNoMail) {
		return err
	}
	if part, what, ok := placed(tree, dir); ok {
		if perr := l.findIn(ctx, part, address); perr == nil {
			l.Notes = append(l.Notes, "the folder is not a whole account: it is read as "+what)
			return nil
		}
	}
	if werr := l.findIn(ctx, shelf{complete{tree}, shelfName, nil}, address); !errors.Is(werr, store.ErrNoMail) {
		return werr
	}
	return err
}

// findIn looks for the account in a tree.
func (l *Local) findIn(ctx context.Context, fsys shelf, address string) error {
	a, err := store.At(ctx, fsys, "/"+shelfName)
	if err == nil {
		l.take(fsys, a)
		return nil
	}
	if !errors.Is(err, store.ErrNoMail) {
		return &NoCopyError{Dir: l.Where, Err: err}
	}
	found, serr := store.Search(ctx, fsys, []store.HostPath{"/" + shelfName})
	if serr != nil {
		return &NoCopyError{Dir: l.Where, Err: serr}
	}
	fit := found.Accounts
	if address != "" {
		fit = slices.DeleteFunc(slices.Clone(fit), func(a store.Account) bool { return !strings.EqualFold(a.Address, address) })
	}
	switch {
	case len(found.Accounts) == 0:
		return &NoCopyError{Dir: l.Where, Err: store.ErrNoMail}
	case len(fit) == 0:
		return &NoAccountError{Asked: address, Found: found.Accounts}
	case len(fit) > 1:
		return &AmbiguousError{Accounts: fit}
	}
	l.take(fsys, fit[0])
	return nil
}

func (l *Local) take(fsys shelf, a store.Account) {
	l.FS = beneath{fsys, strings.TrimPrefix(string(a.Root), "/")}
	l.Account = a
}

// trueNames has the messages of a Maildir show by their names where the copying program could not keep the colon in them.
func (l *Local) trueNames() {
	fsys, ok := l.FS.(fs.ReadLinkFS)
	if !ok || l.Account.Layout != store.Maildir {
		return
	}
	if as := alteredColon(fsys, l.Account.Mailboxes); as != "" {
		l.FS = colons{fsys, as}
		l.Notes = append(l.Notes, fmt.Sprintf("when this Maildir was copied, its files' names were altered: they have %q where a colon was. Their flags are read all the same", as))
	}
}

// name is what people call the copy: the account's address, or where it is.
func (l *Local) name() string { return cmp.Or(l.Account.Address, l.Where) }

// Choose gives the mailboxes by name: all where none is named.
func (l *Local) Choose(names []string) ([]store.Mailbox, error) {
	if len(names) == 0 {
		return l.Account.Mailboxes, nil
	}
	var boxes []store.Mailbox
	for _, name := range names {
		m, err := l.Account.Mailbox(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(boxes, func(b store.Mailbox) bool { return b.Dir == m.Dir }) {
			boxes = append(boxes, m)
		}
	}
	return boxes, nil
}

// Checked is what a look at a copy came to.
type Checked struct {
	Mailboxes []Diagnosis
	Account   []Finding // what concerns the account as a whole
	Altered   int       // files of a local copy that are not as they were copied: what is found may be true of it alone
}

// Worst is the highest severity of all findings; a note where there is none.
func (c *Checked) Worst() check.Severity {
	worst := check.Note
	raise := func(list []Finding) {
		for _, f := range list {
			if f.Severity == check.Broken || f.Severity == check.Suspect && worst == check.Note {
				worst = f.Severity
			}
		}
	}
	raise(c.Account)
	for _, d := range c.Mailboxes {
		raise(d.Findings)
	}
	return worst
}

// Curable reports whether some remedy cures any of what is wrong.
func (c *Checked) Curable() bool {
	curable := func(f Finding) bool { return f.Severity != check.Note && f.Cure != check.CureNone }
	return slices.ContainsFunc(c.Account, curable) ||
		slices.ContainsFunc(c.Mailboxes, func(d Diagnosis) bool { return slices.ContainsFunc(d.Findings, curable) })
}

// begin tells what is read, and what it was taken for.
func (l *Local) begin(rep Reporter) {
	rep.Stage("examining " + remote.Safe(l.name()))
	for _, n := range l.Notes {
		rep.Info(remote.Safe(n))
	}
}

// Check says what is wrong in a copy. It changes nothing anywhere.
func (l *Local) Check(ctx context.Context, boxes []store.Mailbox, rep Reporter) (*Checked, error) {
	l.begin(rep)
	acct, err := l.heal(ctx, boxes)
	if err != nil {
		return nil, fmt.Errorf("examine the copy: %w", err)
	}
	c, err := checked(ctx, l.FS, acct)
	if err != nil {
		return nil, err
	}
	c.Altered = len(l.Altered)
	c.Account = append(alteredFindings(l.Altered), c.Account...)
	return c, nil
}

func checked(ctx context.Context, fsys fs.FS, acct *reconstruct.Account) (*Checked, error) {
	reports, err := check.All(ctx, fsys, acct)
	if err != nil {
		return nil, err
	}
	c := &Checked{}
	for _, rep := range reports {
		d, err := diagnosis(ctx, fsys, acct.Account, rep)
		if err != nil {
			return nil, err
		}
		c.Mailboxes = append(c.Mailboxes, d)
	}
	c.Account = check.Account(fsys, acct)
	return c, nil
}

// diagnosis is a report in the words of this package.
func diagnosis(ctx context.Context, fsys fs.FS, a store.Account, rep *check.Report) (Diagnosis, error) {
	s, c := rep.State, rep.State.Counts()
	d := Diagnosis{Mailbox: s.Mailbox, Messages: c.Messages, Seen: c.Seen, Flagged: c.Flagged, Keywords: s.Keywords(),
		UIDValidity: s.UIDValidity, UIDNext: uint32(s.NextUID), Findings: rep.Findings}
	a.Root = "/" // in the copy, names begin at the mail root
	files, err := a.OwnFiles(ctx, fsys, s.Mailbox)
	if err != nil {
		return d, fmt.Errorf("measure the copy of %s: %w", s.Mailbox.Dir, err)
	}
	known := map[store.RelPath]int64{} // sizes that reading the messages has told
	if s.Layout != store.MDBox {
		for i := range s.Messages {
			if m := &s.Messages[i]; m.File != "" && m.Size >= 0 {
				known[m.File] = m.Size
			}
		}
	}
	for _, f := range files {
		if size, ok := known[f]; ok {
			d.Bytes += size
			continue
		}
		if info, err := fs.Lstat(fsys, string(f)); err == nil && info.Mode().IsRegular() {
			d.Bytes += info.Size()
		}
	}
	return d, nil
}
