package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"time"

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

// portionSize is how many entries are in memory while something is done with each of a list.
var portionSize = 1 << 15

// taking is one Take in progress.
type taking struct {
	*copier
	o       Options
	m       Manifest // without entries
	names   *naming
	made    map[string]bool // directories beneath the snapshot's own
	journal *journal
	older   map[store.RelPath]before // earlier states of files that seem to have grown
	noted   map[string]bool          // notes of the source that the reporter has heard
	stats   Stats
	after   *listing // of what the source had when all had been fetched; nil where nothing was
}

// Take copies what o.Paths names from src into dst, an empty directory or one that holds an interrupted Take of the same
// mail root, which it then finishes. Where anything was fetched, it ends with the source listed again; by o.Verify, with what came hashed or read again.
// What had changed was copied again. Files that cannot be read do not make it fail: the manifest names them and says
// Incomplete. When it fails (connection, local disk, ctx), what was copied stays for the next Take.
func Take(ctx context.Context, src Source, dst *os.Root, o Options) (*Snapshot, error) {
	stored, err := Store(ctx, src, dst, o)
	if err != nil {
		return nil, err
	}
	s, err := Open(dst)
	if err != nil {
		return nil, err
	}
	gone := s.stats.Gone
	s.stats, s.notable = stored.stats, stored.notable
	s.stats.Gone = gone
	return s, nil
}

// Store is [Take], but leaves the list on the disk: what it holds in memory hardly grows with the number of files.
func Store(ctx context.Context, src Source, dst *os.Root, o Options) (*Stored, error) {
	t := &taking{copier: newCopier(dst, src, o.Reporter), o: o, made: map[string]bool{filesDir: true}, older: map[store.RelPath]before{}, noted: map[string]bool{}}
	defer t.closeRolls()
	s, err := t.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("take snapshot: %w", err)
	}
	return s, nil
}

func (t *taking) run(ctx context.Context) (s *Stored, err error) {
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
	done := &sorter{c: t.copier}
	if t.journal, err = openJournal(t.dst, &t.m, func(e Entry) error {
		if !e.hasBytes() {
			return nil
		}
		return done.add(e)
	}); err != nil {
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
	copied, err := t.copyAll(ctx, done)
	if err != nil {
		return nil, err
	}
	w := &work{copier: t.copier, o: t.o, m: &t.m, names: t.names, orig: copied, list: copied, now: t.after, still: t.after == nil}
	if err := w.settle(ctx, false); err != nil {
		return nil, err
	}
	if s, err = w.finish(ctx, false); err != nil {
		return nil, err
	}
	s.stats.Linked, s.stats.Resumed = t.stats.Linked, t.stats.Resumed
	t.figures(&s.stats)
	return s, nil
}

// finished looks whether dst holds a snapshot already. One whose Take was killed after all was copied is brought to its
// end and given; any other is not touched.
func (t *taking) finished() (*Stored, error) {
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
	head, entries, f, err := openList(t.dst)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &Stored{root: t.dst, m: head}
	if s.m.Root != t.o.Root {
		return nil, fmt.Errorf("%w: %q", ErrOtherPartial, s.m.Root)
	}
	if err := s.count(entries); err != nil {
		return nil, err
	}
	return s, removeIfThere(t.dst, partialName)
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
func (t *taking) copyAll(ctx context.Context, done *sorter) (*roll, error) {
	resumed := len(done.part)+len(done.parts) > 0
	listed, err := t.listAll(ctx, resumed)
	if err != nil {
		return nil, err
	}
	defer listed.close()
	entries := listed.cursor
	if resumed {
		kept, err := t.keep(ctx, listed.cursor, latest(done.cursor()))
		if err != nil {
			return nil, err
		}
		defer kept.close()
		entries = kept.cursor()
	} else if err := t.sweep(nil); err != nil {
		return nil, err
	}
	placed, missing, need, err := t.place(ctx, entries)
	if err != nil {
		return nil, err
	}
	listed.close() // the files are about to come, and memory is wanted
	if t.m.Refused = listed.refused; len(listed.refused) > 0 {
		t.rep.Note(fmt.Sprintf("%d impossible names in the host's list were refused", len(listed.refused)))
	}
	if free := freeSpace(t.dst); need > 0 && free >= 0 && add(need, spareRoom) > free {
		return nil, &NoSpaceError{Need: add(need, spareRoom), Have: free}
	}
	if missing == 0 {
		return placed, nil
	}
	defer placed.close()
	return t.fetchAll(ctx, placed)
}

// wanted reports whether the entry is a file whose bytes are to be had, and missing whether they are not.
func (e *Entry) wanted() bool  { return e.Type == 0 && e.Err == "" }
func (e *Entry) missing() bool { return e.wanted() && e.SHA256 == "" }

// place gives every entry its local name, makes the directories, and links what previous snapshots have. It gives what it makes of the
// list, how many files are still to be fetched, and how many bytes they will take.
func (t *taking) place(ctx context.Context, entries *cursor) (placed *roll, missing int, need int64, err error) {
	w, err := t.newRoll()
	if err != nil {
		return nil, 0, 0, err
	}
	earlier, closeEarlier := t.openPrevious()
	defer closeEarlier()
	var files, haveFiles int
	var bytes, haveBytes int64
	err = portions(entries, func(part []Entry) error {
		if err := t.makeDirs(part); err != nil {
			return err
		}
		for _, prev := range earlier {
			if err := t.linkFrom(ctx, prev, part); err != nil {
				return err
			}
		}
		for i := range part {
			if e := &part[i]; e.wanted() {
				files, bytes = files+1, add(bytes, e.Size)
				if e.hasBytes() {
					haveFiles, haveBytes = haveFiles+1, add(haveBytes, e.Size)
				} else {
					need = add(need, add(max(e.Size, 1), blockSize-1)/blockSize*blockSize)
				}
			}
			if err := w.add(&part[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, 0, err
	}
	t.rep.Total(files, bytes)
	if haveFiles > 0 {
		t.rep.Advance(haveFiles, haveBytes)
	}
	placed, err = w.done()
	return placed, files - haveFiles, need, err
}

// add adds amounts a host gave, which may be anything.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// makeDirs gives entries their local names and makes the directories.
func (t *taking) makeDirs(entries []Entry) error {
	for i := range entries {
		e := &entries[i]
		dir := ""
		switch {
		case e.Type == fs.ModeDir:
			e.setLocal(t.names.dir(e.Path))
			dir = filePath(e)
		case e.Type == 0 && !e.hasBytes(): // one that was kept has its name and place
			e.setLocal(t.names.file(e.Path))
			dir = path.Dir(filePath(e))
		}
		if dir == "" || t.made[dir] {
			continue
		}
		t.made[dir] = true
		if err := t.dst.MkdirAll(dir, 0o700); err != nil {
			return local(err)
		}
	}
	return nil
}

func (e *Entry) setLocal(name string) {
	if e.Local = name; name == string(e.Path) {
		e.Local = ""
	}
}

func (c *copier) figures(s *Stats) {
	s.Fetched, s.Down, s.Again = int(c.fetched.Load()), c.down.Load(), int(c.again.Load())
}
