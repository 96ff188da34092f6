package imap

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

var modifiedBase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// encodeName writes a mailbox's name in modified UTF-7 (RFC 3501, 5.1.3), for commands that the library does not send.
func encodeName(name string) string {
	var b strings.Builder
	var other []rune
	flush := func() {
		if len(other) == 0 {
			return
		}
		var raw []byte
		for _, u := range utf16.Encode(other) {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteString("&" + modifiedBase64.EncodeToString(raw) + "-")
		other = other[:0]
	}
	for _, r := range name {
		if r < ' ' || r > '~' {
			other = append(other, r)
			continue
		}
		flush()
		if b.WriteRune(r); r == '&' {
			b.WriteByte('-')
		}
	}
	flush()
	return b.String()
}
