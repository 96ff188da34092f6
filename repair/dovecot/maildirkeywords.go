package dovecot

import (
	"strconv"
	"strings"
)

// MaildirKeywords are the names of the keyword letters 'a' to 'z' in Maildir file names, "" where a letter has none.
type MaildirKeywords [26]string

// Names are the names of a set of letters ([MaildirName].Keywords). A letter without a name is called "unknown-<n>", as
// Dovecot does.
func (k *MaildirKeywords) Names(set uint32) []string {
	var out []string
	for i, name := range k {
		if set&(1<<i) != 0 {
			if name == "" {
				name = "unknown-" + strconv.Itoa(i)
			}
			out = append(out, name)
		}
	}
	return out
}

// ParseMaildirKeywords reads a dovecot-keywords file: lines "<number> <name>".
func ParseMaildirKeywords(b []byte) (*MaildirKeywords, []Fault) {
	k, fs := &MaildirKeywords{}, &faults{}
	seen := map[string]bool{}
	at, rest := 0, string(b)
	for rest != "" {
		line, more, ended := strings.Cut(rest, "\n")
		digits, name, _ := strings.Cut(line, " ")
		n, err := strconv.ParseUint(digits, 10, 32)
		switch {
		case err != nil || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
			fs.add(at, "keywords-line", "the line is not a number and a name")
		case n >= 26:
			fs.add(at, "keywords-number", "keyword number %d is above 25", n)
		case k[n] != "":
			fs.add(at, "keywords-duplicate", "keyword number %d appears twice", n)
		case seen[strings.ToLower(name)]:
			fs.add(at, "keywords-duplicate", "keyword %q appears twice", name)
		default:
			k[n] = name
			seen[strings.ToLower(name)] = true
			if !ended {
				fs.add(at, "keywords-cut", "the last line does not end")
			}
		}
		at += len(rest) - len(more)
		rest = more
	}
	return k, fs.all()
}
