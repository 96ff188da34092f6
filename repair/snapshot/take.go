package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/store"
)

const (
	defaultParallel = 32
	// clockSkew is how far apart the clocks of host and laptop are allowed to be where a file's time has to be judged against
	// the time of a snapshot: a file changed again within one second keeps its time, so what was changed near the time of a copy
	// is not trusted to be unchanged by its time alone.
	clockSkew = 2 * time.Minute
	blockSize = 4096
	spareRoom = 8 << 20 // bytes left free for manifest and directories
)

// taking is one Take in progress.
type taking struct {
	*copier
	o       Options
	m       Manifest
	names   *naming
	journal *journal
	prove   *proof
	dirs    *dirs          // during a bulk transfer
	older   map[int]before // earlier states, by position, of files that seem to have grown
	synced  []string       // files to bring to the disk
	stats   Stats
}

// Take copies what o.Paths names from src into dst, an empty directory or one that holds an interrupted Take of the same
// mail root, which it then finishes. It ends with the source listed again and, by o.Verify, hashed or read again; what had
// changed was copied again. Files that cannot be read do not make it fail: the manifest names them and says
// Incomplete. When it fails (connection, local disk, ctx), what was copied stays for the next Take.
func Take(ctx context.Context, src Source, dst *os.Root, o Options) (*Snapshot, error) {
	t := &taking{copier: newCopier(dst, src, o.Reporter), o: o}
	s, err := t.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("take snapshot: %w", err)
	}
	return s, nil
}

func (t *taking) run(ctx context.Context) (s *Snapshot, err error) {
	if s, err := t.finished(); s != nil || err != nil {
		return s, err
	}
	if err := t.o.check(); err != nil {
		return nil, err
	}
	t.m = Manifest{
		Version: manifestVersion, Taken: time.Now().UTC().Truncate(time.Millisecond),
		Root: t.o.Root, Address: t.o.Address, Layout: t.o.Layout, Paths: topmost(t.o.Paths),
	}
	if err := prepare(t.dst); err != nil {
		return nil, err
	}
	var done []Entry
	if t.journal, done, err = openJournal(t.dst, &t.m); err != nil {
		return nil, err
	}
	defer func() {
		if e := t.journal.close(); err == nil {
			err = e
		}
		if err == nil {
			err = removeIfThere(t.dst, partialName)
		}
	}()
	fold, err := folds(t.dst, incomingDir)
	if err != nil {
		return nil, local(err)
	}
	t.names = newNaming(fold)
	if err := t.copyAll(ctx, done); err != nil {
		return nil, err
	}
	w := &work{copier: t.copier, o: t.o, m: &t.m, names: t.names, orig: slices.Clone(t.m.Entries), synced: t.synced}
	if err := w.settle(ctx, false); err != nil {
		return nil, err
	}
	sum, err := w.finish(ctx, false)
	if err != nil {
		return nil, err
	}
	s = &Snapshot{root: t.dst, m: t.m, sum: sum, stats: t.stats}
	t.figures(&s.stats)
	s.count()
	return s, nil
}

// finished looks whether dst holds a snapshot already. One whose Take was killed after all was copied is brought to its
// end and given; any other is not touched.
func (t *taking) finished() (*Snapshot, error) {
	if err := rollForward(t.dst); err != nil {
		return nil, err
	}
	if _, err := t.dst.Lstat(manifestName); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, local(err)
	}
	if _, err := t.dst.Lstat(partialName); err != nil {
		return nil, fmt.Errorf("a snapshot is there already: %w", fs.ErrExist)
	}
	s, err := Open(t.dst)
	if err == nil && s.m.Root != t.o.Root {
		return nil, fmt.Errorf("%w: %q", ErrOtherPartial, s.m.Root)
	}
	if err == nil {
		err = removeIfThere(t.dst, partialName)
	}
	return s, err
}

// check fills in what the caller left out.
func (o *Options) check() error {
	if len(o.Paths) == 0 {
		o.Paths = []store.RelPath{"."}
	}
	for _, p := range o.Paths {
		if !cleanPath(string(p)) {
			return fmt.Errorf("path %q is not a clean path beneath the mail root", p)
		}
	}
	switch o.Verify {
	case "", "auto", "full", "listing":
	default:
		return fmt.Errorf("unknown way to verify: %q", o.Verify)
	}
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	o.Parallel = min(o.Parallel, 1024)
	return nil
}

// prepare makes the directories of a snapshot and clears what an interrupted one had not finished.
func prepare(dst *os.Root) error {
	for _, dir := range []string{filesDir, incomingDir} {
		if err := dst.MkdirAll(dir, 0o700); err != nil {
			return local(err)
		}
	}
	return clearIncoming(dst)
}

