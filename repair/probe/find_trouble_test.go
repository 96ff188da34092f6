package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dovemend/remote/imap"
)

// fetches reports whether a command fetches by a look.
func fetches(cmd, item string) bool {
	return strings.HasPrefix(cmd, "UID FETCH") && strings.Contains(cmd, item)
}

func TestSearchGoesOnFromItsSavedStateAtEveryStep(t *testing.T) {
	mailbox := func() *sick {
		s := sickMailbox(400).all(crash, 1, 200).at(300, no, imap.LookSearchBody)
		s.thread = true
		return s
	}
	whole := mailbox().find(t, FindOptions{Suspects: []uint32{200}})
	s := mailbox()
	killed := errors.New("killed")
	var state *Found
	steps := 0
	for ; ; steps++ {
		o := FindOptions{Pause: -1, Suspects: []uint32{200}, Resume: state, Save: func(f *Found) error {
			b, err := json.Marshal(f)
			if err != nil {
				return err
			}
			state = &Found{}
			if err := json.Unmarshal(b, state); err != nil {
				return err
			}
			return killed
		}}
		got, err := Find(t.Context(), s.dial, "INBOX", o)
		if err == nil {
			s.check(t, got, s.conns)
			if !reflect.DeepEqual(got.UIDs(), whole.UIDs()) || len(got.Everywhere) != 1 || got.Text != whole.Text {
				t.Errorf("step by step: %s\nin one: %s", got.Text, whole.Text)
			}
			break
		}
		if !errors.Is(err, killed) || steps > 500 {
			t.Fatal(err)
		}
	}
	if steps < 20 {
		t.Errorf("%d steps", steps)
	}
}

func TestBudgetsEndASearchThatCanGoOn(t *testing.T) {
	s := sickMailbox(1000)
	for u := uint32(10); u <= 1000; u += 100 {
		s.all(crash, u)
	}
	for name, o := range map[string]FindOptions{"reconnects": {Reconnects: 6}, "none": {Reconnects: -1}, "round-trips": {RoundTrips: 30}, "poison": {MaxPoison: 2}} {
		t.Run(name, func(t *testing.T) {
			o.Looks = []imap.Look{imap.LookBody}
			var state *Found
			for calls := 1; ; calls++ {
				o.Resume = state
				conns := s.conns
				got := s.find(t, o)
				state = got
				if n := s.conns - conns; name == "reconnects" && n > 7 || name == "none" && n != 1 {
					t.Fatalf("%d connections", n)
				}
				if got.Complete {
					if calls < 2 || len(got.Poison) != 10 || got.Stop != "" {
						t.Errorf("%d calls, %d messages, stop %q", calls, len(got.Poison), got.Stop)
					}
					return
				}
				want := Stop(name)
				if name == "none" {
					want = StopReconnects
				}
				if got.Stop != want || !got.Stopped() || got.Healthy() || !strings.Contains(got.Next, "goes on from here") {
					t.Fatalf("call %d: stop %q, %s", calls, got.Stop, got.Next)
				}
				if calls > 300 {
					t.Fatal("no end")
				}
			}
		})
	}
}

func TestConnectionLimitEndsTheSearchAtOnce(t *testing.T) {
	s := sickMailbox(100).all(crash, 50)
	s.greet = func(conn int) string {
		if conn >= 3 {
			return "* BYE [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)\r\n"
		}
		return "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"
	}
	got, err := Find(t.Context(), s.dial, "INBOX", FindOptions{Pause: -1})
	if err == nil || imap.Explain(err).Class != imap.ClassConnectionLimit || got.Stop != StopLimit || s.conns != 3 || !strings.Contains(got.Text, "10 at a time") {
		t.Errorf("%d connections, stop %q, %v: %s", s.conns, got.Stop, err, got.Text)
	}
	s.greet = nil
	if got := s.find(t, FindOptions{Resume: got}); fmt.Sprint(got.UIDs()) != "[50]" || got.Stop != "" {
		t.Errorf("later: %s", got.Text)
	}
}

