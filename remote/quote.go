package remote

import "strings"

// quote makes s one word of a POSIX shell script, whatever bytes it holds. It is the only quoting function: each
// string that came from the host or the user and goes into a script passes through it. A NUL cannot be carried by any
// shell; scripts that hold one are refused by [Host.run].
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// wordLimit is the longest word put on a command line. Classic csh refuses words past 1,024 bytes.
const wordLimit = 900

// portableWords cuts a script into words which sh, csh, tcsh and fish all read alike inside single quotes, and which
// printf %b puts together again. Backslash, quote, "!" (csh's history), newline, control and non-ASCII bytes become
// \0ooo: a backslash before a digit is literal in all these shells.
func portableWords(script string) []string {
	const octal = "01234567"
	var words []string
	var b strings.Builder
	for i := 0; i < len(script); i++ {
		c := script[i]
		if b.Len() > wordLimit-8 {
			words = append(words, "'"+b.String()+"'")
			b.Reset()
		}
		if c < ' ' || c >= 0x7f || c == '\\' || c == '\'' || c == '!' {
			b.WriteByte('\\')
			b.WriteByte('0')
			b.WriteByte(octal[c>>6])
			b.WriteByte(octal[c>>3&7])
			b.WriteByte(octal[c&7])
			continue
		}
		b.WriteByte(c)
	}
	return append(words, "'"+b.String()+"'")
}