func clearIncoming(dst *os.Root) error {
	left, err := fs.ReadDir(dst.FS(), incomingDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return local(err)
	}
	for _, e := range left {
		if err := dst.Remove(path.Join(incomingDir, e.Name())); err != nil {
			return local(err)
		}
	}
	return nil
}

// copyAll lists the source and brings every file into files/: kept from an interrupted Take, linked from the previous
// snapshot, or fetched.
func (t *taking) copyAll(ctx context.Context, done []Entry) error {
	entries, refused, err := t.listAll(ctx, len(done) > 0)
	if err != nil {
		return err
	}
	if t.m.Entries, t.m.Refused = entries, refused; len(refused) > 0 {
		t.rep.Note(fmt.Sprintf("%d impossible names in the host's list were refused", len(refused)))
	}
	have, err := t.keep(ctx, done)
	if err != nil {
		return err
	}
	if err := t.makeDirs(); err != nil {
		return err
	}
	if err := t.link(ctx, have); err != nil {
		return err
	}
	var todo []int
	var bytes int64
	for i := range t.m.Entries {
		if e := &t.m.Entries[i]; e.Type == 0 && e.Err == "" && !have[i] {
			todo = append(todo, i)
			bytes = add(bytes, add(e.Size, blockSize-1)/blockSize*blockSize)
		}
	}
	t.total(have)
	if free := freeSpace(t.dst); len(todo) > 0 && free >= 0 && add(bytes, spareRoom) > free {
		return &NoSpaceError{Need: add(bytes, spareRoom), Have: free}
	}
	return t.fetchAll(ctx, todo)
}

// add adds amounts a host gave, which may be anything.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// total tells the reporter what there is to do, and what of it is done.
func (t *taking) total(have []bool) {
	var files, doneFiles int
	var bytes, doneBytes int64
	for i := range t.m.Entries {
		if e := &t.m.Entries[i]; e.Type == 0 && e.Err == "" {
			files, bytes = files+1, add(bytes, e.Size)
			if have[i] {
				doneFiles, doneBytes = doneFiles+1, add(doneBytes, e.Size)
			}
		}
	}
	t.rep.Total(files, bytes)
	if doneFiles > 0 {
		t.rep.Advance(doneFiles, doneBytes)
	}
}

// makeDirs gives every entry its local name and makes the directories.
func (t *taking) makeDirs() error {
	made := map[string]bool{filesDir: true}
	mkdir := func(dir string) error {
		if made[dir] {
			return nil
		}
		made[dir] = true
		return local(t.dst.MkdirAll(dir, 0o700))
	}
	for i := range t.m.Entries {
		e := &t.m.Entries[i]
		dir := ""
		switch {
		case e.Type == fs.ModeDir:
			e.setLocal(t.names.dir(e.Path))
			dir = filePath(e)
		case e.Type == 0 && !e.hasBytes(): // one that was kept has its name and place
			e.setLocal(t.names.file(e.Path))
			dir = path.Dir(filePath(e))
		default:
			continue
		}
		if err := mkdir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (e *Entry) setLocal(name string) {
	if e.Local = name; name == string(e.Path) {
		e.Local = ""
	}
}

// fetchAll downloads the entries of these positions: many at once as far as the source can, the others one by one.
func (t *taking) fetchAll(ctx context.Context, todo []int) error {
	t.fetchOrder(todo)
	t.prove = t.startProof(ctx)
	one, err := t.takeGrown(ctx, todo)
	if err == nil {
		one, err = t.inBulk(ctx, one)
	}
	t.prove.end(err)
	if err != nil {
		return err
	}
	gone := make([]bool, len(t.m.Entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(t.o.Parallel)
	for _, i := range one {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			e := t.m.Entries[i]
			name := e.Local
			r, err := t.fetch(gctx, e, false)
			if err != nil {
				return err
			}
			r.entry.Local = name
			if r.temp != "" {
				if err := t.dst.Rename(r.temp, filePath(&r.entry)); err != nil {
					return local(err)
				}
				if err := t.journal.add(&r.entry); err != nil {
					return err
				}
			}
			t.m.Entries[i], gone[i] = r.entry, r.gone
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, i := range todo {
		if e := &t.m.Entries[i]; e.hasBytes() {
			t.synced = append(t.synced, filePath(e))
		}
	}
	kept := t.m.Entries[:0]
	for i, e := range t.m.Entries {
		if !gone[i] {
			kept = append(kept, e)
		}
	}
	t.m.Entries = kept
	return nil
}

func (c *copier) figures(s *Stats) {
	s.Fetched, s.Down, s.Again = int(c.fetched.Load()), c.down.Load(), int(c.again.Load())
}