func TestHostThatCannotBeReachedIsTriedAFewTimes(t *testing.T) {
	for text, want := range map[string]int{"* BYE [UNAVAILABLE] Temporary authentication failure.\r\n": 3, "* OK hi\r\n": 1} {
		s := sickMailbox(100)
		s.greet = func(int) string { return text }
		got, err := Find(t.Context(), s.dial, "INBOX", FindOptions{Pause: -1})
		if err == nil || got.Stop != StopConnection || s.conns != want {
			t.Errorf("%q: %d connections, stop %q, %v", text, s.conns, got.Stop, err)
		}
	}
}

func TestMailboxThatCannotBeOpenedEndsTheSearch(t *testing.T) {
	for answer, conns := range map[string]int{"TAG NO [SERVERBUG] Internal error occurred.\r\n": 1, "": 3} {
		s := sickMailbox(10)
		s.hook = func(_ *sick, cmd string) (string, bool, bool) {
			return answer, answer == "", strings.HasPrefix(cmd, "EXAMINE")
		}
		got, err := Find(t.Context(), s.dial, "INBOX", FindOptions{Pause: -1})
		if err == nil || got.Stop != StopMailbox || s.conns != conns || got.Complete {
			t.Errorf("%q: %d connections, stop %q, %v", answer, s.conns, got.Stop, err)
		}
	}
}

func TestMailboxMadeAnewEndsTheSearch(t *testing.T) {
	s := sickMailbox(100).all(crash, 50)
	s.hook = func(s *sick, cmd string) (string, bool, bool) {
		if s.conns == 2 {
			s.validity = 8
		}
		return "", false, false
	}
	got, err := Find(t.Context(), s.dial, "INBOX", FindOptions{Pause: -1})
	if !errors.Is(err, ErrUIDValidity) || got.Stop != StopUIDValidity || len(got.Poison) != 0 {
		t.Errorf("stop %q, %v", got.Stop, err)
	}
	if _, err := Find(t.Context(), s.dial, "INBOX", FindOptions{Pause: -1, Resume: got}); !errors.Is(err, ErrUIDValidity) {
		t.Errorf("resumed: %v", err)
	}
}

func TestMessagesDeletedMeanwhileAreNotAccused(t *testing.T) {
	s := sickMailbox(200).all(crash, 150)
	s.hook = func(s *sick, cmd string) (string, bool, bool) {
		if fetches(cmd, "ENVELOPE") {
			s.gone[40], s.gone[41], s.gone[150] = true, true, s.conns > 1
		}
		return "", false, false
	}
	got := s.find(t, FindOptions{})
	if len(got.Poison) != 0 || !got.Complete || got.Gone != 3 {
		t.Errorf("%d gone: %s", got.Gone, got.Text)
	}
}

func TestNewMailMeanwhileIsLeftAlone(t *testing.T) {
	s := sickMailbox(200).all(crash, 100)
	s.hook = func(s *sick, cmd string) (string, bool, bool) {
		if strings.HasPrefix(cmd, "UID") {
			s.n++
			s.all(crash, s.n)
		}
		return "", false, false
	}
	before := s.n
	got := s.find(t, FindOptions{})
	if fmt.Sprint(got.UIDs()) != "[100]" || !got.Complete || got.UIDNext != before+1 {
		t.Errorf("UIDNEXT %d: %s", got.UIDNext, got.Text)
	}
}

func TestServerThatHangsIsLeftAndTheMessageFound(t *testing.T) {
	s := sickMailbox(30).at(17, hang, imap.LookBody)
	got := s.find(t, FindOptions{Looks: []imap.Look{imap.LookBody}})
	if fmt.Sprint(got.UIDs()) != "[17]" || got.Poison[0].Crash || got.Poison[0].Reply.Class != imap.ClassTimeout {
		t.Errorf("%+v", got.Poison)
	}
}

