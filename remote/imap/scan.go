package imap

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
)

// Limits on what a server may send. An honest Dovecot stays far below them.
const (
	maxLine    = 256 << 10 // bytes of one response without message bodies
	maxNumbers = 32 << 20  // bytes of one SORT or SEARCH response
	maxLiteral = 64 << 10  // bytes of a literal that is not a message body: a mailbox name
	maxBody    = 2 << 30   // bytes of one message body
	maxDepth   = 64        // of nested lists; the library's reader of body structures knows no limit of its own
	keptHead   = 512       // bytes kept of each response, for status texts and UIDs
	keptTail   = 64
	maxNotices = 64 // untagged NO, BAD and ALERT responses kept of one command
)

// limitError is a response past one of the limits, or one by which the parser behind could be led past them.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

// scanner follows the server's stream as the parsing library does, as far as is needed to bound what that would buffer,
// and notes status lines and the UIDs of FETCH responses. Where the two could come to disagree on what a byte is (a
// quoted string over a line end, a response code that is not closed) it refuses the stream.
type scanner struct {
	literal int64 // bytes of the current literal still to come
	body    bool  // that literal is a message body
	size    int64 // bytes of the current response, without bodies
	head    []byte
	tail    []byte
	depth   int // of parentheses outside quoted strings
	quoted  bool
	escaped bool
	closed  bool // a "]" was seen

	spent, budget int64 // bytes without bodies of the current command, and its limit

	secrets []string
	uid     uint32   // of the last FETCH response
	want    []string // items every FETCH response of the command must have, "BODY[]"
	partial bool     // that response lacks one of them, or is not over
	ask     *asking  // what is to be kept from the library; nil outside of [Client.Ask]
	passing passing  // whether the library gets the current response
	held    []byte   // the beginning of a response of which that is not known yet
	out     []byte   // what the library gets of the piece fed last
	bye     status
	notices []status
	tagged  status
	first   status // the first untagged one: the greeting
}

// begin is called before each command.
func (s *scanner) begin(budget int64, want ...string) {
	s.spent, s.budget, s.want = 0, budget, want
	s.uid, s.partial = 0, false
	s.notices, s.tagged = nil, status{}
	s.ask = nil
	if s.size > 0 {
		s.passing = passed // its beginning already has
	}
}

// feed follows p, which must be what the server sent next, and gives what of it the library may see.
func (s *scanner) feed(p []byte) ([]byte, error) {
	if s.ask == nil {
		return p, s.follow(p)
	}
	s.out = s.out[:0]
	err := s.follow(p)
	return s.out, err
}

// follow follows p.
func (s *scanner) follow(p []byte) error {
	filtered := s.ask != nil
	for len(p) > 0 {
		if s.literal > 0 {
			n := min(int64(len(p)), s.literal)
			if !s.body {
				s.size += n
				s.spent += n
			}
			s.literal -= n
			if filtered {
				s.pass(p[:n], false)
			}
			p = p[n:]
			continue
		}
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i+1]
		}
		p = p[len(part):]
		s.text(part)
		if filtered {
			s.pass(part, i >= 0)
		}
		if s.size > maxLine && s.size > s.lineLimit() {
			return &limitError{fmt.Sprintf("a response of more than %d bytes", s.lineLimit())}
		}
		if s.depth > maxDepth && !s.isStatus() && s.passing != kept {
			return &limitError{fmt.Sprintf("lists nested more than %d deep", maxDepth)}
		}
		if s.spent > s.budget {
			return &limitError{fmt.Sprintf("more than %d bytes in answer to one command", s.budget)}
		}
		if i >= 0 {
			if err := s.lineEnd(); err != nil {
				return err
			}
		}
	}
	return nil
}

// between says whether the next byte begins a response.
func (s *scanner) between() bool { return s.size == 0 && s.literal == 0 }

// piece is the beginning of p that is one literal or one line, as far as p holds it.
func (s *scanner) piece(p []byte) []byte {
	if s.literal > 0 {
		return p[:min(int64(len(p)), s.literal)]
	}
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		return p[:i+1]
	}
	return p
}

func (s *scanner) lineLimit() int64 {
	if s.passing == kept {
		return maxKept
	}
	if numbersHead.Match(s.head) {
		return maxNumbers
	}
	return maxLine
}

