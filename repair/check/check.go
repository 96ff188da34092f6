package check

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// Mailbox reads and examines the copy of one mailbox.
func Mailbox(ctx context.Context, fsys fs.FS, a store.Account, m store.Mailbox) (*Report, error) {
	acct, err := reconstruct.Read(ctx, fsys, a, []store.Mailbox{m})
	if err != nil {
		return nil, fmt.Errorf("examine %s: %w", m.Dir, err)
	}
	return Examine(ctx, fsys, acct, acct.Boxes[0])
}

// All examines every mailbox of an account that was asked for, of several at one time; the reports are in the order of acct.Boxes.
func All(ctx context.Context, fsys fs.FS, acct *reconstruct.Account) ([]*Report, error) {
	reports := make([]*Report, len(acct.Boxes))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, s := range acct.Boxes {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			reports[i], err = Examine(ctx, fsys, acct, s)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return reports, nil
}

// Examine says what is wrong with one mailbox of an account that was reconstructed.
func Examine(ctx context.Context, fsys fs.FS, acct *reconstruct.Account, s *reconstruct.State) (*Report, error) {
	x := &examiner{Report: &Report{State: s}, ctx: ctx, fsys: fsys, acct: acct, account: acct.Account, box: s.Mailbox, damaged: map[dovecot.UID]bool{}, changed: map[dovecot.UID]bool{}}
	x.now, x.Verdict, _ = dovecot.Sees(s.Files)
	without := s.Files
	without.Index = nil
	var then dovecot.Verdict
	x.without, then, _ = dovecot.Sees(without)
	// The messages come first, because what is wrong with them counts in the outcomes, which the findings about the index tell.
	switch s.Layout {
	case store.SDBox:
		x.sdbox()
	case store.MDBox:
		x.mdbox()
	case store.Maildir:
		x.maildir()
	}
	messages := x.Findings
	x.Damaged = len(x.damaged)
	x.Findings = nil
	x.AsIs = x.outcome(x.now, x.Verdict, s.Files.Index != nil)
	x.AsIs.Gone = max(x.AsIs.Gone, x.unopened())
	x.NoIndex = x.outcome(x.without, then, false)
	x.unasked = true
	x.Opened = x.outcome(x.now, x.Verdict, s.Files.Index != nil)
	x.Opened.Gone = max(x.Opened.Gone, x.unopened())
	x.unasked = false
	x.unread()
	x.access()
	x.index()
	if !x.dbox() || !acct.Unindexed {
		x.membership()
	}
	if err := x.cache(); err != nil {
		return nil, fmt.Errorf("examine %s: %w", s.Mailbox.Dir, err)
	}
	x.leftovers()
	x.Findings = append(x.Findings, messages...)
	if x.dbox() && acct.Unindexed && slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.Rule == "index-elsewhere" }) { // a rebuild would not see what the index files tell
		withhold(x.Findings, elsewhere)
	}
	if newer(acct) {
		withhold(x.Findings, newerAdvice)
	}
	return x.Report, ctx.Err()
}

type examiner struct {
	*Report
	ctx     context.Context
	fsys    fs.FS
	acct    *reconstruct.Account
	account store.Account
	box     store.Mailbox
	now     *dovecot.State       // what Dovecot would know with the files as they are
	without *dovecot.State       // and without dovecot.index
	mended  *mended              // a Maildir's dovecot.index, where Dovecot mends it
	damaged map[dovecot.UID]bool // messages that a rebuild of the mailbox may drop or change
	changed map[dovecot.UID]bool // messages of a Maildir that get a new UID when they are read
	unasked bool                 // the outcome is one in which no damaged message is read
}

// unopened is how many messages do not show because Dovecot cannot read the index files either, and does not open the mailbox.
func (x *examiner) unopened() int {
	if x.State.Readable(x.file("dovecot.index")) && x.State.Readable(x.file("dovecot.index.log")) {
		return 0
	}
	return x.State.Counts().Messages
}

func (x *examiner) dbox() bool { return x.account.Layout != store.Maildir }

func (x *examiner) file(name string) store.RelPath {
	return store.RelPath(path.Join(string(x.box.Dir), name))
}

func (x *examiner) find(f Finding) { x.Findings = append(x.Findings, f) }
