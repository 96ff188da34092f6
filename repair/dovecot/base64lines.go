package dovecot

import (
	"encoding/base64"
	"io"
)

// base64Lines encodes what it reads, as istream-base64-encoder.c does: lines of a length, and no line end behind the last.
type base64Lines struct {
	r    io.Reader
	line int
	end  string

	column int
	out    []byte
	err    error
	raw    [3 << 10]byte
	chars  [4 << 10]byte
	buf    []byte
}

func (e *base64Lines) Read(b []byte) (int, error) {
	for len(e.out) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		n, err := io.ReadFull(e.r, e.raw[:])
		if e.err = err; err == io.ErrUnexpectedEOF {
			e.err = io.EOF
		}
		base64.StdEncoding.Encode(e.chars[:], e.raw[:n])
		e.out = e.breakLines(e.chars[:base64.StdEncoding.EncodedLen(n)])
	}
	n := copy(b, e.out)
	e.out = e.out[n:]
	return n, nil
}

func (e *base64Lines) breakLines(chars []byte) []byte {
	out := e.buf[:0]
	for len(chars) > 0 {
		if e.column == e.line {
			out = append(out, e.end...)
			e.column = 0
		}
		n := min(len(chars), e.line-e.column)
		out = append(out, chars[:n]...)
		chars = chars[n:]
		e.column += n
	}
	e.buf = out
	return out
}
