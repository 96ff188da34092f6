package watch

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2020, 5, 22, 14, 0, 0, 0, time.UTC)

// learned is a state after some good looks: an INBOX of 100 messages, 80 of them read, an Archive, an empty Sent, a Trash.
func learned() *State {
	s := New("anna@example.org", began)
	s.Looked, s.Looks, s.Limit = began, 7, 10
	for name, n := range map[string]Numbers{"INBOX": {1000, 201, 100, 80}, "Archive/2020": {1001, 501, 500, 500}, "Sent": {1002, 1, 0, 0}, "Trash": {1003, 91, 90, 90}} {
		s.Mailboxes[name] = &Mailbox{Known: true, Numbers: n, Looked: began}
	}
	return s
}

// look is an observation five minutes later in which nothing has changed.
func look() Observation {
	o := Observation{At: began.Add(5 * time.Minute), Processes: -1, ListKnown: true}
	for _, name := range learned().names() {
		n := learned().Mailboxes[name].Numbers
		o.Listed = append(o.Listed, name)
		o.Mailboxes = append(o.Mailboxes, Seen{Name: name, Looked: true, Numbers: n, Old: n.Messages, OldRead: n.Read})
	}
	return o
}

func (o *Observation) box(name string) *Seen {
	i := slices.IndexFunc(o.Mailboxes, func(s Seen) bool { return s.Name == name })
	return &o.Mailboxes[i]
}

// set gives a mailbox new numbers; old of its messages were there before.
func (o *Observation) set(name string, n Numbers, old, oldRead int) {
	b := o.box(name)
	b.Numbers, b.Old, b.OldRead = n, old, oldRead
}

// drop takes a mailbox out of the observation.
func (o *Observation) drop(name string) {
	o.Mailboxes = slices.DeleteFunc(o.Mailboxes, func(s Seen) bool { return s.Name == name })
	o.Listed = slices.DeleteFunc(o.Listed, func(s string) bool { return s == name })
}

func kinds(alarms []Alarm) (l []string) {
	for _, a := range alarms {
		l = append(l, strings.Trim(string(a.Kind)+" "+a.Mailbox, " "))
	}
	return l
}

func sound(layout string) *Files {
	return &Files{Layout: layout, Index: 5000, Log: 2000, Log2: -1, Cache: 9000, UIDList: 800}
}

