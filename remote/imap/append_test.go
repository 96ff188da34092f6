package imap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// store is a server that takes messages: it reads commands with their literals as a server does, and decides on each message by what
// refuse says of its text.
type store struct {
	caps     string
	refuse   func(text string) string // the reply's end, "NO [LIMIT] too large"; "" takes it
	hangUp   int                      // after so many messages; 0 never
	noUIDs   bool                     // APPENDUID is not told
	mu       sync.Mutex
	texts    []string
	commands []string // of APPEND, with the literals' sizes
	waits    int      // literals that the client waited for
}

var literalEnd = regexp.MustCompile(`\{([0-9]+)(\+?)\}\r\n$`)

func (s *store) serve(conn net.Conn) {
	defer conn.Close()
	fmt.Fprintf(conn, "* PREAUTH [CAPABILITY %s] ready\r\n", strings.TrimSpace("IMAP4rev1 "+s.caps))
	r := bufio.NewReader(conn)
	for {
		command, texts, refused := "", []string{}, ""
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			command += line
			m := literalEnd.FindStringSubmatch(line)
			if m == nil {
				break
			}
			if m[2] == "" {
				s.mu.Lock()
				s.waits++
				s.mu.Unlock()
				if n, _ := strconv.Atoi(m[1]); s.refuse != nil && s.refuse(fmt.Sprint("size ", n)) != "" {
					refused = s.refuse(fmt.Sprint("size ", n))
					break
				}
				fmt.Fprint(conn, "+ go on\r\n")
			}
			n, _ := strconv.Atoi(m[1])
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			texts = append(texts, string(b))
		}
		tag, rest, _ := strings.Cut(command, " ")
		if !strings.HasPrefix(rest, "APPEND ") {
			fmt.Fprintf(conn, "%s BAD what\r\n", tag)
			continue
		}
		for _, t := range texts {
			if s.refuse != nil && refused == "" {
				refused = s.refuse(t)
			}
		}
		s.mu.Lock()
		s.commands = append(s.commands, rest)
		if refused == "" {
			s.texts = append(s.texts, texts...)
		}
		last := len(s.texts)
		s.mu.Unlock()
		switch {
		case refused != "":
			fmt.Fprintf(conn, "%s %s\r\n", tag, refused)
			continue
		case s.hangUp > 0 && last >= s.hangUp:
			fmt.Fprint(conn, "* BYE Internal error occurred\r\n")
			return
		case s.noUIDs:
			fmt.Fprintf(conn, "* %d EXISTS\r\n%s OK done\r\n", last, tag)
		case len(texts) == 1:
			fmt.Fprintf(conn, "* %d EXISTS\r\n%s OK [APPENDUID 7 %d] done\r\n", last, tag, last)
		default:
			fmt.Fprintf(conn, "* %d EXISTS\r\n%s OK [APPENDUID 7 %d:%d] done\r\n", last, tag, last-len(texts)+1, last)
		}
	}
}

func (s *store) client(t *testing.T) *Client {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); s.serve(theirs) }()
	c, err := Preauth(t.Context(), ours, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); theirs.Close(); <-done })
	return c
}

func letters(texts ...string) (all []Letter) {
	for _, t := range texts {
		all = append(all, Letter{Flags: []string{`\Seen`, "$Label1"}, Date: time.Date(2020, 5, 8, 9, 10, 11, 0, time.UTC), Size: int64(len(t)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(t)), nil }})
	}
	return all
}

func many(n, size int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", size)))
	}
	return texts
}

