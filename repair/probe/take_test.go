package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
)

// server is a scripted mailbox: UIDs 1 to n with the text "text UID". hook may answer a command in its own way.
type server struct {
	n        int
	validity int
	conns    int
	hook     func(conn int, command string) (answer string, hangUp, own bool)
}

func (s *server) dial(ctx context.Context) (*Conn, error) {
	s.conns++
	ours, theirs := net.Pipe()
	go s.serve(theirs, s.conns)
	c, err := imap.Preauth(ctx, ours, 2*time.Second)
	if err != nil {
		return nil, err
	}
	return &Conn{Client: c}, nil
}

func (s *server) serve(conn net.Conn, number int) {
	defer conn.Close()
	io.WriteString(conn, "* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n")
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, cmd, _ := strings.Cut(strings.TrimSpace(line), " ")
		if s.hook != nil {
			if answer, hangUp, own := s.hook(number, cmd); own {
				io.WriteString(conn, strings.ReplaceAll(answer, "TAG", tag))
				if hangUp {
					return
				}
				continue
			}
		}
		var b strings.Builder
		switch {
		case strings.HasPrefix(cmd, "LIST"):
			b.WriteString("* LIST () \"/\" INBOX\r\n")
		case strings.HasPrefix(cmd, "EXAMINE"):
			fmt.Fprintf(&b, "* %d EXISTS\r\n* OK [UIDVALIDITY %d] v\r\n* OK [UIDNEXT %d] n\r\n", s.n, s.validity, s.n+1)
		case strings.HasPrefix(cmd, "UID FETCH"):
			for _, u := range uids(strings.Fields(cmd)[2], s.n) {
				b.WriteString(item(u, cmd))
			}
		}
		io.WriteString(conn, b.String()+tag+" OK done\r\n")
	}
}

// item is the answer for one message.
func item(u int, cmd string) string {
	switch {
	case strings.Contains(cmd, "BODY"):
		text := fmt.Sprint("text ", u)
		return fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", u, u, len(text), text)
	case strings.Contains(cmd, "FLAGS"):
		return fmt.Sprintf("* %d FETCH (UID %d FLAGS ())\r\n", u, u)
	}
	return fmt.Sprintf("* %d FETCH (UID %d INTERNALDATE \"01-Aug-2020 10:00:00 +0200\" RFC822.SIZE 6)\r\n", u, u)
}

func uids(set string, n int) (l []int) {
	for _, part := range strings.Split(set, ",") {
		a, b, isRange := strings.Cut(part, ":")
		first, _ := strconv.Atoi(a)
		last := first
		if isRange {
			if last, _ = strconv.Atoi(b); b == "*" {
				last = n
			}
		}
		for u := first; u <= last && u <= n; u++ {
			l = append(l, u)
		}
	}
	return l
}

func unreadable(r Reading) (l []uint32) {
	for _, m := range r.Messages {
		if m.BodyErr != "" {
			l = append(l, m.UID)
		}
	}
	return l
}

// silentDeath hangs up as soon as one of the given messages is among those asked for, without having sent anything: what
// a process does that crashes with its answers still in a buffer.
func silentDeath(n int, poison ...int) func(int, string) (string, bool, bool) {
	return func(_ int, cmd string) (string, bool, bool) {
		if strings.Contains(cmd, "BODY") {
			for _, u := range uids(strings.Fields(cmd)[2], n) {
				for _, p := range poison {
					if u == p {
						return "", true, true
					}
				}
			}
		}
		return "", false, false
	}
}

