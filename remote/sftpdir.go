package remote

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

// The library asks for one piece of a directory after the other and waits for each: with OpenSSH a hundred names for each round trip,
// so that 20,000 files of one directory take 8 seconds over 40 ms. Here, pieces are asked for ahead. That counts on a server which
// answers requests in their order, as OpenSSH's does; of another one, which may work on several at a time, the library asks.

const (
	// ownID marks the number of a request of our own; the library counts its own from 1.
	ownID = 1 << 31
	// piecesAhead is how many pieces of one directory are asked for at one time, at most, and allAhead how many of all directories.
	piecesAhead = 32
	allAhead    = 128
)

// ownRequests are those that are not the library's.
type ownRequests struct {
	last    uint32
	waiting map[uint32]chan answer // nil where nobody waits
	ended   bool
	ahead   int // pieces asked for ahead
}

// answer is what the host answers to a request of our own.
type answer struct {
	kind byte
	body []byte // behind the id
}

func newOwnRequests() ownRequests { return ownRequests{waiting: map[uint32]chan answer{}} }

// mine reports whether a number is that of a request of our own which is not answered.
func (t *sftpTap) mine(id uint32) bool {
	if id&ownID == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.own.waiting[id]
	return ok
}

// answer hands an answer to who waits for it.
func (t *sftpTap) answer(kind byte, body []byte) error {
	t.flying.Add(-1)
	id := binary.BigEndian.Uint32(body)
	t.mu.Lock()
	defer t.mu.Unlock()
	if to := t.own.waiting[id]; to != nil {
		to <- answer{kind, append([]byte(nil), body[4:]...)} // it has a place
	}
	delete(t.own.waiting, id)
	return nil
}

// endOwn tells all who wait that no answer will come.
func (t *sftpTap) endOwn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own.ended = true
	for id, to := range t.own.waiting {
		if to != nil {
			close(to)
		}
		delete(t.own.waiting, id)
	}
}

// ask sends a request of our own, whose last part is a text. Where the answer is not wanted, the channel is nil.
func (t *sftpTap) ask(kind byte, text string, wanted bool) (<-chan answer, error) {
	var to chan answer
	if wanted {
		to = make(chan answer, 1)
	}
	t.mu.Lock()
	if t.own.ended {
		t.mu.Unlock()
		return nil, sftp.ErrSSHFxConnectionLost
	}
	t.own.last++
	id := t.own.last | ownID
	t.own.waiting[id] = to
	t.mu.Unlock()
	t.flying.Add(1)
	p := binary.BigEndian.AppendUint32(nil, uint32(1+4+4+len(text)))
	p = binary.BigEndian.AppendUint32(append(p, kind), id)
	p = append(binary.BigEndian.AppendUint32(p, uint32(len(text))), text...)
	t.outMu.Lock()
	defer t.outMu.Unlock()
	if !t.out.between() {
		t.late = append(t.late, p...)
		return to, nil
	}
	if _, err := t.w.Write(p); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrDisconnected, err)
	}
	return to, nil
}

