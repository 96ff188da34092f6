package remote

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// safeLimit is the length in bytes at which [Safe] cuts a text.
const safeLimit = 4096

// Safe makes text from the host fit to print: control characters (also newline and tab), what turns the direction of
// writing or is invisible, and bytes that are not UTF-8 are escaped as Go writes them (\n, \u202e, \xff), and the
// result is at most about 4 KiB long. What is printable already comes back as it is.
func Safe(s string) string {
	return safeText(s, safeLimit, false)
}

// safeLines is Safe for a text of several lines: newlines stay, each line is made safe.
func safeLines(s string) string {
	return safeText(s, safeLimit, true)
}

func safeText(s string, limit int, lines bool) string {
	if len(s) <= limit && isSafe(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if b.Len() >= limit {
			fmt.Fprintf(&b, "… (%d bytes more)", len(s)-i)
			break
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case lines && r == '\n':
			b.WriteByte('\n')
		case lines && r == '\r' && i+1 < len(s) && s[i+1] == '\n':
		case printable(r):
			b.WriteString(s[i : i+n])
		default:
			q := fmt.Sprintf("%+q", r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}

func isSafe(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !printable(r) {
			return false
		}
	}
	return true
}

// printable says whether a terminal shows r as itself, in its place. Go's notion excludes control and format
// characters (category Cf holds the bidirectional ones and the zero-width joiners) and all spaces but U+0020.
func printable(r rune) bool {
	return unicode.IsPrint(r) && r != '\uFEFF'
}
