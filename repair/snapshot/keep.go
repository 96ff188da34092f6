package snapshot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// noted is a file that an interrupted Take had copied.
type noted struct {
	Entry
	now   *Entry // as it is listed; nil where it is no more
	whole bool   // its bytes here still have the hash that was noted
}

// latest leaves out of sorted entries those that another of the same path comes after.
func latest(entries *cursor) *cursor {
	return &cursor{read: func() (int, *Entry, error) {
		if !entries.next() {
			return 0, nil, cmp.Or(entries.err, io.EOF)
		}
		e := *entries.e
		for entries.next() {
			if entries.e.Path != e.Path {
				entries.ahead = true
				break
			}
			e = *entries.e
		}
		return 0, &e, entries.err
	}}
}

// keep takes over what an interrupted Take had copied: files whose bytes here still have the hash that was noted, and
// which the source lists as they were then. It gives the list with what that makes of it. Bytes of
// files that have changed or gone meanwhile are kept in before/; anything else in files/ was not finished and goes.
func (t *taking) keep(ctx context.Context, listed, done *cursor) (*roll, error) {
	out, err := t.newRoll()
	if err != nil {
		return nil, err
	}
	stays := map[nameSum]bool{}
	var files []noted
	sift := func() error {
		err := t.sift(ctx, files, stays)
		files = files[:0]
		return err
	}
	passed := func(d *Entry) { files = append(files, noted{Entry: *d}) }
	err = portions(listed, func(part []Entry) error {
		for i := range part {
			if done.meet(part[i].Path, passed) {
				files = append(files, noted{Entry: *done.e, now: &part[i]})
			}
		}
		if err := sift(); err != nil {
			return err
		}
		for i := range part {
			if err := out.add(&part[i]); err != nil {
				return err
			}
		}
		return done.err
	})
	if err != nil {
		return nil, err
	}
	for done.next() {
		passed(done.e)
	}
	if err := cmp.Or(done.err, sift()); err != nil {
		return nil, err
	}
	if err := t.sweep(stays); err != nil {
		return nil, err
	}
	return out.done()
}

// sift decides what becomes of noted files.
func (t *taking) sift(ctx context.Context, files []noted, stays map[nameSum]bool) error {
	if err := t.whole(ctx, files); err != nil {
		return err
	}
	keepIt := func(d *noted) {
		e := d.now
		e.Local, e.SHA256, e.fresh = d.Local, d.SHA256, true
		stays[sumOf(filePath(e))] = true
		t.names.reserve(e.Path, e.local())
		t.stats.Resumed++
	}
	var unsure []*noted
	var ask []*Entry
	var earlier []Entry
	for i := range files {
		switch d := &files[i]; {
		case !d.whole:
		case d.now == nil || d.Torn || d.now.Err != "" || !sameFile(&d.Entry, d.now): // listed otherwise now, or no more
			earlier = append(earlier, d.Entry)
		case settledBefore(d.now, t.m.Taken):
			keepIt(d)
		default:
			unsure, ask = append(unsure, d), append(ask, d.now)
		}
	}
	equal, err := t.hashedEqual(ctx, ask, func(i int) string { return unsure[i].SHA256 })
	if err != nil {
		return err
	}
	for i, d := range unsure {
		if equal[i] {
			keepIt(d)
		}
	}
	return t.moveBefore(earlier)
}

// whole hashes the local bytes of the noted files.
func (t *taking) whole(ctx context.Context, files []noted) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range files {
		g.Go(func() error {
			d := &files[i]
			sum, err := hashLocal(ctx, t.dst, filePath(&d.Entry), d.Size)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			d.whole = err == nil && sum == d.SHA256
			return nil
		})
	}
	return g.Wait()
}

// moveBefore moves files out of files/ that an earlier attempt had copied and that are not the host's any more.
func (t *taking) moveBefore(earlier []Entry) error {
	if len(earlier) == 0 {
		return nil
	}
	n, err := nextBefore(t.dst)
	if err != nil {
		return err
	}
	for _, e := range earlier {
		from := filePath(&e)
		e.Local = path.Join(n, e.local())
		to := path.Join(beforeDir, e.Local)
		if err := t.dst.MkdirAll(path.Dir(to), 0o700); err != nil {
			return local(err)
		}
		if err := t.dst.Rename(from, to); err != nil {
			return local(err)
		}
		if err := t.journal.addEarlier(&e); err != nil {
			return err
		}
		t.m.Earlier = append(t.m.Earlier, e)
	}
	return nil
}

// nameSum stands for the name of a file.
type nameSum [16]byte

func sumOf(name string) nameSum {
	sum := sha256.Sum256([]byte(name))
	return nameSum(sum[:16])
}

// sweep removes from files/ whatever an interrupted Take left there and this one does not go on with.
func (t *taking) sweep(stays map[nameSum]bool) error {
	var files, dirs []string
	err := fs.WalkDir(t.dst.FS(), filesDir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			dirs = append(dirs, name)
		case !stays[sumOf(name)]:
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return local(err)
	}
	for _, name := range files {
		if err := t.dst.Remove(name); err != nil {
			return local(err)
		}
	}
	slices.Reverse(dirs)
	for _, name := range dirs {
		if name != filesDir {
			// Refused where something stays in it, which is right. Those still needed are made again.
			_ = t.dst.Remove(name)
		}
	}
	return nil
}

// nextBefore gives the first free number in before/, as a name.
func nextBefore(dst *os.Root) (string, error) {
	for n := 1; ; n++ {
		name := strconv.Itoa(n)
		_, err := dst.Lstat(path.Join(beforeDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", local(err)
		}
	}
}