func TestConnectionClosedInATextAccusesThatMessage(t *testing.T) {
	s := sickMailbox(500).at(333, closes, imap.LookBody)
	got := s.find(t, FindOptions{Looks: []imap.Look{imap.LookBody}})
	if fmt.Sprint(got.UIDs()) != "[333]" || got.Connections != 7 || !got.Poison[0].MidText || got.Poison[0].Crash {
		t.Errorf("%d connections: %s", got.Connections, got.Text)
	}
}

// TestServerThatFailsAtRandomAccusesNobody has one question in eight fail, whatever it is.
func TestServerThatFailsAtRandomAccusesNobody(t *testing.T) {
	for _, answer := range []string{"", "TAG NO [SERVERBUG] Internal error occurred.\r\n"} {
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 1))
			asked := map[string]int{}
			s := sickMailbox(300)
			s.hook = func(_ *sick, cmd string) (string, bool, bool) {
				if !strings.HasPrefix(cmd, "UID") || r.IntN(8) > 0 || asked[cmd] > 0 {
					return "", false, false
				}
				asked[cmd]++
				return answer, answer == "", true
			}
			got := s.find(t, FindOptions{Reconnects: 200, Batch: 20})
			if len(got.Poison) != 0 || !got.Complete || got.Failures == 0 || got.Failures > 0 && !strings.Contains(got.Text, "points to the host") {
				t.Errorf("seed %d: %d failures, %s", seed, got.Failures, got.Text)
			}
		}
	}
}

func TestServerThatNamesTheWrongMessageAccusesItOfNothing(t *testing.T) {
	s := sickMailbox(100).at(60, crash, imap.LookBody)
	s.hook = func(s *sick, cmd string) (string, bool, bool) {
		if !fetches(cmd, "BODY.PEEK") || s.asksFor(cmd, 60) == false {
			return "", false, false
		}
		return "* 5 FETCH (UID 5)\r\n* BYE FETCH failed: Internal error occurred.\r\n", true, true
	}
	got := s.find(t, FindOptions{Looks: []imap.Look{imap.LookBody}})
	if fmt.Sprint(got.UIDs()) != "[60]" || !got.Complete {
		t.Errorf("found %v: %s", got.UIDs(), got.Text)
	}
}

// asksFor says whether a FETCH is also about a message.
func (s *sick) asksFor(cmd string, uid uint32) bool {
	var set []imap.UIDRange
	for part := range strings.SplitSeq(strings.Fields(cmd)[2], ",") {
		var r imap.UIDRange
		if r.UnmarshalText([]byte(part)) == nil {
			set = append(set, r)
		}
	}
	return uidSet(set).has(uid)
}

func TestLyingServerEndsWithinTheBudget(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	s := sickMailbox(10_000)
	s.hook = func(s *sick, cmd string) (string, bool, bool) {
		if !strings.HasPrefix(cmd, "UID") || fetches(cmd, "FLAGS") {
			return "", false, false
		}
		var b strings.Builder
		for range 5 {
			fmt.Fprintf(&b, "* 1 FETCH (UID %d BODY[] {1}\r\nx ENVELOPE (x) BODYSTRUCTURE (x))\r\n", 1+r.IntN(12_000))
		}
		end := r.IntN(3)
		return b.String() + []string{"TAG OK done\r\n", "TAG NO no\r\n", "* BYE bye\r\n"}[end], end == 2, true
	}
	got, _ := Find(t.Context(), s.dial, "INBOX", FindOptions{Pause: -1, RoundTrips: 500, Reconnects: 100})
	if got.RoundTrips > 520 || s.conns > 101 {
		t.Errorf("%d round trips, %d connections", got.RoundTrips, s.conns)
	}
}

