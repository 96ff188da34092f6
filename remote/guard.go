package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// GuardedPath is a path the guard has passed for removal. Only [Root.Guard] makes one; its zero value and that of
// another Root are refused with [ErrUnguarded].
type GuardedPath struct {
	root  *Root
	rel   string
	class Class
	at    seen
}

// Rel is the path relative to the mail root.
func (p GuardedPath) Rel() string { return p.rel }

// Class is what the path was passed as.
func (p GuardedPath) Class() Class { return p.class }

// Seen is what stood at the path when the guard passed it; its Sys tells no group.
func (p GuardedPath) Seen() fs.FileInfo { return p.at.info(path.Base(p.rel)) }

// WritablePath is a path the guard has passed for making directories, renaming, writing new files and attributes. It
// cannot be removed. Only [Root.GuardWrite] makes one.
type WritablePath struct {
	root  *Root
	rel   string
	class Class
	at    seen
}

// Rel is the path relative to the mail root.
func (p WritablePath) Rel() string { return p.rel }

// Class is what the path was passed as.
func (p WritablePath) Class() Class { return p.class }

// Seen is what stood at the path when the guard passed it, nil where nothing did; its Sys tells no group.
func (p WritablePath) Seen() fs.FileInfo { return p.at.info(path.Base(p.rel)) }

// Guard judges a path for removal. It must be there: where it is not, the error wraps [fs.ErrNotExist] and is no
// refusal. A refusal is a [*GuardError]. The judgement is repeated when the path is used.
func (r *Root) Guard(ctx context.Context, rel string, class Class) (GuardedPath, error) {
	at, err := r.check(ctx, r.view, rel, class, true)
	if err != nil {
		return GuardedPath{}, err
	}
	return GuardedPath{r, rel, class, at}, nil
}

// GuardWrite judges a path for writing. It need not be there, and its directories neither. A refusal is a
// [*GuardError]. The judgement is repeated when the path is used.
func (r *Root) GuardWrite(ctx context.Context, rel string, class Class) (WritablePath, error) {
	at, err := r.check(ctx, r.view, rel, class, false)
	if err != nil {
		return WritablePath{}, err
	}
	return WritablePath{r, rel, class, at}, nil
}

// check puts the path to all rules: first those of its text, then, with the host's answers, the others. It gives what stands at the
// path, an error that wraps [fs.ErrNotExist] where nothing does.
func (r *Root) check(ctx context.Context, view viewer, rel string, class Class, remove bool) (seen, error) {
	q := &inquiry{root: r, rel: rel, parts: strings.Split(rel, "/"), class: class, remove: remove, abs: r.dir + "/" + rel}
	refuse := func(rule rule, err error) (seen, error) {
		return seen{}, &GuardError{Rule: rule.Name, Path: rel, Err: err}
	}
	for _, rule := range rules {
		if rule.text == nil {
			continue
		}
		if err := rule.text(q); err != nil {
			return refuse(rule, err)
		}
	}
	if err := q.ask(ctx, view); err != nil {
		return seen{}, fmt.Errorf("guard %s: %w", Safe(rel), err)
	}
	for _, rule := range rules {
		if rule.facts == nil {
			continue
		}
		if err := rule.facts(q); err != nil {
			return refuse(rule, err)
		}
	}
	if remove {
		for _, d := range q.dirs {
			if d.err != nil {
				return seen{}, fmt.Errorf("guard %s: %w", Safe(rel), d.err)
			}
		}
		if q.at.err != nil {
			return seen{}, fmt.Errorf("guard %s: %w", Safe(rel), q.at.err)
		}
	}
	return q.at, nil
}

// ask gathers what the rules need to know of the host, at the cost of one round trip where all directories exist. An
// answer that is neither "this is there" nor "nothing is there" ends it: what cannot be seen is not touched.
func (q *inquiry) ask(ctx context.Context, view viewer) error {
	q.chain = chainOf(path.Dir(q.abs))
	q.deep = q.chain[len(q.chain)-1]
	type answer struct {
		real string
		err  error
	}
	dirs := make(chan []seen, 1)
	real := make(chan answer, 1)
	go func() { dirs <- view.dirs(ctx, q.chain) }()
	go func() {
		s, err := view.realPath(ctx, q.deep)
		real <- answer{s, err}
	}()
	// The one that is known of no other file takes the longest; of thousands at one time, nothing else is to be waiting.
	q.at = view.item(ctx, q.abs)
	q.dirs = <-dirs
	ans := <-real
	for i, d := range q.dirs {
		if d.err == nil && d.kind == fs.ModeSymlink {
			return nil // what lies behind it does not matter: the rules refuse it
		}
		if d.err == nil {
			continue
		}
		if !errors.Is(d.err, fs.ErrNotExist) || q.root.dir == q.chain[i] || !q.root.within(q.chain[i]) {
			return d.err
		}
		if i == 0 {
			return d.err
		}
		q.deep = q.chain[i-1]
		for j := i; j < len(q.dirs); j++ {
			q.dirs[j].err = d.err
		}
		q.at = seen{err: d.err}
		ans.real, ans.err = view.realPath(ctx, q.deep)
		break
	}
	if ans.err != nil {
		return ans.err
	}
	q.real = ans.real
	if q.at.err != nil && !errors.Is(q.at.err, fs.ErrNotExist) {
		return q.at.err
	}
	return nil
}
