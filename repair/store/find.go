package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// The bounds of a search: a huge home must not take for ever. Directories that look like mail are looked into first.
const (
	searchDepth   = 6    // directories beneath a start directory
	searchReads   = 5000 // directories read in all, mailboxes included
	searchWidth   = 5000 // entries of one directory that are looked into
	searchLinks   = 500  // symbolic links followed
	searchResults = 10000
)

// SurveyDepth is for a look ahead at what a [Search] will ask for: how many levels beneath its start directories.
const SurveyDepth = searchDepth + 3

// NotSurveyed names directories that such a look need not look into: the search does not either, or they are hidden ones that are known to
// hold much, and no mail.
func NotSurveyed() []string {
	hidden := []string{".git", ".cache", ".local", ".npm", ".cargo", ".rustup", ".config", ".vscode-server"}
	return slices.Concat(slices.Sorted(maps.Keys(mailDirs)), slices.Sorted(maps.Keys(skipped)), hidden)
}

// Found is what a [Search] came back with.
type Found struct {
	Accounts   []Account  // sorted by address, then root
	Unreadable []HostPath // directories that could not be read, start directories that do not exist left out
	Cut        bool       // a bound was reached: there may be more
}

// Find is [Search] for those who want the accounts only.
func Find(ctx context.Context, fsys fs.FS, from []HostPath) ([]Account, error) {
	found, err := Search(ctx, fsys, from)
	return found.Accounts, err
}

// Search looks for accounts at and beneath the start directories. Symbolic links are followed where they lie on a path
// that looks like mail, and each directory is looked at once however many ways lead to it. It is an error if no start
// directory can be read; a directory beneath that cannot be read is told in the result. A "*" in a start directory
// stands for any text within one component, as in [Places].
func Search(ctx context.Context, fsys fs.FS, from []HostPath) (Found, error) {
	s := &search{r: newReader(fsys, searchReads), seen: map[string]bool{}, starts: map[string]bool{}}
	var first error
	for _, p := range from {
		if err := checkHostPath(p); err != nil && p != "/" {
			return Found{}, fmt.Errorf("search for mail: %w", err)
		}
	}
	places, err := s.r.starts(ctx, from)
	if err != nil {
		return Found{}, err
	}
	for _, at := range places {
		p, real, info, err := at.given, at.real, at.info, at.err
		switch {
		case err == nil && info.IsDir():
			s.add(place{real: real, shown: p.inFS(), read: at.read})
			for up := real; ; up = path.Dir(up) {
				s.starts[up] = true
				if up == "." {
					break
				}
			}
		case err == nil:
			first = cmp.Or(first, error(&fs.PathError{Op: "search", Path: string(p), Err: errors.New("not a directory")}))
		case !s.r.lasting(ctx, err):
			return Found{}, fmt.Errorf("search for mail in %q: %w", p, err)
		default:
			first = cmp.Or(first, fmt.Errorf("search for mail in %q: %w", p, err))
			if !errors.Is(err, fs.ErrNotExist) {
				s.found.Unreadable = append(s.found.Unreadable, p)
			}
		}
	}
	if len(s.seen) == 0 && first != nil {
		return s.found, first
	}
	if err := s.run(ctx); err != nil {
		return Found{}, fmt.Errorf("search for mail: %w", err)
	}
	if s.read == 0 && s.failed != nil {
		return s.found, fmt.Errorf("search for mail: %w", s.failed)
	}
	s.found.Cut = s.found.Cut || s.r.cut.Load()
	slices.SortFunc(s.found.Accounts, func(a, b Account) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(string(a.Root), string(b.Root)))
	})
	return s.found, nil
}

// place is a directory to look at: by its real path, and by the path it was reached on.
type place struct {
	real, shown string
	depth       int
	read        *dirRead // where it was read already
}

type search struct {
	r      *reader
	seen   map[string]bool // by real path
	starts map[string]bool // start directories and all above them
	queues [3][]place      // by likelihood
	found  Found
	read   int   // directories read
	links  int   // links followed
	failed error // the first directory that could not be read
}

func (s *search) add(p place) {
	if !s.seen[p.real] {
		s.seen[p.real] = true
		q := &s.queues[likelihood(p)]
		*q = append(*q, p)
	}
}

// next gives the places to look at now: likely ones before others, and nearer ones first.
func (s *search) next() []place {
	for i := len(s.queues) - 1; i >= 0; i-- {
		if q := s.queues[i]; len(q) > 0 {
			n := min(len(q), 4*parallelReads)
			s.queues[i] = q[n:]
			return q[:n]
		}
	}
	return nil
}

// looked is what one place turned out to be.
type looked struct {
	entries []fs.DirEntry
	account *Account
	err     error
}

