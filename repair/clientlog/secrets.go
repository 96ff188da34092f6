package clientlog

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSecrets bounds how many secrets are remembered to be blanked elsewhere.
const maxSecrets = 32

const argument = `("(?:[^"\\]|\\.)*"|\S+)`

var (
	// With a tag in any case, without one (imapfilter -v) in capitals: people write of logins too.
	loginLine = regexp.MustCompile(`(?:^|[\s>:(])(?:(?:TAG|A|[a-z])?\d{1,6} (?i:LOGIN)|LOGIN) ` + argument + ` ` + argument)
	authLine  = regexp.MustCompile(`(?i)(?:^|[\s>:(])(?:TAG|A|[a-z])?\d{1,6} AUTHENTICATE \S+(?: (\S+))?`)
	// What is called a password is none of ours to show, whatever stands around it.
	named = regexp.MustCompile(`(?i)\b(pass(?:word|wd|wort)?|secret|token|authorization)(["']?\s*[:=]\s*["']?)([^\s"',;&)]+)`)
)

// login reports whether a line holds a login, and remembers its secret.
func (s *scanner) login(line string) bool {
	if m := loginLine.FindStringSubmatch(line); m != nil && !strings.Contains(line, "rip=") {
		s.log.Logins++
		s.remember(unquote(m[2]))
		return true
	}
	if m := authLine.FindStringSubmatch(line); m != nil {
		s.log.Logins++
		s.remember(m[1])
		if b, err := base64.StdEncoding.DecodeString(m[1]); err == nil {
			parts := strings.Split(string(b), "\x00")
			s.remember(parts[len(parts)-1])
		}
		return true
	}
	return false
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' {
		return s
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s[1 : len(s)-1])
}

func (s *scanner) remember(secret string) {
	if len(secret) < 4 || strings.Trim(secret, "*.x") == "" || slices.Contains(s.secrets, secret) || len(s.secrets) >= maxSecrets {
		return
	}
	s.secrets = append(s.secrets, secret)
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) })
}

// clean makes a text printable and short, without any secret that is known.
func (s *scanner) clean(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	text = named.ReplaceAllString(text, "$1$2[secret]")
	var b strings.Builder
	for i := 0; i < len(text); {
		if b.Len() >= maxText {
			b.WriteString("…")
			break
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r) && r != '\uFEFF':
			b.WriteString(text[i : i+n])
		case r == '\t':
			b.WriteByte(' ')
		default:
			q := fmt.Sprintf("%+q", r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}