func TestAppendAddsEveryMessageWhateverTheServerOffers(t *testing.T) {
	for _, caps := range []string{"", "LITERAL-", "LITERAL+", "LITERAL+ UIDPLUS", "LITERAL+ MULTIAPPEND UIDPLUS", "LITERAL- MULTIAPPEND"} {
		t.Run(caps, func(t *testing.T) {
			s := &store{caps: caps}
			texts := append(many(50, 10), many(3, 10_000)...)
			var got []uint32
			err := s.client(t).Append(t.Context(), "Entwürfe & \"x\"", letters(texts...), func(i int, a Appended) {
				if a.Err != nil || a.UIDValidity != 7 || int(a.UID) != i+1 {
					t.Errorf("message %d: %+v", i, a)
				}
				got = append(got, a.UID)
			})
			s.mu.Lock()
			defer s.mu.Unlock()
			if err != nil || len(got) != len(texts) || !slices.Equal(s.texts, texts) {
				t.Fatalf("%d of %d, %v", len(got), len(texts), err)
			}
			for _, want := range []string{`"Entw&APw-rfe &- \"x\""`, `(\Seen $Label1) " 8-May-2020 09:10:11 +0000"`} {
				if !strings.Contains(s.commands[0], want) {
					t.Errorf("sent %q, without %s", s.commands[0], want)
				}
			}
			switch {
			case strings.HasPrefix(caps, "LITERAL+") && s.waits != 0:
				t.Errorf("waited %d times", s.waits)
			case caps == "LITERAL-" && s.waits != 3, caps == "" && s.waits != len(texts):
				t.Errorf("waited %d times", s.waits)
			case strings.Contains(caps, "MULTIAPPEND") == (len(s.commands) == len(texts)):
				t.Errorf("%d commands", len(s.commands))
			}
		})
	}
}

func TestAppendTellsEachRefusal(t *testing.T) {
	refuse := func(text string) string {
		if strings.Contains(text, "Subject: 7\r\n") {
			return "NO [OVERQUOTA] Quota exceeded"
		}
		return ""
	}
	for _, caps := range []string{"", "LITERAL+", "LITERAL+ MULTIAPPEND"} {
		t.Run(caps, func(t *testing.T) {
			s := &store{caps: caps, refuse: refuse}
			told := map[int]Appended{}
			err := s.client(t).Append(t.Context(), "INBOX", letters(many(20, 5)...), func(i int, a Appended) { told[i] = a })
			if err != nil || len(told) != 20 {
				t.Fatalf("told of %d: %v", len(told), err)
			}
			for i, a := range told {
				if (i == 7) != (a.Err != nil) || i == 7 && (a.Err.Code != "OVERQUOTA" || a.Err.Type != TypeNo) {
					t.Errorf("message %d: %+v", i, a)
				}
			}
			if len(s.texts) != 19 {
				t.Errorf("the server has %d", len(s.texts))
			}
		})
	}
}

func TestAppendDoesNotSendWhatWasRefusedBefore(t *testing.T) {
	s := &store{caps: "LITERAL-", refuse: func(text string) string {
		if text == "size 5021" {
			return "NO [TOOBIG] too large"
		}
		return ""
	}}
	texts := []string{"a: b\r\n\r\n", "Subject: 0\r\n\r\n" + strings.Repeat("x", 5000) + "\r\nend\r\n", "c: d\r\n\r\n"}
	texts[1] = texts[1][:5021-2] + "\r\n"
	told := map[int]*Error{}
	if err := s.client(t).Append(t.Context(), "INBOX", letters(texts...), func(i int, a Appended) { told[i] = a.Err }); err != nil {
		t.Fatal(err)
	}
	if len(told) != 3 || told[0] != nil || told[2] != nil || told[1] == nil || told[1].Code != "TOOBIG" {
		t.Errorf("told %v", told)
	}
}

func TestAppendLeavesUnknownWhatAHangUpCutOff(t *testing.T) {
	for _, caps := range []string{"", "LITERAL+", "LITERAL+ MULTIAPPEND"} {
		s := &store{caps: caps, hangUp: 40}
		told := 0
		err := s.client(t).Append(t.Context(), "INBOX", letters(many(100, 5)...), func(int, Appended) { told++ })
		var e *Error
		if !Ended(err) || !errors.As(err, &e) || e.Type != TypeBye || told == 0 || told >= 40 {
			t.Errorf("%s: told of %d: %v", caps, told, err)
		}
	}
}

