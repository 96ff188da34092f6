package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dovemend/remote/imap"
)

// The ways in which a simulated message breaks the server.
const (
	crash  = "crash"   // the process is gone, and with it what it had not yet sent
	bye    = "bye"     // a stub, BYE, gone
	no     = "no"      // left out, NO at the end
	out    = "out"     // left out, OK at the end
	hang   = "hang"    // not another byte
	broken = "broken"  // what is sent is not IMAP
	closes = "closing" // closed while its text is on the way
)

// sick is a simulated mailbox with messages that break the server, a way by look.
type sick struct {
	n        uint32 // highest UID
	every    uint32 // only each such UID has a message; 0 for all
	validity int
	poison   map[uint32]map[imap.Look]string
	thread   bool                                                            // THREAD reads all messages, as Dovecot does
	noThread bool                                                            // cannot THREAD nor SORT
	gone     map[uint32]bool                                                 // deleted meanwhile
	hook     func(s *sick, command string) (answer string, hangUp, own bool) // asked first, under the lock
	greet    func(conn int) string                                           // instead of the greeting

	impatient bool // the client waits for 200 ms only

	mu       sync.Mutex
	conns    int
	open     int
	commands []string
	wrong    []string
}

func sickMailbox(n uint32) *sick {
	return &sick{n: n, validity: 7, poison: map[uint32]map[imap.Look]string{}, gone: map[uint32]bool{}}
}

// all makes a message fail at every look that opens messages.
func (s *sick) all(way string, uids ...uint32) *sick {
	for _, u := range uids {
		s.at(u, way, imap.LookEnvelope, imap.LookBodyStructure, imap.LookBody, imap.LookSort, imap.LookThread, imap.LookSearchBody, imap.LookSearchText)
	}
	return s
}

// at makes a message fail at some looks.
func (s *sick) at(u uint32, way string, looks ...imap.Look) *sick {
	if s.poison[u] == nil {
		s.poison[u] = map[imap.Look]string{}
	}
	for _, l := range looks {
		s.poison[u][l] = way
	}
	return s
}

func (s *sick) dial(ctx context.Context) (*Conn, error) {
	s.mu.Lock()
	s.conns++
	if s.open++; s.open > 1 {
		s.wrong = append(s.wrong, "two connections at a time")
	}
	number := s.conns
	s.mu.Unlock()
	ours, theirs := net.Pipe()
	go func() {
		s.serve(theirs, number)
		theirs.Close()
	}()
	timeout := 30 * time.Second
	if s.impatient {
		timeout = 200 * time.Millisecond
	}
	c, err := imap.Preauth(ctx, &counted{Conn: ours, s: s}, timeout)
	if err != nil {
		return nil, err
	}
	return &Conn{Client: c}, nil
}

// counted is the client's end of a connection.
type counted struct {
	net.Conn
	s    *sick
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() {
		c.s.mu.Lock()
		c.s.open--
		c.s.mu.Unlock()
	})
	return c.Conn.Close()
}

// quiet waits until no connection is left of what was before.
func (s *sick) quiet(t *testing.T) {
	for range 5000 {
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		if open == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("a connection stays open")
}

// lookOf tells a command's look.
func lookOf(cmd string) imap.Look {
	for _, l := range imap.Looks {
		words := strings.Fields(l.Command())
		last := words[len(words)-1]
		switch {
		case l == imap.LookBody && strings.Contains(cmd, "BODY.PEEK[]"),
			l == imap.LookSort && strings.HasPrefix(cmd, "UID SORT"),
			l == imap.LookThread && strings.HasPrefix(cmd, "UID THREAD"),
			strings.HasPrefix(cmd, "UID "+words[0]) && strings.Contains(cmd, " "+last+" "),
			strings.HasPrefix(cmd, "UID FETCH") && strings.Contains(cmd, last+")"):
			return l
		}
	}
	return ""
}

func (s *sick) serve(conn net.Conn, number int) {
	caps := "IMAP4rev1 SORT THREAD=REFERENCES"
	if s.noThread {
		caps = "IMAP4rev1"
	}
	greeting := "* PREAUTH [CAPABILITY " + caps + "] ready\r\n"
	if s.greet != nil {
		greeting = s.greet(number)
	}
	if _, err := io.WriteString(conn, greeting); err != nil {
		return
	}
	r, w := bufio.NewReader(conn), bufio.NewWriterSize(conn, 8192)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, cmd, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !s.answer(r, w, tag, cmd) || w.Flush() != nil {
			return
		}
	}
}

