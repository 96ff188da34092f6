package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// Packet types of SFTP version 3 that the tap looks at.
const (
	fxpOpen     = 3
	fxpClose    = 4
	fxpRead     = 5
	fxpLstat    = 7
	fxpFstat    = 8
	fxpOpendir  = 11
	fxpReaddir  = 12
	fxpRealpath = 16
	fxpStat     = 17
	fxpReadlink = 19
	fxpExtended = 200
	fxpStatus   = 101
	fxpHandle   = 102
	fxpData     = 103
	fxpName     = 104
)

// listingLimit bounds what one directory's listing may bring, in bytes on the line: about two million files.
var listingLimit int64 = 512 << 20

// errBadListing: the host listed what cannot be in a directory.
var errBadListing = errors.New("the host's listing is not to be trusted")

var errMereOK = errors.New("the host's SFTP server answers a question with a mere OK")

// sftpTap stands between the SFTP library and the channel and watches for what the library lets a hostile server do:
// list a directory without end, hide a "/" in a listed name (the library cuts it off), answer a read with nothing for ever, or a question
// with a mere "OK", of which the library makes an answer that is nil. Each of these ends the session. It also keeps the channel's
// end-of-file, which an SFTP write can give once the connection is gone, from being taken for the end of a file.
type sftpTap struct {
	r   io.Reader
	w   io.WriteCloser
	bad func(error) // called before the session ends for the host's fault

	in     sieve
	outMu  sync.Mutex // of what is written, in whole packets
	out    frames
	late   []byte       // requests of our own that wait for the end of a packet of the library's
	flying atomic.Int64 // requests that are not answered

	mu      sync.Mutex
	pending map[uint32]question // on their way
	listed  map[string]int64    // bytes listed so far of each open directory
	own     ownRequests
}

// question is a request that "OK" does not answer.
type question struct {
	kind   byte
	handle string // of READDIR
}

// newSFTPTap stands between r and w and the library. lost hears that nothing more can be written.
func newSFTPTap(r io.Reader, w io.WriteCloser, bad, lost func(error)) *sftpTap {
	t := &sftpTap{r: r, bad: bad, pending: map[uint32]question{}, listed: map[string]int64{}, own: newOwnRequests()}
	t.w = newGathering(w, t.busy, lost)
	t.out = frames{keep: func(kind byte) int {
		switch kind {
		case fxpReaddir, fxpClose, fxpExtended:
			return 1024
		}
		return 4
	}, whole: t.request}
	t.in = sieve{tap: t}
	return t
}

// Read gives the library what the host answers to it. p must hold more than the head of a packet.
func (t *sftpTap) Read(p []byte) (int, error) {
	if len(p) < packetHead {
		return 0, io.ErrShortBuffer
	}
	for {
		have := copy(p, t.in.begun)
		n, err := t.r.Read(p[have:])
		kept, bad := t.in.sift(p[:have+n])
		if bad != nil {
			err = bad
			t.bad(bad)
		}
		if err != nil {
			t.endOwn()
		}
		if kept > 0 || err != nil {
			return kept, err
		}
	}
}

func (t *sftpTap) Write(p []byte) (int, error) {
	t.outMu.Lock()
	defer t.outMu.Unlock()
	if err := t.out.feed(p); err != nil {
		return 0, err
	}
	n, err := t.w.Write(p)
	if err == nil && t.out.between() && len(t.late) > 0 {
		_, err = t.w.Write(t.late)
		t.late = nil
	}
	if err != nil {
		return n, fmt.Errorf("%w: %s", ErrDisconnected, err)
	}
	return n, nil
}

func (t *sftpTap) Close() error { return t.w.Close() }

// manyRequests is from how many requests on their way a moment is nothing to any of them.
const manyRequests = 8

func (t *sftpTap) busy() bool { return t.flying.Load() >= manyRequests }

// request remembers what was asked.
func (t *sftpTap) request(kind byte, body []byte) error {
	t.flying.Add(1)
	if len(body) < 4 {
		return nil
	}
	id, rest := binary.BigEndian.Uint32(body), body[4:]
	t.mu.Lock()
	defer t.mu.Unlock()
	switch kind {
	case fxpOpen, fxpRead, fxpLstat, fxpFstat, fxpOpendir, fxpRealpath, fxpStat, fxpReadlink:
		t.pending[id] = question{kind: kind}
	case fxpReaddir:
		t.pending[id] = question{kind: kind, handle: string(rest)}
	case fxpExtended:
		if name, _, _ := wireString(rest); strings.HasPrefix(name, "statvfs@") {
			t.pending[id] = question{kind: kind}
		}
	case fxpClose:
		delete(t.listed, string(rest))
	}
	return nil
}