func TestJudge(t *testing.T) {
	failure := &Failure{Class: "internal-error", Text: "EXAMINE: server answers NO [SERVERBUG] Internal error occurred.", Meaning: "m", Next: "n"}
	tests := []struct {
		name   string
		change func(s *State, o *Observation, p *Policy)
		want   []string
	}{
		{"nothing has changed", func(*State, *Observation, *Policy) {}, nil},
		{"new mail", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 204, 103, 80}, 100, 80) }, nil},
		{"a few are deleted", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 92, 75}, 92, 75) }, nil},
		{"half are deleted", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 50, 40}, 50, 40) }, nil},
		{"most are deleted", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 49, 40}, 49, 40) }, []string{"messages-lost INBOX"}},
		{"all are gone", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 0, 0}, 0, 0) }, []string{"messages-lost INBOX"}},
		{"all are gone, not counted one by one", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 0, 0}, -1, -1) }, []string{"messages-lost INBOX"}},
		{"all are gone and as many are new", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 301, 100, 0}, 0, 0) }, []string{"messages-lost INBOX"}},
		{"moved to another mailbox", func(_ *State, o *Observation, _ *Policy) {
			o.set("INBOX", Numbers{1000, 201, 10, 5}, 10, 5)
			o.set("Archive/2020", Numbers{1001, 591, 590, 590}, 500, 500)
		}, nil},
		{"a third of it came up elsewhere", func(_ *State, o *Observation, _ *Policy) {
			o.set("INBOX", Numbers{1000, 201, 10, 5}, 10, 5)
			o.set("Archive/2020", Numbers{1001, 531, 530, 530}, 500, 500)
		}, []string{"messages-lost INBOX"}},
		{"moved to a new mailbox", func(_ *State, o *Observation, _ *Policy) {
			o.set("INBOX", Numbers{1000, 201, 10, 5}, 10, 5)
			o.Listed = append(o.Listed, "BACKUP20200522")
			o.Mailboxes = append(o.Mailboxes, Seen{Name: "BACKUP20200522", Looked: true, Numbers: Numbers{1005, 91, 90, 75}, Old: 90, OldRead: 75})
		}, nil},
		{"another mailbox can be opened for the first time", func(s *State, o *Observation, _ *Policy) {
			s.Mailboxes["Archive/2020"] = &Mailbox{Wait: Wait{Failures: 1}}
			o.set("INBOX", Numbers{1000, 201, 10, 5}, 10, 5)
		}, []string{"messages-lost INBOX"}},
		{"moved while the last look went on", func(s *State, o *Observation, _ *Policy) {
			s.Spare = 90
			o.set("INBOX", Numbers{1000, 201, 10, 5}, 10, 5)
		}, nil},
		{"moved in two mailboxes at once explains each message once", func(_ *State, o *Observation, _ *Policy) {
			o.set("INBOX", Numbers{1000, 201, 10, 5}, 10, 5)
			o.set("Archive/2020", Numbers{1001, 501, 100, 100}, 100, 100)
			o.set("Sent", Numbers{1002, 101, 100, 100}, 0, 0)
		}, []string{"messages-lost Archive/2020"}},
		{"trash is emptied", func(_ *State, o *Observation, _ *Policy) { o.set("Trash", Numbers{1003, 91, 0, 0}, 0, 0) }, nil},
		{"a small mailbox is emptied", func(s *State, o *Observation, _ *Policy) {
			s.Mailboxes["INBOX"].Numbers = Numbers{1000, 201, 10, 10}
			o.set("INBOX", Numbers{1000, 201, 0, 0}, 0, 0)
		}, nil},
		{"--max-drop off", func(_ *State, o *Observation, p *Policy) {
			o.set("INBOX", Numbers{1000, 201, 0, 0}, 0, 0)
			p.MaxDrop = MaxDrop{Off: true}
		}, nil},
		{"--max-drop 5", func(_ *State, o *Observation, p *Policy) {
			o.set("INBOX", Numbers{1000, 201, 94, 80}, 94, 80)
			p.MaxDrop = MaxDrop{Messages: 5}
		}, []string{"messages-lost INBOX"}},
		{"UIDVALIDITY is new", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{2000, 101, 100, 80}, 100, 80) }, []string{"uidvalidity-new INBOX"}},
		{"UIDVALIDITY is new and the mailbox empty", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{2000, 1, 0, 0}, 0, 0) }, []string{"uidvalidity-new INBOX"}},
		{"UIDVALIDITY of an empty mailbox is new", func(_ *State, o *Observation, _ *Policy) { o.set("Sent", Numbers{2000, 1, 0, 0}, 0, 0) }, nil},
		{"UIDNEXT goes back", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 190, 100, 80}, 100, 80) }, []string{"uidnext-back INBOX"}},
		{"all unread", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 100, 0}, 100, 0) }, []string{"all-unread INBOX"}},
		{"all unread but what came since and was read", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 203, 102, 2}, 100, 0) }, []string{"all-unread INBOX"}},
		{"all unread, by STATUS alone", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 100, 0}, -1, -1) }, []string{"all-unread INBOX"}},
		{"not counted this time", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 100, -1}, -1, -1) }, nil},
		{"few were read, and none is", func(s *State, o *Observation, _ *Policy) {
			s.Mailboxes["INBOX"].Numbers.Read = 4
			o.set("INBOX", Numbers{1000, 201, 100, 0}, 100, 0)
		}, nil},
		{"most are marked unread", func(_ *State, o *Observation, _ *Policy) { o.set("INBOX", Numbers{1000, 201, 100, 1}, 100, 1) }, nil},
		{"the read ones were moved", func(_ *State, o *Observation, _ *Policy) {
			o.set("INBOX", Numbers{1000, 201, 20, 0}, 20, 0)
			o.set("Archive/2020", Numbers{1001, 581, 580, 580}, 500, 500)
		}, nil},
		{"LIST is empty", func(_ *State, o *Observation, _ *Policy) { o.Listed, o.Mailboxes = nil, nil }, []string{"list-empty"}},
		{"a mailbox is gone", func(_ *State, o *Observation, _ *Policy) { o.drop("Archive/2020") }, []string{"mailbox-gone Archive/2020"}},
		{"an empty mailbox is gone", func(_ *State, o *Observation, _ *Policy) { o.drop("Sent") }, nil},
		{"a mailbox is renamed", func(_ *State, o *Observation, _ *Policy) {
			o.box("Archive/2020").Name = "Old"
			o.Listed[slices.Index(o.Listed, "Archive/2020")] = "Old"
		}, nil},
		{"a mailbox is renamed and loses its messages", func(_ *State, o *Observation, _ *Policy) {
			o.set("Archive/2020", Numbers{1001, 501, 0, 0}, 0, 0)
			o.box("Archive/2020").Name = "Old"
			o.Listed[slices.Index(o.Listed, "Archive/2020")] = "Old"
		}, []string{"mailbox-gone Archive/2020"}},
		{"what was not asked for is not missed", func(_ *State, o *Observation, _ *Policy) {
			o.drop("Archive/2020")
			o.Asked = []string{"INBOX"}
		}, nil},
		{"a mailbox asked for is not there", func(_ *State, o *Observation, _ *Policy) { o.Asked = []string{"INBOX", "Nowhere"} }, []string{"mailbox-gone Nowhere"}},
		{"the account fails", func(_ *State, o *Observation, _ *Policy) {
			*o = Observation{At: o.At, Failure: failure, Processes: -1}
		}, []string{"look-failed"}},
		{"one mailbox fails", func(_ *State, o *Observation, _ *Policy) {
			*o.box("INBOX") = Seen{Name: "INBOX", Failure: failure}
		}, []string{"look-failed INBOX"}},
		{"far from the limit", func(_ *State, o *Observation, _ *Policy) { o.Processes = 7 }, nil},
		{"near the limit", func(_ *State, o *Observation, _ *Policy) { o.Processes = 8 }, []string{"connections-near"}},
		{"near the limit, but from several places", func(_ *State, o *Observation, _ *Policy) {
			o.Processes, o.Clients = 9, map[string]int{"192.0.2.1": 5, "192.0.2.2": 4}
		}, nil},
		{"near the limit from one place", func(_ *State, o *Observation, _ *Policy) {
			o.Processes, o.Clients = 12, map[string]int{"192.0.2.1": 3, "192.0.2.2": 9}
		}, []string{"connections-near"}},
		{"the limit is not known", func(s *State, o *Observation, _ *Policy) { s.Limit, o.Processes = 0, 70 }, nil},
		{"the limit was given", func(s *State, o *Observation, p *Policy) { s.Limit, o.Processes, p.Limit = 0, 70, 75 }, []string{"connections-near"}},
		{"the cache grows", func(_ *State, o *Observation, _ *Policy) {
			f := sound("mdbox")
			f.Cache = 600 << 20
			o.box("INBOX").Files = f
		}, []string{"cache-large INBOX"}},
		{"log and index grow", func(_ *State, o *Observation, _ *Policy) {
			f := sound("sdbox")
			f.Log, f.Index = 40<<20, 600<<20
			o.box("INBOX").Files = f
		}, []string{"index-large INBOX", "log-large INBOX"}},
		{"sound files", func(_ *State, o *Observation, _ *Policy) {
			o.box("INBOX").Files, o.Storage = sound("mdbox"), sound("mdbox")
		}, nil},
		{"the map index is empty", func(_ *State, o *Observation, _ *Policy) {
			o.Storage = sound("mdbox")
			o.Storage.Index = 0
			o.Mailboxes = nil
		}, []string{"files-damaged"}},
		{"the weightiest comes first", func(_ *State, o *Observation, _ *Policy) {
			*o.box("Sent") = Seen{Name: "Sent", Failure: failure}
			o.set("INBOX", Numbers{2000, 1, 0, 0}, 0, 0)
			o.Processes = 10
		}, []string{"uidvalidity-new INBOX", "look-failed Sent", "connections-near"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, o, p := learned(), look(), Default()
			tt.change(s, &o, &p)
			before, err := s.Encode()
			if err != nil {
				t.Fatal(err)
			}
			v := Judge(s, o, p)
			if got := kinds(v.Alarms); !slices.Equal(got, tt.want) {
				t.Errorf("alarms %q, want %q; notes %q", got, tt.want, v.Notes)
			}
			for _, a := range v.Alarms {
				if a.Text == "" || a.Meaning == "" || a.Next == "" || !a.New || a.Since.IsZero() {
					t.Errorf("%+v is not told in full", a)
				}
			}
			if after, _ := s.Encode(); string(after) != string(before) {
				t.Error("the remembered state was changed in place")
			}
			b, err := v.State.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if back, err := Decode(b); err != nil || !reflect.DeepEqual(back.Mailboxes, v.State.Mailboxes) {
				t.Errorf("the state does not come back: %v", err)
			}
		})
	}
}

