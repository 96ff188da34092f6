// Package pathtext writes host paths as text that JSON can hold and gives them back unchanged. A path on a host may hold
// any byte but NUL, JSON only Unicode: a byte that is not part of valid UTF-8 becomes U+0000 and two hexadecimal digits,
// everything else stays as it is. U+0000 cannot be in a path, so nothing is ambiguous.
package pathtext

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// ErrForm: a text holds a U+0000 without the two lower-case hexadecimal digits that must follow it.
var ErrForm = errors.New("malformed path text")

const hexDigits = "0123456789abcdef"

// Path is a host path that is text in JSON: a field of this type in place of a bare string survives.
type Path string

// MarshalText makes p text by [Encode].
func (p Path) MarshalText() ([]byte, error) { return []byte(Encode(string(p))), nil }

// UnmarshalText takes what MarshalText gave.
func (p *Path) UnmarshalText(b []byte) error {
	s, err := Decode(string(b))
	if err != nil {
		return err
	}
	*p = Path(s)
	return nil
}

// Encode gives valid UTF-8 that [Decode] turns back into s, whatever bytes s holds.
func Encode(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && n == 1 {
			b.Write([]byte{0, hexDigits[s[i]>>4], hexDigits[s[i]&15]})
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// Decode is the opposite of [Encode].
func Decode(s string) (string, error) {
	if !strings.Contains(s, "\x00") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != 0 {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", ErrForm
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", ErrForm
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

// Of makes paths of any string type ready for JSON.
func Of[S ~string](in []S) []Path {
	if in == nil {
		return nil
	}
	out := make([]Path, len(in))
	for i, s := range in {
		out[i] = Path(s)
	}
	return out
}

// To is the opposite of [Of].
func To[S ~string](in []Path) []S {
	if in == nil {
		return nil
	}
	out := make([]S, len(in))
	for i, s := range in {
		out[i] = S(s)
	}
	return out
}