// awaited waits for an answer.
func awaited(ctx context.Context, from <-chan answer) (answer, error) {
	select {
	case a, ok := <-from:
		if !ok {
			return a, sftp.ErrSSHFxConnectionLost
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// another reports whether one more piece may be asked for ahead; it is to be given back.
func (t *sftpTap) another() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.own.ahead >= allAhead {
		return false
	}
	t.own.ahead++
	return true
}

func (t *sftpTap) giveBack(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own.ahead -= n
}

var errNoAnswer = errors.New("the host's SFTP server does not answer what it was asked")

// readDir lists a directory. The errors are those of the library.
func (t *sftpTap) readDir(ctx context.Context, p string) ([]os.FileInfo, error) {
	opened, err := t.ask(fxpOpendir, p, true)
	if err != nil {
		return nil, err
	}
	a, err := awaited(ctx, opened)
	if err != nil {
		return nil, err
	}
	if a.kind == fxpStatus {
		if err := listStatus(a.body); err != nil {
			return nil, err
		}
		return nil, t.distrust(errMereOK)
	}
	handle, _, ok := wireString(a.body)
	if a.kind != fxpHandle || !ok {
		return nil, t.distrust(errNoAnswer)
	}
	defer t.ask(fxpClose, handle, false)

	var pieces []<-chan answer // on their way, in order
	ahead := 0                 // of them beyond the first
	defer func() { t.giveBack(ahead) }()
	var entries []os.FileInfo
	var total int64
	for window := 2; ; window = min(2*window, piecesAhead) {
		for len(pieces) < window {
			if len(pieces) > 0 {
				if !t.another() {
					break
				}
				ahead++
			}
			piece, err := t.ask(fxpReaddir, handle, true)
			if err != nil {
				return nil, err
			}
			pieces = append(pieces, piece)
		}
		a, err := awaited(ctx, pieces[0])
		if err != nil {
			return nil, err
		}
		if pieces = pieces[1:]; ahead > 0 {
			ahead--
			t.giveBack(1)
		}
		switch a.kind {
		case fxpName:
			if total += int64(len(a.body)); total > listingLimit {
				return nil, t.distrust(fmt.Errorf("%w: one directory lists more than %d MiB", errBadListing, listingLimit>>20))
			}
			if entries, err = appendNames(entries, a.body); err != nil {
				return nil, t.distrust(err)
			}
		case fxpStatus:
			switch err := listStatus(a.body); {
			case err == nil:
				return nil, t.distrust(errMereOK)
			case err != io.EOF:
				return nil, err
			}
			return entries, nil // what was asked for ahead tells the same
		default:
			return nil, t.distrust(errNoAnswer)
		}
	}
}

// distrust ends the session for what the host did.
func (t *sftpTap) distrust(err error) error {
	t.bad(err)
	return err
}

// listStatus is the error that a status says, as the library and [plainError] would give it: draft-ietf-secsh-filexfer-02, section 7.
func listStatus(b []byte) error {
	if len(b) < 4 {
		return errNoAnswer
	}
	code := binary.BigEndian.Uint32(b)
	switch code {
	case 0:
		return nil
	case 1:
		return io.EOF
	}
	said, _, _ := wireString(b[4:])
	named := strings.TrimPrefix((&sftp.StatusError{Code: code}).Error(), "sftp: ")
	return plainStatus(code, Safe(strings.Replace(named, `""`, strconv.Quote(said), 1)))
}

// appendNames reads the names of a piece of a directory.
func appendNames(entries []os.FileInfo, b []byte) ([]os.FileInfo, error) {
	count, b, ok := wireUint32(b)
	for ; ok && count > 0; count-- {
		e := &dirInfo{}
		if e.name, b, ok = wireString(b); !ok {
			break
		}
		if !oneName(e.name) {
			return nil, fmt.Errorf("%w: it holds the name %.100q", errBadListing, e.name)
		}
		if n := longName(b); n < 0 {
			ok = false
		} else if b, ok = readAttrs(b[n:], &e.stat); ok && e.name != "." && e.name != ".." {
			entries = append(entries, e)
		}
	}
	if !ok {
		return nil, fmt.Errorf("%w: it is cut short", errBadListing)
	}
	return entries, nil
}

// longName is how many bytes a text takes; less than none where there are not so many.
func longName(b []byte) int {
	n, rest, ok := wireUint32(b)
	if !ok || uint64(n) > uint64(len(rest)) {
		return -1
	}
	return 4 + int(n)
}

func wireUint32(b []byte) (n uint32, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(b), b[4:], true
}

// readAttrs reads a file's attributes: draft-ietf-secsh-filexfer-02, section 5.
func readAttrs(b []byte, st *sftp.FileStat) (rest []byte, ok bool) {
	if rest, ok = skipAttrs(b); !ok {
		return nil, false
	}
	flags := binary.BigEndian.Uint32(b)
	b = b[4:]
	next := func() (n uint32) {
		n, b, _ = wireUint32(b)
		return n
	}
	if flags&1 != 0 {
		st.Size = uint64(next())<<32 | uint64(next())
	}
	if flags&2 != 0 {
		st.UID, st.GID = next(), next()
	}
	if flags&4 != 0 {
		st.Mode = next()
	}
	if flags&8 != 0 {
		st.Atime, st.Mtime = next(), next()
	}
	return rest, true
}

// dirInfo is what a directory tells of a file.
type dirInfo struct {
	name string
	stat sftp.FileStat
}

func (i *dirInfo) Name() string       { return i.name }
func (i *dirInfo) Size() int64        { return int64(i.stat.Size) }
func (i *dirInfo) Mode() fs.FileMode  { return i.stat.FileMode() }
func (i *dirInfo) ModTime() time.Time { return i.stat.ModTime() }
func (i *dirInfo) IsDir() bool        { return i.Mode().IsDir() }
func (i *dirInfo) Sys() any           { return &i.stat }
