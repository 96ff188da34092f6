package dovecot

import (
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdWindow is the longest window that is read: what level 22 writes, and libzstd's own limit, as in Dovecot.
const zstdWindow = 128 << 20

// zstdDecoders are those that are not in use. Making one for each message would take most of the time: its window alone,
// of which a short message needs little, is 2 MiB with Dovecot's default level.
var zstdDecoders sync.Pool

// zstdReader gives what was decoded before an error, which the library keeps back until it is asked once more: a block
// whose checksum is wrong.
type zstdReader struct {
	d   *zstd.Decoder // nil once it was given back
	err error
}

func newZstdReader(r io.Reader) (io.Reader, error) {
	r = struct{ io.Reader }{r} // a type of its own keeps the library from decoding short input in memory at once, all or nothing
	if d, ok := zstdDecoders.Get().(*zstd.Decoder); ok && d.Reset(r) == nil {
		return &zstdReader{d: d}, nil
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return nil, err
	}
	return &zstdReader{d: d}, nil
}

func (z *zstdReader) Read(b []byte) (int, error) {
	if z.d == nil {
		return 0, z.err
	}
	n, err := z.d.Read(b)
	if z.err == nil {
		if err == nil || n > 0 && err != io.EOF {
			z.err = err
			return n, nil
		}
		if z.err = err; err != io.EOF {
			n, _ = z.d.Read(b)
		}
	}
	if n > 0 && z.err != io.EOF {
		return n, nil
	}
	if z.d.Reset(nil) == nil {
		zstdDecoders.Put(z.d)
	}
	z.d = nil
	return n, z.err
}
