package report

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// redact takes out what names people: addresses, user names, hosts and IP addresses, Message-IDs and subjects, folders of this
// computer, the names of mailboxes but the usual ones, and what quotes a file. Each thing has one placeholder throughout, so that
// the report still reads: user1@domain1, host1, folder2. Everything in a path that is not known to be harmless is replaced, not
// only what is known to name somebody.
func (r *Report) redact(local []string) {
	x := &redactor{given: map[string]string{}, count: map[string]int{}}
	x.local = local
	for i := range r.Runs {
		run := &r.Runs[i]
		if at := strings.LastIndex(run.Folder, run.ID); at > 0 && run.ID != "" {
			x.local = append(x.local, strings.TrimRight(run.Folder[:at], `/\`))
		}
	}
	slices.SortFunc(x.local, func(a, b string) int { return len(b) - len(a) })
	user, domain, isAddress := strings.Cut(r.Account.Address, "@")
	if isAddress {
		x.token("user", user)
		x.token("domain", domain)
	}
	x.token("user", r.Host.Login)
	x.token("host", hostOnly(r.Host.Name))
	x.root = strings.TrimRight(r.Account.MailRoot, "/")
	for _, m := range r.Account.Mailboxes {
		x.box(m)
	}
	for i := range r.Runs {
		for _, m := range r.Runs[i].Boxes {
			x.box(m)
		}
	}
	slices.SortFunc(x.tokens, func(a, b token) int { return len(b.text) - len(a.text) })
	eachText(r, x.one)
	eachText(r, func(_, s string) string { return x.show(s) })
}

func hostOnly(addr string) string {
	if i := strings.LastIndex(addr, ":"); i >= 0 && !strings.Contains(addr[i+1:], "]") {
		addr = addr[:i]
	}
	return strings.Trim(addr, "[]")
}

// token is a word that names somebody or something.
type token struct {
	text, kind string
	re         *regexp.Regexp
	common     bool // too short, or a word of our own sentences: not looked for within them
}

type redactor struct {
	given  map[string]string // placeholder by kind and thing
	count  map[string]int    // of placeholders by kind
	shown  []string          // placeholders, by number
	tokens []token
	root   string
	local  []string
}

// Placeholders stand as numbers between two runes of private use, which no text has, until all is replaced: so that nothing
// is replaced twice.
const opens, closes = '\ue000', '\ue001'

// place gives the placeholder for a thing: always the same one.
func (x *redactor) place(kind, thing string) string {
	key := kind + "\x00" + strings.ToLower(thing)
	if p, ok := x.given[key]; ok {
		return p
	}
	x.count[kind]++
	p := x.mark(fmt.Sprintf("%s%d", kind, x.count[kind]))
	x.given[key] = p
	return p
}

func (x *redactor) mark(text string) string {
	i := slices.Index(x.shown, text)
	if i < 0 {
		x.shown, i = append(x.shown, text), len(x.shown)
	}
	return fmt.Sprintf("%c%d%c", opens, i, closes)
}

var marked = regexp.MustCompile("\ue000([0-9]+)\ue001")

// show puts the placeholders into a text.
func (x *redactor) show(s string) string {
	return marked.ReplaceAllStringFunc(s, func(m string) string {
		i := 0
		for _, c := range m {
			if c >= '0' && c <= '9' {
				i = i*10 + int(c-'0')
			}
		}
		return x.shown[i]
	})
}

func (x *redactor) token(kind, text string) {
	if text == "" {
		return
	}
	x.place(kind, text)
	x.tokens = append(x.tokens, token{text: text, kind: kind, re: regexp.MustCompile(`(?i)` + regexp.QuoteMeta(text)),
		common: len(text) < 3 || ourWords()[strings.ToLower(text)]})
}

// box learns the levels of a mailbox's name.
func (x *redactor) box(name string) {
	for level := range strings.SplitSeq(name, "/") {
		if level != "" && !usualBox(level) {
			x.token("folder", level)
		}
	}
}

var usual = regexp.MustCompile(`(?i)^(inbox|sent|sent (items|messages|mail)|drafts?|trash|junk( e-?mail)?|spam|archives?|deleted( items| messages)?|outbox|templates|notes|` +
	`entw(ü|&APw-)rfe|gesendet(e objekte)?|papierkorb|gel(ö|&APY-)scht(e objekte)?|archiv|(19|20)\d\d|backup\d*(-\d+)?)$`)

func usualBox(level string) bool { return usual.MatchString(level) }

// one redacts one text of a kind.
func (x *redactor) one(kind, s string) string {
	switch kind {
	case "-":
		return s
	case "remove":
		return ""
	case "mailbox":
		return x.mailbox(s)
	case "path":
		return x.path(s)
	case "local":
		return x.localPath(s)
	case "user":
		if s == "" {
			return ""
		}
		return x.place("user", s)
	case "host":
		if s == "" {
			return ""
		}
		host := hostOnly(s)
		return x.place("host", host) + strings.TrimPrefix(strings.TrimPrefix(s, "["+host+"]"), host)
	case "address":
		return x.addresses(x.free(s))
	}
	return x.free(s)
}

func (x *redactor) mailbox(s string) string {
	levels := strings.Split(s, "/")
	for i, l := range levels {
		if l != "" && !usualBox(l) {
			levels[i] = x.place("folder", l)
		}
	}
	return strings.Join(levels, "/")
}

func (x *redactor) localPath(s string) string {
	for _, l := range x.local {
		if l != "" && strings.HasPrefix(s, l) {
			return "…" + s[len(l):]
		}
	}
	if s == "" {
		return ""
	}
	return "…/" + path.Base(strings.ReplaceAll(s, `\`, "/"))
}

var (
	harmless = regexp.MustCompile(`^(\.|\.\.|home|users?|userdata\d*|var|srv|opt|mnt|data\d*|vol\d*|disk\d*|mail|vmail|vhosts|www|web|storage|alt|mailboxes|dbox-Mails|Maildir|mdbox|sdbox|cur|new|tmp|` +
		`dovecot[-.][a-z0-9.-]*|m\.\d+(\.broken)?|u\.\d+(\.broken)?|dovemend-aside|\d{8}-\d{6}-[0-9a-f]{4}|\.temp\.[0-9.]+|\.dovemend-[0-9a-f-]+|subscriptions|maildirfolder|lib|libexec|usr|bin|sbin|imap|dev|stderr|stdout|tmp|runs|snapshot|salvaged|tree)$`)
	mailFile = regexp.MustCompile(`^(\d+)\.[^:;]*([:;]2,[A-Za-z]*)?$`)
)

// path redacts a path of the host, element by element.
func (x *redactor) path(s string) string {
	if x.root != "" && (s == x.root || strings.HasPrefix(s, x.root+"/")) && !strings.HasPrefix(s, "\ue000") {
		return x.elements(x.root) + x.elements(s[len(x.root):])
	}
	return x.elements(s)
}

func (x *redactor) elements(s string) string {
	list := strings.Split(s, "/")
	for i, e := range list {
		list[i] = x.element(e)
	}
	return strings.Join(list, "/")
}

func (x *redactor) element(e string) string {
	if e == "" || harmless.MatchString(e) || usualBox(e) || e[0] == '\xee' && marked.MatchString(e) {
		return e
	}
	if m := mailFile.FindStringSubmatch(e); m != nil {
		return m[1] + "." + x.mark("…") + m[2]
	}
	for _, t := range x.tokens {
		if strings.EqualFold(t.text, e) {
			return x.place(t.kind, e)
		}
	}
	if strings.HasPrefix(e, ".") && len(e) > 1 { // Maildir++: a mailbox and its levels in one name
		levels := strings.Split(e[1:], ".")
		for i, l := range levels {
			if l != "" && !usualBox(l) {
				levels[i] = x.place("folder", l)
			}
		}
		return "." + strings.Join(levels, ".")
	}
	return x.place("folder", e)
}

var (
	messageID = regexp.MustCompile(`<[^<>\s"]+@[^<>\s"]+>`)
	address   = regexp.MustCompile(`[\pL\pN._%+=~-]+@[\pL\pN-]+(\.[\pL\pN-]+)*`)
	ipv4      = regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)
	ipv6      = regexp.MustCompile(`(?i)\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{0,4}\b|\b(?:[0-9a-f]{1,4}:)+:(?:[0-9a-f]{1,4}:?)*\b`)
	fqdn      = regexp.MustCompile(`(?i)\b[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.[a-z]{2,}\b`)
	noHost    = regexp.MustCompile(`(?i)^(dovecot|lib|run\.|plan\.|index\.|log\.|storage)|\.(json|jsonl|txt|md|eml|broken|index|log|cache|backup|so|html|conf)$`)
	subject   = regexp.MustCompile(`(?i)\b(subject|subj|betreff)\s*[=:]\s*[^,;)]*`)
	person    = regexp.MustCompile(`(?i)\b(user|from|to|rip|lip|helo)=<?[^\s,;>)]*>?`)
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'`)
	kept      = regexp.MustCompile(`^(\\\\?[A-Za-z]+|chmod \d+|\*+|dovecot[a-z.-]*|INBOX)$`)
	absolute  = regexp.MustCompile(`(^|[\s"'(=:\x{2018}\x{201e}<\[])(/[^\s"'():;,<>\]]+)`)
	relative  = regexp.MustCompile(`\b(?:mailboxes|storage|cur|new|dovemend-aside)/[^\s"'():;,<>\]]+`)
)

// free redacts free text.
func (x *redactor) free(s string) string {
	if s == "" {
		return s
	}
	for _, l := range x.local {
		if len(l) > 1 {
			s = strings.ReplaceAll(s, l, x.mark("…"))
		}
	}
	if len(x.root) > 1 && strings.Contains(s, x.root) {
		s = strings.ReplaceAll(s, x.root, x.elements(x.root))
	}
	s = subject.ReplaceAllString(s, "$1="+x.mark("…"))
	s = messageID.ReplaceAllStringFunc(s, func(m string) string { return "<" + x.place("id", m) + ">" })
	s = x.addresses(s)
	s = quoted.ReplaceAllStringFunc(s, func(m string) string {
		in := m[1 : len(m)-1]
		switch {
		case in == "" || kept.MatchString(in) || usualBox(in) || marked.ReplaceAllString(in, "") == "":
			return m
		case strings.Contains(in, "/"):
			return m[:1] + x.path(in) + m[len(m)-1:]
		}
		for _, t := range x.tokens {
			if strings.EqualFold(t.text, in) {
				return m[:1] + x.place(t.kind, in) + m[len(m)-1:]
			}
		}
		return m[:1] + x.mark("…") + m[len(m)-1:]
	})
	s = absolute.ReplaceAllStringFunc(s, func(m string) string {
		i := strings.Index(m, "/")
		return m[:i] + x.path(m[i:])
	})
	s = relative.ReplaceAllStringFunc(s, x.path)
	s = person.ReplaceAllStringFunc(s, func(m string) string {
		name, value, _ := strings.Cut(m, "=")
		if marked.MatchString(value) {
			return m
		}
		return name + "=" + x.mark("…")
	})
	s = ipv4.ReplaceAllStringFunc(s, func(m string) string {
		if strings.HasPrefix(m, "2.2.") || strings.HasPrefix(m, "2.3.") || strings.HasPrefix(m, "2.4.") { // versions of Dovecot
			return m
		}
		return x.place("ip", m)
	})
	s = ipv6.ReplaceAllStringFunc(s, func(m string) string { return x.place("ip", m) })
	for _, t := range x.tokens {
		if !t.common {
			s = replaceWord(s, t, x.place(t.kind, t.text))
		}
	}
	return fqdn.ReplaceAllStringFunc(s, func(m string) string {
		if noHost.MatchString(m) {
			return m
		}
		return x.place("host", m)
	})
}

func (x *redactor) addresses(s string) string {
	return address.ReplaceAllStringFunc(s, func(m string) string {
		user, domain, _ := strings.Cut(m, "@")
		return x.place("user", user) + "@" + x.place("domain", domain)
	})
}

// replaceWord replaces a word where no letter or digit touches it.
func replaceWord(s string, t token, with string) string {
	var b strings.Builder
	last := 0
	for _, at := range t.re.FindAllStringIndex(s, -1) {
		before, after := []rune(s[last:at[0]]), []rune(s[at[1]:])
		touches := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == closes || r == opens }
		if len(before) > 0 && touches(before[len(before)-1]) || len(after) > 0 && touches(after[0]) {
			continue
		}
		b.WriteString(s[last:at[0]])
		b.WriteString(with)
		last = at[1]
	}
	return b.String() + s[last:]
}

// ourWords are the words of dovemend's own texts: a user or a mailbox that is called like one of them is not replaced within
// sentences, where it would say nothing of anybody.
var ourWords = sync.OnceValue(func() map[string]bool {
	seen := map[string]bool{}
	add := func(s string) {
		for _, w := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && r != '-' }) {
			seen[strings.ToLower(w)] = true
		}
	}
	for _, pair := range words {
		add(pair[0])
		add(pair[1])
	}
	for _, s := range slices.Concat(findingSentences, runSentences, phrases) {
		add(s.en)
		add(s.de)
	}
	return seen
})
