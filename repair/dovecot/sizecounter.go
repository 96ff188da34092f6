package dovecot

// SizeCounter counts a text while it is written to it: with [io.TeeReader] that is, while it is read. The zero value is
// ready.
type SizeCounter struct {
	Bytes   int64 // as they are
	Virtual int64 // with each line ended by CR and LF: what IMAP calls the size, V of dbox metadata, W= of Maildir names
	last    byte
}

// Write counts b. It never fails.
func (c *SizeCounter) Write(b []byte) (int, error) {
	c.Bytes += int64(len(b))
	c.Virtual += int64(len(b))
	for _, ch := range b {
		if ch == '\n' && c.last != '\r' {
			c.Virtual++
		}
		c.last = ch
	}
	return len(b), nil
}