func TestPoisonMessageIsFoundWithoutAnyHint(t *testing.T) {
	s := &server{n: 150, validity: 1, hook: silentDeath(150, 77)}
	got, err := Take(t.Context(), s.dial, []string{"INBOX"}, Options{Bodies: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bad := unreadable(got[0]); len(bad) != 1 || bad[0] != 77 || !got[0].Complete {
		t.Errorf("unreadable: %v, complete %v", bad, got[0].Complete)
	}
	if s.conns > 10 {
		t.Errorf("%d connections", s.conns)
	}
}

func TestReconnectsAreBounded(t *testing.T) {
	s := &server{n: 150, validity: 1, hook: silentDeath(150, 10, 20, 30, 40, 50, 60, 70, 80, 90)}
	got, err := Take(t.Context(), s.dial, []string{"INBOX", "INBOX"}, Options{Bodies: true, Reconnects: 5}, nil)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d readings, %v", len(got), err)
	}
	if got[0].Complete || got[0].OK() || len(got[0].Messages) != 150 || !got[0].Opened {
		t.Errorf("reading: complete %v, opened %v, %d messages", got[0].Complete, got[0].Opened, len(got[0].Messages))
	}
	for _, m := range got[0].Messages {
		if m.BodySHA256 == "" && m.BodyErr == "" {
			t.Errorf("UID %d was neither read nor told", m.UID)
		}
	}
	if s.conns > 12 {
		t.Errorf("%d connections for two mailboxes of five reconnects", s.conns)
	}
}

func TestMailboxMadeAnewMeanwhileIsReadAgain(t *testing.T) {
	s := &server{n: 5, validity: 1}
	s.hook = func(conn int, cmd string) (string, bool, bool) {
		if conn == 1 && strings.Contains(cmd, "BODY") {
			s.n, s.validity = 7, 2
			return "* BYE IMAP session state is inconsistent, please relogin.\r\n", true, true
		}
		return "", false, false
	}
	got, err := Take(t.Context(), s.dial, []string{"INBOX"}, Options{Bodies: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := got[0]
	if len(r.Messages) != 7 || r.UIDValidity != 2 || !r.Complete || len(unreadable(r)) != 0 || r.OK() {
		t.Errorf("reading = %+v", r)
	}
	classes := fmt.Sprint(r.Replies[0].Class, " ", r.Replies[1].Class)
	if classes != "session-inconsistent uidvalidity-changed" {
		t.Errorf("replies = %+v", r.Replies)
	}
}

func TestMessageLeftOutIsTold(t *testing.T) {
	s := &server{n: 5, validity: 1, hook: func(_ int, cmd string) (string, bool, bool) {
		switch {
		case !strings.Contains(cmd, "BODY"):
			return "", false, false
		case cmd == "UID FETCH 3 (UID BODY.PEEK[])":
			return "* 3 FETCH (UID 3 BODY[] NIL)\r\nTAG NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2026-08-14 10:00:00]\r\n", false, true
		case strings.Contains(cmd, "1:5"):
			return item(1, cmd) + item(2, cmd) + "TAG NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2026-08-14 10:00:00]\r\n", false, true
		}
		return "", false, false
	}}
	got, err := Take(t.Context(), s.dial, []string{"INBOX"}, Options{Bodies: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bad := unreadable(got[0]); len(bad) != 1 || bad[0] != 3 || s.conns != 1 || !strings.Contains(got[0].Messages[2].BodyErr, "SERVERBUG") {
		t.Errorf("unreadable: %v with %d connections: %+v", bad, s.conns, got[0])
	}
	if len(got[0].Replies) != 1 || got[0].Replies[0].Count != 2 {
		t.Errorf("replies = %+v", got[0].Replies)
	}
}

func TestTakeStopsWhenNoConnectionCanBeMade(t *testing.T) {
	broken := errors.New("no route")
	calls := 0
	s := &server{n: 5, validity: 1, hook: silentDeath(5, 2)}
	dial := func(ctx context.Context) (*Conn, error) {
		if calls++; calls > 1 {
			return nil, broken
		}
		return s.dial(ctx)
	}
	got, err := Take(t.Context(), dial, []string{"INBOX", "Other"}, Options{Bodies: true}, nil)
	if !errors.Is(err, broken) || len(got) != 1 || got[0].Complete || len(got[0].Messages) != 5 {
		t.Errorf("Take = %+v, %v", got, err)
	}
}

func TestTakeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &server{n: 5, validity: 1, hook: func(_ int, cmd string) (string, bool, bool) {
		if strings.Contains(cmd, "BODY") {
			cancel()
			return "", false, true
		}
		return "", false, false
	}}
	if _, err := Take(ctx, s.dial, []string{"INBOX"}, Options{Bodies: true}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Take = %v", err)
	}
}
