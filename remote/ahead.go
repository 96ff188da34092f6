package remote

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// chunk is one read request on its way.
type chunk struct {
	off  int64
	buf  []byte // what is not taken yet, once done is closed
	want []byte // the buffer, as long as what was asked for
	err  error
	done chan struct{}
}

var chunkPool = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

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
		c := &chunk{off: next, done: make(chan struct{})}
		size := int64(chunkSize)
		switch left := f.info.size - next; {
		case left == 0:
			size = probeSize
			c.want = make([]byte, size)
		default:
			if left > 0 {
				size = min(size, left)
			}
			c.want = (*chunkPool.Get().(*[]byte))[:size]
		}
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
	if b := c.want[:cap(c.want)]; len(b) == chunkSize {
		chunkPool.Put(&b)
	}
	f.window = min(2*f.window, maxAhead)
}
