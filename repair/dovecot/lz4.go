package dovecot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// lz4Chunk is the longest chunk that is read, stored or decoded: ISTREAM_LZ4_CHUNK_SIZE. Dovecot writes 64 KiB of text in each.
const lz4Chunk = 1 << 20

// lz4Reader decodes what Dovecot's ostream-lz4.c writes: struct iostream_lz4_header, then chunks, each a big-endian
// length and a raw LZ4 block. A damaged or cut block yields its text up to the damage, which no library offers, and most
// messages are a single block.
type lz4Reader struct {
	r      io.Reader
	limit  int    // of a chunk's text
	text   []byte // what is left of plain
	stored []byte
	plain  []byte
	err    error // behind text
	header error // what is wrong with the header; told at the end
}

func (z *lz4Reader) Read(b []byte) (int, error) {
	for len(z.text) == 0 {
		if z.err != nil {
			return 0, z.err
		}
		if z.limit == 0 {
			z.err = z.readHeader()
		} else {
			z.err = z.readChunk()
		}
	}
	n := copy(b, z.text)
	z.text = z.text[n:]
	return n, nil
}

func (z *lz4Reader) readHeader() error {
	var h [EncodingSize + 4]byte
	if _, err := io.ReadFull(z.r, h[:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	n := binary.BigEndian.Uint32(h[EncodingSize:])
	if z.limit = int(min(n, lz4Chunk)); n == 0 || n > lz4Chunk {
		z.limit = lz4Chunk
		z.header = fmt.Errorf("the header allows %d bytes in a chunk", n)
	}
	return nil
}

// readChunk decodes the next chunk to text. The buffers are used again.
func (z *lz4Reader) readChunk() error {
	var h [4]byte
	if n, err := io.ReadFull(z.r, h[:]); n == 0 && err == io.EOF {
		if z.header != nil {
			return z.header
		}
		return io.EOF
	} else if err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(h[:])
	if size == 0 || size > lz4Chunk {
		return fmt.Errorf("a chunk of %d bytes", size)
	}
	// Grown with what is there, not with what the number promises.
	stored, err := readUpTo(z.r, z.stored[:0], int(size))
	z.stored = stored
	var bad error
	z.plain, bad = appendLZ4Block(z.plain[:0], stored, z.limit)
	z.text = z.plain
	if err != nil {
		return err
	}
	return bad
}

// readUpTo appends n bytes of r to b, or fewer and an error.
func readUpTo(r io.Reader, b []byte, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, 64<<10)
		at := len(b)
		b = append(b, make([]byte, step)...)
		got, err := io.ReadFull(r, b[at:])
		if b = b[:at+got]; err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return b, err
		}
		n -= step
	}
	return b, nil
}

var errLZ4 = errors.New("not an LZ4 block")

// appendLZ4Block appends a raw LZ4 block's text to dst, at most limit bytes. Before an error it appends what the block
// tells up to there. https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
func appendLZ4Block(dst, src []byte, limit int) ([]byte, error) {
	start := len(dst)
	length := func(n int) (int, bool) { // with its further bytes
		if n < 15 {
			return n, true
		}
		for len(src) > 0 && n <= limit {
			c := src[0]
			src = src[1:]
			if n += int(c); c != 255 {
				return n, true
			}
		}
		return n, false
	}
	for len(src) > 0 {
		token := int(src[0])
		src = src[1:]
		n, ok := length(token >> 4)
		take := min(n, len(src), limit-(len(dst)-start))
		if !ok {
			return dst, errLZ4
		}
		dst = append(dst, src[:take]...)
		if src = src[take:]; take < n {
			return dst, errLZ4
		}
		if len(src) == 0 {
			return dst, nil // the last sequence has no match
		}
		if len(src) < 2 {
			return dst, errLZ4
		}
		back := int(binary.LittleEndian.Uint16(src))
		src = src[2:]
		n, ok = length(token & 15)
		if !ok || back == 0 || back > len(dst)-start {
			return dst, errLZ4
		}
		n += 4
		for take = min(n, limit-(len(dst)-start)); take > 0; {
			from := len(dst) - back // what is copied may reach into what it makes
			k := min(take, back)
			dst = append(dst, dst[from:from+k]...)
			take -= k
			n -= k
		}
		if n > 0 {
			return dst, errLZ4
		}
	}
	return dst, errLZ4 // a block ends with literals
}