func TestTheFirstLookOnlyLearns(t *testing.T) {
	o := look()
	o.set("INBOX", Numbers{1000, 201, 0, 0}, 0, 0)
	v := Judge(New("x", began), o, Default())
	if len(v.Alarms) > 0 || !v.First || len(v.State.Mailboxes) != 4 || v.State.Mailboxes["INBOX"].Numbers.UIDValidity != 1000 {
		t.Errorf("got %+v", v)
	}
	if again := Judge(v.State, o, Default()); again.First || len(again.Alarms) > 0 || len(again.Notes) > 0 {
		t.Errorf("the second look: %+v", again)
	}
}

// after judges one observation after the other, five minutes apart each time.
func after(s *State, p Policy, looks ...func(o *Observation)) (v Verdict) {
	v.State = s
	for i, change := range looks {
		o := look()
		o.At = began.Add(time.Duration(i+1) * 5 * time.Minute)
		change(&o)
		v = Judge(v.State, o, p)
	}
	return v
}

func emptied(o *Observation) { o.set("INBOX", Numbers{2000, 1, 0, 0}, 0, 0) }

func same(*Observation) {}

func TestALossStaysAnAlarmUntilItIsBackAcceptedOrHeldLongEnough(t *testing.T) {
	v := after(learned(), Default(), emptied, emptied, emptied)
	if got := kinds(v.Alarms); !slices.Equal(got, []string{"uidvalidity-new INBOX"}) || v.Alarms[0].New || !v.Alarms[0].Since.Equal(began.Add(5*time.Minute)) {
		t.Errorf("after three looks: %+v", v.Alarms)
	}
	if v := after(learned(), Default(), emptied, same); len(v.Alarms) > 0 {
		t.Errorf("it is back, and %q is told", kinds(v.Alarms))
	}
	accept := Default()
	accept.Accept = true
	v = after(v.State, accept, emptied)
	if len(v.Alarms) > 0 || v.State.Mailboxes["INBOX"].Numbers.UIDValidity != 2000 || len(v.Notes) != 1 {
		t.Errorf("accepted: %+v", v)
	}
	if v = after(v.State, Default(), emptied); len(v.Alarms) > 0 {
		t.Errorf("after it was accepted: %q", kinds(v.Alarms))
	}
	v = after(learned(), Default(), emptied)
	o := look()
	emptied(&o)
	o.At = began.Add(25 * time.Hour)
	if v = Judge(v.State, o, Default()); len(v.Alarms) > 0 || len(v.Notes) != 1 || v.State.Mailboxes["INBOX"].Numbers.UIDValidity != 2000 {
		t.Errorf("after a day: %+v", v)
	}
}

