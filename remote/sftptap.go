package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Packet types of SFTP version 3 that the tap looks at.
const (
	fxpClose   = 4
	fxpReaddir = 12
	fxpData    = 103
	fxpName    = 104
)

// listingLimit bounds what one directory's listing may bring, in bytes on the line: about two million files.
const listingLimit = 512 << 20

// errBadListing: the host listed what cannot be in a directory.
var errBadListing = errors.New("the host's listing is not to be trusted")

// sftpTap stands between the SFTP library and the channel and watches for what the library lets a hostile server do:
// list a directory without end, hide a "/" in a listed name (the library cuts it off), or answer a read with nothing for ever.
// Each of these ends the session. It also keeps the channel's end-of-file, which an SFTP write can give once
// the connection is gone, from being taken for the end of a file.
type sftpTap struct {
	r io.Reader
	w io.WriteCloser

	in, out frames

	mu      sync.Mutex
	pending map[uint32]string // READDIR requests on their way, to their handle
	listed  map[string]int64  // bytes listed so far of each open directory
}

func newSFTPTap(r io.Reader, w io.WriteCloser) *sftpTap {
	t := &sftpTap{r: r, w: w, pending: map[uint32]string{}, listed: map[string]int64{}}
	t.out = frames{keep: func(kind byte) int {
		if kind == fxpReaddir || kind == fxpClose {
			return 4096
		}
		return 0
	}, whole: t.request}
	t.in = frames{keep: func(kind byte) int {
		switch kind {
		case fxpName:
			return 1 << 20
		case fxpData:
			return 9
		}
		return 0
	}, whole: t.reply}
	return t
}

func (t *sftpTap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if bad := t.in.feed(p[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

func (t *sftpTap) Write(p []byte) (int, error) {
	if err := t.out.feed(p); err != nil {
		return 0, err
	}
	n, err := t.w.Write(p)
	if err != nil {
		return n, fmt.Errorf("%w: %s", ErrDisconnected, err)
	}
	return n, nil
}

func (t *sftpTap) Close() error { return t.w.Close() }

// request remembers which directory a READDIR belongs to.
func (t *sftpTap) request(kind byte, body []byte) error {
	if len(body) < 8 {
		return nil
	}
	id, handle := binary.BigEndian.Uint32(body), string(body[8:])
	t.mu.Lock()
	defer t.mu.Unlock()
	switch kind {
	case fxpReaddir:
		t.pending[id] = handle
	case fxpClose:
		delete(t.listed, handle)
	}
	return nil
}

// reply checks the names of a listing, and that data holds something.
func (t *sftpTap) reply(kind byte, body []byte) error {
	if len(body) < 8 {
		return nil // the library refuses it
	}
	if kind == fxpData {
		if binary.BigEndian.Uint32(body[4:]) == 0 {
			return errors.New("the host answers a read with nothing")
		}
		return nil
	}
	id := binary.BigEndian.Uint32(body)
	t.mu.Lock()
	handle, listing := t.pending[id]
	delete(t.pending, id)
	var total int64
	if listing {
		t.listed[handle] += int64(len(body))
		total = t.listed[handle]
	}
	t.mu.Unlock()
	if !listing { // READLINK and REALPATH are answered in the same form, and may hold "/"
		return nil
	}
	if total > listingLimit {
		return fmt.Errorf("%w: one directory lists more than %d MiB", errBadListing, listingLimit>>20)
	}
	return checkNames(body[4:])
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
		if name == "" || strings.ContainsAny(name, "/\x00") {
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
