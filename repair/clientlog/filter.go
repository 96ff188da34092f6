package clientlog

import (
	"encoding/base64"
	"regexp"
	"strings"
)

const (
	loginLines   = 8  // within which a login that was begun goes on
	minContinued = 8  // characters of a line of base64 alone that is taken for a login's, wherever it stands
	minBase64    = 4  // the same within a login
	longBase64   = 16 // from so many on, it needs no digit or sign to be taken for base64
)

var (
	// The same as loginLine, with the tags that no Dovecot's client but others use, in quotes too.
	anyLogin = regexp.MustCompile(`(?:^|[^\w.\-])(?:(?:[A-Za-z]{0,8}[\d.]{1,9}|[a-z]) (?i:LOGIN)|LOGIN)\s+` + argument + `(?:\s+(.+))?$`)
	// What is no login: Dovecot's own line about one.
	loginLog = regexp.MustCompile(`\b(?:imap|pop3|submission|managesieve)-login: |, rip=`)
	// With or without a tag; of SMTP and POP3 too. Without a tag, what is behind it has to look like a response.
	anyAuth = regexp.MustCompile(`(?:^|[^\w.\-=])(?:(?:[A-Za-z]{0,8}[\d.]{1,9}|[a-z]) (?i:AUTHENTICATE)|AUTHENTICATE|AUTH) (?i:([A-Z][A-Z0-9_-]*))(?:\s+(\S+?)(?:\\r\\n)?["']?)?\s*$`)
	anyPass = regexp.MustCompile(`(?:^|[>:\]] ?)PASS (\S.*?)\s*$`)
	literal = regexp.MustCompile(`\{\d{1,9}\+?\}["']?\s*$`)
	// What a login ends with.
	loginEnd = regexp.MustCompile(`(?:^|[\s<>:])(?:[\w.]{1,20}|\*) (?:OK|NO|BAD|BYE)\b`)
	// The last word of a line that has nothing before it but what programs put before each line, or the server's "+".
	continued = regexp.MustCompile(`^(?:.*[:>\])]|[CS+<])?\s*(?:\+ ?)?([A-Za-z0-9+/]+={0,2})$`)
	userinfo  = regexp.MustCompile(`(://[^\s/:@]*:)([^\s/@]+)@`)
)

// Filter takes logins out of lines of mail programs' logs that are shown otherwise as they are. Lines are given to it in their order.
type Filter struct {
	secrets secrets
	left    int  // lines within which a login goes on; 0 outside of one
	whole   bool // it goes on with lines of any form
}

// Login reports whether a line belongs to a login: such a line is not to be shown. What is secret in it is remembered, up to 32 of them.
func (f *Filter) Login(line string) bool {
	line = strings.TrimSuffix(strings.TrimSpace(line), `\r\n`)
	if m := anyAuth.FindStringSubmatch(line); m != nil && (m[2] == "" || m[2] == "=" || isBase64(m[2], minBase64)) {
		f.secrets.response(m[2])
		f.left, f.whole = loginLines, false
		return true
	}
	if f.secrets.login(line) {
		f.goOn(line)
		return true
	}
	if m := anyLogin.FindStringSubmatch(line); m != nil && (m[2] != "" || literal.MatchString(line)) && !loginLog.MatchString(line) {
		f.secrets.argument(m[2])
		f.goOn(line)
		return true
	}
	if m := anyPass.FindStringSubmatch(line); m != nil {
		f.secrets.remember(m[1])
		return true
	}
	if f.left > 0 {
		if f.left--; loginEnd.MatchString(line) && !strings.HasPrefix(line, "+") {
			f.left = 0
			return false
		}
		if f.whole {
			_, last, cut := strings.Cut(line, ": ")
			if !cut {
				last = line
			}
			f.secrets.remember(strings.TrimSpace(last))
			return true
		}
	}
	least := minContinued
	if f.left > 0 {
		least = minBase64
	}
	if m := continued.FindStringSubmatch(line); m != nil && (f.left > 0 && len(m[1]) >= least || isBase64(m[1], least)) {
		f.secrets.response(m[1])
		return true
	}
	return false
}

// goOn notes that a login's arguments come in lines of their own.
func (f *Filter) goOn(line string) {
	if literal.MatchString(line) {
		f.left, f.whole = loginLines, true
	} else {
		f.left = 0
	}
}

// Blank takes the secrets that are known so far out of a text, and what it calls one itself.
func (f *Filter) Blank(text string) string {
	return userinfo.ReplaceAllString(f.secrets.blank(text), "$1[secret]@")
}

// isBase64 tells base64 from a word, as far as that can be told.
func isBase64(s string, least int) bool {
	if len(s) < least {
		return false
	}
	if _, err := base64.StdEncoding.DecodeString(s); err != nil {
		return len(s) >= longBase64 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == ""
	}
	return len(s) >= longBase64 || strings.ContainsAny(s, "0123456789+/=") || strings.ToUpper(s[1:]) != s[1:] && strings.ToLower(s[1:]) != s[1:]
}
