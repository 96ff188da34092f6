package check

import (
	"fmt"
	"io"
	"io/fs"
)

// maxMessageFindings bounds how many damaged messages are named one by one; the rest is counted.
const maxMessageFindings = 50

const (
	panics  = "Dovecot's imap process dies when a mail program asks for this message: the connection ends without a word, and everything asked for with it fails"
	cutOff  = "Dovecot cannot read this message to its end: the mail program is cut off, or shows the message without its end"
	advised = "the message's bytes are in the copy as far as they can be read; clearing the folder makes the rest work again, and the copy keeps all of it"
)

// readerAt is what files of a copy on a local disk are; a test's may not be, and are read whole.
func readerAt(f fs.File, size int64) (io.ReaderAt, error) {
	if at, ok := f.(io.ReaderAt); ok {
		return at, nil
	}
	b, err := io.ReadAll(io.LimitReader(f, size))
	if err != nil {
		return nil, err
	}
	return memory(b), nil
}

type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// rest counts the damaged messages that are not named.
func (x *examiner) rest(more int) {
	if more > 0 {
		x.find(Finding{Severity: Broken, Rule: "more-messages", File: x.box.Dir, Offset: -1, Cure: CureClear,
			Text: fmt.Sprintf("%d more messages are damaged in the same ways", more), Effect: panics, Advice: advised})
	}
}
