package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"dovemend/repair/rebuild"
	"dovemend/repair/snapshot"
	"dovemend/repair/store"
)

const version = 1

// indexNames are Dovecot's index files in a mailbox's folder, in the order in which they can go one by one while what
// is left still opens without a rebuild: without cache, backup and the old log nothing is missed, without the log the
// index is taken as it is, and without the index the mailbox is empty. They come back in the opposite order.
var indexNames = []string{
	"dovecot.index.cache", "dovecot.index.backup", "dovecot.index.log.2", "dovecot.index.log", "dovecot.index",
}

// Input is what a plan is built from: facts and lists, nothing live.
type Input struct {
	Run       string // ID of the run the plan belongs to
	Account   store.Account
	Mailboxes []store.Mailbox
	Remedy    Remedy
	Aside     bool // set aside on the host instead of removing
	Policy    Policy
	Entries   []snapshot.Entry // of the verified snapshot, in any order
	Facts     []Facts          // of each mailbox; drop-index and clear need them
	Manifest  string           // SHA-256 of the snapshot's manifest
	Rebuilt   *rebuild.Work    // what a rebuild has made; rebuild needs it
	Moves     *Moves           // what an evacuation is to move; evacuate needs it
}

// Build makes the plan of a direct remedy. Where it would cost what the policy does not accept, or clear what is not
// confirmed, the plan is returned all the same, to be shown, with a [*WouldLoseError], a [*ConfirmError] or both
// joined. A [*NoCopyError] means that something has no verified copy; there is no plan then. A plan without steps
// says in its notes why there is nothing to do.
func Build(in Input) (*Plan, error) {
	if err := in.check(); err != nil {
		return nil, fmt.Errorf("plan %s: %w", in.Remedy, err)
	}
	b := &builder{in: in, at: make(map[store.RelPath]snapshot.Entry, len(in.Entries)), kids: map[store.RelPath][]string{}}
	b.p = &Plan{Version: version, Run: in.Run, Root: in.Account.Root, Layout: in.Account.Layout, Remedy: in.Remedy,
		Aside: in.Aside, Snapshot: in.Manifest}
	for _, e := range in.Entries {
		b.at[e.Path] = e
		b.kids[parent(e.Path)] = append(b.kids[parent(e.Path)], path.Base(string(e.Path)))
	}
	for _, k := range b.kids {
		slices.Sort(k)
	}
	if !in.Account.Tree && !in.Aside {
		b.p.Aside = true
		b.note("this account has no mailboxes directory, beneath which removing is safe: nothing is removed, everything is set aside in %s/%s", AsideDir, in.Run)
	}
	if b.p.Aside && in.Account.FSLayout {
		b.note("while things are set aside, mail programs may show %s as a folder", AsideDir)
	}
	if in.Remedy == Evacuate {
		if err := b.evacuate(); err != nil {
			return nil, fmt.Errorf("plan %s: %w", in.Remedy, err)
		}
		return b.p, b.consent()
	}
	if in.Remedy == Rebuild {
		if err := b.rebuild(); err != nil {
			return nil, fmt.Errorf("plan %s: %w", in.Remedy, err)
		}
	} else {
		for _, m := range in.Mailboxes {
			if err := b.mailbox(m); err != nil {
				return nil, fmt.Errorf("plan %s of mailbox %s: %w", in.Remedy, safe(m.Name), err)
			}
		}
	}
	b.p.Steps = append(asideDirs(b.p.Steps), b.p.Steps...)
	number(b.p.Steps)
	return b.p, b.consent()
}

func (in Input) check() error {
	switch in.Remedy {
	case DropCache, DropIndex, Clear:
	case Evacuate:
		if in.Moves == nil || len(in.Mailboxes) != 1 {
			return errors.New("it takes one mailbox at a time")
		}
	case Rebuild:
		if in.Rebuilt == nil {
			return errors.New("nothing was rebuilt")
		}
	default:
		return errors.New("no such remedy")
	}
	if in.Run == "" || strings.Contains(in.Run, "/") || in.Run == "." || in.Run == ".." {
		return fmt.Errorf("%q is not the ID of a run", in.Run)
	}
	if len(in.Mailboxes) == 0 {
		return errors.New("no mailbox is named")
	}
	switch in.Account.Layout {
	case store.MDBox, store.SDBox, store.Maildir:
		return nil
	}
	return fmt.Errorf("layout %q is not known", in.Account.Layout)
}

// consent compares the costs with what the user has agreed to.
func (b *builder) consent() error {
	var errs []error
	if costs := b.in.Policy.unaccepted(b.p.Costs); len(costs) > 0 {
		errs = append(errs, &WouldLoseError{Costs: costs})
	}
	if b.in.Remedy == Evacuate || b.in.Remedy == Clear && len(b.p.Steps) > 0 {
		if names := b.in.Policy.unconfirmed(b.in.Mailboxes); len(names) > 0 {
			errs = append(errs, &ConfirmError{Mailboxes: names})
		}
	}
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return errors.Join(errs...)
}

// builder is a plan on its way.
type builder struct {
	in   Input
	p    *Plan
	at   map[store.RelPath]snapshot.Entry
	kids map[store.RelPath][]string // names directly in a directory, sorted
}

func (b *builder) note(format string, args ...any) {
	b.p.Notes = append(b.p.Notes, fmt.Sprintf(format, args...))
}

// noteSome notes the first of what may be very many.
func (b *builder) noteSome(texts []string) {
	const most = 10
	b.p.Notes = append(b.p.Notes, texts[:min(len(texts), most)]...)
	if n := len(texts) - most; n > 0 {
		b.note("and %d more of that kind", n)
	}
}