func TestAppendWithoutUIDPLUS(t *testing.T) {
	s := &store{caps: "LITERAL+", noUIDs: true}
	told := 0
	err := s.client(t).Append(t.Context(), "INBOX", letters(many(5, 5)...), func(i int, a Appended) {
		if told++; a.UID != 0 || a.Err != nil {
			t.Errorf("%d: %+v", i, a)
		}
	})
	if err != nil || told != 5 {
		t.Errorf("%d, %v", told, err)
	}
}

func TestAppendGivesUpTheConnectionWhereATextEndsEarly(t *testing.T) {
	s := &store{caps: "LITERAL+"}
	all := letters(many(3, 5)...)
	all[1].Size++
	told := map[int]bool{}
	err := s.client(t).Append(t.Context(), "INBOX", all, func(i int, a Appended) { told[i] = true })
	var broken *BrokenError
	if !Ended(err) || !errors.As(err, &broken) || broken.Index != 1 || told[1] || len(s.texts) > 1 {
		t.Errorf("%v, told of %v, the server has %d", err, told, len(s.texts))
	}
}

func TestClientGoesOnAfterAppend(t *testing.T) {
	s := &store{caps: "LITERAL+"}
	c := s.client(t)
	for range 3 {
		if err := c.Append(t.Context(), "INBOX", letters(many(5, 5)...), func(int, Appended) {}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Examine(t.Context(), "INBOX") // which this server does not know
		var e *Error
		if !errors.As(err, &e) || e.Type != TypeBad {
			t.Fatalf("got %v", err)
		}
	}
}

func TestAppendedUIDsAreBelievedOnlyWhereTheyFit(t *testing.T) {
	for _, x := range []struct {
		text  string
		count int
		want  []uint32
	}{
		{"x OK [APPENDUID 5 9] y", 1, []uint32{9}}, {"x OK [appenduid 5 9:11,20] y", 4, []uint32{9, 10, 11, 20}},
		{"x OK [APPENDUID 5 9:11] y", 2, nil}, {"x OK [APPENDUID 5 1:4294967295] y", 3, nil}, {"x OK [APPENDUID 5 0] y", 1, nil},
		{"x OK [APPENDUID 5 99999999999] y", 1, nil}, {"x OK [APPENDUID 5 3:1] y", 3, nil}, {"x OK y", 1, nil}, {"x OK [APPENDUID 5 ,] y", 1, nil},
	} {
		if _, got := appendedUIDs([]byte(x.text), x.count); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v", x.text, got)
		}
	}
}

func TestOutlinesAreReadHoweverTheyAreSent(t *testing.T) {
	asked := []string{}
	c := preauthed(t, func(command string) string {
		asked = append(asked, command)
		if strings.Contains(command, "X-GUID") {
			return "TAG BAD Unknown parameter X-GUID\r\n"
		}
		return "* 1 FETCH (UID 5 RFC822.SIZE 77 BODY[HEADER.FIELDS (MESSAGE-ID)] {34}\r\nMessage-ID:\r\n <a UID 9 b@c>\r\n\r\n\r\n)\r\n" +
			"* 2 EXISTS\r\n* 2 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID)] \"\" RFC822.SIZE 3 UID 6)\r\n* 3 FETCH (FLAGS ())\r\nTAG OK\r\n"
	})
	var got []Outline
	for range 2 {
		got = nil
		if err := c.Outlines(t.Context(), 1, func(o Outline) error { got = append(got, o); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	want := []Outline{{UID: 5, Size: 77, MessageID: "<a UID 9 b@c>"}, {UID: 6, Size: 3}}
	if !slices.Equal(got, want) || len(asked) != 3 {
		t.Errorf("got %+v after %q", got, asked)
	}
}
