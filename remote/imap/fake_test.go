package imap

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// fake is a scripted server: for each command it sends what the handler gives. An answer of "" closes the connection;
// TAG is replaced by the command's tag.
type fake struct {
	greeting string
	answer   func(command string) string
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	if _, err := io.WriteString(conn, f.greeting); err != nil {
		return
	}
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		a := f.answer(command)
		if a == "" {
			return
		}
		hang := strings.HasSuffix(a, hangUp)
		a = strings.ReplaceAll(strings.TrimSuffix(a, hangUp), "TAG", tag)
		if _, err := io.WriteString(conn, a); err != nil || hang {
			return
		}
	}
}

// hangUp at an answer's end closes the connection after it.
const hangUp = "\x00hang up"

const preauth = "* PREAUTH [CAPABILITY IMAP4rev1 SORT UIDPLUS] ready\r\n"

// preauthed gives a client of a pre-authenticated fake.
func preauthed(t *testing.T, answer func(command string) string) *Client {
	return preauthedIn(t, 1<<20, answer)
}

// pieces reads at most so many bytes at a time.
type pieces struct {
	net.Conn
	size int
}

func (p pieces) Read(b []byte) (int, error) { return p.Conn.Read(b[:min(len(b), p.size)]) }

// preauthedIn reads what the server sends in pieces.
func preauthedIn(t *testing.T, size int, answer func(command string) string) *Client {
	t.Helper()
	ours, theirs := net.Pipe()
	f := &fake{greeting: preauth, answer: answer}
	done := make(chan struct{})
	go func() { defer close(done); f.serve(theirs) }()
	c, err := Preauth(t.Context(), pieces{ours, size}, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		theirs.Close()
		<-done
	})
	return c
}

// always answers every command alike.
func always(s string) func(string) string { return func(string) string { return s } }

// listen serves a fake on loopback, once.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