func TestALossIsStillToldWhileNothingCanBeLookedAt(t *testing.T) {
	failing := func(o *Observation) {
		*o = Observation{At: o.At, Processes: -1, Failure: &Failure{Class: "unreachable", Text: "no route"}}
	}
	v := after(learned(), Default(), emptied, failing)
	if got := kinds(v.Alarms); !slices.Equal(got, []string{"uidvalidity-new INBOX", "look-failed"}) || v.Alarms[0].New || !v.Alarms[1].New {
		t.Errorf("while it fails: %+v", v.Alarms)
	}
	waiting := Judge(v.State, Observation{At: began.Add(11 * time.Minute), Waited: true, Processes: -1}, Default())
	if got := kinds(waiting.Alarms); !slices.Equal(got, []string{"uidvalidity-new INBOX", "look-failed"}) || waiting.Alarms[1].New || waiting.State.Looks != v.State.Looks {
		t.Errorf("while it waits: %+v", waiting.Alarms)
	}
	only := func(o *Observation) {
		o.drop("INBOX")
		o.Asked = []string{"Sent"}
	}
	if v = after(v.State, Default(), only); len(v.Alarms) > 0 {
		t.Errorf("another mailbox alone: %q", kinds(v.Alarms))
	}
	if v = after(v.State, Default(), emptied); len(v.Alarms) != 1 || v.Alarms[0].New {
		t.Errorf("all of them again: %+v", v.Alarms)
	}
}

