package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

// Open opens a complete snapshot. fs.ErrNotExist where there is none, or where its Take was interrupted. A Refresh that
// was killed while it put files into place is brought to its end.
func Open(dst *os.Root) (*Snapshot, error) {
	if err := rollForward(dst); err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	f, err := dst.Open(manifestName)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	defer f.Close()
	return read(dst, f)
}

// Read is [Open] for those who only look: it changes nothing. [ErrUnsettled] where Open would first have to bring a Refresh
// to its end.
func Read(dst *os.Root) (*Snapshot, error) {
	if _, err := dst.Lstat(finishName); err == nil {
		return nil, fmt.Errorf("open snapshot: %w", ErrUnsettled)
	}
	f, err := dst.Open(manifestName)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	defer f.Close()
	return read(dst, f)
}

func read(dst *os.Root, manifest io.Reader) (*Snapshot, error) {
	s := &Snapshot{Stored{root: dst}}
	var err error
	if s.m, s.sum, err = readManifest(manifest); err != nil {
		if !errors.As(err, new(versionError)) {
			err = fmt.Errorf("%w: %w", ErrList, err)
		}
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	return s, s.count(cursorOf(s.m.Entries))
}

// Check hashes every file of the copy, those in before/ too, and compares with the manifest. An error that wraps
// [ErrDamaged] names the first files that differ.
func (s *Snapshot) Check(ctx context.Context) error {
	type file struct {
		name string
		e    *Entry
	}
	var files []file
	for i := range s.m.Entries {
		if e := &s.m.Entries[i]; e.hasBytes() {
			files = append(files, file{filePath(e), e})
		}
	}
	for i := range s.m.Earlier {
		if e := &s.m.Earlier[i]; e.hasBytes() {
			files = append(files, file{path.Join(beforeDir, e.local()), e})
		}
	}
	var mu sync.Mutex
	var damage []error
	bad := 0
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, f := range files {
		g.Go(func() error {
			sum, err := hashLocal(gctx, s.root, f.name, f.e.Size)
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			if err == nil && sum != f.e.SHA256 {
				err = errors.New("other bytes than were copied")
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				if bad++; bad <= 5 {
					damage = append(damage, fmt.Errorf("%q: %w", f.name, err))
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("check snapshot: %w", err)
	}
	if bad > 0 {
		return fmt.Errorf("check snapshot: %w, %d of %d files: %w", ErrDamaged, bad, len(files), errors.Join(damage...))
	}
	return nil
}

// Earlier opens the bytes of an entry of [Manifest].Earlier.
func (s *Snapshot) Earlier(e Entry) (io.ReadCloser, error) {
	if !e.hasBytes() {
		return nil, &fs.PathError{Op: "open", Path: string(e.Path), Err: fs.ErrNotExist}
	}
	return s.root.Open(path.Join(beforeDir, e.local()))
}

// localSource reads the bytes of one entry of a snapshot as a [copier] wants them.
type localSource struct {
	root *os.Root
	e    *Entry
}

func (l localSource) List(context.Context, []store.RelPath, func(Entry) error) error {
	return errors.ErrUnsupported
}

func (l localSource) Lstat(context.Context, store.RelPath) (Entry, error) {
	return Entry{}, errors.ErrUnsupported
}

func (l localSource) Open(context.Context, store.RelPath) (io.ReadCloser, error) {
	return l.root.Open(filePath(l.e))
}

func (l localSource) Sums(context.Context, []store.RelPath, func(int, [32]byte, error) error) error {
	return errors.ErrUnsupported
}