func (b *builder) mailbox(m store.Mailbox) error {
	if e, ok := b.at[m.Dir]; !ok && len(b.kids[m.Dir]) == 0 {
		return &NoCopyError{Path: m.Dir, Why: "the snapshot does not hold the mailbox's folder"}
	} else if ok && !e.Type.IsDir() {
		return &NoCopyError{Path: m.Dir, Why: "it is not a directory"}
	} else if e.Err != "" {
		return &NoCopyError{Path: m.Dir, Why: "it could not be listed: " + safe(e.Err)}
	}
	f, known := b.facts(m.Name)
	if !known && b.in.Remedy == DropIndex {
		return errors.New("what it would cost has not been measured")
	}
	b.p.Mailboxes = append(b.p.Mailboxes, m.Name)
	promise := Promise{Mailbox: m.Name, Messages: -1}
	before := len(b.p.Steps)
	var err error
	switch b.in.Remedy {
	case DropCache:
		promise.Messages, promise.Flags, promise.UIDs = f.Messages, true, true
		err = b.drop(m, "dovecot.index.cache", ClassCache, "the cache holds nothing of its own: Dovecot fills it anew")
	case DropIndex:
		a := f.AfterDropIndex
		promise.Messages, promise.Flags, promise.UIDs = a.Messages, a.LosesFlags == 0 && a.LosesKeywords == 0, a.LosesUIDs == 0
		err = b.drop(m, "dovecot.index", ClassIndex, "Dovecot makes the index anew from what is left")
	case Clear:
		promise.Messages = 0
		err = b.clear(m)
	}
	if err != nil {
		return err
	}
	if len(b.p.Steps) == before { // nothing to do: nothing is lost and all stays
		promise = Promise{Mailbox: m.Name, Messages: f.Messages, Flags: true, UIDs: true}
	} else {
		b.p.Costs = append(b.p.Costs, Costs(b.in.Remedy, b.in.Account.Layout, f)...)
	}
	if f.LeftAloneLoses && (b.in.Remedy == DropCache || len(b.p.Steps) == before) {
		promise.Messages, promise.Flags, promise.UIDs = -1, false, false
		b.note("in %s this leaves the damage that was found as it is, and Dovecot loses by it when the mailbox is opened", safe(m.Name))
	}
	for _, s := range b.p.Steps[before:] {
		promise.Gone = append(promise.Gone, s.Path)
	}
	promise.Kept = b.kept(m, promise.Gone)
	b.p.Promise = append(b.p.Promise, promise)
	if known {
		b.p.Facts = append(b.p.Facts, f)
	}
	return nil
}

func (b *builder) facts(name string) (Facts, bool) {
	for _, f := range b.in.Facts {
		if f.Mailbox == name {
			return f, true
		}
	}
	return Facts{Mailbox: name, Messages: -1, Flagged: -1, Keyworded: -1}, false
}

// drop takes one file out of the mailbox's folder.
func (b *builder) drop(m store.Mailbox, name, class, why string) error {
	e, ok := b.at[join(m.Dir, name)]
	if !ok {
		b.note("%s has no %s: nothing to do", safe(m.Name), name)
		return nil
	}
	if !e.Type.IsRegular() {
		return fmt.Errorf("%s is %s and not a file: it is left alone", safe(string(e.Path)), kind(e.Type))
	}
	scope := ScopeAll // dbox index files and messages only mean something together
	switch {
	case class == ClassCache:
		scope = ScopeTouched
	case b.in.Account.Layout == store.Maildir:
		scope = ScopeIndex
	}
	b.folder(m, m.Dir, scope)
	return b.takeOut(e, class, why)
}

// takeOut adds the step that removes a file or sets it aside.
func (b *builder) takeOut(e snapshot.Entry, class, why string) error {
	if err := verified(e); err != nil {
		return err
	}
	s := Step{Op: OpRemove, Path: e.Path, Class: class, Expect: expect(e), Why: why}
	if b.p.Aside {
		s.Op, s.To, s.ToClass = OpRename, aside(b.in.Run, e.Path), ClassAside
	}
	b.p.Steps = append(b.p.Steps, s)
	return nil
}

// folder remembers a directory as it was before.
func (b *builder) folder(m store.Mailbox, dir store.RelPath, scope Scope) {
	f := Folder{Path: dir, Mailbox: m.Name, Scope: scope}
	if e, ok := b.at[dir]; ok && e.Type.IsDir() {
		f.Mode, f.MTime = e.Mode, e.MTime
	}
	b.p.Folders = append(b.p.Folders, f)
}

// kept lists the mailbox's other small files, which must not change: index files, uidlist and keywords.
func (b *builder) kept(m store.Mailbox, gone []store.RelPath) []store.RelPath {
	if b.in.Remedy == Clear {
		return nil
	}
	var kept []store.RelPath
	for _, name := range b.kids[m.Dir] {
		e := b.at[join(m.Dir, name)]
		if e.Type.IsRegular() && ownName(name) && !slices.Contains(gone, e.Path) && verified(e) == nil {
			kept = append(kept, e.Path)
		}
	}
	return kept
}

// verified reports whether the snapshot holds a good copy of a file.
func verified(e snapshot.Entry) error {
	switch {
	case e.Err != "":
		return &NoCopyError{Path: e.Path, Why: "it could not be read: " + safe(e.Err)}
	case e.Torn:
		return &NoCopyError{Path: e.Path, Why: "it changed each time it was copied"}
	case e.SHA256 == "":
		return &NoCopyError{Path: e.Path, Why: "the snapshot does not hold its bytes"}
	}
	return nil
}

func expect(e snapshot.Entry) Expect {
	return Expect{Type: e.Type.Type(), Size: e.Size, MTime: e.MTime, SHA256: e.SHA256}
}

func kind(t fs.FileMode) string {
	switch t.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case 0:
		return "a file"
	}
	return "a special file"
}