// run looks at places until there are none left, or a bound is reached.
func (s *search) run(ctx context.Context) error {
	for chunk := s.next(); len(chunk) > 0; chunk = s.next() {
		results := make([]looked, len(chunk))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallelReads)
		for i, p := range chunk {
			g.Go(func() error {
				results[i] = s.look(gctx, p)
				if err := results[i].err; err != nil && !s.r.lasting(gctx, err) {
					return err
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i, p := range chunk {
			if err := s.take(ctx, p, results[i]); err != nil {
				return err
			}
		}
		if s.r.budget.Load() <= 0 || len(s.found.Accounts) >= searchResults {
			s.found.Cut = true
			return nil
		}
	}
	return nil
}

// likelihood says how much the path of a place looks like one of mail.
func likelihood(p place) int {
	switch name := path.Base(p.shown); {
	case looksLikeMail(name):
		return 2
	case onMailPath(p.shown):
		return 1
	}
	return 0
}

func (s *search) look(ctx context.Context, p place) looked {
	var entries []fs.DirEntry
	var err error
	if p.read != nil {
		entries, err = p.read.entries, p.read.err
	} else {
		entries, err = s.r.readDir(ctx, p.real)
	}
	if err != nil {
		return looked{err: err}
	}
	a, err := s.r.accountAt(ctx, p.real, entries, false)
	return looked{entries, a, err}
}

// accountAt recognises a mail root of any layout.
func (r *reader) accountAt(ctx context.Context, root string, entries []fs.DirEntry, named bool) (*Account, error) {
	a, err := r.dboxAt(ctx, root, entries, named)
	if a == nil && err == nil {
		a, err = r.maildirAt(ctx, root, entries)
	}
	if a == nil || err != nil {
		return nil, err
	}
	a.sort()
	return a, nil
}

// take notes what a place was and queues what is beneath it.
func (s *search) take(ctx context.Context, p place, l looked) error {
	if l.err != nil {
		if !errors.Is(l.err, errBudget) {
			s.failed = cmp.Or(s.failed, l.err)
			s.found.Unreadable = append(s.found.Unreadable, fromFS(p.real))
		}
		return nil
	}
	s.read++
	if a := l.account; a != nil {
		a.Address = cmp.Or(addressOf(a.Root), addressOf(fromFS(p.shown)))
		s.found.Accounts = append(s.found.Accounts, *a)
	}
	if p.depth >= searchDepth {
		return nil
	}
	for n, e := range l.entries {
		name := e.Name()
		if n >= searchWidth {
			s.found.Cut = true
			break
		}
		if skip(name) || l.account.owns(name) {
			continue
		}
		child := place{real: path.Join(p.real, name), shown: path.Join(p.shown, name), depth: p.depth + 1}
		switch {
		case e.IsDir():
			if p.real == "." && systemDirs[name] {
				continue
			}
			s.add(child)
		case e.Type()&fs.ModeSymlink != 0 && onMailPath(child.shown) && s.links < searchLinks:
			s.links++
			real, info, err := resolve(s.r.fsys, child.real)
			if err != nil {
				if !errors.Is(err, ErrLoop) && !s.r.lasting(ctx, err) {
					return err
				}
				continue
			}
			if info.IsDir() && !s.starts[real] {
				if child.real = real; name == "mailboxes" && path.Base(real) == "mailboxes" {
					child.real, child.shown = path.Dir(real), p.shown
				}
				s.add(child)
			}
		}
	}
	return nil
}

// owns reports whether an entry of a mail root is the account's own, so that no other account is looked for in it.
func (a *Account) owns(name string) bool {
	switch {
	case a == nil:
		return false
	case a.Layout != Maildir:
		return name == "mailboxes" || name == "storage"
	case strings.HasPrefix(name, "."):
		return true
	}
	return a.FSLayout && !isDomain(name)
}

var systemDirs = map[string]bool{"proc": true, "sys": true, "dev": true, "run": true, "boot": true, "lib": true, "usr": true, "etc": true, "bin": true, "sbin": true}

var skipped = map[string]bool{
	"node_modules": true, "__pycache__": true, "site-packages": true, "wp-content": true, "wp-includes": true, "lost+found": true, asideDir: true,
}

// skip reports whether no account is looked for in a directory of this name: folders of messages, and what is hidden
// or belongs to programs.
func skip(name string) bool {
	if mailDirs[name] || skipped[name] || name == ownDir {
		return true
	}
	return strings.HasPrefix(name, ".") && !looksLikeMail(name)
}

// sort puts mailboxes in order, INBOX first. Where two storage names would be shown alike, both are shown as stored.
func (a *Account) sort() {
	count := map[string]int{}
	for _, m := range a.Mailboxes {
		count[m.Name]++
	}
	for i, m := range a.Mailboxes {
		if count[m.Name] > 1 {
			a.Mailboxes[i].Name = m.Storage
		}
	}
	slices.SortFunc(a.Mailboxes, func(x, y Mailbox) int {
		if xi, yi := strings.EqualFold(x.Name, "INBOX"), strings.EqualFold(y.Name, "INBOX"); xi != yi {
			if xi {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Storage, y.Storage))
	})
	slices.Sort(a.Unreadable)
}
