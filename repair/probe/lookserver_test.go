package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dovemend/remote/imap"
)

// mailServer is a scripted server that answers every kind of look at one mailbox, INBOX, with UIDs 1 to n. hook may answer
// a command in its own way: TAG in its answer becomes the command's tag.
type mailServer struct {
	n        atomic.Int64
	validity atomic.Int64
	conns    atomic.Int64
	open     atomic.Int64 // connections open now
	most     atomic.Int64 // at one time
	greeting string       // "" for a PREAUTH that offers SORT and THREAD
	hook     func(conn int, cmd string) (answer string, hangUp, own bool)
	stderr   *logBuffer // nil without a log
	midway   func()     // is called in the middle of every long answer; may be nil

	mu   sync.Mutex
	cmds []string
}

func newMailServer(n int) *mailServer {
	s := &mailServer{}
	s.n.Store(int64(n))
	s.validity.Store(1)
	return s
}

const lookCaps = "[CAPABILITY IMAP4rev1 SORT THREAD=REFERENCES]"

func (s *mailServer) dial(ctx context.Context) (*Conn, error) {
	number := int(s.conns.Add(1))
	ours, theirs := net.Pipe()
	for range 2000 { // a connection that the client has ended is noticed by the server a moment later
		if s.open.Load() == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	s.most.Store(max(s.most.Load(), s.open.Add(1)))
	go s.serve(theirs, number)
	c, err := imap.Preauth(ctx, ours, 5*time.Second)
	if err != nil {
		return nil, err
	}
	conn := &Conn{Client: c}
	if s.stderr != nil {
		conn.Stderr = s.stderr.since
	}
	return conn, nil
}

// logBuffer is a log that grows.
type logBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (l *logBuffer) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, line+"\n"...)
}

func (l *logBuffer) since(from int64) ([]byte, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]byte{}, l.b[from:]...), int64(len(l.b))
}

// commands are all that came so far.
func (s *mailServer) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.cmds...)
}

func (s *mailServer) serve(conn net.Conn, number int) {
	defer s.open.Add(-1)
	defer conn.Close()
	greeting := s.greeting
	if greeting == "" {
		greeting = "* PREAUTH " + lookCaps + " ready"
	}
	out := bufio.NewWriterSize(conn, 64<<10)
	io.WriteString(conn, greeting+"\r\n")
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, cmd, _ := strings.Cut(strings.TrimSpace(line), " ")
		s.mu.Lock()
		s.cmds = append(s.cmds, cmd)
		s.mu.Unlock()
		if s.hook != nil {
			if answer, hangUp, own := s.hook(number, cmd); own {
				io.WriteString(conn, strings.ReplaceAll(answer, "TAG", tag))
				if hangUp {
					return
				}
				continue
			}
		}
		s.answer(out, cmd)
		fmt.Fprintf(out, "%s OK done\r\n", tag)
		if out.Flush() != nil || strings.HasPrefix(cmd, "LOGOUT") {
			return
		}
	}
}

func (s *mailServer) answer(w io.Writer, cmd string) {
	n, words := int(s.n.Load()), strings.Fields(cmd)
	switch {
	case strings.HasPrefix(cmd, "CAPABILITY"):
		io.WriteString(w, "* "+strings.Trim(lookCaps, "[]")+"\r\n")
	case strings.HasPrefix(cmd, "LIST"):
		io.WriteString(w, "* LIST () \"/\" INBOX\r\n")
	case strings.HasPrefix(cmd, "STATUS"):
		fmt.Fprintf(w, "* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)\r\n", n, n+1, s.validity.Load())
	case strings.HasPrefix(cmd, "EXAMINE"):
		fmt.Fprintf(w, "* %d EXISTS\r\n* OK [UIDVALIDITY %d] v\r\n* OK [UIDNEXT %d] n\r\n", n, s.validity.Load(), n+1)
	case strings.HasPrefix(cmd, "UID FETCH"):
		i := 0
		for u := range eachUID(words[2], n) {
			if i++; s.midway != nil && i == n/2 {
				s.midway()
			}
			io.WriteString(w, answerFor(u, cmd))
		}
	}
}

// eachUID goes through a set, of messages with UIDs 1 to n, without keeping it.
func eachUID(set string, n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for part := range strings.SplitSeq(set, ",") {
			a, b, isRange := strings.Cut(part, ":")
			first, _ := strconv.Atoi(a)
			last := first
			if isRange {
				if last, _ = strconv.Atoi(b); b == "*" {
					last = n
				}
			}
			for u := first; u <= min(last, n); u++ {
				if !yield(u) {
					return
				}
			}
		}
	}
}

// answerFor is the FETCH response for one message.
func answerFor(u int, cmd string) string {
	switch {
	case strings.Contains(cmd, "BODYSTRUCTURE"):
		return fmt.Sprintf("* %d FETCH (UID %d BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 6 1 NIL NIL NIL NIL))\r\n", u, u)
	case strings.Contains(cmd, "BODY"):
		text := fmt.Sprint("text ", u)
		return fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", u, u, len(text), text)
	case strings.Contains(cmd, "ENVELOPE"):
		return fmt.Sprintf("* %d FETCH (UID %d ENVELOPE (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL))\r\n", u, u)
	case strings.Contains(cmd, "FLAGS"):
		flags := ""
		if u%2 == 0 {
			flags = `\Seen`
		}
		return fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s))\r\n", u, u, flags)
	}
	return fmt.Sprintf("* %d FETCH (UID %d INTERNALDATE \"01-Aug-2020 10:00:00 +0200\" RFC822.SIZE 6)\r\n", u, u)
}

// look looks at INBOX without pauses.
func (s *mailServer) look(t *testing.T, o LookOptions) *Looked {
	t.Helper()
	o.Pause = -1
	got, err := LookAt(t.Context(), s.dial, []string{"INBOX"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// states tells how each look at the first mailbox ended, those that work left out.
func states(l *Looked) string {
	var b strings.Builder
	for _, r := range append(append([]LookResult{}, l.Account...), l.Mailboxes[0].Looks...) {
		if r.State != Works {
			fmt.Fprintf(&b, "%s %s; ", r.Look, r.State)
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}
