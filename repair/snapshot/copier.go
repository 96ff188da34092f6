package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
)

const (
	filesDir    = "files"
	beforeDir   = "before"
	incomingDir = "incoming"

	copyTries  = 4         // how often a file that changes is copied in all
	copyBuffer = 128 << 10 // bytes of one read
	overhang   = 1 << 20   // bytes past its listed size that are kept of a file that will not hold still
)

// copier fetches single files from a source into incoming/.
type copier struct {
	dst *os.Root
	src Source
	rep Reporter

	rolls    []*roll
	buffers  sync.Pool
	told     sync.Map // by path: bytes the reporter was told of for a file that is to be fetched again, int64
	tempName atomic.Int64
	fetched  atomic.Int64
	down     atomic.Int64
	again    atomic.Int64
}

func newCopier(dst *os.Root, src Source, rep Reporter) *copier {
	c := &copier{dst: dst, src: src, rep: rep}
	if rep == nil {
		c.rep = silent{}
	}
	c.buffers.New = func() any { b := make([]byte, copyBuffer); return &b }
	return c
}

type silent struct{}

func (silent) Total(int, int64)   {}
func (silent) Advance(int, int64) {}
func (silent) Note(string)        {}

// got is how the fetching of one file ended.
type got struct {
	entry Entry  // as it was when its bytes were read; with Err where it could not be
	temp  string // where the bytes are; "" where there are none
	gone  bool   // no longer there as a regular file
}

// localError marks an error of the local disk, as against one of the host's.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

func local(err error) error {
	if err == nil {
		return nil
	}
	return &localError{DiskError(err)}
}

// DiskError makes an error that says that the local disk is full a [NoSpaceError] too. Any other it returns as it is.
func DiskError(err error) error {
	if err != nil && isFull(err) {
		return fmt.Errorf("%w: %w", &NoSpaceError{Need: -1, Have: -1}, err)
	}
	return err
}

// fetch copies one file. Where its size turns out to be another than listed, or with settled its size, time or inode differ
// after reading, it is looked at again and copied again; if it never holds still, what was read last is marked torn.
// An error is one of the local disk or of the connection; what concerns this file alone is told in the result.
func (c *copier) fetch(ctx context.Context, e Entry, settled bool) (got, error) {
	e.Torn, e.SHA256, e.Err, e.proved, e.fresh = false, "", "", false, false
	var told int64 // bytes the reporter was told of
	if n, ok := c.told.LoadAndDelete(e.Path); ok {
		told = n.(int64)
	}
	defer func() { c.rep.Advance(1, max(0, e.Size-told)) }()
	for try := 1; ; try++ {
		last := try == copyTries
		limit := e.Size
		if last {
			limit += overhang
		}
		if try > 1 {
			c.again.Add(1)
		}
		s, err := c.stream(ctx, e, limit, func(n int64) {
			if n = min(n, e.Size-told); n > 0 {
				told += n
				c.rep.Advance(0, n)
			}
		})
		if err == nil {
			whole := s.n == e.Size && !s.more
			after := e
			if whole && settled {
				if after, err = c.src.Lstat(ctx, e.Path); err == nil && sameFile(&e, &after) {
					after = e
				} else {
					whole = false
				}
			}
			if whole || last && err == nil {
				e.Torn, e.Size, e.SHA256 = !whole, s.n, s.sum
				c.fetched.Add(1)
				return got{entry: e, temp: s.temp}, nil
			}
			c.dst.Remove(s.temp)
		}
		var mine *localError
		if errors.As(err, &mine) || ctx.Err() != nil {
			return got{}, err
		}
		now, done, fatal := c.lookAgain(ctx, e, err, last)
		if done != nil || fatal != nil {
			if fatal != nil {
				return got{}, fatal
			}
			return *done, nil
		}
		e = now
	}
}

// lookAgain finds out what became of a file that could not be read as listed: its present entry, or how its copying ends.
func (c *copier) lookAgain(ctx context.Context, e Entry, readErr error, last bool) (now Entry, done *got, fatal error) {
	unreadable := func(err error) *got {
		e.Err = clip(err.Error())
		return &got{entry: e}
	}
	now, err := c.src.Lstat(ctx, e.Path)
	switch {
	case ctx.Err() != nil:
		return e, nil, context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist):
		return e, &got{entry: e, gone: true}, nil
	case errors.Is(err, fs.ErrPermission):
		return e, unreadable(err), nil
	case err != nil: // not about this file: the connection
		return e, nil, fmt.Errorf("look at %q: %w", e.Path, err)
	case errors.Is(readErr, fs.ErrPermission):
		return e, unreadable(readErr), nil
	}
	now.Path = e.Path
	if impossible(&now) != "" || now.Type != 0 {
		return e, &got{entry: e, gone: true}, nil
	}
	if last {
		if readErr == nil {
			readErr = errors.New("it changes faster than it can be read")
		}
		return e, unreadable(readErr), nil
	}
	return tidy(now), nil, nil
}

