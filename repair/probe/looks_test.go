package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
)

func TestEveryKindOfLookAtAHealthyMailboxWorks(t *testing.T) {
	s := newMailServer(10)
	got := s.look(t, LookOptions{})
	if !got.Healthy() || states(got) != "" || s.most.Load() != 1 || got.Connections != 1 {
		t.Errorf("looked: %s, %d connections, %+v", states(got), got.Connections, got)
	}
	m := got.Mailboxes[0]
	if m.Exists != 10 || m.Seen != 5 || m.Sample != 10 || m.UIDValidity != 1 || m.UIDNext != 11 {
		t.Errorf("mailbox = %+v", m)
	}
	if n := len(got.Account) + len(m.Looks); n != len(AllLooks()) {
		t.Errorf("%d looks of %d", n, len(AllLooks()))
	}
	for _, r := range m.Looks {
		if r.Look != LookStatus && r.Look != LookExamine && (r.Asked != 10 || r.Answered != 10) {
			t.Errorf("%s: %+v", r.Look, r)
		}
	}
	for _, c := range s.commands() {
		if strings.Contains(c, "BODY[]") && !strings.Contains(c, "BODY.PEEK[]") || strings.Contains(c, "SELECT") {
			t.Errorf("%q could mark messages as seen", c)
		}
	}
}

// TestOneBrokenLookDoesNotHideTheOthers breaks each kind of look alone, in three ways.
func TestOneBrokenLookDoesNotHideTheOthers(t *testing.T) {
	marks := map[imap.Look]string{LookStatus: "STATUS", imap.LookFlags: "(FLAGS UID)|(UID FLAGS)", imap.LookEnvelope: "ENVELOPE",
		imap.LookBodyStructure: "BODYSTRUCTURE", imap.LookBody: "BODY.PEEK[]", imap.LookSearchBody: " BODY ", imap.LookSearchText: " TEXT ",
		imap.LookSort: "UID SORT", imap.LookThread: "UID THREAD"}
	const busy = "Internal error occurred. Refer to server log for more information. [2026-08-14 10:00:00]"
	ways := map[string]struct {
		answer string
		hangUp bool
		class  imap.Class
	}{
		"NO":    {"TAG NO [SERVERBUG] " + busy + "\r\n", false, imap.ClassInternal},
		"BYE":   {"* BYE FETCH failed: " + busy + "\r\n", true, imap.ClassUnreadable},
		"crash": {"", true, imap.ClassClosed},
	}
	for look, mark := range marks {
		for way, w := range ways {
			t.Run(string(look)+", "+way, func(t *testing.T) {
				s := newMailServer(10)
				s.hook = func(_ int, cmd string) (string, bool, bool) {
					for _, m := range strings.Split(mark, "|") {
						if strings.Contains(cmd, m) {
							return w.answer, w.hangUp, true
						}
					}
					return "", false, false
				}
				got := s.look(t, LookOptions{})
				want := string(look) + " fails"
				if look == imap.LookFlags { // which messages there are is told by nothing else
					for _, k := range imap.Looks[1:] {
						want += "; " + string(k) + " not-asked"
					}
				}
				if states(got) != want || got.Healthy() {
					t.Errorf("looked: %s; want %s", states(got), want)
				}
				r := got.Mailboxes[0].Result(look)
				if len(r.Replies) != 1 || r.Replies[0].Class != w.class || r.Replies[0].Next == "" || r.Replies[0].At.IsZero() {
					t.Errorf("replies = %+v", r.Replies)
				}
				if n := s.conns.Load(); w.hangUp && n > 2 || !w.hangUp && n != 1 || s.most.Load() > 1 {
					t.Errorf("%d connections, %d at one time", n, s.most.Load())
				}
			})
		}
	}
}

func TestMailboxThatCannotBeOpenedIsLookedAtNoFurther(t *testing.T) {
	for _, answer := range []string{"TAG NO [SERVERBUG] Internal error occurred.\r\n", ""} {
		s := newMailServer(3)
		s.hook = func(_ int, cmd string) (string, bool, bool) {
			return answer, answer == "", strings.HasPrefix(cmd, "EXAMINE")
		}
		got := s.look(t, LookOptions{})
		r := got.Mailboxes[0].Result(imap.LookSort)
		if got.Mailboxes[0].Result(LookExamine).State != Fails || r.State != NotAsked || r.Why == "" || got.Mailboxes[0].Exists != -1 {
			t.Errorf("%+v", got.Mailboxes[0])
		}
		n := 0
		for _, c := range s.commands() {
			if strings.HasPrefix(c, "EXAMINE") {
				n++
			}
		}
		if n != 1 || s.conns.Load() > 2 {
			t.Errorf("asked %d times over %d connections", n, s.conns.Load())
		}
	}
}

