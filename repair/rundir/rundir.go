// Package rundir keeps the folder of one run beneath the state directory: STATE/runs/<id>/ with run.json (what the run
// is and how far it came), snapshot/ (the verified copy), plan.json, journal.jsonl, log.txt, blobs/ and salvaged/. It creates,
// opens, lists and locks such folders. Everything in a folder is reached through an [os.Root], so that no name, from
// wherever it came, leads out of it; files are replaced whole and synced, so that a run that is killed leaves the old
// or the new one. It never holds a secret, and it never removes a run.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// These errors can be branched on; they are wrapped with what they concern.
var (
	// ErrLocked: another dovemend works on this account, or on this run, right now. See [LockedError].
	ErrLocked = errors.New("locked")
	// ErrNoRun: there is no such run.
	ErrNoRun = errors.New("no such run")
	// ErrAmbiguous: the beginning of an ID that was given fits several runs.
	ErrAmbiguous = errors.New("several runs begin so")
	// ErrBadID: what was given cannot be the ID of a run, nor the beginning of one.
	ErrBadID = errors.New("not a run ID")
	// ErrStateDir: the state directory cannot be used safely.
	ErrStateDir = errors.New("unsafe state directory")
)

// Names of the files in a run's folder.
const (
	MetaFile    = "run.json"
	PlanFile    = "plan.json"
	JournalFile = "journal.jsonl"
	LogFile     = "log.txt"
	SnapshotDir = "snapshot"
	BlobsDir    = "blobs"
	SalvagedDir = "salvaged"
)

const runsDir = "runs"

// Dir is the folder of one run. It is not safe for concurrent use, but for Root and Path.
type Dir struct {
	path string
	root *os.Root
	meta Meta
}

// Create makes the folder of a new run and writes its first run.json. ID, Created and Stage of m are set here.
func Create(state string, m Meta) (*Dir, error) {
	runs, err := openRuns(state, true)
	if err != nil {
		return nil, err
	}
	defer runs.Close()
	for try := 0; ; try++ {
		now := time.Now().UTC()
		ids, err := runIDs(runs)
		if err != nil {
			return nil, err
		}
		id := newID(now, newest(ids))
		m.ID, m.Created = id, now.Truncate(time.Second)
		if m.Stage == "" {
			m.Stage = StageNew
		}
		err = begin(state, runs, m)
		if errors.Is(err, fs.ErrExist) && try < 20 {
			continue
		}
		if err != nil {
			return nil, err
		}
		d, err := openDir(state, runs, id)
		if err != nil {
			return nil, err
		}
		d.meta = m
		return d, nil
	}
}

// begin makes a run's folder under another name, and gives it its own once it is complete: what is killed meanwhile leaves
// no run that cannot be read.
func begin(state string, runs *os.Root, m Meta) error {
	if _, err := runs.Lstat(m.ID); err == nil {
		return fmt.Errorf("create run %s: %w", m.ID, fs.ErrExist)
	}
	temp := "." + m.ID + ".new"
	if err := runs.Mkdir(temp, 0o700); err != nil {
		return fmt.Errorf("create run %s: %w", m.ID, err)
	}
	d, err := openDir(state, runs, temp)
	if err != nil {
		return err
	}
	if err := errors.Join(d.fill(m), d.Close()); err != nil {
		return err
	}
	if err := runs.Rename(temp, m.ID); err != nil {
		return fmt.Errorf("create run %s: %w", m.ID, err)
	}
	return syncDir(runs, ".")
}

// fill makes what every run's folder holds from the beginning.
func (d *Dir) fill(m Meta) error {
	for _, name := range []string{SnapshotDir, BlobsDir} {
		if err := d.root.Mkdir(name, 0o700); err != nil {
			return fmt.Errorf("create run %s: %w", m.ID, err)
		}
	}
	return d.WriteJSON(MetaFile, m)
}

