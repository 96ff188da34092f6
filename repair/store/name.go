package store

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// base64 of RFC 3501 section 5.1.3: "," in place of "/", no padding.
var modifiedBase64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding).Strict()

// DecodeName turns one component of a mailbox name from modified UTF-7 (RFC 3501, section 5.1.3) into UTF-8. What is
// not exactly as [EncodeName] would write it (UTF-8 storage names, damage) is returned as it is, so that two different
// storage names never decode to the same text by way of different encodings.
func DecodeName(s string) string {
	if d, ok := decodeName(s); ok {
		return d
	}
	return s
}

func decodeName(s string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		if c < 0x20 || c > 0x7e {
			return "", false
		}
		if c != '&' {
			out.WriteByte(c)
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", false
		}
		chunk := s[i+1 : i+end]
		i += end + 1
		if chunk == "" {
			out.WriteByte('&')
			continue
		}
		b, err := modifiedBase64.DecodeString(chunk)
		if err != nil || len(b)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(b)/2)
		for k := range units {
			units[k] = uint16(b[2*k])<<8 | uint16(b[2*k+1])
		}
		out.WriteString(string(utf16.Decode(units)))
	}
	d := out.String()
	// Not canonical: half a surrogate pair, printable ASCII written in base64, or two runs side by side.
	if EncodeName(d) != s {
		return "", false
	}
	return d, true
}

// EncodeName turns one component of a mailbox name from UTF-8 into modified UTF-7. Text that is not UTF-8 is returned
// as it is.
func EncodeName(s string) string {
	if !utf8.ValidString(s) {
		return s
	}
	var out strings.Builder
	var run []byte
	flush := func() {
		if len(run) > 0 {
			out.WriteByte('&')
			out.WriteString(modifiedBase64.EncodeToString(run))
			out.WriteByte('-')
			run = run[:0]
		}
	}
	for _, r := range s {
		switch {
		case r == '&':
			flush()
			out.WriteString("&-")
		case r >= 0x20 && r <= 0x7e:
			flush()
			out.WriteRune(r)
		default:
			for _, u := range utf16.AppendRune(nil, r) {
				run = append(run, byte(u>>8), byte(u))
			}
		}
	}
	flush()
	return out.String()
}

// decodePath decodes each component of a storage name and joins them with "/".
func decodePath(storage, separator string) string {
	parts := strings.Split(storage, separator)
	for i, p := range parts {
		parts[i] = DecodeName(p)
	}
	return strings.Join(parts, "/")
}
