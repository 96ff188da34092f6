package inspect

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"unicode/utf8"

	"dovemend/repair/dovecot"
)

// headSize is how much of a file is looked at to recognise it.
const headSize = 4096

var (
	dboxLine    = regexp.MustCompile(`^[12]( [A-Z][0-9A-Fa-f]*)* M[0-9A-Fa-f]+( [A-Z][0-9A-Fa-f]*)*\n`)
	uidlistLine = regexp.MustCompile(`^(3( [A-Z][^ \n]*)* V[0-9]+( [A-Z][^ \n]*)*|1 [0-9]+ [0-9]+)\n`)
)

// kindByContent recognises a file by its first bytes. size is that of the whole file.
func kindByContent(head []byte, size int64) Kind {
	switch {
	case looksLikeIndex(head, binary.LittleEndian), looksLikeIndex(head, binary.BigEndian):
		return KindIndex
	case looksLikeCache(head):
		return KindCache
	case looksLikeLog(head, binary.LittleEndian), looksLikeLog(head, binary.BigEndian):
		return KindLog
	case dboxLine.Match(head):
		return KindDbox
	case uidlistLine.Match(head):
		return KindUIDList
	case bytes.HasPrefix(head, []byte("V\t2\n\n")):
		return KindSubscriptions
	case looksLikeMailboxLog(head, size):
		return KindMailboxLog
	}
	return KindUnknown
}

// looksLikeIndex recognises struct mail_index_header, of this major version or a later one.
func looksLikeIndex(b []byte, order binary.ByteOrder) bool {
	if len(b) < 120 || b[0] < 7 || b[0] > 15 || b[12] > 1 {
		return false
	}
	base, all, record := order.Uint16(b[2:]), order.Uint32(b[4:]), order.Uint32(b[8:])
	return base >= 120 && base < 1024 && uint32(base) <= all && all < 32<<20 && record >= 8 && record < 32768
}

// looksLikeLog recognises struct mail_transaction_log_header.
func looksLikeLog(b []byte, order binary.ByteOrder) bool {
	if len(b) < 24 || b[0] < 1 || b[0] > 7 || b[1] > 7 {
		return false
	}
	size := order.Uint16(b[2:])
	return size >= 24 && size < 256 && size%4 == 0 && order.Uint32(b[8:]) != 0 && order.Uint32(b[8:]) < 1<<24
}

// looksLikeCache recognises struct mail_cache_header, whose second byte is the size of a file offset.
func looksLikeCache(b []byte) bool {
	return len(b) >= 32 && b[0] == 1 && b[1] == 8 && b[2] <= 7 && b[3] == 0 && binary.LittleEndian.Uint32(b[8:]) != 0
}

// looksLikeMailboxLog wants records throughout: their form alone is that of much else.
func looksLikeMailboxLog(b []byte, size int64) bool {
	if size == 0 || size%24 != 0 {
		return false
	}
	records, list := dovecot.ParseMailboxLog(b[:len(b)/24*24])
	return len(records) > 0 && len(list) == 0
}

// whatItIs says in words what a file is that is none of Dovecot's.
func whatItIs(head []byte, size int64) Word {
	switch {
	case size == 0:
		return "the file is empty"
	case len(bytes.Trim(head, "\x00")) == 0 && size > int64(len(head)):
		return "the file begins with NUL bytes"
	case len(bytes.Trim(head, "\x00")) == 0:
		return "the file holds only NUL bytes"
	case isText(head):
		return "the file is text"
	}
	return "the file has no form that dovemend knows"
}

func isText(b []byte) bool {
	if n := len(b); n == headSize { // the last character may be cut
		b = b[:n-utf8.UTFMax]
		for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
		b = b[:max(len(b)-1, 0)]
	}
	return utf8.Valid(b) && !strings.ContainsFunc(string(b), func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\f\r", r) || r == 0x7f })
}