func TestServerWithoutUIDNextSortAndThreadIsLookedAtAllTheSame(t *testing.T) {
	s := sickMailbox(50).all(bye, 20)
	s.noThread = true
	s.hook = func(s *sick, cmd string) (string, bool, bool) {
		return "* 50 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\nTAG OK done\r\n", false, strings.HasPrefix(cmd, "EXAMINE")
	}
	got := s.find(t, FindOptions{})
	if fmt.Sprint(got.UIDs()) != "[20]" || !got.Complete || !slices.Equal(got.NotOffered, []imap.Look{imap.LookSort, imap.LookThread}) {
		t.Errorf("not offered %v: %s", got.NotOffered, got.Text)
	}
}

func TestSearchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := sickMailbox(1000).all(crash, 400)
	s.hook = func(s *sick, cmd string) (string, bool, bool) {
		if s.conns == 3 {
			cancel()
			return "", false, true
		}
		return "", false, false
	}
	got, err := Find(ctx, s.dial, "INBOX", FindOptions{Pause: -1})
	if !errors.Is(err, context.Canceled) || got.Stop != StopInterrupted {
		t.Errorf("stop %q, %v", got.Stop, err)
	}
	s.hook = nil
	if got := s.find(t, FindOptions{Resume: got}); fmt.Sprint(got.UIDs()) != "[400]" || got.Stop != "" {
		t.Errorf("gone on: %s", got.Text)
	}
}

func TestPausesGrowWithEachHangUpInARow(t *testing.T) {
	s := sickMailbox(64).at(40, crash, imap.LookSearchText)
	begin := time.Now()
	s.find(t, FindOptions{Pause: 4 * time.Millisecond, Looks: []imap.Look{imap.LookSearchText}})
	if n := s.conns - 1; time.Since(begin) < time.Duration(n)*4*time.Millisecond {
		t.Errorf("%d new connections in %v", n, time.Since(begin))
	}
}

func TestSettleTellsCachePoisonFromMessagePoison(t *testing.T) {
	s := sickMailbox(300).at(50, crash, imap.LookEnvelope).at(60, bye, imap.LookBodyStructure).all(crash, 200).at(250, no, imap.LookSort).at(290, crash, imap.LookBody)
	before := s.find(t, FindOptions{})
	if fmt.Sprint(before.UIDs()) != "[50 200 60 290 250]" {
		t.Fatalf("found %v: %s", before.UIDs(), before.Text)
	}
	s.poison[50], s.poison[250] = nil, nil // the cache is dropped
	s.gone[60] = true
	after, err := Settle(t.Context(), s.dial, before, FindOptions{Pause: -1})
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, after, s.conns)
	want := map[uint32]Verdict{50: BlameCache, 250: BlameCache, 200: BlameMessage, 290: BlameMessage}
	for _, p := range after.Poison {
		if p.Verdict != want[p.UID] || p.Cache != (p.Verdict == BlameCache) {
			t.Errorf("UID %d: %+v", p.UID, p)
		}
		delete(want, p.UID)
	}
	if len(want) > 0 || after.Gone != 1 || !after.Complete {
		t.Errorf("left out: %v, %s", want, after.Text)
	}
	if !strings.Contains(after.Text, "Since the cache was removed, 2 messages are read well: UID 50, UID 250.") {
		t.Errorf("text: %s", after.Text)
	}
	s.poison = map[uint32]map[imap.Look]string{}
	if all, err := Settle(t.Context(), s.dial, after, FindOptions{Pause: -1}); err != nil || all.RoundTrips > 8 || !all.Poison[0].Cache {
		t.Errorf("%v, %+v", err, all)
	}
	s.validity = 9
	if late, err := Settle(t.Context(), s.dial, before, FindOptions{Pause: -1}); !errors.Is(err, ErrUIDValidity) || len(late.Poison) != 5 || late.Poison[0].Cache {
		t.Errorf("%v, %+v", err, late.Poison)
	}
}
