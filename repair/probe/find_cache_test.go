//go:build unix

package probe

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"dovemend/remote/imap"
)

// withAttachments fills INBOX with messages of two parts each, and has Dovecot remember their structure.
func (s *store) withAttachments(n int) {
	s.t.Helper()
	p, log := s.start()
	var script strings.Builder
	for i := range n {
		text := fmt.Sprintf("From: a@example.org\r\nSubject: message %d\r\nMIME-Version: 1.0\r\nDate: Mon, 03 Aug 2020 10:00:00 +0200\r\n"+
			"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"+
			"--b\r\nContent-Type: application/pdf\r\n\r\n%%PDF\r\n--b--\r\n", i)
		fmt.Fprintf(&script, "a%d APPEND INBOX {%d+}\r\n%s\r\n", i, len(text), text)
	}
	script.WriteString("z LOGOUT\r\n")
	go io.WriteString(p, script.String())
	if out, err := io.ReadAll(p); err != nil || strings.Count(string(out), "OK [APPENDUID") != n {
		s.t.Fatalf("fill the store: %v\n%s\n%s", err, out, log.bytes())
	}
	p.Close()
	dial, _ := s.dialer()
	c, err := dial(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Logout(s.t.Context())
	if _, err := c.Examine(s.t.Context(), "INBOX"); err != nil {
		s.t.Fatal(err)
	}
	if err := c.AskRanges(s.t.Context(), imap.LookBodyStructure, []imap.UIDRange{{First: 1, Last: uint32(n)}}, nil); err != nil {
		s.t.Fatal(err)
	}
}

// poisonCache breaks what the cache remembers of messages' structure. Dovecot sends that as it stands.
func (s *store) poisonCache(t *testing.T, uids ...uint32) {
	t.Helper()
	file := s.files("dovecot.index.cache")[0]
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var places []int // in the order of UIDs
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(`("text" "plain"`))
		if i < 0 {
			break
		}
		places = append(places, at+i)
		at += i + 1
	}
	for _, uid := range uids {
		copy(b[places[uid-1]:], "\x80\xff(\x07\"((")
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestRealCachePoisonIsProvenByDroppingTheCache(t *testing.T) {
	for _, layout := range []string{"sdbox", "mdbox", "maildir"} {
		t.Run(layout, func(t *testing.T) {
			s := newStore(t, layout)
			s.more = []string{oneFileEach}
			s.withAttachments(30)
			dial, _ := s.dialer()
			s.poisonCache(t, 4, 15, 30)
			o := FindOptions{Pause: -1}
			before, err := Find(t.Context(), dial, "INBOX", o)
			if err != nil || fmt.Sprint(before.UIDs()) != "[4 15 30]" || !before.Complete {
				t.Fatalf("found %v, %v: %s", before.UIDs(), err, before.Text)
			}
			for _, p := range before.Poison {
				if p.Verdict != BlameCacheMaybe || p.Cache || p.Look != imap.LookBodyStructure || !strings.Contains(p.Next, "drop-cache") {
					t.Errorf("%+v", p)
				}
			}
			same, err := Settle(t.Context(), dial, before, o)
			if err != nil || len(same.Poison) != 3 || same.Poison[0].Verdict != BlameMessage {
				t.Errorf("with the cache still there: %v, %+v", err, same.Poison)
			}
			if err := os.Remove(s.files("dovecot.index.cache")[0]); err != nil {
				t.Fatal(err)
			}
			after, err := Settle(t.Context(), dial, before, o)
			if err != nil || len(after.Poison) != 3 || !after.Complete || after.RoundTrips > 6 {
				t.Fatalf("%d round trips, %v: %+v", after.RoundTrips, err, after)
			}
			for _, p := range after.Poison {
				if p.Verdict != BlameCache || !p.Cache {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

func TestMessagePoisonIsToldFromCachePoisonInOneMailbox(t *testing.T) {
	s := newStore(t, "sdbox")
	s.withAttachments(30)
	dial, _ := s.dialer()
	s.poisonCache(t, 15)
	s.breakFile("message-garbage", s.fileOf(3))
	o := FindOptions{Pause: -1, Suspects: []uint32{3}}
	before, err := Find(t.Context(), dial, "INBOX", o)
	if err != nil || len(before.Poison) != 2 {
		t.Fatalf("found %v, %v: %s", before.UIDs(), err, before.Text)
	}
	if err := os.Remove(s.files("dovecot.index.cache")[0]); err != nil {
		t.Fatal(err)
	}
	after, err := Settle(t.Context(), dial, before, o)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint32]Verdict{}
	for _, p := range after.Poison {
		got[p.UID] = p.Verdict
		t.Log(p.Text, p.Next)
	}
	if len(got) != 2 || got[3] != BlameMessage || got[15] != BlameCache {
		t.Errorf("verdicts: %v", got)
	}
}
