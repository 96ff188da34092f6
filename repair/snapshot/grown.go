package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// Prefixer is a [Source] whose host can hash the beginning of a file, and which can read a file from an offset.
type Prefixer interface {
	Source
	// PrefixSums hashes the first sizes[i] bytes of each file on the host; errors.ErrUnsupported where it cannot.
	PrefixSums(ctx context.Context, paths []store.RelPath, sizes []int64, yield func(i int, sum [32]byte, err error) error) error
	// OpenAt reads one regular file from an offset.
	OpenAt(ctx context.Context, p store.RelPath, off int64) (io.ReadCloser, error)
}

// worthGrowing is from what size on, in bytes, the beginning of a file that has grown is not fetched again.
const worthGrowing = 256 << 10

// before is an earlier state of a file, whose bytes are in a snapshot.
type before struct {
	root  *os.Root
	entry Entry
}

// mayHaveGrown reports whether a file looks as if something had only been added to it.
func mayHaveGrown(old, now *Entry) bool {
	return old.hasBytes() && !old.Torn && old.Err == "" && now.Type == 0 && now.Err == "" && old.Size >= worthGrowing && now.Size > old.Size &&
		(old.Inode == 0 || now.Inode == 0 || old.Inode == now.Inode)
}

// grown takes the files that have grown from their earlier states: the host proves by a hash that the beginning is the same, and
// only what was added is fetched. done is called with each that could be had this way, from several goroutines.
func (c *copier) grown(ctx context.Context, files []Entry, old []before, done func(i int, s streamed) error) error {
	src, ok := c.src.(Prefixer)
	if !ok || len(files) == 0 {
		return nil
	}
	paths, sizes := make([]store.RelPath, len(files)), make([]int64, len(files))
	for i := range files {
		paths[i], sizes[i] = files[i].Path, old[i].entry.Size
	}
	same := make([]bool, len(files))
	err := src.PrefixSums(ctx, paths, sizes, func(i int, sum [32]byte, err error) error {
		if i >= 0 && i < len(same) {
			same[i] = err == nil && hex.EncodeToString(sum[:]) == old[i].entry.SHA256
		}
		return nil
	})
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return fmt.Errorf("hash files on the host: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range files {
		if !same[i] {
			continue
		}
		g.Go(func() error {
			s, err := c.extend(ctx, src, old[i], &files[i])
			var mine *localError
			switch {
			case errors.As(err, &mine):
				return err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case err != nil:
				return nil // it is fetched as a whole
			}
			return done(i, s)
		})
	}
	return g.Wait()
}

// extend writes the earlier bytes and those that were added to a new file in incoming/.
func (c *copier) extend(ctx context.Context, src Prefixer, old before, e *Entry) (s streamed, err error) {
	have, err := old.root.Open(filePath(&old.entry))
	if err != nil {
		return s, err
	}
	defer have.Close()
	s.temp = path.Join(incomingDir, strconv.FormatInt(c.tempName.Add(1), 10))
	out, err := c.dst.OpenFile(s.temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return s, local(err)
	}
	to := &sink{ctx: ctx, out: out, hash: sha256.New(), left: old.entry.Size, tell: func(int64) {}}
	err = c.pump(struct{ io.Reader }{have}, to)
	if err == nil && (to.n != old.entry.Size || hexSum(to.hash) != old.entry.SHA256) {
		err = ErrDamaged
	}
	if err == nil {
		to.left = e.Size - old.entry.Size
		err = c.add(ctx, src, old.entry.Size, e, to)
	}
	if cerr := out.Close(); cerr != nil && to.err == nil {
		to.err = cerr
	}
	if to.err != nil {
		err = local(to.err)
	}
	if err == nil && to.n != e.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		c.dst.Remove(s.temp)
		return s, err
	}
	if !e.MTime.IsZero() {
		_ = c.dst.Chtimes(s.temp, e.MTime, e.MTime)
	}
	s.n, s.sum = to.n, hexSum(to.hash)
	return s, nil
}

// add fetches a file from an offset on.
func (c *copier) add(ctx context.Context, src Prefixer, from int64, e *Entry, to *sink) error {
	in, err := src.OpenAt(ctx, e.Path, from)
	if err != nil {
		return err
	}
	defer in.Close()
	had := to.n
	err = c.pump(in, to)
	c.down.Add(to.n - had)
	if errors.Is(err, errLimit) {
		return nil // it grows on; the next listing shows it
	}
	return err
}

// takeGrown takes the files that have grown since the previous snapshots, and gives the others.
func (p *portion) takeGrown(ctx context.Context, todo []int) ([]int, error) {
	var files []Entry
	var old []before
	var at []int
	for _, k := range todo {
		if b, ok := p.older[p.files[k].Path]; ok {
			files, old, at = append(files, p.files[k].Entry), append(old, b), append(at, k)
		}
	}
	var mu sync.Mutex
	came := map[int]bool{}
	err := p.grown(ctx, files, old, func(i int, s streamed) error {
		if err := p.moveIn(at[i], s); err != nil {
			return err
		}
		p.rep.Advance(1, s.n)
		mu.Lock()
		defer mu.Unlock()
		came[at[i]] = true
		return nil
	})
	return slices.DeleteFunc(todo, func(k int) bool { return came[k] }), err
}