func TestSuspectIsTheMessageAtWhichTheServerBrokeOff(t *testing.T) {
	s := newMailServer(10)
	s.stderr = &logBuffer{}
	s.hook = func(_ int, cmd string) (string, bool, bool) {
		if !strings.Contains(cmd, "BODY.PEEK[]") {
			return "", false, false
		}
		s.stderr.say("imap(u): Panic: file index-mail.c: line 1140 (index_mail_parse_body_finish): assertion failed")
		s.stderr.say("imap(u): Error: Raw backtrace: ./x(+0x1) [0x5]")
		s.stderr.say("imap(u): Error: Mailbox INBOX: UID=8: something never heard of")
		return answerFor(1, cmd) + "* 7 FETCH (UID 7 BODY[] {100}\r\nhalf", true, true
	}
	got := s.look(t, LookOptions{})
	r := got.Mailboxes[0].Result(imap.LookBody)
	if !slices.Equal(r.Suspects, []uint32{7, 8}) || r.Answered != 1 || r.State != Fails {
		t.Errorf("result = %+v", r)
	}
	if len(r.Log) != 2 || r.Log[0].Class != imap.ClassCrash || r.Log[0].Whose != imap.WhoseMailbox || r.Log[1].Class != imap.ClassOther {
		t.Errorf("log = %+v", r.Log)
	}
}

func TestMessagesLeftOutInSilenceAreTold(t *testing.T) {
	s := newMailServer(10)
	s.hook = func(_ int, cmd string) (string, bool, bool) {
		if strings.Contains(cmd, "ENVELOPE") {
			return answerFor(1, cmd) + answerFor(2, cmd) + "TAG OK done\r\n", false, true
		}
		return "", false, false
	}
	got := s.look(t, LookOptions{})
	r := got.Mailboxes[0].Result(imap.LookEnvelope)
	if states(got) != "envelope fails" || r.Answered != 2 || r.Gone != 0 || len(r.Suspects) != 8 || r.Replies[0].Class != imap.ClassUnreadable {
		t.Errorf("%s: %+v", states(got), r)
	}
	// Fewer flags than messages: the same.
	s = newMailServer(10)
	s.hook = func(_ int, cmd string) (string, bool, bool) {
		if strings.Contains(cmd, "FLAGS") {
			return answerFor(1, cmd) + answerFor(2, cmd) + "TAG OK done\r\n", false, true
		}
		return "", false, false
	}
	got = s.look(t, LookOptions{})
	if r := got.Mailboxes[0].Result(imap.LookFlags); r.State != Fails || r.Answered != 2 || got.Mailboxes[0].Sample != 2 {
		t.Errorf("%s: %+v", states(got), r)
	}
}

func TestMessagesDeletedMeanwhileAreNoFinding(t *testing.T) {
	s := newMailServer(10)
	s.hook = func(_ int, cmd string) (string, bool, bool) {
		if strings.Contains(cmd, "ENVELOPE") {
			s.n.Store(8)
			return answerFor(1, cmd) + answerFor(2, cmd) + "TAG OK [EXPUNGEISSUED] Some messages were already expunged.\r\n", false, true
		}
		return "", false, false
	}
	s.n.Store(2)
	got := s.look(t, LookOptions{})
	if states(got) != "" {
		t.Errorf("looked: %s", states(got))
	}
	if r := got.Mailboxes[0].Result(imap.LookEnvelope); r.State != Works || len(r.Replies) != 1 || r.Replies[0].Class != imap.ClassExpunged {
		t.Errorf("result = %+v", r)
	}
	s = newMailServer(10)
	s.hook = func(_ int, cmd string) (string, bool, bool) {
		if strings.Contains(cmd, "ENVELOPE") {
			s.n.Store(4)
		}
		return "", false, false
	}
	got = s.look(t, LookOptions{})
	if r := got.Mailboxes[0].Result(imap.LookEnvelope); states(got) != "" || r.Answered != 4 || r.Gone != 6 || !got.Healthy() {
		t.Errorf("%s: %+v", states(got), r)
	}
}

