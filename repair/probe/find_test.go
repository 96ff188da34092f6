package probe

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"dovemend/remote/imap"
)

// find searches and checks what holds for every search.
func (s *sick) find(t *testing.T, o FindOptions) *Found {
	t.Helper()
	if o.Pause == 0 {
		o.Pause = -1
	}
	s.quiet(t)
	conns := s.conns
	got, err := Find(t.Context(), s.dial, "INBOX", o)
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, got, conns)
	return got
}

func (s *sick) check(t *testing.T, got *Found, conns int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) > 0 {
		t.Errorf("wrong commands: %q", s.wrong[:min(len(s.wrong), 5)])
	}
	if n := s.conns - conns; n > got.Connections {
		t.Errorf("%d connections, %d told", n, got.Connections)
	}
	if got.Text == "" || got.Next == "" {
		t.Errorf("no words: %+v", got)
	}
	for _, p := range got.Poison {
		if p.Text == "" || p.Next == "" || p.Tries < 3 {
			t.Errorf("poison without a word, or accused too soon: %+v", p)
		}
	}
}

func TestEachWayToBreakTheServerIsTracedToItsMessages(t *testing.T) {
	const n = 300
	places := map[string][]uint32{
		"none": nil, "first": {1}, "middle": {150}, "last": {n}, "three": {1, 150, n}, "neighbours": {77, 78, 79, 80}, "first two": {1, 2},
	}
	for _, way := range []string{crash, bye, no, out, broken} {
		for name, uids := range places {
			t.Run(way+", "+name, func(t *testing.T) {
				s := sickMailbox(n)
				s.thread = true
				for _, u := range uids {
					if way == out || way == broken {
						s.at(u, way, imap.LookEnvelope, imap.LookBodyStructure, imap.LookBody)
					} else {
						s.all(way, u)
					}
				}
				got := s.find(t, FindOptions{})
				if !slices.Equal(got.UIDs(), uids) && !slices.Equal(slices.Sorted(slices.Values(got.UIDs())), uids) {
					t.Errorf("found %v, want %v: %s", got.UIDs(), uids, got.Text)
				}
				threads := len(got.Everywhere) == 1 && got.Everywhere[0].Look == imap.LookThread
				if wantThread := len(uids) > 0 && way != out && way != broken; threads != wantThread || got.Complete == threads {
					t.Errorf("complete %v, everywhere %+v", got.Complete, got.Everywhere)
				}
				for _, p := range got.Poison {
					if p.Crash != (way == crash) || p.Hangup != (way == crash || way == bye) || p.Verdict != BlameMessageMaybe || p.Look != imap.LookEnvelope {
						t.Errorf("poison = %+v", p)
					}
				}
				if got.RoundTrips > 25+40*len(uids) || got.Connections > 6+9*len(uids) {
					t.Errorf("%d round trips, %d connections", got.RoundTrips, got.Connections)
				}
			})
		}
	}
}

func TestPoisonForOneLookAloneIsFoundAtEachLook(t *testing.T) {
	for _, look := range FindLooks {
		for _, way := range []string{crash, bye, no} {
			t.Run(fmt.Sprint(look, ", ", way), func(t *testing.T) {
				s := sickMailbox(200).at(63, way, look).at(170, way, look)
				got := s.find(t, FindOptions{Batch: 120})
				if fmt.Sprint(got.UIDs()) != "[63 170]" || !got.Complete {
					t.Fatalf("found %v: %s", got.UIDs(), got.Text)
				}
				want := BlameCacheMaybe
				switch look {
				case imap.LookBody:
					want = BlameMessageMaybe
				case imap.LookFlags:
					want = BlameIndexMaybe
				}
				for _, p := range got.Poison {
					if p.Look != look || p.Verdict != want || p.Cache || !reflect.DeepEqual(p.Fails, []imap.Look{look}) {
						t.Errorf("poison = %+v", p)
					}
				}
			})
		}
	}
}

