package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"

	"github.com/pkg/sftp"
)

const (
	// chunkSize is one read request; every SFTP server answers at least this much at once.
	chunkSize = 32 << 10
	// maxAhead bounds the requests in flight of one file: 2 MiB, which is the window of an SSH channel.
	maxAhead = 64
	// readFileLimit bounds ReadFile, in bytes; larger files are to be streamed.
	readFileLimit = 1 << 30
)

// Open opens a file or directory. A regular file reads ahead: it asks for two chunks of 32 KiB at first and for more the
// longer it is read in sequence, so that both small and large files come at the speed of the line. It is also an
// [io.ReaderAt], [io.Seeker] and [io.WriterTo]. Other kinds (pipes, sockets, devices) are refused: opening a pipe would
// stop the host's SFTP server.
func (f *FS) Open(name string) (fs.File, error) {
	info, err := f.stat("open", name, (*sftp.Client).Stat)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &dirFile{fs: f, name: name, info: info}, nil
	}
	return f.OpenListed(name, info)
}

// OpenListed opens a regular file which was just listed or looked at, and saves the look that [FS.Open] takes: one round
// trip. An info of anything but a regular file is refused.
func (f *FS) OpenListed(name string, info fs.FileInfo) (fs.File, error) {
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("not a regular file but %s", kind(info.Mode()))}
	}
	p, err := remotePath("open", name)
	if err != nil {
		return nil, err
	}
	own, ok := info.(*fileInfo)
	if !ok {
		own = &fileInfo{name: path.Base(name), size: info.Size(), mode: info.Mode(), mtime: info.ModTime(), stat: Stat{UID: -1, GID: -1}}
	}
	file := &file{fs: f, name: name, path: p, info: own, window: 2}
	if err := f.h.reading(f.ctx, file.open); err != nil {
		return nil, fsError("open", name, err)
	}
	return file, nil
}

func kind(m fs.FileMode) string {
	switch m.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a pipe"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a special file"
}

// ReadFile reads a whole file, at most 1 GiB.
func (f *FS) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	w, ok := file.(io.WriterTo)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&limitWriter{w: &b, left: readFileLimit}); err != nil {
		return nil, fsError("read", name, err)
	}
	return b.Bytes(), nil
}

// limitWriter refuses what is past its limit.
type limitWriter struct {
	w    io.Writer
	left int64
}

func (w *limitWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		return 0, fmt.Errorf("file is larger than %d MiB", readFileLimit>>20)
	}
	w.left -= int64(len(p))
	return w.w.Write(p)
}

// file is an open regular file.
type file struct {
	fs   *FS
	name string
	path string
	info *fileInfo

	mu     sync.Mutex
	link   *link
	f      *sftp.File
	off    int64
	ahead  []*chunk
	window int
	ended  bool // the end of the file is at off
	closed bool
	again  bool // the file was opened a second time, on a new connection
}

// chunk is one read request on its way.
type chunk struct {
	off  int64
	buf  []byte // what is not taken yet, once done is closed
	want []byte // the buffer, as long as what was asked for
	err  error
	done chan struct{}
}

var chunkPool = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// open opens the file on a link; used again when the link was lost.
func (f *file) open(l *link) error {
	c, err := l.sftp(f.fs.ctx)
	if err != nil {
		return err
	}
	h, err := linkCall(f.fs.ctx, l, func() (*sftp.File, error) { return c.Open(f.path) }, func(h *sftp.File) { h.Close() })
	if err != nil {
		return err
	}
	f.link, f.f = l, h
	return nil
}

// reopen goes on with a file after the connection was made anew, if it is still the one that was open.
func (f *file) reopen() error {
	if f.again {
		return f.link.lost()
	}
	f.again = true
	if err := f.fs.h.reading(f.fs.ctx, f.open); err != nil {
		return err
	}
	h := f.f
	raw, err := linkCall(f.fs.ctx, f.link, h.Stat, nil)
	if err != nil {
		return err
	}
	info, err := newFileInfo(f.info.name, raw)
	if err != nil {
		return err
	}
	if info.size != f.info.size || !info.mtime.Equal(f.info.mtime) {
		return fmt.Errorf("%w while the file changed", ErrDisconnected)
	}
	return nil
}

func (f *file) Stat() (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, &fs.PathError{Op: "stat", Path: f.name, Err: fs.ErrClosed}
	}
	return f.info, nil
}

// Close gives the file up; the host is told without waiting for its answer.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	f.forget()
	h := f.f
	go h.Close()
	return nil
}