func TestMailboxMadeAnewBetweenTwoLooksIsTold(t *testing.T) {
	s := newMailServer(10)
	s.hook = func(conn int, cmd string) (string, bool, bool) {
		if conn == 1 && strings.Contains(cmd, "ENVELOPE") {
			s.validity.Store(2)
			return "* BYE IMAP session state is inconsistent, please relogin.\r\n", true, true
		}
		return "", false, false
	}
	got := s.look(t, LookOptions{})
	if _, ok := got.Class(imap.ClassUIDValidity); !ok || got.Healthy() || got.Mailboxes[0].UIDValidity != 2 {
		t.Errorf("looked: %s, %+v", states(got), got)
	}
	if _, ok := got.Class(imap.ClassInconsistent); !ok {
		t.Error("the server's wish to log in again is not told")
	}
}

func TestServerThatHangsUpAtOpeningOnceIsAskedASecondTime(t *testing.T) {
	s := newMailServer(10)
	s.hook = func(conn int, cmd string) (string, bool, bool) {
		return "* BYE IMAP session state is inconsistent, please relogin.\r\n", true, conn == 1 && strings.HasPrefix(cmd, "EXAMINE")
	}
	got := s.look(t, LookOptions{})
	if states(got) != "examine fails" || got.Mailboxes[0].Exists != 10 || got.Connections != 2 {
		t.Errorf("looked: %s, %+v", states(got), got)
	}
}

