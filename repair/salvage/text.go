package salvage

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"dovemend/repair/dovecot"
)

// text is what reading a message's text has shown.
type text struct {
	size    dovecot.SizeCounter
	sum     [sha256.Size]byte
	openEnd bool     // the last line has no line end
	missing []string // from within
	problem error    // why it ends before its end
}

// copyText copies a message's text as far as it can be read. An error is one of out's, or the context's.
func copyText(ctx context.Context, m *Message, out io.Writer, buf []byte) (t text, err error) {
	hash := sha256.New()
	last := byte('\n')
	defer func() { t.sum, t.openEnd = [sha256.Size]byte(hash.Sum(nil)), last != '\n' }()
	if m.Open == nil {
		t.problem = fmt.Errorf("there is nothing to read")
		return t, nil
	}
	r, err := m.Open()
	if err != nil {
		t.problem = err
		return t, ctx.Err()
	}
	defer r.Close()
	if noted, ok := r.(Noted); ok {
		defer func() { t.missing = noted.Missing() }()
	}
	idle := 0
	for {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		n, err := r.Read(buf)
		if n > 0 {
			t.size.Write(buf[:n])
			hash.Write(buf[:n])
			last = buf[n-1]
			if _, err := out.Write(buf[:n]); err != nil {
				return t, err
			}
		}
		if idle++; n > 0 {
			idle = 0
		} else if err == nil && idle > 100 {
			err = io.ErrNoProgress
		}
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			t.problem = err
			return t, ctx.Err()
		}
	}
}
