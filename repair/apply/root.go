package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"dovemend/remote"
	"dovemend/repair/plan"
	"dovemend/repair/store"
)

// OnRoot is the [Host] of a real run: changes go through the guard of root, looks through h. Both must be of one
// connection to one host.
func OnRoot(h *remote.Host, root *remote.Root) Host { return &rootHost{h, root} }

type rootHost struct {
	h    *remote.Host
	root *remote.Root
}

// Prepare judges the paths by the guard and keeps what it hands out.
func (o *rootHost) Prepare(ctx context.Context, steps []plan.Step) (Prepared, error) {
	switch s := steps[0]; s.Op {
	case plan.OpRemove:
		return o.remove(ctx, steps)
	case plan.OpRename:
		return o.rename(ctx, steps)
	case plan.OpPut:
		return o.puts(ctx, steps)
	default:
		if len(steps) != 1 {
			return Prepared{}, fmt.Errorf("%d steps of kind %s at once", len(steps), s.Op)
		}
		return o.one(ctx, s)
	}
}

func (o *rootHost) remove(ctx context.Context, steps []plan.Step) (Prepared, error) {
	paths := make([]remote.GuardedPath, len(steps))
	refused := firstError{}
	err := o.root.GuardEach(ctx, names(steps, func(s plan.Step) store.RelPath { return s.Path }), remote.Class(steps[0].Class),
		func(i int, p remote.GuardedPath, err error) { paths[i] = p; refused.add(i, err) })
	if err := refused.of(steps, err); err != nil {
		return Prepared{}, err
	}
	do := func(ctx context.Context, _ func(plan.Step) (io.ReadCloser, error), report func(int, error)) error {
		return sinceGuarded(o.root.RemoveEach(ctx, paths, func(i int, err error) { report(i, sinceGuarded(err)) }))
	}
	return Prepared{Do: do, At: sights(steps, func(i int) fs.FileInfo { return paths[i].Seen() })}, nil
}

func (o *rootHost) rename(ctx context.Context, steps []plan.Step) (Prepared, error) {
	moves := make([]remote.Move, len(steps))
	refused := firstError{}
	err := o.root.GuardWriteEach(ctx, names(steps, func(s plan.Step) store.RelPath { return s.Path }), remote.Class(steps[0].Class),
		func(i int, p remote.WritablePath, err error) { moves[i].From = p; refused.add(i, err) })
	if err := refused.of(steps, err); err != nil {
		return Prepared{}, err
	}
	err = o.root.GuardWriteEach(ctx, names(steps, func(s plan.Step) store.RelPath { return s.To }), remote.Class(steps[0].ToClass),
		func(i int, p remote.WritablePath, err error) { moves[i].To = p; refused.add(i, err) })
	if err := refused.of(steps, err); err != nil {
		return Prepared{}, err
	}
	do := func(ctx context.Context, _ func(plan.Step) (io.ReadCloser, error), report func(int, error)) error {
		return o.root.RenameEach(ctx, moves, report)
	}
	return Prepared{
		Do: do,
		At: sights(steps, func(i int) fs.FileInfo { return moves[i].From.Seen() }),
		To: sights(steps, func(i int) fs.FileInfo { return moves[i].To.Seen() }),
	}, nil
}

// one prepares a step of a kind that is done alone.
func (o *rootHost) one(ctx context.Context, s plan.Step) (Prepared, error) {
	if s.Op == plan.OpRemoveDir {
		p, err := o.root.Guard(ctx, string(s.Path), remote.Class(s.Class))
		if err != nil {
			return Prepared{}, &StepError{Step: s, Err: err}
		}
		return alone(p.Seen(), func(ctx context.Context) error { return o.root.RemoveDir(ctx, p) }), nil
	}
	p, err := o.root.GuardWrite(ctx, string(s.Path), remote.Class(s.Class))
	if err != nil {
		return Prepared{}, &StepError{Step: s, Err: err}
	}
	attr := remote.Attr{Mode: s.Mode, MTime: s.MTime}
	switch s.Op {
	case plan.OpMkdir:
		return alone(p.Seen(), func(ctx context.Context) error { return o.root.Mkdir(ctx, p, attr) }), nil
	case plan.OpSetAttr:
		return alone(p.Seen(), func(ctx context.Context) error { return o.root.SetAttr(ctx, p, attr) }), nil
	}
	return Prepared{}, &StepError{Step: s, Err: fmt.Errorf("no such kind of step: %q", s.Op)}
}

func (o *rootHost) puts(ctx context.Context, steps []plan.Step) (Prepared, error) {
	to, temp := make([]remote.WritablePath, len(steps)), make([]remote.WritablePath, len(steps))
	refused := firstError{}
	err := o.root.GuardWriteEach(ctx, names(steps, func(s plan.Step) store.RelPath { return s.Path }), remote.Class(steps[0].Class),
		func(i int, p remote.WritablePath, err error) { to[i] = p; refused.add(i, err) })
	if err := refused.of(steps, err); err != nil {
		return Prepared{}, err
	}
	err = o.root.GuardWriteEach(ctx, names(steps, func(s plan.Step) store.RelPath { return s.Temp }), remote.ClassTemp,
		func(i int, p remote.WritablePath, err error) { temp[i] = p; refused.add(i, err) })
	if err := refused.of(steps, err); err != nil {
		return Prepared{}, err
	}
	files := make([]remote.NewFile, len(steps))
	for i, s := range steps {
		files[i] = remote.NewFile{Temp: temp[i], To: to[i], Size: s.Size, Attr: remote.Attr{Mode: s.Mode, MTime: s.MTime}}
	}
	do := func(ctx context.Context, open func(plan.Step) (io.ReadCloser, error), report func(int, error)) error {
		failed, done := map[int]error{}, make([]bool, len(steps))
		err := o.root.PutEach(ctx, files, func(i int) (io.ReadCloser, error) { return open(steps[i]) }, func(i int, err error) {
			if err != nil {
				failed[i] = err
				return
			}
			done[i] = true
			report(i, nil)
		})
		if err == nil {
			return nil
		}
		left := o.sweep(ctx, steps, done)
		for i, err := range failed {
			if left != nil {
				err = fmt.Errorf("%w; temporary files stay: %w", err, left)
			}
			report(i, err)
		}
		return err
	}
	return Prepared{Do: do, At: sights(steps, func(i int) fs.FileInfo { return to[i].Seen() })}, nil
}

