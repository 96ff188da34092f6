package fill

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

// utf7 is the base64 of IMAP's modified UTF-7 (RFC 3501, 5.1.3).
var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// StorageName encodes a mailbox name as IMAP and the file system have it.
func StorageName(name string) string {
	var b strings.Builder
	var wide []rune
	flush := func() {
		if len(wide) == 0 {
			return
		}
		var raw []byte
		for _, u := range utf16.Encode(wide) {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteString("&" + utf7.EncodeToString(raw) + "-")
		wide = nil
	}
	for _, r := range name {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= 0x20 && r <= 0x7e:
			flush()
			b.WriteRune(r)
		default:
			wide = append(wide, r)
		}
	}
	flush()
	return b.String()
}

// displayName decodes a storage name; one that is not well formed stays as it is.
func displayName(storage string) string {
	var b strings.Builder
	for rest := storage; rest != ""; {
		i := strings.IndexByte(rest, '&')
		if i < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		code, after, ok := strings.Cut(rest[i+1:], "-")
		raw, err := utf7.DecodeString(code)
		if !ok || err != nil || len(raw)%2 != 0 {
			return storage
		}
		if code == "" {
			b.WriteByte('&')
		}
		var units []uint16
		for j := 0; j < len(raw); j += 2 {
			units = append(units, uint16(raw[j])<<8|uint16(raw[j+1]))
		}
		b.WriteString(string(utf16.Decode(units)))
		rest = after
	}
	return b.String()
}
