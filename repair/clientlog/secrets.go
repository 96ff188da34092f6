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

// secrets are those that a log's logins hold, longest first.
type secrets []string

// login reports whether a line holds a login, and remembers its secret.
func (s *scanner) login(line string) bool {
	if !s.secrets.login(line) {
		return false
	}
	s.log.Logins++
	return true
}

func (s *secrets) login(line string) bool {
	if m := loginLine.FindStringSubmatch(line); m != nil && !strings.Contains(line, "rip=") {
		s.argument(m[2])
		return true
	}
	if m := authLine.FindStringSubmatch(line); m != nil {
		s.response(m[1])
		return true
	}
	return false
}

// argument remembers an argument of LOGIN, as it stands and unquoted.
func (s *secrets) argument(arg string) {
	s.remember(unquote(arg))
	s.remember(strings.Trim(arg, `"`))
}

// response remembers a response of AUTHENTICATE, and the password or token in it.
func (s *secrets) response(b64 string) {
	s.remember(b64)
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		return
	}
	parts := strings.FieldsFunc(string(b), func(c rune) bool { return c < ' ' })
	if len(parts) > 0 {
		last := parts[len(parts)-1]
		s.remember(last)
		if i := strings.LastIndexByte(last, ' '); i >= 0 { // "auth=Bearer TOKEN"
			s.remember(last[i+1:])
		}
	}
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' {
		return s
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s[1 : len(s)-1])
}

func (s *secrets) remember(secret string) {
	if len(secret) < 4 || strings.Trim(secret, "*.x") == "" || slices.Contains(*s, secret) || len(*s) >= maxSecrets {
		return
	}
	*s = append(*s, secret)
	slices.SortFunc(*s, func(a, b string) int { return len(b) - len(a) })
}

// blank takes all secrets that are known out of a text, and what it calls a secret itself.
func (s secrets) blank(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	return named.ReplaceAllString(text, "$1$2[secret]")
}

// clean makes a text printable and short, without any secret that is known.
func (s *scanner) clean(text string) string {
	text = s.secrets.blank(text)
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
