package clientlog

import (
	"regexp"
	"strconv"
	"strings"
)

func re(s string) *regexp.Regexp { return regexp.MustCompile("(?i)" + s) }

// programs are told by what only their logs have.
var programs = []struct {
	name string
	mark *regexp.Regexp
}{
	{"Dovecot", regexp.MustCompile(`(imap|pop3|lmtp|lda|indexer-worker|doveadm)\([^)]*\)(<[^>]*>)*: (Info|Error|Warning|Panic|Fatal|Debug)|imap-login: `)},
	{"RainLoop or SnappyMail", regexp.MustCompile(`\] IMAP\[[A-Z]+\]: |MailSo\\`)},
	{"Roundcube", regexp.MustCompile(`rcube_|<[0-9a-z]{6,}> (\[[0-9A-F]{4}\] [CS]: |IMAP Error)|Serverfehler: |Server Error: |IMAP Error: |Speicherserver`)},
	{"imapfilter", regexp.MustCompile(`^(imapfilter: |[CS] \(\d+\): |sending command \(\d+\):|getting response \(\d+\):)`)},
	{"mbsync", regexp.MustCompile(`^([FMN]: (\* |>>> |\d+ |\[ *\d+\])|IMAP command '|IMAP error: |Error: channel |C: \d+/\d+)`)},
	{"imapsync", regexp.MustCompile(`^(Host[12]|Err \d+/\d+|msg \S+/\d+)|imapsync`)},
	{"Thunderbird", regexp.MustCompile(`I/IMAP |: IMAP\]: |:CreateNewLineFromSocket: |:SendData: `)},
	{"K-9 or Thunderbird for Android", regexp.MustCompile(`conn\d+(<<<|>>>)|D/k9|com\.fsck\.k9|ImapConnection`)},
}

// Words of which one has to be in a line, in lower case but those of statuses, before an expression is tried.
var (
	loginHints    = []string{"login ", "authenticate "}
	greetingHints = []string{"* ok ", "* preauth "}
	serverHints   = []string{"error: ", "panic: ", "fatal: ", "warning: "}
	statusHints   = []string{" NO", " BAD", " BYE", "[NO", "[BAD", "[BYE", "*NO", "<NO"}
	phraseHints   = []string{"maximum number of connections", "internal error occurred", "fetch failed", "session state is inconsistent", "uidvalidity changed",
		"internal login failure", "authentication fail", "disconnected for inactivity", "waiting for lock", "not enough disk", "quota exceeded",
		"unexpectedly lost", "mailbox doesn't exist", "already expunged", "temporarily unavailable"}
	opHints = []string{" select", " examine", " status", " fetch", " search", " sort", " thread", " store", " copy", " move", " append", " expunge", " create",
		" delete", " rename", " list", " lsub", " close", " unselect", " noop", " check", " idle", " capability", " namespace", " enable", " id", " logout", " starttls", " getquotaroot"}
)

func (s *scanner) program(line string) {
	for _, p := range programs {
		if p.mark.MatchString(line) {
			s.programs[p.name]++
		}
	}
}

// stamps are the forms of time at or near a line's beginning.
var stamps = []*regexp.Regexp{
	regexp.MustCompile(`^.{0,40}?(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?: ?(?:UTC|Z|[+-]\d\d:?\d\d))?)`),
	regexp.MustCompile(`^\[?(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?)`),
	regexp.MustCompile(`^([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)\b`),
	regexp.MustCompile(`^(\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})\b`),
	regexp.MustCompile(`^\[?(\d\d:\d\d:\d\d(?:\.\d+)?)\]?[ \[]`),
}

