package imap

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

func asError(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T (%v), not *Error", err, err)
	}
	return e
}

func TestExamineTellsNumbersAndRefusals(t *testing.T) {
	c := preauthed(t, func(cmd string) string {
		if cmd == "EXAMINE INBOX" {
			return "* FLAGS (\\Seen)\r\n* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n* 45 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1795458463] UIDs valid\r\n* OK [UIDNEXT 61] Predicted next UID\r\nTAG OK [READ-ONLY] done\r\n"
		}
		return "TAG NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2026-08-14 10:00:00] (0.001 secs).\r\n"
	})
	got, err := c.Examine(t.Context(), "INBOX")
	if want := (Examined{UIDValidity: 1795458463, UIDNext: 61, Exists: 45, Unseen: -1}); err != nil || got != want {
		t.Errorf("Examine = %+v, %v", got, err)
	}
	_, err = c.Examine(t.Context(), "Broken")
	e := asError(t, err)
	if e.Type != TypeNo || e.Code != "SERVERBUG" || !strings.Contains(e.Text, "[2026-08-14") || !strings.Contains(e.Raw, "NO [SERVERBUG]") || Ended(err) {
		t.Errorf("error = %+v", e)
	}
	if x := Explain(err); x.Class != ClassInternal || x.Whose != WhoseMailbox {
		t.Errorf("Explain = %+v", x)
	}
	if _, err = c.Examine(t.Context(), "INBOX"); err != nil {
		t.Errorf("after a NO the connection is not usable: %v", err)
	}
}

func TestByeAfterStubNamesTheSuspect(t *testing.T) {
	c := preauthed(t, always("* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n* 2 FETCH (UID 9)\r\n* BYE FETCH failed: Internal error occurred. Refer to server log for more information. [2026-08-14 10:00:00]\r\n"+hangUp))
	var got []uint32
	err := c.FetchBodies(t.Context(), []uint32{7, 9, 11}, func(b Body) error { got = append(got, b.UID); return nil })
	e := asError(t, err)
	if e.Type != TypeBye || e.UID != 9 || !e.Partial || !strings.HasPrefix(e.Text, "FETCH failed") || !Ended(err) {
		t.Errorf("error = %+v", e)
	}
	if !reflect.DeepEqual(got, []uint32{7}) {
		t.Errorf("bodies of %v", got)
	}
	if x := Explain(err); x.Class != ClassUnreadable || !strings.Contains(x.Meaning, "UID 9") {
		t.Errorf("Explain = %+v", x)
	}
}

func TestConnectionClosedInsideABodyNamesTheMessage(t *testing.T) {
	c := preauthed(t, always("* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n* 2 FETCH (UID 9 BODY[] {500}\r\nhalf a mess"+hangUp))
	var got []uint32
	err := c.FetchBodies(t.Context(), []uint32{7, 9}, func(b Body) error { got = append(got, b.UID); return nil })
	if e := asError(t, err); e.Type != TypeClosed || e.UID != 9 || !e.Partial {
		t.Errorf("error = %+v", e)
	}
	if !reflect.DeepEqual(got, []uint32{7}) {
		t.Errorf("bodies of %v: a message that broke off is yielded", got)
	}
}

func TestConnectionClosedBetweenMessagesNamesNoSuspect(t *testing.T) {
	c := preauthed(t, always("* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n"+hangUp))
	err := c.FetchBodies(t.Context(), []uint32{7, 9}, func(Body) error { return nil })
	if e := asError(t, err); e.Type != TypeClosed || e.UID != 7 || e.Partial {
		t.Errorf("error = %+v", e)
	}
}