// sweep removes what is left of files that were not put: it would only take up room, of which there may be none. That it is ours its
// name and class say. The error tells why some may stay.
func (o *rootHost) sweep(ctx context.Context, steps []plan.Step, done []bool) error {
	if !o.root.Removable() {
		return nil
	}
	clean := context.WithoutCancel(ctx)
	var temps []string
	for i, s := range steps {
		if !done[i] {
			temps = append(temps, string(s.Temp))
		}
	}
	var there []remote.GuardedPath
	err := o.root.GuardEach(clean, temps, remote.ClassTemp, func(_ int, p remote.GuardedPath, err error) {
		if err == nil {
			there = append(there, p)
		}
	})
	return errors.Join(err, o.root.RemoveEach(clean, there, func(int, error) {}))
}

// sinceGuarded makes a file that has changed since the guard's look one that has changed since the plan was made.
func sinceGuarded(err error) error {
	if errors.Is(err, remote.ErrChanged) {
		return fmt.Errorf("%w: %w", err, ErrChanged)
	}
	return err
}

// sights are what the guard saw at the paths of steps.
func sights(steps []plan.Step, seen func(i int) fs.FileInfo) []Look {
	looks := make([]Look, len(steps))
	for i := range steps {
		if at := seen(i); at != nil {
			looks[i].Found = foundOf(at)
		} else {
			looks[i].Err = fs.ErrNotExist
		}
	}
	return looks
}

func foundOf(at fs.FileInfo) Found {
	return Found{Type: at.Mode().Type(), Mode: at.Mode() &^ fs.ModeType, Size: at.Size(), MTime: at.ModTime()}
}

func alone(at fs.FileInfo, do func(ctx context.Context) error) Prepared {
	act := func(ctx context.Context, _ func(plan.Step) (io.ReadCloser, error), report func(int, error)) error {
		err := do(ctx)
		report(0, err)
		return err
	}
	return Prepared{Do: act, At: sights(make([]plan.Step, 1), func(int) fs.FileInfo { return at })}
}

func names(steps []plan.Step, of func(plan.Step) store.RelPath) []string {
	list := make([]string, len(steps))
	for i, s := range steps {
		list[i] = string(of(s))
	}
	return list
}

// firstError keeps the error of the earliest step.
type firstError struct {
	i   int
	err error
}

func (f *firstError) add(i int, err error) {
	if err != nil && (f.err == nil || i < f.i) {
		f.i, f.err = i, err
	}
}

func (f *firstError) of(steps []plan.Step, all error) error {
	if f.err != nil {
		return &StepError{Step: steps[f.i], Err: f.err}
	}
	return all
}

// How many files are looked at, and how many read, at one time.
const (
	lookers = 1024
	readers = 32
)

// Lstat looks at paths, many at a time.
func (o *rootHost) Lstat(ctx context.Context, paths []store.RelPath, yield func(i int, f Found, err error)) error {
	fsys := o.h.FS(ctx)
	var mu sync.Mutex
	return each(ctx, len(paths), lookers, func(i int) error {
		var f Found
		fi, err := fsys.Lstat(o.inFS(paths[i]))
		if err == nil {
			f = foundOf(fi)
		}
		mu.Lock()
		defer mu.Unlock()
		yield(i, f, err)
		return nil
	})
}

// hashThere is from how many files on the host is asked to hash them.
const hashThere = 64

// Sums has the host hash the files if they are many and it can, and else reads them and hashes them here.
func (o *rootHost) Sums(ctx context.Context, paths []store.RelPath, yield func(i int, sum string, err error)) error {
	if len(paths) >= hashThere {
		rels := make([]string, len(paths))
		for i, p := range paths {
			rels[i] = string(p)
		}
		err := o.h.Sums(ctx, o.root.Dir(), rels, func(i int, sum [32]byte, err error) error {
			yield(i, hex.EncodeToString(sum[:]), err)
			return nil
		})
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	var mu sync.Mutex
	return each(ctx, len(paths), readers, func(i int) error {
		sum, err := o.sum(ctx, paths[i])
		mu.Lock()
		defer mu.Unlock()
		yield(i, sum, err)
		return nil
	})
}

func (o *rootHost) sum(ctx context.Context, p store.RelPath) (string, error) {
	f, err := o.h.FS(ctx).Open(o.inFS(p))
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (o *rootHost) inFS(p store.RelPath) string {
	return strings.TrimPrefix(path.Join(o.root.Dir(), string(p)), "/")
}

// each does work 0 to n-1, at most so many at one time. After the first error, or when ctx has ended, no more is begun.
func each(ctx context.Context, n, parallel int, work func(i int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		next  atomic.Int64
		over  atomic.Bool
	)
	for range min(n, parallel) {
		wg.Go(func() {
			for !over.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := work(i); err != nil {
					over.Store(true)
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return first
	}
	return ctx.Err()
}
