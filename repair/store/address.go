package store

import (
	"path"
	"strings"
)

// storeNames are last path elements that name the store and not the user: …/DOMAIN/USER/Maildir.
var storeNames = map[string]bool{
	"maildir": true, ".maildir": true, "mail": true, ".mail": true, "mails": true,
	"mdbox": true, "sdbox": true, "dbox": true, ".mdbox": true, ".sdbox": true, "dovecot": true,
}

// addressOf tells the address from a path that ends in DOMAIN/USER (or in user@domain), "" where it does not.
func addressOf(p HostPath) string {
	parts := strings.Split(strings.Trim(string(p), "/"), "/")
	for len(parts) > 0 && storeNames[strings.ToLower(parts[len(parts)-1])] {
		parts = parts[:len(parts)-1]
	}
	if len(parts) == 0 {
		return ""
	}
	user := parts[len(parts)-1]
	if local, domain, ok := strings.Cut(user, "@"); ok {
		if isLocalPart(local) && isDomain(domain) {
			return user
		}
		return ""
	}
	if len(parts) < 2 {
		return ""
	}
	if domain := parts[len(parts)-2]; isLocalPart(user) && isDomain(domain) {
		return user + "@" + domain
	}
	return ""
}

// isLocalPart is stricter than RFC 5321: what providers use as directory names, and nothing that is hidden.
func isLocalPart(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isAlnum(c) && !strings.ContainsRune(".-_+=~#", rune(c)) {
			return false
		}
	}
	return true
}

// fileEndings are last labels that in a home directory mean a file or a folder of some program, not a domain.
var fileEndings = map[string]bool{
	"bak": true, "old": true, "orig": true, "save": true, "tar": true, "gz": true, "zip": true, "log": true, "txt": true,
	"html": true, "php": true, "js": true, "css": true, "conf": true, "git": true, "tmp": true, "mbox": true, "dist-info": true,
}

// isDomain reports whether s looks like a domain name: labels of letters, digits and hyphens, the last not a number.
func isDomain(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 || len(s) > 253 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := 0; i < len(l); i++ {
			if c := l[i]; !isAlnum(c) && c != '-' && c < 0x80 {
				return false
			}
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	return len(last) >= 2 && strings.Trim(last, "0123456789") != "" && !fileEndings[last]
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// looksLikeMail reports whether a directory of this name is likely to lead to mail.
func looksLikeMail(name string) bool {
	l := strings.ToLower(name)
	for _, word := range []string{"mail", "dbox", "imap", "dovecot"} {
		if strings.Contains(l, word) {
			return true
		}
	}
	return isDomain(name) || strings.Contains(name, "@")
}

// onMailPath reports whether any component of p looks like mail.
func onMailPath(p string) bool {
	for p != "." && p != "/" && p != "" {
		if looksLikeMail(path.Base(p)) {
			return true
		}
		p = path.Dir(p)
	}
	return false
}
