package inspect

import (
	"bytes"
	"unicode/utf8"
)

// A few bytes in a hostile file can name the same long text, or claim the same long value, for each of very many records.
// These bounds keep what is written in proportion to what is read. No file that Dovecot writes comes near them.
const (
	maxName       = 255  // bytes of a name that is told with each record: of an extension, a keyword, a cache field, a mailbox
	maxRecordExts = 64   // extensions whose values are told with each record
	maxRecordKeys = 1000 // keywords of one record
	maxZeroValue  = 256  // bytes of a value of a state that nothing has set, and which is zero therefore
	maxZeroHeader = 4096 // the same of an extension's header
)

// clip cuts a name that is longer than any of Dovecot's.
func clip(s string) string {
	if len(s) <= maxName {
		return s
	}
	n := maxName
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// withZeros is a value of a state with the zeros behind it that belong to it, if those are not too many.
func withZeros(v []byte, size, most int) []byte {
	switch {
	case size > most:
		return bytes.TrimRight(v, "\x00")
	case len(v) < size:
		return append(make([]byte, 0, size), v...)[:size]
	}
	return v
}
