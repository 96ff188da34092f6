package dovecot

import "bytes"

// SizeCounter counts a text while it is written to it: with [io.TeeReader] that is, while it is read. The zero value is
// ready.
type SizeCounter struct {
	Bytes   int64 // as they are
	Virtual int64 // with each line ended by CR and LF: what IMAP calls the size, V of dbox metadata, W= of Maildir names
	last    byte
}

// Write counts b. It never fails.
func (c *SizeCounter) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.Bytes += int64(len(b))
	c.Virtual += int64(len(b) + bytes.Count(b, []byte{'\n'}))
	if bytes.IndexByte(b, '\r') >= 0 { // rare in what Dovecot stores
		c.Virtual -= int64(bytes.Count(b, []byte("\r\n")))
	}
	if c.last == '\r' && b[0] == '\n' {
		c.Virtual--
	}
	c.last = b[len(b)-1]
	return len(b), nil
}
