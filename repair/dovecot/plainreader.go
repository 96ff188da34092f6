package dovecot

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// PlainReader reads the plain text of a stored message: what Dovecot's zlib plugin compressed it decodes, once, as
// Dovecot does; anything else it passes on. It streams: no message needs more memory than the decoder's window (the
// most is zstd's, 128 MiB, and only where a message was stored so), however long its text becomes.
//
// Damaged data yields the text up to the damage and then a [*DecodeError]. How close to the damage that gets is up to
// the format: to the byte for gzip and LZ4, to the block before for zstd (128 KiB of text) and bzip2 (900 kB), to the
// chunk before for xz (64 KiB stored). A byte that was changed rather than lost often decodes to something: then only a
// checksum behind it, which LZ4 and Dovecot's zstd do not have, tells that text before the error may be wrong.
// [DboxMetadata].PhysicalSize is one more thing to hold the text against. Not for concurrent use.
type PlainReader struct {
	// Encoding is known from the start. [Encrypted] cannot be read: the first Read gives an [*EncryptedError].
	Encoding Encoding

	src   *source
	dec   io.Reader
	at    int64
	limit int64 // -1: none
	err   error
}

// ErrPlainLimit: the text is longer than [PlainReader.SetLimit] allows.
var ErrPlainLimit = errors.New("the text is longer than allowed")

// DecodeError says that compressed data could not be decoded to its end.
type DecodeError struct {
	Encoding Encoding
	Offset   int64 // bytes of plain text that came before
	Err      error // [io.ErrUnexpectedEOF] where the data ends early; else the decoder's word
}

func (e *DecodeError) Error() string {
	if errors.Is(e.Err, io.ErrUnexpectedEOF) {
		return fmt.Sprintf("decode %s: the data ends early, after %d bytes of text", e.Encoding, e.Offset)
	}
	return fmt.Sprintf("decode %s: damaged after %d bytes of text: %v", e.Encoding, e.Offset, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// NewPlainReader looks at the first bytes of r, which give a message's bytes as stored, and no more. An error of r's own
// comes out of Read as it is.
func NewPlainReader(r io.Reader) *PlainReader {
	src := &source{r: r}
	head := src.head(EncodingSize)
	p := &PlainReader{Encoding: DetectEncoding(head), src: src, limit: -1}
	if p.Encoding == Plain { // nearly all messages: no buffer for them
		p.dec = io.MultiReader(bytes.NewReader(head), src)
		return p
	}
	br := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(head), src), 16<<10)
	switch p.Encoding {
	case Gzip:
		p.dec = &lazy{open: func() (io.Reader, error) { return gzip.NewReader(br) }}
	case Bzip2:
		p.dec = bzip2.NewReader(br)
	case Zstd:
		p.dec = &lazy{open: func() (io.Reader, error) { return newZstdReader(br) }}
	case LZ4:
		p.dec = &lz4Reader{r: br}
	case XZ:
		p.dec = &xzReader{r: br}
	case Encrypted:
		head, _ := br.Peek(encryptedHead)
		p.err = parseEncrypted(head)
		if src.err != nil {
			p.err = src.err
		}
	default:
		p.dec = br
	}
	return p
}

// SetLimit makes Read fail with [ErrPlainLimit] where the text would be longer than n bytes. A few bytes of compressed
// data can stand for gigabytes of text, which need no memory here, but may fill the caller's disk.
func (p *PlainReader) SetLimit(n int64) { p.limit = n }

// Offset is how many bytes of plain text were read.
func (p *PlainReader) Offset() int64 { return p.at }

// Read gives plain text. Behind it comes io.EOF, a [*DecodeError], an [*EncryptedError], [ErrPlainLimit], or the error
// of the reader beneath.
func (p *PlainReader) Read(b []byte) (int, error) {
	if p.err != nil || len(b) == 0 {
		return 0, p.err
	}
	full := p.limit >= 0 && p.at >= p.limit
	switch {
	case full:
		b = make([]byte, 1) // is there more?
	case p.limit >= 0:
		b = b[:min(int64(len(b)), p.limit-p.at)]
	}
	n, err := 0, error(nil)
	for try := 0; n == 0 && err == nil; try++ {
		if n, err = p.guarded(b); try == 100 {
			err = io.ErrNoProgress
		}
	}
	if full && n > 0 {
		n, err = 0, ErrPlainLimit
	}
	p.at += int64(n)
	p.err = p.explain(err)
	if n > 0 {
		return n, nil
	}
	return 0, p.err
}

// guarded reads from the decoder. Those from outside this package are sound as far as fuzzing tells, but one message is
// not worth a program's end.
func (p *PlainReader) guarded(b []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("the decoder gave up: %v", v)
		}
	}()
	return p.dec.Read(b)
}

func (p *PlainReader) explain(err error) error {
	switch {
	case err == nil || p.Encoding == Plain || errors.Is(err, ErrPlainLimit):
		return err
	case p.src.err != nil:
		return p.src.err
	case err == io.EOF:
		return err
	}
	return &DecodeError{Encoding: p.Encoding, Offset: p.at, Err: err}
}

// source remembers the error of the reader beneath, which decoders may hide or take for damage.
type source struct {
	r   io.Reader
	err error
}

// head reads the first bytes; fewer where there are no more.
func (s *source) head(n int) []byte {
	b := make([]byte, 0, n)
	for try := 0; len(b) < n && try < 100; try++ {
		m, err := s.Read(b[len(b):n])
		b = b[:len(b)+m]
		if err != nil {
			break
		}
		if m > 0 {
			try = 0
		}
	}
	return b
}

func (s *source) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// lazy opens a decoder that reads its header at once.
type lazy struct {
	open func() (io.Reader, error)
	r    io.Reader
}

func (l *lazy) Read(b []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // there are bytes, but not even a header
		}
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(b)
}
