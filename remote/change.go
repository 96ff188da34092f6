package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// This file and put.go, which fills new files for it, hold everything that changes the host. Each verb takes a path the guard has passed, has the guard judge
// it once more, and acts; none connects anew, and none repeats. When ctx ends a verb returns at once, and what it had
// asked for may still happen.

// Attr is what can be set of a file or directory.
type Attr struct {
	Mode  fs.FileMode // permission bits, setuid, setgid, sticky; 0: left as it is (of new files 0600, of new directories 0700)
	MTime time.Time   // zero: left as it is; SFTP version 3 keeps whole seconds up to the year 2106, and the access time is set to the same
}

// mode is that of a new file.
func (a Attr) mode() fs.FileMode {
	if a.Mode&settable == 0 {
		return 0o600
	}
	return a.Mode & settable
}

const settable = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// ErrChanged: a file is not the one any more that the guard passed.
var ErrChanged = errors.New("it has changed since it was looked at")

// Remove removes a regular file. The guard's lstat decides that it is one, since pkg/sftp's Remove tries rmdir when
// the host refuses to unlink. Where its size or time is another than when the guard passed it the error wraps [ErrChanged].
func (r *Root) Remove(ctx context.Context, p GuardedPath) error {
	return r.remove(ctx, r.view, p)
}

func (r *Root) remove(ctx context.Context, view viewer, p GuardedPath) error {
	if p.root == nil || p.root != r || p.class == ClassFolder {
		return fmt.Errorf("remove %s: %w", Safe(p.rel), ErrUnguarded)
	}
	now, err := r.check(ctx, view, p.rel, p.class, true)
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if !p.at.same(now) {
		return fsError("remove", r.abs(p.rel), ErrChanged)
	}
	return r.act(ctx, "remove", p.rel, func(abs string) error { return r.sftp.Remove(abs) })
}

// RemoveDir removes an empty directory that was passed as [ClassFolder].
func (r *Root) RemoveDir(ctx context.Context, p GuardedPath) error {
	if p.root == nil || p.root != r || p.class != ClassFolder {
		return fmt.Errorf("remove directory %s: %w", Safe(p.rel), ErrUnguarded)
	}
	if _, err := r.check(ctx, r.view, p.rel, p.class, true); err != nil {
		return fmt.Errorf("remove directory: %w", err)
	}
	return r.act(ctx, "rmdir", p.rel, func(abs string) error { return r.sftp.RemoveDirectory(abs) })
}

// Mkdir makes one directory; the one above it must be there. One that exists already is an error wrapping
// [fs.ErrExist].
func (r *Root) Mkdir(ctx context.Context, p WritablePath, a Attr) error {
	if p.class != ClassFolder && p.class != ClassAside {
		return fmt.Errorf("mkdir %s: %w", Safe(p.rel), ErrUnguarded)
	}
	if err := r.absent(ctx, "mkdir", r.view, p); err != nil {
		return err
	}
	if err := r.act(ctx, "mkdir", p.rel, func(abs string) error { return r.sftp.Mkdir(abs) }); err != nil {
		return err
	}
	if a.Mode&settable == 0 {
		a.Mode = 0o700
	}
	return r.setAttr(ctx, p.rel, a)
}

// Rename moves a file or directory. It never overwrites: where something stands at the destination the error wraps
// [fs.ErrExist]. OpenSSH refuses that by itself for files; elsewhere a file that appears between the look and the
// rename would be lost.
func (r *Root) Rename(ctx context.Context, from, to WritablePath) error {
	return r.rename(ctx, r.view, from, to, nil)
}

// rename is Rename; fit, which may be nil, judges what stands at from just before.
func (r *Root) rename(ctx context.Context, view viewer, from, to WritablePath, fit func(seen) error) error {
	free := make(chan error, 1)
	go func() { free <- r.absent(ctx, "rename", view, to) }()
	at, err := r.again(ctx, "rename", view, from)
	if taken := <-free; err == nil {
		err = taken
	}
	switch {
	case err != nil:
		return err
	case at.err != nil:
		return at.err
	}
	if fit != nil {
		if err := fit(at); err != nil {
			return err
		}
	}
	if r.abs(to.rel) != r.dir+"/"+to.rel {
		return fmt.Errorf("rename to %s: %w", Safe(to.rel), ErrUnguarded)
	}
	return r.act(ctx, "rename", from.rel, func(abs string) error { return r.sftp.Rename(abs, r.abs(to.rel)) })
}

