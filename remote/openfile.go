package remote

import (
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/pkg/sftp"
)

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
	if info.size != f.info.size || !f.info.mtime.IsZero() && !info.mtime.Equal(f.info.mtime) {
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
