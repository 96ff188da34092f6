package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
)

const (
	parallelReads = 32     // directories read at once
	maxEntries    = 200000 // entries taken from one directory
	maxLinks      = 40     // symbolic links followed in one path, as Linux does
)

// ErrLoop: symbolic links on a path lead in a circle.
var ErrLoop = errors.New("symbolic links lead in a circle")

// reader reads directories of a file system, [parallelReads] at a time and no more of them than its budget.
type reader struct {
	fsys   fs.FS
	slots  chan struct{}
	budget atomic.Int64
	cut    atomic.Bool // a bound was reached
}

func newReader(fsys fs.FS, budget int64) *reader {
	r := &reader{fsys: fsys, slots: make(chan struct{}, parallelReads)}
	r.budget.Store(budget)
	return r
}

// errBudget: no more directories may be read.
var errBudget = errors.New("too many directories")

func (r *reader) readDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	if r.budget.Add(-1) < 0 {
		r.cut.Store(true)
		return nil, errBudget
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(r.fsys, name)
	if len(entries) > maxEntries {
		entries = entries[:maxEntries]
		r.cut.Store(true)
	}
	if err != nil && len(entries) == 0 {
		return nil, err
	}
	good := entries[:0]
	for _, e := range entries {
		if n := e.Name(); n != "" && n != "." && n != ".." && !strings.ContainsAny(n, "/\x00") {
			good = append(good, e)
		}
	}
	return good, nil
}

// head reads at most limit bytes of a file.
func (r *reader) head(name string, limit int64) ([]byte, error) {
	f, err := r.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// lasting reports whether a read error concerns the one directory only. What cannot be told from the error is told by
// looking at a place that could be read before: if that fails too, the connection is gone.
func (r *reader) lasting(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errBudget) {
		return true
	}
	_, again := fs.Stat(r.fsys, ".")
	return again == nil || errors.Is(again, fs.ErrPermission) || errors.Is(again, fs.ErrNotExist)
}

// plainFS is a file system on which each look costs a round trip, and which can look at all components of a name at once: ok
// where none of them is a symbolic link or missing.
type plainFS interface {
	Plain(name string) (info fs.FileInfo, ok bool)
}

// resolve follows the symbolic links in every component of name, a slash path beneath the file system's root.
func resolve(fsys fs.FS, name string) (string, fs.FileInfo, error) {
	if f, ok := fsys.(plainFS); ok && name != "." {
		if info, ok := f.Plain(name); ok {
			return name, info, nil
		}
	}
	todo := strings.Split(name, "/")
	done := "."
	var last fs.FileInfo
	for links := 0; len(todo) > 0; {
		c := todo[0]
		todo = todo[1:]
		switch c {
		case "", ".":
			continue
		case "..":
			done, last = path.Dir(done), nil
			continue
		}
		next := path.Join(done, c)
		info, err := fs.Lstat(fsys, next)
		if err != nil {
			return "", nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done, last = next, info
			continue
		}
		if links++; links > maxLinks {
			return "", nil, &fs.PathError{Op: "resolve", Path: "/" + name, Err: ErrLoop}
		}
		target, err := fs.ReadLink(fsys, next)
		if err != nil {
			return "", nil, err
		}
		if strings.HasPrefix(target, "/") {
			done, last = ".", nil
		}
		if todo = append(strings.Split(target, "/"), todo...); len(todo) > 4096 {
			return "", nil, &fs.PathError{Op: "resolve", Path: "/" + name, Err: ErrLoop}
		}
	}
	if last == nil {
		info, err := fs.Lstat(fsys, done)
		if err != nil {
			return "", nil, err
		}
		last = info
	}
	return done, last, nil
}

func (p HostPath) inFS() string {
	if s := strings.Trim(path.Clean("/"+string(p)), "/"); s != "" {
		return s
	}
	return "."
}

func fromFS(name string) HostPath {
	if name == "." {
		return "/"
	}
	return HostPath("/" + name)
}

func checkHostPath(p HostPath) error {
	s := string(p)
	switch {
	case s == "":
		return errors.New("the path is empty")
	case strings.ContainsRune(s, 0):
		return errors.New("the path holds a NUL byte")
	case s[0] != '/':
		return fmt.Errorf("%q is not an absolute path", s)
	}
	for c := range strings.SplitSeq(s, "/") {
		if c == ".." || c == "." {
			return fmt.Errorf("%q holds a %q component", s, c)
		}
	}
	if strings.Trim(s, "/") == "" {
		return errors.New("the root directory cannot be a mail root")
	}
	return nil
}
