package dovecot

import (
	"io"

	"github.com/klauspost/compress/zstd"
)

// zstdWindow is the longest window that is read: what level 22 writes, and libzstd's own limit, as in Dovecot.
const zstdWindow = 128 << 20

// zstdReader gives what was decoded before an error, which the library keeps back until it is asked once more: a block
// whose checksum is wrong.
type zstdReader struct {
	d   *zstd.Decoder
	err error
}

func newZstdReader(r io.Reader) (io.Reader, error) {
	// A type of its own keeps the library from decoding short input in memory at once, all or nothing.
	d, err := zstd.NewReader(struct{ io.Reader }{r}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, err
	}
	return &zstdReader{d: d}, nil
}

func (z *zstdReader) Read(b []byte) (int, error) {
	n, err := z.d.Read(b)
	if z.err == nil {
		if z.err = err; err == nil || err == io.EOF || n > 0 {
			return n, err
		}
		n, _ = z.d.Read(b)
	}
	if n > 0 {
		return n, nil
	}
	z.d.Close()
	return 0, z.err
}
