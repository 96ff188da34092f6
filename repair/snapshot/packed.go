package snapshot

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"dovemend/repair/store"
)

// What an entry of a roll has.
const (
	packedSum = 1 << iota
	packedTorn
	packedProved
	packedFresh
	packedTexts // a local name, a link or an error
)

// appendEntry writes an entry, of whose path the beginning that is also that of the last one is left out.
func appendEntry(b []byte, last string, e *Entry) []byte {
	p := string(e.Path)
	same := 0
	for same < min(len(p), len(last)) && p[same] == last[same] {
		same++
	}
	b = binary.AppendUvarint(b, uint64(same))
	b = appendText(b, p[same:])
	has := flag(e.SHA256 != "", packedSum) | flag(e.Torn, packedTorn) | flag(e.proved, packedProved) | flag(e.fresh, packedFresh) |
		flag(e.Local != "" || e.Link != "" || e.Err != "", packedTexts)
	b = append(b, has)
	b = binary.AppendUvarint(b, uint64(e.Type|e.Mode))
	b = binary.AppendVarint(b, e.Size)
	b = binary.AppendVarint(b, e.MTime.Unix())
	b = binary.AppendUvarint(b, uint64(e.MTime.Nanosecond()))
	b = binary.AppendVarint(b, int64(e.UID))
	b = binary.AppendVarint(b, int64(e.GID))
	b = binary.AppendUvarint(b, e.Inode)
	if has&packedSum != 0 {
		b, _ = hex.AppendDecode(b, []byte(e.SHA256))
	}
	if has&packedTexts != 0 {
		b = appendText(appendText(appendText(b, e.Local), e.Link), e.Err)
	}
	return b
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// maxText bounds a text of an entry, in bytes: more than fits into a packet of SFTP.
const maxText = 1 << 20

// entryReader reads what appendEntry wrote.
type entryReader struct {
	r    *bufio.Reader
	last []byte
	err  error
}

func (r *entryReader) entry() (e Entry, err error) {
	same := r.uint()
	if same > uint64(len(r.last)) {
		return e, errors.New("a path continues none")
	}
	r.last = r.text(r.last[:same])
	e.Path = store.RelPath(r.last)
	has, err := r.r.ReadByte()
	if err != nil {
		return e, err
	}
	e.Torn, e.proved, e.fresh = has&packedTorn != 0, has&packedProved != 0, has&packedFresh != 0
	mode := fs.FileMode(r.uint())
	e.Type, e.Mode = mode.Type(), mode&^fs.ModeType
	e.Size = r.int()
	e.MTime = time.Unix(r.int(), int64(r.uint())).UTC()
	e.UID, e.GID = int(r.int()), int(r.int())
	e.Inode = r.uint()
	if has&packedSum != 0 {
		var sum [32]byte
		_, err := io.ReadFull(r.r, sum[:])
		r.keep(err)
		e.SHA256 = hex.EncodeToString(sum[:])
	}
	if has&packedTexts != 0 {
		e.Local, e.Link, e.Err = string(r.text(nil)), string(r.text(nil)), string(r.text(nil))
	}
	return e, r.err
}

func (r *entryReader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *entryReader) uint() uint64 {
	n, err := binary.ReadUvarint(r.r)
	r.keep(err)
	return n
}

func (r *entryReader) int() int64 {
	n, err := binary.ReadVarint(r.r)
	r.keep(err)
	return n
}

// text reads a text to the end of b.
func (r *entryReader) text(b []byte) []byte {
	n := r.uint()
	if r.err == nil && n > maxText {
		r.err = fmt.Errorf("a text of %d bytes", n)
	}
	if r.err != nil {
		return b
	}
	at := len(b)
	b = append(b, make([]byte, n)...)
	_, err := io.ReadFull(r.r, b[at:])
	r.keep(err)
	return b
}