// answer answers one command; false where the process is gone.
func (s *sick) answer(r *bufio.Reader, w *bufio.Writer, tag, cmd string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, cmd)
	if len(cmd) > 8000 {
		s.wrong = append(s.wrong, "a command of "+strconv.Itoa(len(cmd))+" bytes")
	}
	if s.hook != nil {
		if answer, hangUp, own := s.hook(s, cmd); own {
			w.WriteString(strings.ReplaceAll(answer, "TAG", tag))
			w.Flush()
			return !hangUp
		}
	}
	look := lookOf(cmd)
	switch {
	case cmd == `LIST "" "*"`:
		w.WriteString("* LIST () \"/\" INBOX\r\n")
	case cmd == "EXAMINE INBOX":
		fmt.Fprintf(w, "* %d EXISTS\r\n* OK [UIDVALIDITY %d] v\r\n* OK [UIDNEXT %d] n\r\n", s.n, s.validity, s.n+1)
	case cmd == "LOGOUT":
		fmt.Fprintf(w, "* BYE bye\r\n%s OK done\r\n", tag)
		w.Flush()
		return false
	case look != "":
		return s.messages(r, w, tag, cmd, look)
	default:
		s.wrong = append(s.wrong, cmd)
	}
	fmt.Fprintf(w, "%s OK done\r\n", tag)
	return true
}

// asked gives the set of a command.
func asked(cmd string, look imap.Look) string {
	words := strings.Fields(cmd)
	if look.NamesMessages() {
		return words[2]
	}
	for i, word := range words[1:] {
		if word == "UID" {
			return words[i+2]
		}
	}
	return ""
}

func (s *sick) messages(r *bufio.Reader, w *bufio.Writer, tag, cmd string, look imap.Look) bool {
	set := asked(cmd, look)
	if s.thread && look == imap.LookThread {
		set = fmt.Sprint("1:", s.n)
	}
	failed := false
	for part := range strings.SplitSeq(set, ",") {
		var rng imap.UIDRange
		if err := rng.UnmarshalText([]byte(part)); err != nil {
			s.wrong = append(s.wrong, cmd)
		}
		for u := rng.First; u <= min(rng.Last, s.n); u++ {
			if s.every > 0 && u%s.every != 0 || s.gone[u] {
				continue
			}
			way := s.poison[u][look]
			switch way {
			case crash:
				w.Reset(io.Discard)
				return false
			case hang:
				w.Flush()
				s.mu.Unlock()
				r.ReadByte() // until the client lets go
				s.mu.Lock()
				return false
			case bye:
				if look.NamesMessages() {
					fmt.Fprintf(w, "* %d FETCH (UID %d)\r\n", u, u)
				}
				w.WriteString("* BYE FETCH failed: Internal error occurred. Refer to server log for more information. [2026-08-14 10:00:00]\r\n")
				w.Flush()
				return false
			case closes:
				fmt.Fprintf(w, "* %d FETCH (UID %d BODY[] {1000}\r\nhalf a", u, u)
				w.Flush()
				return false
			case no:
				failed = true
				continue
			case out:
				continue
			}
			if look.NamesMessages() {
				item := map[imap.Look]string{imap.LookFlags: "FLAGS ()", imap.LookEnvelope: "ENVELOPE (NIL \"s\")",
					imap.LookBodyStructure: `BODYSTRUCTURE ("text" "plain")`, imap.LookBody: "BODY[] {2}\r\nhi"}[look]
				if way == broken {
					item = strings.Replace(item[:len(item)-1], "{2}\r\n", "", 1) + `"`
				}
				fmt.Fprintf(w, "* %d FETCH (UID %d %s)\r\n", u, u, item)
			}
		}
	}
	if failed {
		fmt.Fprintf(w, "%s NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2026-08-14 10:00:00]\r\n", tag)
		return true
	}
	if !look.NamesMessages() {
		fmt.Fprintf(w, "* %s\r\n", strings.Fields(cmd)[1])
	}
	fmt.Fprintf(w, "%s OK done\r\n", tag)
	return true
}