// forget gives up the requests on their way; their buffers go with them.
func (f *file) forget() { f.ahead = nil }

// request keeps the window of requests filled. Within the size the host told, a request asks for just what there is, which a
// server answers in one round trip; one more looks past it, for a file that grew and for the end.
func (f *file) request() {
	next := f.off
	if n := len(f.ahead); n > 0 {
		last := f.ahead[n-1]
		if last.off >= f.info.size {
			return
		}
		next = last.off + int64(len(last.want))
	}
	for len(f.ahead) < f.window {
		size := int64(chunkSize)
		if left := f.info.size - next; left > 0 {
			size = min(size, left)
		}
		c := &chunk{off: next, want: (*chunkPool.Get().(*[]byte))[:size], done: make(chan struct{})}
		h := f.f
		go func() {
			n, err := h.ReadAt(c.want, c.off)
			c.buf, c.err = c.want[:n], err
			close(c.done)
		}()
		f.ahead = append(f.ahead, c)
		if next >= f.info.size {
			return
		}
		next += size
	}
}

// head waits for the next bytes in sequence. It gives io.EOF at the end of the file.
func (f *file) head() (*chunk, error) {
	for {
		if f.ended {
			return nil, io.EOF
		}
		f.request()
		c := f.ahead[0]
		err := f.link.answered(f.fs.ctx, c.done)
		if err == nil {
			if len(c.buf) > 0 {
				return c, nil
			}
			if c.err == io.EOF {
				f.forget()
				f.ended = true
				return nil, io.EOF
			}
			err = f.link.explain(c.err)
		}
		f.forget()
		if f.fs.ctx.Err() != nil || f.link.lost() == nil {
			return nil, err
		}
		if again := f.reopen(); again != nil {
			if errors.Is(again, ErrDisconnected) {
				return nil, again
			}
			return nil, fmt.Errorf("%w; opened again: %w", err, again)
		}
	}
}

// took moves on past n bytes of the first chunk.
func (f *file) took(c *chunk, n int) {
	f.off += int64(n)
	c.buf = c.buf[n:]
	if len(c.buf) > 0 {
		return
	}
	if c.err != nil { // a short chunk: what follows is asked for again, from here, unless this was the end
		f.ended = c.err == io.EOF
		f.forget()
		return
	}
	f.ahead = f.ahead[1:]
	b := c.want[:cap(c.want)]
	chunkPool.Put(&b)
	f.window = min(2*f.window, maxAhead)
}

func (f *file) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrClosed}
	}
	if len(p) == 0 {
		return 0, nil
	}
	c, err := f.head()
	if err != nil {
		return 0, f.readError(err)
	}
	n := copy(p, c.buf)
	f.took(c, n)
	return n, nil
}

// WriteTo writes the rest of the file to w.
func (f *file) WriteTo(w io.Writer) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrClosed}
	}
	var total int64
	for {
		c, err := f.head()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, f.readError(err)
		}
		n, err := w.Write(c.buf)
		total += int64(n)
		f.took(c, n)
		if err != nil {
			return total, err
		}
	}
}

// ReadAt reads at an offset, without regard to the sequence; large reads are split into concurrent requests.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	for {
		f.mu.Lock()
		closed, l, h := f.closed, f.link, f.f
		f.mu.Unlock()
		if closed {
			return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrClosed}
		}
		buf := make([]byte, len(p)) // p may not be written to after an early return
		end := false
		n, err := linkCall(f.fs.ctx, l, func() (int, error) {
			n, err := h.ReadAt(buf, off)
			if err == io.EOF {
				end, err = true, nil
			}
			return n, err
		}, nil)
		if err == nil {
			copy(p, buf[:n])
			if end {
				err = io.EOF
			}
			return n, err
		}
		if f.fs.ctx.Err() != nil || l.lost() == nil {
			return 0, f.readError(err)
		}
		f.mu.Lock()
		if f.link == l { // nobody else has opened it again meanwhile
			f.forget()
			err = f.reopen()
		} else {
			err = nil
		}
		f.mu.Unlock()
		if err != nil {
			return 0, f.readError(err)
		}
	}
}

// Seek sets where the next Read begins.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += f.off
	case io.SeekEnd:
		offset += f.info.size
	}
	if f.closed || offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: fs.ErrInvalid}
	}
	if offset != f.off {
		f.off = offset
		f.ended = false
		f.forget()
		f.window = 2
	}
	return offset, nil
}

func (f *file) readError(err error) error {
	if err == io.EOF {
		return err
	}
	return fsError("read", f.name, err)
}