var (
	numbersHead = regexp.MustCompile(`^(?i)\* (SORT|SEARCH|ESEARCH)[ \r\n]`)
	fetchHead   = regexp.MustCompile(`^(?i)\* [0-9]+ FETCH ?\(`)
	statusHead  = regexp.MustCompile(`^(?i)\* (OK|NO|BAD|BYE|PREAUTH)[ \r\n]`)
	codeHead    = regexp.MustCompile(`^\S+ \S+ \[`)
	literalTail = regexp.MustCompile(`\{([0-9]+)\} ?\r?\n$`)
	bodyTail    = regexp.MustCompile(`[ (]BODY\[\](<[0-9]+>)? \{[0-9]+\} ?\r?\n$`)
	uidItem     = regexp.MustCompile(`[( ]UID ([0-9]{1,10})[ )\r\n]`)
)

// text follows a piece of a line up to its end.
func (s *scanner) text(part []byte) {
	s.size += int64(len(part))
	s.spent += int64(len(part))
	if room := keptHead - len(s.head); room > 0 {
		s.head = append(s.head, part[:min(room, len(part))]...)
	}
	if len(part) >= keptTail {
		s.tail = append(s.tail[:0], part[len(part)-keptTail:]...)
	} else {
		s.tail = append(s.tail, part...)
		if over := len(s.tail) - keptTail; over > 0 {
			s.tail = append(s.tail[:0], s.tail[over:]...)
		}
	}
	quoted, escaped, depth := s.quoted, s.escaped, s.depth
	for _, c := range part {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
	}
	s.quoted, s.escaped, s.depth = quoted, escaped, depth
	s.closed = s.closed || bytes.IndexByte(part, ']') >= 0
}

// isStatus says whether the response's text is free, not made of quoted strings and lists: an untagged status, a tagged
// response or a continuation.
func (s *scanner) isStatus() bool {
	if s.passing == kept {
		return false
	}
	return !bytes.HasPrefix(s.head, []byte("* ")) || statusHead.Match(s.head)
}

// lineEnd decides at a line's end whether a literal follows or the response is over.
func (s *scanner) lineEnd() error {
	if s.isStatus() {
		if !s.closed && codeHead.Match(s.head) {
			return &limitError{"a response code without its end"}
		}
		s.note()
		s.reset()
		return nil
	}
	if s.passing == kept && s.quoted {
		s.asked(true)
		s.reset()
		return nil
	}
	if s.quoted {
		return &limitError{"a quoted string that goes over the end of the line"}
	}
	var m [][]byte
	if bytes.IndexByte(s.tail, '}') >= 0 {
		m = literalTail.FindSubmatch(s.tail)
	}
	if m == nil {
		if s.passing == kept {
			s.asked(true)
		} else {
			s.fetched(true)
		}
		s.reset()
		return nil
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		return &limitError{"a literal of absurd length"}
	}
	if s.passing == kept {
		if n > maxBody {
			return &limitError{fmt.Sprintf("a literal of %d bytes, past the limit of %d", n, maxBody)}
		}
		s.asked(false)
		s.body, s.literal, s.tail = true, n, s.tail[:0]
		return nil
	}
	isFetch := fetchHead.Match(s.head)
	s.body = isFetch && s.depth == 1 && bodyTail.Match(s.tail)
	limit := int64(maxLiteral)
	if s.body {
		limit = maxBody
	}
	if n > limit {
		return &limitError{fmt.Sprintf("a literal of %d bytes, past the limit of %d", n, limit)}
	}
	if isFetch {
		s.fetched(false)
	}
	s.literal = n
	s.tail = s.tail[:0]
	return nil
}

// fetched notes the UID of a FETCH response, at its end or where a literal of it begins.
func (s *scanner) fetched(end bool) {
	if !fetchHead.Match(s.head) {
		return
	}
	if m := uidItem.FindSubmatch(s.head); m != nil {
		if n, err := strconv.ParseUint(string(m[1]), 10, 32); err == nil && n > 0 {
			s.uid = uint32(n)
		}
	}
	s.partial = !end
	for _, item := range s.want {
		if !bytes.Contains(s.head, []byte(item)) {
			s.partial = true
		}
	}
}

func (s *scanner) note() {
	st, ok := parseStatus(s.head, s.secrets...)
	if ok && st.tag == "*" && s.first.typ == "" {
		s.first = st
	}
	switch {
	case !ok:
	case st.tag != "*":
		s.tagged = st
		s.ask = nil
	case st.typ == TypeBye:
		s.bye = st
	case st.typ == TypeNo, st.typ == TypeBad, st.code == "ALERT":
		if len(s.notices) < maxNotices {
			s.notices = append(s.notices, st)
		}
	}
}

func (s *scanner) reset() {
	s.size, s.depth = 0, 0
	s.head, s.tail = s.head[:0], s.tail[:0]
	s.quoted, s.escaped, s.closed, s.body = false, false, false, false
	s.passing = undecided
}
