package reconstruct

import (
	"context"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/dovecot"
	"dovemend/repair/store"
)

// Account is the best-known truth about an account's mail, as far as the copy holds it.
type Account struct {
	Account store.Account
	Boxes   []*State // the mailboxes asked for, in that order
	Others  []*State // mdbox: the account's other mailboxes, whose index files say which messages are whose
	Storage *Storage // mdbox; nil for other layouts
	Orphans []Orphan // messages that are in no mailbox
	List    *dovecot.List
	// ListFaults are what is wrong with the list index. With LAYOUT=index it is the only place of the mailboxes' names.
	ListFaults []FileFault
	// Unindexed: there is no index file of any mailbox, and no map or list index either. Dovecot may have been told to keep them elsewhere.
	Unindexed bool
	nodes     map[string]int // where in List a mailbox is
	earlier   Earlier
	healer    *healer
}

// Fate says what became of a message that is in no mailbox.
type Fate string

// The fates.
const (
	Expunged    Fate = "expunged"    // somebody deleted it; its bytes are still there
	Uncommitted Fate = "uncommitted" // saving it was never finished, as far as can be told
	Unplaced    Fate = "unplaced"    // it was in a mailbox, and nothing tells in which
	SetAside    Fate = "set aside"   // Dovecot found it damaged, and keeps what it was in a .broken file
)

// Orphan is a message that is in no mailbox, with the mailbox it was first saved to, where that is told.
type Orphan struct {
	Message
	Fate Fate
	From string // storage name of the mailbox; "" where nothing tells it
}

// Read reconstructs mailboxes of an account from its copy. A damaged file is no error: it is in the States' Faults.
func Read(ctx context.Context, fsys fs.FS, a store.Account, boxes []store.Mailbox) (*Account, error) {
	return ReadAfter(ctx, fsys, a, boxes, nil)
}

// ReadAfter is [Read] with earlier copies of the account: they are asked where the index files of now are damaged or gone, and tell nothing
// that these still tell otherwise.
func ReadAfter(ctx context.Context, fsys fs.FS, a store.Account, boxes []store.Mailbox, earlier Earlier) (*Account, error) {
	return readAccount(ctx, fsys, a, boxes, earlier, nil)
}

// ReadHealed is [ReadAfter] that takes messages' texts, too, from earlier copies where they are damaged or gone: what they say lies in
// [Account.Texts].
func ReadHealed(ctx context.Context, fsys fs.FS, a store.Account, boxes []store.Mailbox, earlier Earlier) (*Account, error) {
	return readAccount(ctx, fsys, a, boxes, earlier, earlier)
}

func readAccount(ctx context.Context, fsys fs.FS, a store.Account, boxes []store.Mailbox, earlier, texts Earlier) (*Account, error) {
	acct := &Account{Account: a, earlier: earlier, healer: &healer{fsys: fsys, earlier: texts, files: map[string]*Healed{}}}
	if err := acct.read(ctx, fsys, boxes); err != nil {
		return nil, err
	}
	for _, s := range acct.All() {
		s.countRegained()
	}
	for _, s := range acct.Boxes {
		if s.lacks() {
			s.Kept = s.kept(earlier)
		}
	}
	acct.Unindexed = !acct.indexed(fsys) && !slices.ContainsFunc(acct.Boxes, func(s *State) bool { return s.Recalled != nil })
	return acct, nil
}

// indexed reports whether the copy has any index file.
func (acct *Account) indexed(fsys fs.FS) bool {
	any := func(prefix string) bool {
		return slices.ContainsFunc([]string{".log", "", ".log.2", ".backup"}, func(end string) bool {
			_, err := fs.Lstat(fsys, prefix+end)
			return err == nil
		})
	}
	return any(string(ListFile)) || any(string(MapFile)) ||
		slices.ContainsFunc(acct.Account.Mailboxes, func(m store.Mailbox) bool { return any(join(m, "dovecot.index")) }) ||
		slices.ContainsFunc(acct.Boxes, func(s *State) bool { return any(join(s.Mailbox, "dovecot.index")) })
}

func (acct *Account) read(ctx context.Context, fsys fs.FS, boxes []store.Mailbox) error {
	a := acct.Account
	if err := acct.readList(fsys); err != nil {
		return err
	}
	var err error
	if acct.Boxes, err = acct.readIndexes(ctx, fsys, boxes); err != nil {
		return err
	}
	switch a.Layout {
	case store.Maildir:
		for _, s := range acct.Boxes {
			if err := s.readMaildir(ctx, fsys, acct); err != nil {
				return err
			}
		}
		return nil
	case store.SDBox:
		for _, s := range acct.Boxes {
			if err := s.readSDBox(ctx, fsys, acct); err != nil {
				return err
			}
			if err := s.datesFromCache(fsys); err != nil {
				return err
			}
		}
		return nil
	}
	asked := map[store.RelPath]bool{}
	for _, m := range boxes {
		asked[m.Dir] = true
	}
	var others []store.Mailbox
	for _, m := range a.Mailboxes {
		if _, err := fs.Stat(fsys, string(m.Dir)); err != nil || asked[m.Dir] {
			continue // not in the copy
		}
		others = append(others, m)
	}
	if acct.Others, err = acct.readIndexes(ctx, fsys, others); err != nil {
		return err
	}
	if err := acct.readMDBox(ctx, fsys); err != nil {
		return err
	}
	for _, s := range acct.Boxes {
		if err := s.datesFromCache(fsys); err != nil {
			return err
		}
	}
	return nil
}

// readIndexes reads the index files of mailboxes, of several at one time.
func (acct *Account) readIndexes(ctx context.Context, fsys fs.FS, boxes []store.Mailbox) ([]*State, error) {
	states := make([]*State, len(boxes))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i, m := range boxes {
		s := &State{Mailbox: m, Layout: acct.Account.Layout, Names: acct.listed(m)}
		states[i] = s
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.readIndex(fsys, m)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, s := range states {
		s.recall(acct.earlier)
	}
	return states, nil
}

// All are all mailboxes that are known.
func (acct *Account) All() []*State { return slices.Concat(acct.Boxes, acct.Others) }

// Mailbox reads what the copy tells of one mailbox.
func Mailbox(ctx context.Context, fsys fs.FS, a store.Account, m store.Mailbox) (*State, error) {
	acct, err := Read(ctx, fsys, a, []store.Mailbox{m})
	if err != nil {
		return nil, err
	}
	return acct.Boxes[0], nil
}
