package main

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// poisonServer is an IMAP server on loopback with one mailbox, in which one message makes it hang up without a word. It can
// be told to serve only so many more commands that ask about messages.
type poisonServer struct {
	addr   string
	n      int
	poison int
	login  string // how it answers a login, in place of OK; "BYE …" untagged

	mu      sync.Mutex
	allowed int
}

func newPoisonServer(t *testing.T, n, poison int) *poisonServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &poisonServer{addr: l.Addr().String(), n: n, poison: poison, allowed: 1 << 30}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// allow lets the server answer so many questions about messages; after that it takes no login.
func (s *poisonServer) allow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = n
}

func (s *poisonServer) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed--
	return s.allowed >= 0
}

func (s *poisonServer) left() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allowed > 0
}

func (s *poisonServer) serve(conn net.Conn) {
	defer conn.Close()
	fmt.Fprint(conn, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, cmd, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case strings.HasPrefix(cmd, "LOGIN") && strings.HasPrefix(s.login, "BYE"):
			fmt.Fprintf(conn, "* %s\r\n", s.login)
			return
		case strings.HasPrefix(cmd, "LOGIN") && s.login != "":
			fmt.Fprintf(conn, "%s %s\r\n", tag, s.login)
			return
		case strings.HasPrefix(cmd, "LOGIN") && !s.left():
			fmt.Fprintf(conn, "%s NO [UNAVAILABLE] Temporary authentication failure.\r\n", tag)
			return
		case strings.HasPrefix(cmd, "LIST"):
			fmt.Fprint(conn, "* LIST () \"/\" INBOX\r\n")
		case strings.HasPrefix(cmd, "STATUS"):
			fmt.Fprintf(conn, "* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n", s.n, s.n+1)
		case strings.HasPrefix(cmd, "EXAMINE"):
			fmt.Fprintf(conn, "* %d EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT %d] n\r\n", s.n, s.n+1)
		case strings.HasPrefix(cmd, "UID"):
			if !s.take() || !s.answer(conn, cmd) {
				return
			}
		}
		fmt.Fprintf(conn, "%s OK done\r\n", tag)
	}
}

// answer answers a question about messages; false where the process dies at it.
func (s *poisonServer) answer(conn net.Conn, cmd string) bool {
	flags := strings.Contains(cmd, "FLAGS")
	for _, u := range s.uids(cmd) {
		if u == s.poison && !flags {
			return false
		}
		switch {
		case flags:
			fmt.Fprintf(conn, "* %d FETCH (UID %d FLAGS ())\r\n", u, u)
		case strings.Contains(cmd, "BODYSTRUCTURE"):
			fmt.Fprintf(conn, "* %d FETCH (UID %d BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 6 1 NIL NIL NIL NIL))\r\n", u, u)
		case strings.Contains(cmd, "ENVELOPE"):
			fmt.Fprintf(conn, "* %d FETCH (UID %d ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL))\r\n", u, u)
		case strings.Contains(cmd, "BODY"):
			fmt.Fprintf(conn, "* %d FETCH (UID %d BODY[] {4}\r\ntext)\r\n", u, u)
		default:
			fmt.Fprintf(conn, "* %d FETCH (UID %d INTERNALDATE \"01-Aug-2020 10:00:00 +0200\" RFC822.SIZE 4)\r\n", u, u)
		}
	}
	return true
}

// uids gives those of the first word of the command that is a set.
func (s *poisonServer) uids(cmd string) (l []int) {
	for _, word := range strings.Fields(cmd) {
		if word[0] < '0' || word[0] > '9' {
			continue
		}
		for _, part := range strings.Split(word, ",") {
			a, b, two := strings.Cut(part, ":")
			first, _ := strconv.Atoi(a)
			last := first
			if two {
				if last, _ = strconv.Atoi(b); b == "*" {
					last = s.n
				}
			}
			for u := first; u <= min(last, s.n); u++ {
				l = append(l, u)
			}
		}
		return l
	}
	return nil
}