func TestAGoneMailboxIsForgottenWhenItIsAccepted(t *testing.T) {
	gone := func(o *Observation) { o.drop("Archive/2020") }
	v := after(learned(), Default(), gone, gone)
	if got := kinds(v.Alarms); !slices.Equal(got, []string{"mailbox-gone Archive/2020"}) || v.Alarms[0].New {
		t.Fatalf("got %+v", v.Alarms)
	}
	p := Default()
	p.Accept = true
	if v = after(v.State, p, gone); len(v.Alarms) > 0 || v.State.Mailboxes["Archive/2020"] != nil {
		t.Errorf("accepted: %+v", v)
	}
}

func TestFailuresAreLeftAloneForLongerAndLonger(t *testing.T) {
	p := Default()
	p.Jitter = func() float64 { return 0.5 }
	f := Failure{Class: "closed-without-a-word", Text: "x"}
	s, now := learned(), began
	var waits []time.Duration
	for range 8 {
		v := Judge(s, Observation{At: now, Failure: &f, Processes: -1}, p)
		s = v.State
		waits = append(waits, s.Wait.Until.Sub(now))
		if s.Wait.Over(s.Wait.Until.Add(-time.Second)) || !s.Wait.Over(s.Wait.Until) {
			t.Fatal("the wait does not end when it says")
		}
		now = s.Wait.Until
	}
	m := time.Minute
	if want := []time.Duration{4 * m, 8 * m, 16 * m, 32 * m, 60 * m, 60 * m, 60 * m, 60 * m}; !slices.Equal(waits, want) {
		t.Errorf("waits %v, want %v", waits, want)
	}
	if !s.Wait.Since.Equal(began) || s.Wait.Failures != 8 {
		t.Errorf("got %+v", s.Wait)
	}
	o := look()
	o.At = now
	if s = Judge(s, o, p).State; s.Wait.Failures != 0 || !s.Wait.Over(now) {
		t.Errorf("after a good look: %+v", s.Wait)
	}
	banned := Judge(learned(), Observation{At: began, Failure: &f, Banned: true, Processes: -1}, p).State
	if d := banned.Wait.Until.Sub(began); d != 30*m {
		t.Errorf("a refused login is left alone for %v", d)
	}
	for _, j := range []float64{0, 1} {
		p.Jitter = func() float64 { return j }
		d := Judge(learned(), Observation{At: began, Failure: &f, Processes: -1}, p).State.Wait.Until.Sub(began)
		if d < 3*m || d > 5*m {
			t.Errorf("jitter %v: %v", j, d)
		}
	}
	if far := (Wait{Failures: 1, Until: began.Add(1000 * time.Hour)}); !far.Over(began) {
		t.Error("a clock that was set back stops watching for weeks")
	}
}

func TestOneMailboxThatFailsIsLeftAloneAndTheOthersAreNot(t *testing.T) {
	f := &Failure{Class: "internal-error", Text: "x"}
	bad := func(o *Observation) { *o.box("Sent") = Seen{Name: "Sent", Failure: f} }
	wait := func(o *Observation) { *o.box("Sent") = Seen{Name: "Sent", Waited: true} }
	v := after(learned(), Default(), bad, wait)
	if got := kinds(v.Alarms); !slices.Equal(got, []string{"look-failed Sent"}) || v.Alarms[0].New || v.Alarms[0].Text != "x" {
		t.Errorf("got %+v", v.Alarms)
	}
	if w := v.State.Mailboxes["Sent"].Wait; w.Failures != 1 || w.Over(began.Add(6*time.Minute)) || v.State.Wait.Failures != 0 {
		t.Errorf("got %+v", w)
	}
	if v = after(v.State, Default(), same); len(v.Alarms) > 0 || v.State.Mailboxes["Sent"].Wait.Failures != 0 {
		t.Errorf("when it works again: %+v", v.Alarms)
	}
}