func TestLargeMailboxCostsFewRoundTripsPerPoisonMessage(t *testing.T) {
	const n = 100_000
	tests := []struct {
		name  string
		every uint32
		looks []imap.Look
		way   string
		uids  []uint32
	}{
		{"sound", 0, nil, crash, nil},
		{"crash, in the middle", 0, nil, crash, []uint32{54_321}},
		{"crash, three", 0, nil, crash, []uint32{1, 54_321, n}},
		{"bye, three", 0, nil, bye, []uint32{1, 54_321, n}},
		{"search alone, three", 0, []imap.Look{imap.LookSearchText}, crash, []uint32{1, 54_321, n}},
		{"sort alone, three", 0, []imap.Look{imap.LookSort}, no, []uint32{1, 54_321, n}},
		{"every second message is gone", 2, nil, crash, []uint32{2, 54_322, n}},
	}
	for i, tt := range tests {
		if os.Getenv("DOVEMEND_TEST_FULL") == "" && i%2 == 1 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			s := sickMailbox(n)
			s.every = tt.every
			for _, u := range tt.uids {
				if tt.looks == nil {
					s.all(tt.way, u)
				} else {
					s.at(u, tt.way, tt.looks...)
				}
			}
			got := s.find(t, FindOptions{})
			if found := slices.Sorted(slices.Values(got.UIDs())); !slices.Equal(found, tt.uids) {
				t.Errorf("found %v: %s", found, got.Text)
			}
			t.Logf("%d round trips, %d connections", got.RoundTrips, got.Connections)
			if got.RoundTrips > 250+100*len(tt.uids) || got.Connections > 1+15*len(tt.uids) {
				t.Errorf("%d round trips, %d connections", got.RoundTrips, got.Connections)
			}
			if b, _ := json.Marshal(got); tt.every == 0 && len(b) > 20_000 {
				t.Errorf("the state has %d bytes", len(b))
			}
		})
	}
}

func TestSetGivenIsLookedAtInAHandfulOfRoundTrips(t *testing.T) {
	s := sickMailbox(5000).all(crash, 3)
	var batch []uint32
	for u := uint32(4001); u <= 4500; u++ {
		batch = append(batch, u)
	}
	got := s.find(t, FindOptions{UIDs: batch})
	if !got.Healthy() || got.RoundTrips > 10 || got.Connections != 1 {
		t.Errorf("%d round trips: %s", got.RoundTrips, got.Text)
	}
	s.all(bye, 4321)
	got = s.find(t, FindOptions{UIDs: batch, ServerName: "INBOX", Looks: []imap.Look{imap.LookBodyStructure, imap.LookBody, imap.LookSearchText}})
	if fmt.Sprint(got.UIDs()) != "[4321]" || got.RoundTrips > 20 || !got.Complete {
		t.Errorf("%d round trips: %s", got.RoundTrips, got.Text)
	}
	if none := s.find(t, FindOptions{UIDs: []uint32{}}); !none.Healthy() || none.RoundTrips != 0 {
		t.Errorf("nothing to look at: %+v", none)
	}
}

func TestSuspectsAreAskedAboutFirst(t *testing.T) {
	s := sickMailbox(3000).all(crash, 2000)
	got := s.find(t, FindOptions{Suspects: []uint32{2000, 17, 9999, 17}, Looks: []imap.Look{imap.LookBody}})
	if fmt.Sprint(got.UIDs()) != "[2000]" || !got.Complete || got.Poison[0].Verdict != BlameMessage || !got.Poison[0].Damaged {
		t.Errorf("found %+v", got.Poison)
	}
	if got.Connections > 4 || got.RoundTrips > 16 {
		t.Errorf("%d round trips, %d connections", got.RoundTrips, got.Connections)
	}
	many := make([]uint32, 500)
	for i := range many {
		many[i] = uint32(1 + 6*i)
	}
	if got := s.find(t, FindOptions{Suspects: many, Looks: []imap.Look{imap.LookBody}}); fmt.Sprint(got.UIDs()) != "[2000]" || got.RoundTrips > 80 {
		t.Errorf("%d round trips: %s", got.RoundTrips, got.Text)
	}
}

func TestAllMessagesPoisonIsNotBlamedOnEachOfThem(t *testing.T) {
	s := sickMailbox(500)
	for u := uint32(1); u <= 500; u++ {
		s.all(crash, u)
	}
	got := s.find(t, FindOptions{})
	if len(got.Everywhere) == 0 || len(got.Poison) > 40 || got.Complete || got.Connections > 60 || got.Healthy() {
		t.Errorf("%d poison messages, %d connections: %s", len(got.Poison), got.Connections, got.Text)
	}
	for _, n := range []uint32{1, 2, 3} {
		s := sickMailbox(n)
		for u := uint32(1); u <= n; u++ {
			s.all(bye, u)
		}
		if got := s.find(t, FindOptions{}); len(got.Poison) != int(n) {
			t.Errorf("%d of %d found: %s", len(got.Poison), n, got.Text)
		}
	}
}

func TestThreadIsBlamedOnNobodyWhereItReadsAllMessages(t *testing.T) {
	for _, n := range []uint32{1, 2, 400} {
		s := sickMailbox(n).at(n, crash, imap.LookThread)
		s.thread = true
		got := s.find(t, FindOptions{})
		if len(got.Poison) != 0 || len(got.Everywhere) != 1 || got.Everywhere[0].Look != imap.LookThread || got.Complete {
			t.Errorf("%d messages: found %v, everywhere %+v", n, got.UIDs(), got.Everywhere)
		}
	}
}