func TestConnectionsAreBudgetedAndNeverStorm(t *testing.T) {
	s := newMailServer(10)
	s.hook = func(_ int, cmd string) (string, bool, bool) { return "", true, strings.HasPrefix(cmd, "EXAMINE") }
	names := make([]string, 50)
	for i := range names {
		names[i] = fmt.Sprint("box", i)
	}
	started := time.Now()
	got, err := LookAt(t.Context(), s.dial, names, LookOptions{Connections: 4, Pause: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if s.conns.Load() != 4 || got.Connections != 4 || s.most.Load() != 1 || got.Healthy() {
		t.Errorf("%d connections, %d at one time", s.conns.Load(), s.most.Load())
	}
	if d := time.Since(started); d < 20*time.Millisecond+40*time.Millisecond+80*time.Millisecond {
		t.Errorf("the pauses before new connections took only %v together", d)
	}
	last := got.Mailboxes[49].Looks[0]
	if last.State != NotAsked || !strings.Contains(last.Why, "4 connections") {
		t.Errorf("last = %+v", last)
	}
}

func TestConnectionLimitEndsTheProbe(t *testing.T) {
	s := newMailServer(10)
	s.hook = func(_ int, cmd string) (string, bool, bool) { return "", true, strings.Contains(cmd, "ENVELOPE") }
	full := &imap.Error{Op: "LOGIN", Type: imap.TypeNo, Code: "LIMIT", Text: "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
		Raw: "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)"}
	calls := 0
	dial := func(ctx context.Context) (*Conn, error) {
		if calls++; calls > 1 {
			return nil, full
		}
		return s.dial(ctx)
	}
	got, err := LookAt(t.Context(), dial, []string{"INBOX", "INBOX"}, LookOptions{Pause: -1})
	if err != nil || calls != 2 {
		t.Fatalf("%v after %d logins", err, calls)
	}
	reply, ok := got.Class(imap.ClassConnectionLimit)
	if !ok || reply.Limit != 10 || got.Account[0].State != Fails || got.Healthy() {
		t.Errorf("%v: %+v", reply, got.Account)
	}
	if r := got.Mailboxes[1].Looks[0]; r.State != NotAsked || r.Why == "" {
		t.Errorf("second mailbox: %+v", r)
	}
}

func TestLoginThatFailsIsAResult(t *testing.T) {
	refused := &imap.Error{Op: "LOGIN", Type: imap.TypeNo, Code: "AUTHENTICATIONFAILED", Text: "Authentication failed."}
	calls := 0
	got, err := LookAt(t.Context(), func(context.Context) (*Conn, error) { calls++; return nil, refused }, []string{"INBOX"}, LookOptions{})
	if err != nil || calls != 1 || got.Account[0].State != Fails || got.Account[0].Replies[0].Class != imap.ClassPassword || got.Healthy() {
		t.Errorf("%v after %d logins: %+v", err, calls, got)
	}
}

func TestLookingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newMailServer(10)
	s.hook = func(_ int, cmd string) (string, bool, bool) {
		if strings.Contains(cmd, "ENVELOPE") {
			cancel()
			return "", false, true
		}
		return "", false, false
	}
	got, err := LookAt(ctx, s.dial, []string{"INBOX"}, LookOptions{})
	if !errors.Is(err, context.Canceled) || len(got.Mailboxes) != 1 || got.Mailboxes[0].Result(imap.LookFlags).State != Works {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestOnlyChosenLooksAreTaken(t *testing.T) {
	s := newMailServer(10)
	got := s.look(t, LookOptions{Looks: []imap.Look{LookLogin}})
	if len(got.Account) != 1 || len(s.commands()) > 1 {
		t.Errorf("%+v, commands %q", got.Account, s.commands())
	}
	s = newMailServer(10)
	got = s.look(t, LookOptions{Looks: []imap.Look{imap.LookThread, LookStatus}})
	var names []string
	for _, r := range got.Mailboxes[0].Looks {
		names = append(names, string(r.Look))
	}
	if fmt.Sprint(names) != "[status examine thread]" || len(got.Account) != 1 {
		t.Errorf("looks = %v", names)
	}
}

func TestServerWithoutSortAndThreadIsHealthy(t *testing.T) {
	s := newMailServer(10)
	s.greeting = "* PREAUTH [CAPABILITY IMAP4rev1] ready"
	got := s.look(t, LookOptions{})
	if states(got) != "sort not-offered; thread not-offered" || !got.Healthy() {
		t.Errorf("looked: %s", states(got))
	}
}

func TestSampleIsTheNewestMessagesAndSomeOfTheOthers(t *testing.T) {
	for _, tt := range []struct{ messages, sample, want int }{{1000, 100, 100}, {101, 100, 100}, {100, 100, 100}, {7, 100, 7}, {1000, 1, 1}, {1000, -1, 1000}, {0, 5, 0}, {100_000, 200, 200}} {
		chosen := choose(tt.messages, tt.sample)
		got, newest := 0, 0
		for n := 1; n <= tt.messages; n++ {
			if chosen(n) {
				got++
				if n > tt.messages-(tt.sample+1)/2 {
					newest++
				}
			}
		}
		if got != tt.want || tt.messages > tt.sample && tt.sample > 0 && newest != (tt.sample+1)/2 {
			t.Errorf("%d messages, sample %d: %d chosen, %d of them newest", tt.messages, tt.sample, got, newest)
		}
	}
	s := newMailServer(1000)
	got := s.look(t, LookOptions{Sample: 50})
	if m := got.Mailboxes[0]; m.Sample != 50 || m.Result(imap.LookFlags).Asked != 1000 || m.Result(imap.LookBody).Answered != 50 || !got.Healthy() {
		t.Errorf("%s: %+v", states(got), m)
	}
	got = s.look(t, LookOptions{Sample: -1})
	if m := got.Mailboxes[0]; m.Sample != 1000 || m.Result(imap.LookSearchText).Answered != 1000 || !got.Healthy() {
		t.Errorf("%s: %+v", states(got), m)
	}
}

func TestTextsOfASampleAreBounded(t *testing.T) {
	s := newMailServer(10)
	got := s.look(t, LookOptions{SampleBytes: 20})
	if r := got.Mailboxes[0].Result(imap.LookBody); r.Asked != 3 || r.Answered != 3 || !strings.Contains(r.Why, "7 messages") || r.State != Works {
		t.Errorf("result = %+v", r)
	}
	if r := got.Mailboxes[0].Result(imap.LookEnvelope); r.Asked != 10 {
		t.Errorf("result = %+v", r)
	}
}

func TestRangesWithoutOthers(t *testing.T) {
	r := func(pairs ...uint32) (l []imap.UIDRange) {
		for i := 0; i < len(pairs); i += 2 {
			l = append(l, imap.UIDRange{First: pairs[i], Last: pairs[i+1]})
		}
		return l
	}
	const top = 1<<32 - 1
	for _, tt := range []struct{ all, others, want []imap.UIDRange }{
		{r(1, 10), nil, r(1, 10)},
		{r(1, 10), r(1, 10), nil},
		{r(1, 10), r(3, 4), r(1, 2, 5, 10)},
		{r(1, 10), r(8, 9, 3, 4), r(1, 2, 5, 7, 10, 10)},
		{r(1, 3, 5, 7), r(2, 6), r(1, 1, 7, 7)},
		{r(1, 3, 5, 7), r(1, 7), nil},
		{r(top-1, top), r(top, top), r(top-1, top-1)},
		{r(top-1, top), r(1, top), nil},
	} {
		if got := without(tt.all, tt.others); !slices.Equal(got, tt.want) {
			t.Errorf("%v without %v = %v, want %v", tt.all, tt.others, got, tt.want)
		}
	}
}