// streamed is a file in incoming/.
type streamed struct {
	temp string
	n    int64
	sum  string
	more bool // there was more than the limit
}

// stream copies at most limit bytes of a file to a new file in incoming/ and hashes them.
func (c *copier) stream(ctx context.Context, e Entry, limit int64, tell func(int64)) (streamed, error) {
	in, err := c.src.Open(ctx, e.Path)
	if err != nil {
		return streamed{}, err
	}
	defer in.Close()
	return c.write(ctx, in, e, limit, tell)
}

// write writes at most limit bytes of what is read to a new file in incoming/ and hashes them.
func (c *copier) write(ctx context.Context, in io.Reader, e Entry, limit int64, tell func(int64)) (streamed, error) {
	temp := path.Join(incomingDir, strconv.FormatInt(c.tempName.Add(1), 10))
	s, err := c.writeAs(ctx, c.dst, temp, in, e, limit, tell)
	s.temp = temp
	return s, err
}

// writeAs writes at most limit bytes of what is read to a new file and hashes them. After an error the file is gone.
func (c *copier) writeAs(ctx context.Context, dir *os.Root, name string, in io.Reader, e Entry, limit int64, tell func(int64)) (s streamed, err error) {
	out, err := dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return s, local(err)
	}
	sink := &sink{ctx: ctx, out: out, hash: sha256.New(), left: limit, tell: tell}
	err = c.pump(in, sink)
	c.down.Add(sink.n)
	if e := out.Close(); e != nil && sink.err == nil {
		sink.err = e
	}
	switch {
	case sink.err != nil:
		err = local(sink.err)
	case errors.Is(err, errLimit):
		s.more, err = true, nil
	}
	if err != nil {
		dir.Remove(name)
		return s, err
	}
	s.n, s.sum = sink.n, hexSum(sink.hash)
	if !e.MTime.IsZero() {
		// The manifest has the time in any case; some file systems cannot hold each one.
		_ = dir.Chtimes(name, e.MTime, e.MTime)
	}
	return s, nil
}

// pump reads all of in, by its own WriteTo where it has one: that may have many requests under way.
func (c *copier) pump(in io.Reader, out io.Writer) error {
	_, disk := in.(*os.File) // its WriteTo would only take a buffer of its own
	if w, ok := in.(io.WriterTo); ok && !disk {
		_, err := w.WriteTo(out)
		return err
	}
	buf := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buf)
	_, err := io.CopyBuffer(out, struct{ io.Reader }{in}, *buf)
	return err
}

// errLimit ends the reading of a file that is longer than it should be.
var errLimit = errors.New("longer than listed")

// sink writes to a local file and hashes, up to a limit. An error of the local file is kept in err, so that it can be told
// from one of the reader.
type sink struct {
	ctx  context.Context
	out  io.Writer
	hash hash.Hash
	n    int64
	left int64
	err  error
	tell func(int64)
}

func (s *sink) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	over := int64(len(p)) > s.left
	if over {
		p = p[:s.left]
	}
	n, err := s.out.Write(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	s.left -= int64(n)
	s.tell(int64(n))
	if err != nil {
		s.err = err
		return n, err
	}
	if over {
		return n, errLimit
	}
	return n, nil
}

// reread hashes a file on the host by reading it once more, without keeping it.
func (c *copier) reread(ctx context.Context, e *Entry) (sum string, err error) {
	in, err := c.src.Open(ctx, e.Path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	sink := &sink{ctx: ctx, out: io.Discard, hash: sha256.New(), left: e.Size, tell: func(int64) {}}
	if err := c.pump(in, sink); errors.Is(err, errLimit) {
		return "longer", nil
	} else if err != nil {
		return "", err
	}
	return hexSum(sink.hash), nil
}

// hashLocal hashes a file of the snapshot.
func hashLocal(ctx context.Context, dst *os.Root, name string, size int64) (string, error) {
	f, err := dst.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() != size {
		return "", fmt.Errorf("size %d, and %d expected", info.Size(), size)
	}
	h := sha256.New()
	sink := &sink{ctx: ctx, out: io.Discard, hash: h, left: size, tell: func(int64) {}}
	if _, err := io.CopyBuffer(sink, struct{ io.Reader }{f}, make([]byte, min(size+1, copyBuffer))); err != nil {
		return "", err
	}
	return hexSum(h), nil
}

// filePath is where an entry's bytes are in the snapshot's directory.
func filePath(e *Entry) string {
	if name := e.local(); name != "." {
		return filesDir + "/" + name // it is clean
	}
	return filesDir
}
