package dovecot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzDict is the largest dictionary that memory is taken for. Dovecot has the same limit (LZMA_MEMORY_LIMIT); xz -9 uses 64 MiB.
const xzDict = 80 << 20

// xzReader decodes the .xz container, https://tukaani.org/xz/xz-file-format.txt, around the LZMA2 decoder of a library.
// The library has a reader for the container too, but takes as much memory as a number in it says.
type xzReader struct {
	r      *bufio.Reader
	pos    int64 // bytes consumed
	stream bool  // a stream's header was read
	check  byte  // of the stream
	block  io.Reader
	start  int64 // of the block's data
	sum    hash.Hash
	blocks uint64
	out    int64 // bytes of text given
	dicts  int64 // bytes of all dictionaries so far
}

func (x *xzReader) Read(b []byte) (int, error) {
	for {
		if x.block != nil {
			n, err := x.block.Read(b)
			x.out += int64(n)
			if x.sum != nil {
				x.sum.Write(b[:n])
			}
			if err == io.EOF {
				if err = x.endBlock(); err == nil && n == 0 {
					continue
				}
			}
			return n, err
		}
		var err error
		if !x.stream {
			err = x.openStream()
		} else {
			err = x.openBlock()
		}
		if err != nil {
			return 0, err
		}
	}
}

// byteSource is what the LZMA2 decoder reads from: it must not read ahead of the block.
type byteSource struct{ x *xzReader }

func (s byteSource) Read(b []byte) (int, error) {
	n, err := s.x.r.Read(b)
	s.x.pos += int64(n)
	return n, err
}

// take reads n bytes.
func (x *xzReader) take(n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := io.ReadFull(x.r, b)
	x.pos += int64(got)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b[:got], err
}

var errXZ = errors.New("not an xz stream")

// openStream reads a stream header, or finds the end. Streams may follow one another, with NUL bytes in between.
func (x *xzReader) openStream() error {
	for x.pos > 0 {
		b, err := x.r.Peek(1)
		if err != nil {
			return err
		}
		if b[0] != 0 {
			break
		}
		if _, err = x.take(4); err != nil {
			return err
		}
	}
	b, err := x.take(12)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(b, []byte("\xfd7zXZ\x00\x00")) || binary.LittleEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[6:8]) {
		return errXZ
	}
	x.stream, x.check, x.blocks = true, b[7], 0
	return nil
}

// openBlock reads a block's header, or the index behind the last block.
func (x *xzReader) openBlock() error {
	first, err := x.take(1)
	if err != nil {
		return err
	}
	if first[0] == 0 {
		return x.endStream()
	}
	rest, err := x.take(int(first[0])*4 + 3)
	if err != nil {
		return err
	}
	h := append(first, rest...)
	end := len(h) - 4
	if binary.LittleEndian.Uint32(h[end:]) != crc32.ChecksumIEEE(h[:end]) {
		return errors.New("a block's header is damaged")
	}
	dict, err := xzFilter(h[1:end])
	if err != nil {
		return err
	}
	dict = max(lzma.MinDictCap, min(dict, xzDict))
	if x.dicts += dict; x.dicts > 2*xzDict+x.out { // xz -T makes blocks longer than their dictionary
		return errors.New("more dictionaries than text")
	}
	x.start = x.pos
	if x.block, err = (lzma.Reader2Config{DictCap: int(dict)}).NewReader2(byteSource{x}); err != nil {
		return err
	}
	x.blocks++
	x.sum = nil
	switch x.check {
	case 1:
		x.sum = crc32.NewIEEE()
	case 4:
		x.sum = crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		x.sum = sha256.New()
	}
	return nil
}

// xzFilter reads block flags, sizes and filters, of which LZMA2 must be the only one, and gives its dictionary's size.
func xzFilter(h []byte) (dict int64, err error) {
	flags, at := h[0], 1
	number := func() uint64 {
		n, k := binary.Uvarint(h[min(at, len(h)):])
		if k <= 0 {
			err = errXZ
		}
		at += max(k, 0)
		return n
	}
	for range flags>>7&1 + flags>>6&1 {
		number()
	}
	id, size := number(), number()
	if err != nil || size != 1 || at >= len(h) {
		return 0, errXZ
	}
	if flags&3 != 0 || id != 0x21 {
		return 0, fmt.Errorf("xz filter 0x%x is not supported", id)
	}
	return lzma.DecodeDictCap(h[at])
}

// endBlock reads padding and checksum behind a block.
func (x *xzReader) endBlock() error {
	x.block = nil
	size := [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[x.check&15]
	pad := int(-(x.pos - x.start) & 3)
	b, err := x.take(pad + size)
	if err != nil {
		return err
	}
	if x.sum == nil {
		return nil
	}
	want := x.sum.Sum(nil)
	if x.check != 10 { // the others are written little end first
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	if !bytes.Equal(b[pad:], want) {
		return errors.New("a block's checksum is wrong")
	}
	return nil
}

// endStream reads the index, whose first byte was read, and the footer. All text came before: what is wrong here is only
// told.
func (x *xzReader) endStream() error {
	start := x.pos - 1
	n, err := binary.ReadUvarint(x)
	if err != nil {
		return unexpected(err)
	}
	if n != x.blocks {
		return fmt.Errorf("%d blocks where the index has %d", x.blocks, n)
	}
	for range 2 * n {
		if _, err := binary.ReadUvarint(x); err != nil {
			return unexpected(err)
		}
	}
	if _, err = x.take(int(-(x.pos-start)&3) + 4); err != nil {
		return err
	}
	foot, err := x.take(12)
	if err != nil {
		return err
	}
	if string(foot[10:]) != "YZ" {
		return errors.New("the footer is damaged")
	}
	x.stream = false
	return nil
}

// ReadByte is for binary.ReadUvarint.
func (x *xzReader) ReadByte() (byte, error) {
	b, err := x.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
