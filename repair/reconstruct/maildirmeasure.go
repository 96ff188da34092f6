package reconstruct

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sync/errgroup"

	"dovemend/repair/dovecot"
)

// headSize is how much of a message's beginning is looked at.
const headSize = 64

// measure reads every message and compares its sizes with those its name promises.
func (r *maildirReader) measure(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i := range r.Messages {
		m := &r.Messages[i]
		if m.Size < 0 {
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return m.measure(ctx, r.fsys)
		})
	}
	return g.Wait()
}

func (m *Message) measure(ctx context.Context, fsys fs.FS) error {
	f, err := fsys.Open(string(m.File))
	switch {
	case errors.Is(err, fs.ErrNotExist), NotCopied(err):
		m.Body.Why = err
		return nil
	case err != nil:
		return fmt.Errorf("read the copy of %s: %w", m.File, err)
	}
	defer f.Close()
	buf := readBuffers.Get().(*[readBuffer]byte)
	defer readBuffers.Put(buf)
	n, err := io.ReadAtLeast(f, buf[:], headSize)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("read the copy of %s: %w", m.File, err)
	}
	head := buf[:min(n, headSize)]
	b := &m.Body
	if b.Encoding = dovecot.DetectEncoding(head); b.Encoding != dovecot.Plain {
		return nil // the name tells the size of what is inside
	}
	b.NoHead = m.Size > 0 && !headerLike(head)
	if b.Counted, err = virtualSize(ctx, f, buf[:], n); err != nil {
		return fmt.Errorf("read the copy of %s: %w", m.File, err)
	}
	sizeFits, virtualFits := b.Plain < 0 || b.Plain == m.Size, b.Virtual < 0 || b.Virtual == b.Counted
	b.Altered = !sizeFits || !virtualFits
	// Where one of the two sizes fits, the other one is wrong; and what has more bytes than it should has all it should.
	b.Cut = b.Altered && m.Size < b.Plain && !(b.Virtual >= 0 && virtualFits)
	return nil
}

// readBuffer is how much of a message is read at one time. Most are shorter; a buffer serves one message after the other.
const readBuffer = 64 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// virtualSize is how long a text is when each line ends in CR and LF. Its first n bytes are in buf already.
func virtualSize(ctx context.Context, r io.Reader, buf []byte, n int) (int64, error) {
	var size dovecot.SizeCounter
	_, _ = size.Write(buf[:n])
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.Read(buf)
		_, _ = size.Write(buf[:n])
		if err == io.EOF {
			return size.Virtual, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// headerLike reports whether a line may begin a mail: a name and a colon, or mbox's "From ", or at least no control characters.
func headerLike(head []byte) bool {
	for _, c := range head {
		switch {
		case c == ':' || c == '\n' || c == '\r':
			return true
		case c < ' ' && c != '\t' || c == 0x7f:
			return false
		}
	}
	return true
}