// reply checks that a question is answered, that data holds something, and the names of a listing.
func (t *sftpTap) reply(kind byte, body []byte) error {
	t.flying.Add(-1)
	if len(body) < 8 {
		return nil // the library refuses it
	}
	id, second := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
	t.mu.Lock()
	q, asked := t.pending[id]
	delete(t.pending, id)
	var total int64
	if kind == fxpName && q.kind == fxpReaddir {
		t.listed[q.handle] += int64(len(body))
		total = t.listed[q.handle]
	}
	t.mu.Unlock()
	switch {
	case kind == fxpStatus && second == 0 && asked:
		return errMereOK
	case kind == fxpData && second == 0:
		return errors.New("the host's SFTP server answers a read with nothing")
	case total > listingLimit:
		return fmt.Errorf("%w: one directory lists more than %d MiB", errBadListing, listingLimit>>20)
	case total > 0: // READLINK and REALPATH are answered in the same form, and may hold "/"
		return checkNames(body[4:])
	}
	return nil
}

// checkNames reads count, then that many of (name, long name, attributes). What is cut short the library refuses.
func checkNames(b []byte) error {
	count := binary.BigEndian.Uint32(b)
	b = b[4:]
	for ; count > 0; count-- {
		var name string
		var ok bool
		if name, b, ok = wireString(b); !ok {
			return nil
		}
		if !oneName(name) {
			return fmt.Errorf("%w: it holds the name %.100q", errBadListing, name)
		}
		if _, b, ok = wireString(b); !ok {
			return nil
		}
		if b, ok = skipAttrs(b); !ok {
			return nil
		}
	}
	return nil
}

// oneName says whether a name can be one in a directory.
func oneName(name string) bool { return name != "" && !strings.ContainsAny(name, "/\x00") }

func wireString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}

// skipAttrs passes over a file's attributes: draft-ietf-secsh-filexfer-02, section 5.
func skipAttrs(b []byte) ([]byte, bool) {
	if len(b) < 4 {
		return nil, false
	}
	flags := binary.BigEndian.Uint32(b)
	n := 4
	for _, f := range []struct {
		flag uint32
		size int
	}{{1, 8}, {2, 8}, {4, 4}, {8, 8}} {
		if flags&f.flag != 0 {
			n += f.size
		}
	}
	if n > len(b) {
		return nil, false
	}
	b = b[n:]
	if flags&(1<<31) == 0 {
		return b, true
	}
	if len(b) < 4 {
		return nil, false
	}
	count := binary.BigEndian.Uint32(b)
	b = b[4:]
	for ; count > 0; count-- {
		for range 2 {
			var ok bool
			if _, b, ok = wireString(b); !ok {
				return nil, false
			}
		}
	}
	return b, true
}

// frames cuts a stream into SFTP packets: length, type, body.
type frames struct {
	keep  func(kind byte) int                // how much of the body is wanted, at most
	whole func(kind byte, body []byte) error // called when that much of it, or all, has passed

	head []byte // the five bytes that begin a packet, as far as they have come
	left int64  // bytes of the body still to come
	want int
	body []byte
}

// between reports whether no packet has begun and not ended.
func (f *frames) between() bool { return len(f.head) == 0 }

func (f *frames) feed(p []byte) error {
	for len(p) > 0 {
		if len(f.head) < 5 {
			n := min(5-len(f.head), len(p))
			f.head = append(f.head, p[:n]...)
			p = p[n:]
			if len(f.head) < 5 {
				return nil
			}
			f.left = int64(binary.BigEndian.Uint32(f.head)) - 1
			f.want = int(min(int64(f.keep(f.head[4])), f.left))
			f.body = f.body[:0]
			if f.left <= 0 {
				f.head = f.head[:0]
				continue
			}
		}
		n := int(min(f.left, int64(len(p))))
		if room := f.want - len(f.body); room > 0 {
			f.body = append(f.body, p[:min(room, n)]...)
			if len(f.body) == f.want {
				if err := f.whole(f.head[4], f.body); err != nil {
					return err
				}
			}
		}
		f.left -= int64(n)
		p = p[n:]
		if f.left == 0 {
			f.head = f.head[:0]
		}
	}
	return nil
}
