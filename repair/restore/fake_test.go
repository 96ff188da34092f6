package restore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dovemend/remote/imap"
	"dovemend/repair/probe"
)

// letter is a message of the fake server.
type letter struct {
	uid   uint32
	flags string
	date  string
	text  string
}

// server is a small IMAP server with one mailbox, which can do without extensions, refuse, and break where a test says so.
type server struct {
	caps      string
	refuse    func(l letter) string // "NO [LIMIT] …"; "" takes it
	poison    func(l letter) string // what FETCH of envelope and structure gives: "" all right, "BYE", "NO …", "" + hang-up as "CUT"
	hangUp    func(count int) bool  // before the answer to the APPEND that made it so many messages in all
	kept      string                // PERMANENTFLAGS
	dark      func(l letter) string // as poison, but for whatever is asked besides the flags
	alter     func(string) string   // what becomes of a text; nil: it stays
	guids     map[uint32]string     // X-GUID, if the server knows it
	late      bool                  // what it hung up at is in the mailbox only after another message was added
	lateAfter int                   // and so many in all
	validity  uint32                // UIDVALIDITY; 0 is 7

	mu       sync.Mutex
	letters  []letter
	next     uint32
	appends  int
	conns    int
	missing  bool // there is no mailbox yet
	fetched  int  // texts that were sent
	expunged []uint32
	held     []letter // what comes late
	alive    int      // connections
}

// commit adds what is late.
func (s *server) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitHeld()
}

func (s *server) commitHeld() {
	for _, l := range s.held {
		s.next++
		l.uid = s.next
		s.letters = append(s.letters, l)
	}
	s.held = nil
}

// open is how many connections there are.
func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive
}

var (
	literalEnd = regexp.MustCompile(`\{([0-9]+)(\+?)\}\r\n$`)
	appendHead = regexp.MustCompile(`^ ?(?:\(([^)]*)\) )?(?:"([^"]*)" )?$`)
)

func (s *server) dial(ctx context.Context) (*probe.Conn, error) {
	ours, theirs := net.Pipe()
	s.mu.Lock()
	s.conns++
	s.alive++
	s.mu.Unlock()
	go s.serve(theirs)
	c, err := imap.Preauth(ctx, ours, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &probe.Conn{Client: c}, nil
}

// read takes one command with its literals; done is false at the end.
func (s *server) read(conn net.Conn, r *bufio.Reader) (command []string, texts []string, ok bool) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, nil, false
		}
		m := literalEnd.FindStringSubmatch(line)
		if m == nil {
			return append(command, strings.TrimRight(line, "\r\n")), texts, true
		}
		command = append(command, line[:len(line)-len(m[0])])
		if m[2] == "" {
			fmt.Fprint(conn, "+ go on\r\n")
		}
		n, _ := strconv.Atoi(m[1])
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, nil, false
		}
		texts = append(texts, string(b))
	}
}

func (s *server) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		s.alive--
		s.mu.Unlock()
	}()
	fmt.Fprintf(conn, "* PREAUTH [CAPABILITY %s] ready\r\n", strings.TrimSpace("IMAP4rev1 "+s.caps))
	r := bufio.NewReader(conn)
	out := bufio.NewWriter(conn)
	for {
		command, texts, ok := s.read(conn, r)
		if !ok {
			return
		}
		tag, rest, _ := strings.Cut(command[0], " ")
		s.mu.Lock()
		answer, open := s.answer(rest, command, texts, out)
		s.mu.Unlock()
		if answer != "" {
			fmt.Fprintf(out, "%s %s\r\n", tag, answer)
		}
		if out.Flush() != nil || !open {
			return
		}
	}
}

func (s *server) answer(rest string, command, texts []string, out *bufio.Writer) (answer string, open bool) {
	verb := strings.ToUpper(rest)
	switch {
	case strings.HasPrefix(verb, "CAPABILITY"):
		fmt.Fprintf(out, "* CAPABILITY %s\r\n", strings.TrimSpace("IMAP4rev1 "+s.caps))
	case strings.HasPrefix(verb, "LOGOUT"):
		fmt.Fprint(out, "* BYE\r\n")
		return "OK", false
	case strings.HasPrefix(verb, "LIST"):
		if !s.missing {
			fmt.Fprint(out, "* LIST () \"/\" Back\r\n")
		}
	case strings.HasPrefix(verb, "CREATE"):
		s.missing = false
	case strings.HasPrefix(verb, "SUBSCRIBE"):
	case strings.HasPrefix(verb, "SELECT"), strings.HasPrefix(verb, "EXAMINE"):
		if s.missing {
			return "NO [NONEXISTENT] no", true
		}
		kept := s.kept
		if kept == "" {
			kept = `\Answered \Flagged \Deleted \Seen \Draft \*`
		}
		fmt.Fprintf(out, "* FLAGS (\\Seen)\r\n* OK [PERMANENTFLAGS (%s)] x\r\n* %d EXISTS\r\n* OK [UIDVALIDITY %d] x\r\n* OK [UIDNEXT %d] x\r\n", kept, len(s.letters), max(s.validity, 7), s.next+1)
	case strings.HasPrefix(verb, "APPEND"):
		return s.append(command, texts, out)
	case strings.HasPrefix(verb, "UID FETCH"):
		return s.fetch(rest[len("UID FETCH "):], out)
	case strings.HasPrefix(verb, "UID SEARCH"):
		fmt.Fprint(out, "* SEARCH\r\n")
	case strings.HasPrefix(verb, "UID STORE"):
		set, flags, _ := strings.Cut(rest[len("UID STORE "):], " ")
		for i := range s.letters {
			if in(set, s.letters[i].uid) && strings.Contains(flags, `\Deleted`) {
				s.letters[i].flags += ` \Deleted`
			}
		}
	case strings.HasPrefix(verb, "UID EXPUNGE"):
		var left []letter
		for _, l := range s.letters {
			if in(rest[len("UID EXPUNGE "):], l.uid) && strings.Contains(l.flags, `\Deleted`) {
				s.expunged = append(s.expunged, l.uid)
				continue
			}
			left = append(left, l)
		}
		s.letters = left
	default:
		return "BAD what is " + verb, true
	}
	return "OK done", true
}

