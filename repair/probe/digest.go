package probe

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// Digest hashes a stored message as IMAP's BODY[] would send it, so that it can be compared with [Message].BodySHA256:
// a line feed without a carriage return before it gets one, and NUL becomes 0x80, as Dovecot does it. size is the
// length after that.
func Digest(r io.Reader) (sum string, size int64, err error) {
	h := sha256.New()
	w := bufio.NewWriter(h)
	in := bufio.NewReaderSize(r, 32<<10)
	var last byte
	for {
		c, err := in.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", 0, err
		}
		if c == '\n' && last != '\r' {
			w.WriteByte('\r')
			size++
		}
		last = c
		if c == 0 {
			c = 0x80
		}
		w.WriteByte(c)
		size++
	}
	if err := w.Flush(); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}