// SetAttr sets mode and modification time of a file or directory. The host follows symbolic links in doing so, so the
// guard looks at the last component too.
func (r *Root) SetAttr(ctx context.Context, p WritablePath, a Attr) error {
	at, err := r.again(ctx, "set attributes", r.view, p)
	switch {
	case err != nil:
		return err
	case at.err != nil:
		return at.err
	}
	return r.setAttr(ctx, p.rel, a)
}

func (r *Root) setAttr(ctx context.Context, rel string, a Attr) error {
	timed := make(chan error, 1)
	go func() { timed <- r.setTime(ctx, rel, a.MTime) }()
	var err error
	if mode := a.Mode & settable; mode != 0 {
		err = r.act(ctx, "chmod", rel, func(abs string) error { return r.sftp.Chmod(abs, mode) })
	}
	return errors.Join(err, <-timed)
}

func (r *Root) setTime(ctx context.Context, rel string, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if s := t.Unix(); s < 0 || s > 1<<32-1 {
		return fsError("chtimes", r.abs(rel), fmt.Errorf("SFTP cannot set the time %s", t.UTC().Format(time.RFC3339)))
	}
	return r.act(ctx, "chtimes", rel, func(abs string) error { return r.sftp.Chtimes(abs, t, t) })
}

// Signal sends a signal to one process after checking, in the same command on the host, that the number still means the
// same process of the same user. Where it does not, the error wraps [ErrProcessGone].
func (h *Host) Signal(ctx context.Context, p Process, sig Signal) error {
	errs, err := h.signalAll(ctx, []Process{p}, sig)
	if err != nil {
		return err
	}
	return errs[0]
}

func (h *Host) signalAll(ctx context.Context, list []Process, sig Signal) ([]error, error) {
	return signalAll(ctx, func(ctx context.Context, script string) ([]byte, error) { return h.run(ctx, script, nil) }, list, sig)
}

func (r *Root) abs(rel string) string { return path.Join(r.dir, rel) }

// act does one thing to a path that was just checked. That the path is the very text the guard saw, and nothing else after
// cleaning, is asked here once more and apart from the rules: a fault in them must not reach beyond the mail root.
func (r *Root) act(ctx context.Context, op, rel string, do func(abs string) error) error {
	abs := r.abs(rel)
	if abs != r.dir+"/"+rel {
		return fmt.Errorf("%s %s: %w", op, Safe(rel), ErrUnguarded)
	}
	_, err := linkCall(ctx, r.link, func() (struct{}, error) { return struct{}{}, do(abs) }, nil)
	if err == nil {
		return nil
	}
	var have *fs.PathError // pkg/sftp's, which holds the host's text as it came
	if errors.As(err, &have) {
		err = have.Err
	}
	return fsError(op, abs, err)
}

// again has the guard judge a writable path once more, and gives what stands there.
func (r *Root) again(ctx context.Context, op string, view viewer, p WritablePath) (seen, error) {
	if p.root == nil || p.root != r {
		return seen{}, fmt.Errorf("%s %s: %w", op, Safe(p.rel), ErrUnguarded)
	}
	at, err := r.check(ctx, view, p.rel, p.class, false)
	if err != nil {
		return seen{}, fmt.Errorf("%s: %w", op, err)
	}
	return at, nil
}

// absent is again for a path where nothing may stand.
func (r *Root) absent(ctx context.Context, op string, view viewer, p WritablePath) error {
	at, err := r.again(ctx, op, view, p)
	switch {
	case err != nil:
		return err
	case at.err == nil:
		return fsError(op, r.abs(p.rel), fs.ErrExist)
	case !errors.Is(at.err, fs.ErrNotExist):
		return at.err
	}
	return nil
}