func (s *server) append(command, texts []string, out *bufio.Writer) (string, bool) {
	var all []letter
	for i, t := range texts {
		head := command[i]
		if i == 0 {
			_, head, _ = strings.Cut(head, "APPEND \"Back\"")
		}
		m := appendHead.FindStringSubmatch(head)
		if m == nil {
			return "BAD syntax of " + strconv.Quote(head), true
		}
		l := letter{flags: m[1], date: m[2], text: t}
		if s.refuse != nil {
			if no := s.refuse(l); no != "" {
				return no, true
			}
		}
		all = append(all, l)
	}
	first := s.next + 1
	for _, l := range all {
		s.next++
		l.uid = s.next
		if s.alter != nil {
			l.text = s.alter(l.text)
		}
		s.letters = append(s.letters, l)
		s.appends++
	}
	if len(s.held) > 0 && s.appends > s.lateAfter {
		s.commitHeld()
	}
	if s.hangUp != nil && s.hangUp(s.appends) {
		if s.late {
			keep := len(s.letters) - len(all)
			s.held = append(s.held, s.letters[keep:]...)
			s.letters = s.letters[:keep]
		}
		fmt.Fprint(out, "* BYE Internal error occurred\r\n")
		return "", false
	}
	if !strings.Contains(s.caps, "UIDPLUS") {
		return "OK done", true
	}
	return fmt.Sprintf("OK [APPENDUID 7 %d:%d] done", first, s.next), true
}

func (s *server) fetch(rest string, out *bufio.Writer) (string, bool) {
	set, items, _ := strings.Cut(rest, " ")
	if strings.Contains(items, "X-GUID") && s.guids == nil {
		return "BAD unknown item", true
	}
	for i, l := range s.letters {
		if !in(set, l.uid) {
			continue
		}
		if s.dark != nil && (strings.Contains(items, "ENVELOPE") || strings.Contains(items, "RFC822.SIZE") || strings.Contains(items, "BODY")) {
			switch p := s.dark(l); {
			case p == "BYE":
				fmt.Fprint(out, "* BYE FETCH failed: Internal error occurred\r\n")
				return "", false
			case p != "":
				return strings.TrimPrefix(p, "CUT"), p != "CUT"
			}
		}
		fmt.Fprintf(out, "* %d FETCH (UID %d FLAGS (%s) RFC822.SIZE %d INTERNALDATE \"08-May-2020 09:00:00 +0000\"", i+1, l.uid, l.flags, len(l.text))
		reads := strings.Contains(items, "ENVELOPE") || strings.Contains(items, "BODYSTRUCTURE") || strings.Contains(items, "BODY.PEEK[]")
		if s.poison != nil && reads {
			switch p := s.poison(l); {
			case p == "CUT":
				return "", false
			case p == "BYE":
				fmt.Fprint(out, ")\r\n* BYE FETCH failed: Internal error occurred\r\n")
				return "", false
			case p != "":
				fmt.Fprint(out, ")\r\n")
				return p, true
			}
		}
		if strings.Contains(items, "X-GUID") {
			fmt.Fprintf(out, " X-GUID %s", s.guids[l.uid])
		}
		if strings.Contains(items, "ENVELOPE") {
			fmt.Fprint(out, " ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)")
		}
		if strings.Contains(items, "BODYSTRUCTURE") {
			fmt.Fprint(out, " BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1 NIL NIL NIL NIL)")
		}
		if strings.Contains(items, "BODY.PEEK[]") {
			s.fetched++
			fmt.Fprintf(out, " BODY[] {%d}\r\n%s", len(l.text), l.text)
		}
		if strings.Contains(items, "MESSAGE-ID") {
			head := ""
			if id := imap.MessageID([]byte(l.text)); id != "" {
				head = "Message-ID: " + id + "\r\n"
			}
			fmt.Fprintf(out, " BODY[HEADER.FIELDS (MESSAGE-ID)] {%d}\r\n%s\r\n", len(head)+2, head)
		}
		fmt.Fprint(out, ")\r\n")
	}
	return "OK done", true
}

func in(set string, uid uint32) bool {
	for part := range strings.SplitSeq(strings.Fields(set)[0], ",") {
		lo, hi, span := strings.Cut(part, ":")
		first, _ := strconv.ParseUint(lo, 10, 32)
		last := first
		if span {
			last, _ = strconv.ParseUint(hi, 10, 32)
			if hi == "*" {
				last = 1 << 32
			}
		}
		if uint64(uid) >= first && uint64(uid) <= last {
			return true
		}
	}
	return false
}

// texts are what the server has.
func (s *server) texts() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.letters {
		all = append(all, l.text)
	}
	return all
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
