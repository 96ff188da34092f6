package restore

import (
	"bytes"
	"crypto/sha256"
	"io"
)

// Normal gives a text as IMAP can hold it: a line feed without a carriage return before it gets one, and NUL, which a literal
// may not hold, becomes 0x80, as Dovecot sends it. Its hash is the one that [probe.Digest] gives.
type Normal struct {
	in   io.Reader
	last byte
	out  []byte
	raw  [16 << 10]byte
	buf  [32 << 10]byte
	err  error

	BareLF, NUL int64 // how many were changed so far
}

// NewNormal reads from r.
func NewNormal(r io.Reader) *Normal { return &Normal{in: r} }

// Read gives the next bytes.
func (x *Normal) Read(p []byte) (int, error) {
	for len(x.out) == 0 {
		if x.err != nil {
			return 0, x.err
		}
		n, err := x.in.Read(x.raw[:])
		x.err = err
		x.out = x.take(x.raw[:n])
	}
	n := copy(p, x.out)
	x.out = x.out[n:]
	return n, nil
}

// take changes a piece.
func (x *Normal) take(raw []byte) []byte {
	out := x.buf[:0]
	for len(raw) > 0 {
		i := bytes.IndexAny(raw, "\n\x00")
		if i < 0 {
			out = append(out, raw...)
			x.last = raw[len(raw)-1]
			break
		}
		out = append(out, raw[:i]...)
		if i > 0 {
			x.last = raw[i-1]
		}
		switch raw[i] {
		case 0:
			x.NUL++
			out = append(out, 0x80)
		default:
			if x.last != '\r' {
				x.BareLF++
				out = append(out, '\r')
			}
			out = append(out, '\n')
		}
		x.last = raw[i]
		raw = raw[i+1:]
	}
	return out
}

// keptHead is how much of a text is looked at for its header, in bytes.
const keptHead = 64 << 10

// digest is what reading a text once has shown.
type digest struct {
	sum         [sha256.Size]byte
	size        int64
	head        []byte // the text's beginning
	bareLF, nul int64
}

// digestOf reads a text to its end.
func digestOf(r io.Reader) (digest, error) {
	x := NewNormal(r)
	h := sha256.New()
	var d digest
	buf := make([]byte, 32<<10)
	for {
		n, err := x.Read(buf)
		d.size += int64(n)
		h.Write(buf[:n])
		if room := keptHead - len(d.head); room > 0 {
			d.head = append(d.head, buf[:min(room, n)]...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return d, err
		}
	}
	h.Sum(d.sum[:0])
	d.bareLF, d.nul = x.BareLF, x.NUL
	return d, nil
}
