package dovecot

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// dboxReader looks at a file through a window, so that a storage file of many GiB needs no more memory than a small one.
type dboxReader struct {
	r      io.ReaderAt
	size   int64
	start  int64
	window []byte
	whole  *[dboxWindow]byte
	err    error
	budget int64 // bytes that may still be looked at in vain while resynchronising
}

const dboxWindow = 2 * dboxMetaLimit

// dboxWindows are windows that no reader uses: an sdbox mailbox has as many files as messages.
var dboxWindows = sync.Pool{New: func() any { return new([dboxWindow]byte) }}

// close gives the window back. Nothing that was read may refer to it.
func (d *dboxReader) close() {
	if d.whole != nil {
		dboxWindows.Put(d.whole)
		d.whole, d.window = nil, nil
	}
}

// at returns up to n (at most dboxMetaLimit) bytes from an offset on; fewer at the end of the file or after an error.
func (d *dboxReader) at(off int64, n int) []byte {
	if off < 0 || off >= d.size || d.err != nil {
		return nil
	}
	n = int(min(int64(n), d.size-off))
	if off < d.start || off+int64(n) > d.start+int64(len(d.window)) {
		if d.window == nil {
			d.whole = dboxWindows.Get().(*[dboxWindow]byte)
			d.window = d.whole[:]
		}
		d.window = d.window[:min(int64(cap(d.window)), d.size-off)]
		got, err := d.r.ReadAt(d.window, off)
		if got < len(d.window) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			d.err = fmt.Errorf("read at offset %d: %w", off, err)
			d.window = d.window[:0]
			return nil
		}
		d.start = off
	}
	return d.window[off-d.start:][:n:n]
}

// find calls try for each place in [from, to) where a pattern stands, until it returns true; it returns that place, or to.
func (d *dboxReader) find(from, to int64, pattern []byte, try func(off int64) bool) int64 {
	for off := from; off < to; {
		b := d.at(off, dboxMetaLimit)
		if len(b) < len(pattern) {
			return to
		}
		i := bytes.Index(b, pattern)
		if i < 0 {
			off += int64(len(b) - len(pattern) + 1)
			continue
		}
		if off += int64(i); off >= to {
			return to
		}
		if try(off) {
			return off
		}
		if d.budget < 0 {
			return to
		}
		off++
	}
	return to
}

// lineFeeds counts line feeds that no carriage return precedes.
func (d *dboxReader) lineFeeds(from, to int64) int64 {
	var size SizeCounter
	for off := from; off < to; {
		b := d.at(off, int(min(dboxMetaLimit, to-off)))
		if len(b) == 0 {
			break
		}
		size.Write(b)
		off += int64(len(b))
	}
	return size.Virtual - size.Bytes
}

// allZero reports whether a stretch holds nothing but NUL bytes, as preallocated space does.
func (d *dboxReader) allZero(from, to int64) bool {
	for off := from; off < to; {
		b := d.at(off, int(min(dboxMetaLimit, to-off)))
		if len(b) == 0 || bytes.Count(b, []byte{0}) != len(b) {
			return false
		}
		off += int64(len(b))
	}
	return true
}