// Open opens the run with this ID, the only one whose ID begins so, or for "latest" the newest.
func Open(state, id string) (*Dir, error) {
	runs, err := openRuns(state, false)
	if err != nil {
		return nil, err
	}
	defer runs.Close()
	full, err := resolve(runs, id)
	if err != nil {
		return nil, err
	}
	d, err := openDir(state, runs, full)
	if err != nil {
		return nil, err
	}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// load reads run.json, which must be of this very run.
func (d *Dir) load() error {
	var m Meta
	if err := d.ReadJSON(MetaFile, &m); err != nil {
		return fmt.Errorf("open run %s: %w", d.ID(), err)
	}
	if m.ID != d.ID() {
		return fmt.Errorf("open run %s: its %s is of run %q", d.ID(), MetaFile, m.ID)
	}
	d.meta = m
	return nil
}

func openDir(state string, runs *os.Root, id string) (*Dir, error) {
	fi, err := runs.Lstat(id)
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", id, err)
	}
	if !fi.IsDir() {
		return nil, fmt.Errorf("open run %s: not a directory", id)
	}
	root, err := runs.OpenRoot(id)
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", id, err)
	}
	return &Dir{path: filepath.Join(state, runsDir, id), root: root}, nil
}

// openRuns opens STATE/runs, and makes it first if asked to.
func openRuns(state string, create bool) (*os.Root, error) {
	if create {
		if err := EnsureState(state); err != nil {
			return nil, err
		}
	}
	top, err := os.OpenRoot(state)
	if errors.Is(err, fs.ErrNotExist) && !create {
		return nil, fmt.Errorf("state directory %s: %w", state, ErrNoRun)
	}
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	defer top.Close()
	if create {
		if err := top.Mkdir(runsDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("create state directory: %w", err)
		}
	}
	runs, err := top.OpenRoot(runsDir)
	if errors.Is(err, fs.ErrNotExist) && !create {
		return nil, fmt.Errorf("state directory %s: %w", state, ErrNoRun)
	}
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	return runs, nil
}

// resolve finds the full ID for what a person typed.
func resolve(runs *os.Root, want string) (string, error) {
	if want != "latest" && !validPrefix(want) {
		return "", fmt.Errorf("run %q: %w", want, ErrBadID)
	}
	if ValidID(want) {
		if _, err := runs.Lstat(want); errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("run %s: %w", want, ErrNoRun)
		}
		return want, nil
	}
	ids, err := runIDs(runs)
	if err != nil {
		return "", err
	}
	if want == "latest" {
		if len(ids) == 0 {
			return "", fmt.Errorf("latest run: %w", ErrNoRun)
		}
		return ids[0], nil
	}
	var fit []string
	for _, id := range ids {
		if strings.HasPrefix(id, want) {
			fit = append(fit, id)
		}
	}
	switch len(fit) {
	case 0:
		return "", fmt.Errorf("run %s: %w", want, ErrNoRun)
	case 1:
		return fit[0], nil
	}
	return "", fmt.Errorf("run %s: %w: %s", want, ErrAmbiguous, strings.Join(fit[:min(len(fit), 5)], ", "))
}

// ID is the name of the run: its time of creation in UTC and four random hex digits.
func (d *Dir) ID() string { return filepath.Base(d.path) }

// Path is where the folder is, to be shown to people.
func (d *Dir) Path() string { return d.path }

// Root is the folder as something that cannot be left.
func (d *Dir) Root() *os.Root { return d.root }

// SnapshotRoot opens the folder that package snapshot writes into. The caller closes it.
func (d *Dir) SnapshotRoot() (*os.Root, error) { return d.sub(SnapshotDir) }

// BlobsRoot opens the folder for files that a plan puts on the host. The caller closes it.
func (d *Dir) BlobsRoot() (*os.Root, error) { return d.sub(BlobsDir) }

// SalvagedRoot opens the folder for messages that a repair leaves out of their mailbox, as far as they can be read. The caller
// closes it.
func (d *Dir) SalvagedRoot() (*os.Root, error) { return d.sub(SalvagedDir) }

func (d *Dir) sub(name string) (*os.Root, error) {
	if err := d.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("run %s: %w", d.ID(), err)
	}
	r, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", d.ID(), err)
	}
	return r, nil
}

// OpenLog opens the run's log.txt for appending. The caller closes it, and gives it no secrets.
func (d *Dir) OpenLog() (*os.File, error) {
	f, err := d.root.OpenFile(LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", d.ID(), err)
	}
	return f, nil
}

// Close ends the use of the folder. Locks are released by their own release functions.
func (d *Dir) Close() error { return d.root.Close() }
