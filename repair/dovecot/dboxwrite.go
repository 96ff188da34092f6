package dovecot

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DboxFirstMessage is where the first message begins in a dbox file: behind its first line, "2 M1e C6b042af8".
const DboxFirstMessage = 16

// AppendDboxFileHeader writes the line at the head of a dbox file, so that it has a given length; 0 stands for the usual one. It
// is an error where no such line has that length.
func AppendDboxFileHeader(dst []byte, created uint32, length int64) ([]byte, error) {
	if length == 0 {
		length = DboxFirstMessage
	}
	digits := int(length) - len("2 M1e C\n")
	if digits < 8 || digits > 64 {
		return dst, fmt.Errorf("write dbox file header: it cannot have %d bytes", length)
	}
	return fmt.Appendf(dst, "2 M%x C%0*x\n", dboxMessageHeaderSize, digits, created), nil
}

// AppendDboxMessageHeader writes struct dbox_message_header for a message of a size, in bytes as stored.
func AppendDboxMessageHeader(dst []byte, size int64) []byte {
	return fmt.Appendf(dst, "\x01\x02N          %016X\n", size)
}

// AppendDboxMetadata writes a message's metadata with the marks around them, so that they have a given length; 0 stands for
// whatever they need. A number is filled up with zeros for it, or a line is added that Dovecot no longer looks at
// (DBOX_METADATA_OLDV1_SAVE_TIME, of dbox before version 2). It is an error where they need more, or the metadata cannot be.
func AppendDboxMetadata(dst []byte, m DboxMetadata, length int64) ([]byte, error) {
	if m.GUIDText == "" {
		m.GUIDText = m.GUID.String()
	}
	for _, text := range []string{m.GUIDText, m.Mailbox, m.POP3UIDL, m.POP3Order, m.Attachments} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
			return dst, errors.New("write dbox metadata: a value holds a control character")
		}
	}
	lines := func(fill int) []byte {
		b := bytes.Clone(dboxMagicPost)
		line := func(key byte, value string) {
			if value != "" {
				b = append(append(append(b, key), value...), '\n')
			}
		}
		number := func(key byte, n int64, width int) {
			if n >= 0 {
				line(key, fmt.Sprintf("%0*x", width, n))
			}
		}
		number('Z', m.PhysicalSize, 1)
		number('R', m.Received, 1)
		number('V', m.VirtualSize, fill)
		line('P', m.POP3UIDL)
		line('O', m.POP3Order)
		line('G', m.GUIDText)
		line('B', m.Mailbox)
		line('X', m.Attachments)
		b = append(b, m.Other...)
		return append(b, '\n')
	}
	b := lines(1)
	if extra := length - int64(len(b)); length > 0 && extra != 0 {
		width := int64(len(strconv.FormatInt(max(m.VirtualSize, 0), 16))) + extra
		switch {
		case extra > 0 && m.VirtualSize >= 0 && width <= 15: // no number of more digits is read
			b = lines(int(width))
		case extra > 1:
			b = slices.Concat(b[:len(b)-1], []byte{'S'}, bytes.Repeat([]byte{'0'}, int(extra)-2), []byte("\n\n"))
		default:
			return dst, fmt.Errorf("write dbox metadata: they have %d bytes, not %d", len(b), length)
		}
	}
	return append(dst, b...), nil
}