func TestFetchBodiesStreamsAndHashes(t *testing.T) {
	text := strings.Repeat("line of mail\r\n", 1<<16) // 917,504 bytes
	c := preauthed(t, always(fmt.Sprintf("* 1 FETCH (UID 3 BODY[] {%d}\r\n%s)\r\n* 2 FETCH (UID 4 BODY[] NIL)\r\n* 3 FETCH (UID 5 BODY[] \"quoted\")\r\nTAG OK done\r\n", len(text), text)))
	var got []Body
	if err := c.FetchBodies(t.Context(), []uint32{3, 4, 5}, func(b Body) error { got = append(got, b); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []Body{
		{UID: 3, SHA256: sha256.Sum256([]byte(text)), Size: int64(len(text))},
		{UID: 4, None: true},
		{UID: 5, SHA256: sha256.Sum256([]byte("quoted")), Size: 6},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("bodies = %+v", got)
	}
}

func TestFetchNeverAsksForMoreThanPeeking(t *testing.T) {
	var commands []string
	c := preauthed(t, func(cmd string) string { commands = append(commands, cmd); return "TAG OK done\r\n" })
	c.FetchBodies(t.Context(), []uint32{1, 2, 3, 9}, func(Body) error { return nil })
	c.FetchFlags(t.Context(), 5, func(Message) error { return nil })
	c.UIDSort(t.Context())
	want := []string{"UID FETCH 1:3,9 (UID BODY.PEEK[])", "UID FETCH 5:* (UID FLAGS)", "UID SORT (REVERSE DATE) UTF-8 ALL"}
	c.Close()
	if !reflect.DeepEqual(commands, want) {
		t.Errorf("commands = %q", commands)
	}
}

func TestFetchFlagsTellsKeywordsApart(t *testing.T) {
	c := preauthed(t, always("* 1 FETCH (UID 3 FLAGS (\\Seen \\Recent Work $Label1))\r\n* 2 FETCH (FLAGS ())\r\nTAG OK done\r\n"))
	var got []Message
	if err := c.FetchFlags(t.Context(), 1, func(m Message) error { got = append(got, m); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []Message{{UID: 3, Flags: []string{`\Seen`}, Keywords: []string{"Work", "$Label1"}, HasFlags: true, Size: -1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("messages = %+v", got)
	}
}

func TestListingResolvesNames(t *testing.T) {
	c := preauthed(t, always("* LIST (\\HasNoChildren) \".\" INBOX\r\n* LIST () \".\" INBOX.Entw&APw-rfe.2020\r\n* LIST (\\Noselect) \".\" {9}\r\nINBOX.Arc\r\nTAG OK done\r\n"))
	l, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		ok         bool
	}{
		{"inbox", "INBOX", true},
		{"Entwürfe/2020", "INBOX.Entwürfe.2020", true},
		{"Arc", "INBOX.Arc", true},
		{"Gone/x", "Gone.x", false},
	}
	for _, tt := range tests {
		if got, ok := l.Resolve(tt.name); got != tt.want || ok != tt.ok {
			t.Errorf("Resolve(%q) = %q, %v", tt.name, got, ok)
		}
	}
	if !l.Mailboxes[2].NoSelect {
		t.Error("\\Noselect is not told")
	}
}

func TestServerWithoutSortIsTold(t *testing.T) {
	ours, theirs := net.Pipe()
	go (&fake{greeting: "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n", answer: always("TAG OK done\r\n")}).serve(theirs)
	c, err := Preauth(t.Context(), ours, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.UIDSort(t.Context()); !errors.Is(err, ErrNoSort) {
		t.Errorf("UIDSort = %v", err)
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	c := preauthed(t, always("* OK working\r\n"))
	c.w.silence = 100 * time.Millisecond
	start := time.Now()
	_, err := c.Examine(t.Context(), "INBOX")
	if e := asError(t, err); e.Type != TypeTimeout || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("error = %+v after %v", e, time.Since(start))
	}
}

func TestContextEndsACommand(t *testing.T) {
	c := preauthed(t, always("* OK working\r\n"))
	_, err := c.Examine(within(t, 50*time.Millisecond), "INBOX")
	if e := asError(t, err); e.Type != TypeStopped || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %+v", e)
	}
}

// hung is a stream whose Read never returns, as that of a stuck connection.
type hung struct{ once chan struct{} }

func (h hung) Read([]byte) (int, error)    { <-h.once; return 0, io.EOF }
func (h hung) Write(p []byte) (int, error) { return len(p), nil }
func (h hung) Close() error                { return nil }

func TestStreamThatHangsDoesNotHoldTheCaller(t *testing.T) {
	h := hung{make(chan struct{})}
	defer close(h.once)
	_, err := Preauth(within(t, 50*time.Millisecond), h, time.Minute)
	if e := asError(t, err); e.Type != TypeStopped {
		t.Errorf("error = %+v", e)
	}
}

func TestPreauthRefusesOtherGreetings(t *testing.T) {
	for greeting, typ := range map[string]string{
		"* OK hello\r\n": TypeProtocol,
		"* BYE Internal error occurred. Refer to server log for more information.\r\n": TypeBye,
		"":                             TypeClosed,
		"HTTP/1.1 400 Bad Request\r\n": TypeProtocol,
	} {
		ours, theirs := net.Pipe()
		go func() {
			io.WriteString(theirs, greeting)
			if greeting != "* OK hello\r\n" {
				theirs.Close()
				return
			}
			io.Copy(io.Discard, theirs)
		}()
		_, err := Preauth(t.Context(), ours, time.Second)
		if e := asError(t, err); e.Type != typ {
			t.Errorf("greeting %q: %+v", greeting, e)
		}
		theirs.Close()
	}
}

// flood sends a piece again and again.
func flood(t *testing.T, first, piece string) *Client {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		io.WriteString(theirs, preauth)
		buf := make([]byte, 4096)
		if _, err := theirs.Read(buf); err != nil {
			return
		}
		go io.Copy(io.Discard, theirs)
		if _, err := io.WriteString(theirs, first); err != nil {
			return
		}
		b := []byte(strings.Repeat(piece, 1+(64<<10)/len(piece)))
		for range (4 << 30) / len(b) {
			if _, err := theirs.Write(b); err != nil {
				return
			}
		}
	}()
	c, err := Preauth(t.Context(), ours, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); theirs.Close() })
	return c
}

func TestHostileServerCannotExhaustMemory(t *testing.T) {
	tests := []struct{ name, first, piece string }{
		{"endless line", "* OK ", "x"},
		{"endless atom", "* ", "x"},
		{"endless quoted string over lines", "* LIST () \"/\" \"", "x\r\n"},
		{"endless quoted string in a fetch", "* 1 FETCH (FLAGS (a) ENVELOPE (\"BODY[] {99999999}\r\n", "x"},
		{"huge literal as mailbox name", "* LIST () \"/\" {4000000000}\r\n", "x"},
		{"huge literal in a section", "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (BODY[] {1000000000}\r\n", "x"},
		{"huge literal in an envelope", "* 1 FETCH (UID 1 ENVELOPE (BODY[] {1000000000}\r\n", "x"},
		{"literal past int64", "* 1 FETCH (UID 1 BODY[] {99999999999999999999999}\r\n", "x"},
		{"body past the limit", "* 1 FETCH (UID 1 BODY[] {3000000000}\r\n", "x"},
		{"endless sort", "* SORT", " 1"},
		{"many sorts", "", "* SORT 1 2 3 4 5 6 7 8 9\r\n"},
		{"endless flags", "* FLAGS (a", " a"},
		{"open response code", "* OK [FOO bar\r\n* 1 FETCH (UID 1 BODY[] {1000000000}\r\n] ", "x"},
		{"status text like a literal", "* OK {1000000000}\r\n", "x"},
		{"deep lists", "* 1 FETCH (BODYSTRUCTURE ", "("},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := flood(t, tt.first, tt.piece)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			peak := make(chan uint64)
			stop := make(chan struct{})
			go func() {
				var m runtime.MemStats
				var top uint64
				for {
					select {
					case <-stop:
						peak <- top
						return
					case <-time.After(20 * time.Millisecond):
						runtime.ReadMemStats(&m)
						top = max(top, m.HeapAlloc)
					}
				}
			}()
			_, err := c.UIDSort(within(t, 60*time.Second))
			close(stop)
			top := <-peak
			runtime.ReadMemStats(&after)
			e := asError(t, err)
			if e.Type != TypeLimit && e.Type != TypeProtocol {
				t.Errorf("error = %+v", e)
			}
			if top > before.HeapAlloc+600<<20 {
				t.Errorf("heap grew from %d to %d MiB", before.HeapAlloc>>20, top>>20)
			}
			if x := Explain(err); x.Class != ClassHostile {
				t.Errorf("Explain = %+v", x)
			}
		})
	}
}

func TestServerTextsAreSafeToPrint(t *testing.T) {
	c := preauthed(t, always("* NO [ALERT] red \x1b[31m alert\r\nTAG NO [SERVER\x1bBUG] clear \x1b[2J\u202e screen\r\n"))
	_, err := c.Examine(t.Context(), "INBOX")
	e := asError(t, err)
	for _, s := range []string{e.Error(), e.Text, e.Raw, e.Code, fmt.Sprint(c.Notices())} {
		if strings.ContainsAny(s, "\x1b\u202e") {
			t.Errorf("control characters in %q", s)
		}
	}
}
