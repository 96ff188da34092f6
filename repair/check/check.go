package check

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"dovemend/repair/dovecot"
	"dovemend/repair/reconstruct"
	"dovemend/repair/store"
)

// Mailbox examines the copy of one mailbox.
func Mailbox(ctx context.Context, fsys fs.FS, a store.Account, m store.Mailbox) (*Report, error) {
	s, err := reconstruct.Mailbox(ctx, fsys, a, m)
	if err != nil {
		return nil, fmt.Errorf("examine %s: %w", m.Dir, err)
	}
	x := &examiner{Report: &Report{State: s}, ctx: ctx, fsys: fsys, account: a, box: m, damaged: map[dovecot.UID]bool{}, changed: map[dovecot.UID]bool{}}
	x.now, x.Verdict, _ = dovecot.Sees(s.Files)
	without := s.Files
	without.Index = nil
	var then dovecot.Verdict
	x.without, then, _ = dovecot.Sees(without)
	// The messages come first, because what is wrong with them counts in the outcomes, which the findings about the index tell.
	switch a.Layout {
	case store.SDBox:
		err = x.sdbox()
	case store.MDBox:
		err = x.mdbox()
	case store.Maildir:
		err = x.maildir()
	}
	if err != nil {
		return nil, fmt.Errorf("examine %s: %w", m.Dir, err)
	}
	messages := x.Findings
	x.Damaged = len(x.damaged)
	x.Findings = nil
	x.AsIs = x.outcome(x.now, x.Verdict, s.Files.Index != nil)
	if !s.Readable(x.file("dovecot.index")) || !s.Readable(x.file("dovecot.index.log")) {
		x.AsIs.Gone = s.Counts().Messages // Dovecot cannot read it either, and does not open the mailbox
	}
	x.NoIndex = x.outcome(x.without, then, false)
	x.unread()
	x.index()
	if err := x.cache(); err != nil {
		return nil, fmt.Errorf("examine %s: %w", m.Dir, err)
	}
	x.leftovers()
	x.Findings = append(x.Findings, messages...)
	return x.Report, ctx.Err()
}

type examiner struct {
	*Report
	ctx     context.Context
	fsys    fs.FS
	account store.Account
	box     store.Mailbox
	now     *dovecot.State       // what Dovecot would know with the files as they are
	without *dovecot.State       // and without dovecot.index
	mended  *mended              // a Maildir's dovecot.index, where Dovecot mends it
	damaged map[dovecot.UID]bool // messages that a rebuild of the mailbox may drop or change
	changed map[dovecot.UID]bool // messages of a Maildir that get a new UID when they are read
}

func (x *examiner) dbox() bool { return x.account.Layout != store.Maildir }

func (x *examiner) file(name string) store.RelPath {
	return store.RelPath(path.Join(string(x.box.Dir), name))
}

func (x *examiner) find(f Finding) { x.Findings = append(x.Findings, f) }
