package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

const locksDir = "locks"

// errHeld is what the operating system's lock says when another process holds it.
var errHeld = errors.New("lock is held")

// LockedError tells who holds a lock. It is an [ErrLocked].
type LockedError struct {
	What  string    // "account" or "run"
	Run   string    // the run that holds it; "" where it cannot be told
	PID   int       // the process that holds it, on this machine; 0 where it cannot be told
	Since time.Time // zero where it cannot be told
}

// Error says who holds the lock.
func (e *LockedError) Error() string {
	s := "this " + e.What + " is in use by another dovemend"
	if e.Run != "" {
		s += ", run " + e.Run
	}
	if e.PID != 0 {
		s += fmt.Sprintf(", process %d", e.PID)
	}
	if !e.Since.IsZero() {
		s += ", since " + e.Since.Local().Format("2006-01-02 15:04:05")
	}
	return s
}

// Is makes a LockedError an [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// holder is what a lock file says of the one that holds it.
type holder struct {
	Run   string    `json:"run"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// Lock takes the lock of the account with this key (see [Meta.Key]) for a run, without waiting: a *[LockedError] if
// another process, or another run of this one, has it. The operating system lets go of it when the process ends,
// however it ends. The lock holds on this machine only.
func Lock(state, key, run string) (release func() error, err error) {
	if !validKey(key) {
		return nil, fmt.Errorf("lock account: %q is not an account's key", key)
	}
	if err := EnsureState(state); err != nil {
		return nil, err
	}
	top, err := os.OpenRoot(state)
	if err != nil {
		return nil, fmt.Errorf("lock account: %w", err)
	}
	defer top.Close()
	if err := top.Mkdir(locksDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lock account: %w", err)
	}
	return take(top, locksDir+"/"+key+".lock", "account", run)
}

// Lock takes the run's own lock, so that it is not resumed or undone while it is still active, and reads run.json once
// more: until now another process may have had the run, and taken it further.
func (d *Dir) Lock() (release func() error, err error) {
	release, err = take(d.root, "lock", "run", d.ID())
	if err != nil {
		return nil, err
	}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}

func take(root *os.Root, name, what, run string) (func() error, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", what, err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errHeld) {
			return nil, heldBy(f, what)
		}
		return nil, fmt.Errorf("lock %s: %w", what, err)
	}
	if err := sign(f, run); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", what, err), f.Close())
	}
	return func() error {
		// The file stays: to remove it would let two processes lock two files of one name.
		return errors.Join(f.Truncate(0), funlock(f), f.Close())
	}, nil
}

func sign(f *os.File, run string) error {
	b, err := json.Marshal(holder{Run: run, PID: os.Getpid(), Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return err
}

// heldBy reads who holds the lock; what the file says is only believed as far as it has the right form.
func heldBy(f *os.File, what string) error {
	e := &LockedError{What: what}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil {
		return e
	}
	var h holder
	if json.Unmarshal(b, &h) == nil && ValidID(h.Run) {
		e.Run, e.PID, e.Since = h.Run, h.PID, h.Since
	}
	return e
}

func validKey(key string) bool {
	for _, c := range key {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(key) == 32
}