func stamp(line string) string {
	line = line[:min(len(line), 120)]
	for _, r := range stamps {
		if m := r.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}

var (
	digits   = regexp.MustCompile(`\d+`)
	greeting = regexp.MustCompile(`(^|[\s<:])\* (OK|PREAUTH) \[CAPABILITY IMAP4|(^|[\s<:])\* (OK|PREAUTH) .*(Dovecot|IMAP).* ready`)
	namedUID = regexp.MustCompile(`\* \d{1,9} FETCH \(UID (\d{1,10})`)

	// The server's date and how long it took differ each time.
	serverDate = regexp.MustCompile(` ?\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\]`)
	serverTime = regexp.MustCompile(` \(\d[0-9.+ ]* secs\)\.?$`)
)

func number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

const (
	tagForm = `((?:TAG|A|[a-z])?\d{1,6}|\*)`
	opForm  = `(SELECT|EXAMINE|STATUS|FETCH|SEARCH|SORT|THREAD|STORE|COPY|MOVE|APPEND|EXPUNGE|CREATE|DELETE|RENAME|LIST|LSUB|CLOSE|UNSELECT|NOOP|CHECK|IDLE|CAPABILITY|NAMESPACE|ENABLE|ID|LOGOUT|STARTTLS|GETQUOTAROOT)`
)

// command notes a command, so that its answer is known by its tag.
var commandLine = re(`(?:^|[\s>:])` + tagForm + ` (?:UID )?` + opForm + `(?:\s+(.*))?$`)

func (s *scanner) command(line string) bool {
	m := commandLine.FindStringSubmatch(line)
	if m == nil || m[1] == "*" {
		return false
	}
	if len(s.tags) >= maxTags {
		clear(s.tags)
	}
	s.op = strings.ToUpper(m[2])
	s.last.key = "" // an answer to this one is another answer
	s.tags[m[1]] = s.op
	switch s.op {
	case "SELECT", "EXAMINE", "STATUS":
		s.mailbox = firstWord(m[3])
	case "CLOSE", "UNSELECT", "LIST", "NAMESPACE":
		s.mailbox = ""
	}
	return true
}

// firstWord is the first argument of a command, unquoted.
func firstWord(s string) string {
	if !strings.HasPrefix(s, `"`) {
		s, _, _ = strings.Cut(s, " ")
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

var (
	// A status response as the server sends it, wherever in the line; the tag tells what it answers.
	tagged = regexp.MustCompile(`(?:^|[\s<>:])` + `((?:TAG|A|[a-z])?\d{1,6}|\*) (NO|BAD|BYE)\b ?(.*)$`)
	// As programs pass it on: "returned an error: NO [CODE] text", "… 2 NO [CODE] text".
	passedOn = regexp.MustCompile(`\b(NO|BAD|BYE):? (\[[A-Z][A-Z0-9-]*[^\]]*\].*)$`)
	// K-9 shows responses as lists.
	asList = regexp.MustCompile(`\[(NO|BAD|BYE), (?:\[([A-Z][A-Z0-9-]*)[^\]]*\], )?(.*?)\]?$`)
	// Roundcube, and people who copy from it: "UID SORT: Internal error occurred."
	byCommand = re(`\b(?:UID )?(SELECT|EXAMINE|STATUS|FETCH|SEARCH|SORT|THREAD|STORE|COPY|MOVE|APPEND|EXPUNGE|CREATE|LIST): (.*)$`)
	// A command named beside an answer that was passed on: mbsync's "IMAP command 'UID FETCH …' returned an error".
	besides = re(`(?:command '?|command: )(?:UID )?` + opForm + `\b`)
	// Texts of Dovecot that stand for themselves.
	phrase = re(`(maximum number of connections from user\+ip exceeded(?: \([a-z_]+=\d+\))?|internal error occurred(?:\. refer to server log for more information\.?)?|fetch failed: internal error occurred(?:\. refer to server log for more information\.?)?|imap session state is inconsistent.*|mailbox uidvalidity changed.*|internal login failure.*|temporary authentication failure.*|disconnected for inactivity.*|timeout while waiting for lock.*|not enough disk (?:quota|space).*|quota exceeded.*|unexpectedly lost .*|mailbox doesn't exist: .*|some messages were already expunged.*|authentication failed\.|account is temporarily unavailable.*)`)
	code   = regexp.MustCompile(`^\[([A-Z][A-Z0-9-]*)[^\]]*\] ?(.*)$`)
)

// reply finds a server's answer that was not OK.
func (s *scanner) reply(line string) bool {
	x := Said{Kind: Reply, Mailbox: s.mailbox}
	tag, text := "", ""
	switch {
	case match(tagged, line) != nil:
		m := match(tagged, line)
		tag, x.Type, text = m[1], m[2], m[3]
		x.Op = s.tags[tag]
		if tag == "*" {
			x.Op = s.op
		}
	case match(asList, line) != nil:
		m := match(asList, line)
		x.Type, x.Code, text, x.Op = m[1], m[2], m[3], s.op
	case match(passedOn, line) != nil:
		m := match(passedOn, line)
		x.Type, text, x.Op = m[1], m[2], s.op
	default:
		m := match(phrase, line)
		if m == nil {
			return false
		}
		text, x.Op = m[1], ""
		if c := match(byCommand, line); c != nil {
			x.Op, x.Mailbox = strings.ToUpper(c[1]), ""
		}
	}
	if m := match(besides, line); m != nil && x.Op == "" {
		x.Op = strings.ToUpper(m[1])
	}
	if m := match(code, text); m != nil {
		x.Code, text = m[1], m[2]
	}
	text = serverDate.ReplaceAllString(text, "")
	x.Text = strings.Trim(serverTime.ReplaceAllString(text, ""), ` "'»“”`)
	switch x.Op {
	case "LOGIN", "CAPABILITY", "LIST", "LSUB", "NAMESPACE", "NOOP", "ID", "LOGOUT":
		x.Mailbox = ""
	}
	if x.Type == "BYE" && s.uid != 0 && strings.HasPrefix(strings.ToLower(x.Text), "fetch failed") {
		x.UIDs = []uint32{s.uid}
	}
	if x.Text == "" && x.Code == "" {
		return false
	}
	// Some programs log one answer twice, once as it came and once as their own error.
	key := tag + x.Type + x.Code + x.Text
	twice := tag != "" && tag != "*" && key == s.last.key && s.log.Lines-s.last.line <= sameTime
	s.last.key, s.last.line = key, s.log.Lines
	if !twice {
		s.add(x, line)
	}
	delete(s.tags, tag)
	return true
}

func match(r *regexp.Regexp, s string) []string { return r.FindStringSubmatch(s) }

var (
	// Dovecot's own log: "May 22 14:00:00 imap(user)<pid><session>: Error: text", with syslog's "host dovecot: " before it.
	dovecotLine = regexp.MustCompile(`(?:^|\s)(?:imap|pop3|lmtp|lda|deliver|imap-login|indexer|indexer-worker|doveadm|auth|master|dovecot|stats|anvil|config)(?:\([^)]*\))?(?:<[^>]*>)*(?:\[\d+\])?: (?:\S+: )?(Error|Panic|Fatal|Warning): (.*)$`)
	bareLine    = regexp.MustCompile(`^(?:\S+ ){0,6}?(Error|Panic|Fatal|Warning): (.*)$`)
)

// server finds a line of Dovecot's log.
func (s *scanner) server(line string) bool {
	m := dovecotLine.FindStringSubmatch(line)
	if m == nil {
		if m = bareLine.FindStringSubmatch(line); m == nil || !s.known(line) {
			return false
		}
	}
	if strings.HasPrefix(m[2], "Raw backtrace: ") || m[1] == "Warning" && !s.known(line) {
		return true
	}
	s.add(Said{Kind: Server, Text: m[1] + ": " + m[2]}, line)
	return true
}
