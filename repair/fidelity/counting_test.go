package fidelity

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dovemend/remote/remotetest/fill"
	"dovemend/repair/probe"
)

var monday = time.Date(2019, time.November, 4, 7, 12, 9, 0, time.UTC)

// twoBoxes is a truth of two mailboxes: INBOX with the messages 0 to 3, Archive with 2 (a copy) and 4. Message 5 was expunged.
func twoBoxes() (*fill.Truth, map[string]int) {
	numbers := make(map[string]int)
	message := func(number int, uid uint32) fill.Message {
		m := fill.Message{UID: uid, Flags: []string{`\Seen`}, Keywords: []string{"Work"}, Date: monday, Number: number}
		m.Sum[0] = byte(number + 1)
		return m
	}
	for n := range 6 {
		numbers[sum(message(n, 1))] = n
	}
	inbox := &fill.Mailbox{Name: "INBOX", UIDValidity: 7, Messages: []fill.Message{message(0, 1), message(1, 2), message(2, 3), message(3, 5)}}
	archive := &fill.Mailbox{Name: "Archive", UIDValidity: 8, Messages: []fill.Message{message(2, 1), message(4, 2)}}
	return &fill.Truth{Mailboxes: map[string]*fill.Mailbox{"INBOX": inbox, "Archive": archive}}, numbers
}

// asIs is a reading that tells the truth.
func asIs(truth *fill.Truth) map[string]probe.Reading {
	all := make(map[string]probe.Reading)
	for name, m := range truth.Mailboxes {
		r := probe.Reading{Mailbox: name, Opened: true, Complete: true, UIDValidity: m.UIDValidity}
		for _, msg := range m.Messages {
			r.Messages = append(r.Messages, probe.Message{UID: msg.UID, Flags: slices.Clone(msg.Flags), Keywords: slices.Clone(msg.Keywords), InternalDate: msg.Date, BodySHA256: sum(msg)})
		}
		all[name] = r
	}
	return all
}

func TestCountTellsEachKindOfLoss(t *testing.T) {
	text := func(n int) string {
		var m fill.Message
		m.Sum[0] = byte(n + 1)
		return sum(m)
	}
	for _, c := range []struct {
		name   string
		change func(inbox *probe.Reading)
		want   counts
	}{
		{"nothing", func(*probe.Reading) {}, counts{}},
		{"words in another order and case", func(r *probe.Reading) {
			r.Messages[0].Flags, r.Messages[0].Keywords = []string{`\RECENT`, `\seen`}, []string{"work"}
		}, counts{}},
		{"missing", func(r *probe.Reading) { r.Messages = r.Messages[:3] }, counts{Missing: 1}},
		{"not opened", func(r *probe.Reading) { *r = probe.Reading{Mailbox: "INBOX"} }, counts{Missing: 4, Validity: 1}},
		{"expunged and back", func(r *probe.Reading) { r.Messages = append(r.Messages, probe.Message{UID: 9, BodySHA256: text(5)}) }, counts{Returned: 1}},
		{"moved and back", func(r *probe.Reading) { r.Messages = append(r.Messages, probe.Message{UID: 9, BodySHA256: text(4)}) }, counts{Returned: 1}},
		{"a row without a message", func(r *probe.Reading) { r.Messages = append(r.Messages, probe.Message{UID: 4, BodyErr: "BYE"}) }, counts{Returned: 1}},
		{"twice", func(r *probe.Reading) { r.Messages = append(r.Messages, probe.Message{UID: 9, BodySHA256: text(1)}) }, counts{Duplicated: 1}},
		{"twice, the wrong one first", func(r *probe.Reading) {
			r.Messages = append([]probe.Message{{UID: 1, BodySHA256: text(3)}}, r.Messages...)
		}, counts{Duplicated: 1, Mixed: 1}},
		{"mixed up", func(r *probe.Reading) { r.Messages[0].UID, r.Messages[1].UID = 2, 1 }, counts{UIDs: 2, Mixed: 2}},
		{"unreadable", func(r *probe.Reading) { r.Messages[1].BodySHA256, r.Messages[1].BodyErr = "", "BYE" }, counts{Unreadable: 1}},
		{"another text", func(r *probe.Reading) { r.Messages[1].BodySHA256 = "ab" }, counts{Unreadable: 1}},
		{"another text under another UID", func(r *probe.Reading) { r.Messages[1].BodySHA256, r.Messages[1].UID = "ab", 77 }, counts{Unreadable: 1}},
		{"flags", func(r *probe.Reading) {
			r.Messages[0].Flags = nil
			r.Messages[1].Flags = append(r.Messages[1].Flags, `\Flagged`)
		}, counts{Flags: 2}},
		{"keywords", func(r *probe.Reading) { r.Messages[0].Keywords = []string{"unknown-0"} }, counts{Keywords: 1}},
		{"dates", func(r *probe.Reading) { r.Messages[3].InternalDate = time.Time{} }, counts{Dates: 1}},
		{"UIDs", func(r *probe.Reading) { r.UIDValidity++; r.Messages[0].UID += 100; r.Messages[1].UID += 100 }, counts{UIDs: 2, Validity: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			truth, numbers := twoBoxes()
			now := asIs(truth)
			inbox := now["INBOX"]
			c.change(&inbox)
			now["INBOX"] = inbox
			got := count(truth, numbers, now)
			if got.counts != c.want {
				t.Errorf("%+v, want %+v", got.counts, c.want)
			}
			if n := c.want.Missing + c.want.Unreadable; n > 0 && got.wrong[flags] != n {
				t.Errorf("a message that is not there as it was has its flags: %v", got.wrong)
			}
		})
	}
}

func TestCountLooksIntoMailboxesThatAreNew(t *testing.T) {
	truth, numbers := twoBoxes()
	now := asIs(truth)
	now["Archive-recovered"] = probe.Reading{UIDValidity: 99, Messages: now["Archive"].Messages}
	if got := count(truth, numbers, now); got.counts != (counts{Returned: 2}) {
		t.Errorf("%s", got.text())
	}
}

func TestLogCountsComplaintsAndDeaths(t *testing.T) {
	got := tally{wrong: make(map[attribute]int)}
	got.addLog(`imap(anna): Info: Disconnected
imap(anna)<12><x>: Panic: file istream.c: line 330: assertion failed
imap(anna)<12><x>: Error: Raw backtrace: …
imap(anna)<12><x>: Fatal: master: service(imap): child 12 killed with signal 6 (core dumps disabled)
imap(anna)<13><x>: Fatal: master: service(imap): child 13 returned error 83 (Out of memory)
imap(anna)<14><x>: Warning: fscking index file /x
`)
	if got.counts != (counts{Log: 5, Crashes: 2}) || got.wrong[logged] != 5 || got.wrong[crashed] != 2 {
		t.Errorf("%+v, %v", got.counts, got.wrong)
	}
}

func TestWorseIsToldOfEachThingThatIsCounted(t *testing.T) {
	r := result{cell: cell{"mdbox", "log-cut", "young", 1}, ways: make(map[string]tally)}
	for _, w := range ways {
		r.ways[w.name] = tally{wrong: map[attribute]int{flags: 3, logged: 2}}
	}
	r.ways[after] = tally{wrong: map[attribute]int{logged: 2}}
	if l := r.worse(); len(l) > 0 {
		t.Errorf("all the same: %q", l)
	}
	r.ways["force-resync"] = tally{wrong: map[attribute]int{flags: 2, uid: 9}}
	want := []string{"mdbox/log-cut/young/1: worse in flags: 3, force-resync 2", "mdbox/log-cut/young/1: worse in log: 2, force-resync 0"}
	if l := r.worse(); !slices.Equal(l, want) {
		t.Errorf("%q, want %q", l, want)
	}
	// A copy of this very state tells everything; one from before the store lived on need not, but makes nothing worse.
	r.ways[resyncs] = tally{wrong: map[attribute]int{flags: 3, logged: 2}}
	r.ways[after] = tally{wrong: map[attribute]int{flags: 4, whole: 1, logged: 2}}
	want = []string{"mdbox/log-cut/young/1: an earlier copy makes it worse in message: 1, without it 0", "mdbox/log-cut/young/1: an earlier copy makes it worse in flags: 4, without it 3",
		"mdbox/log-cut/young/1: lost although an earlier copy tells it: flags 4"}
	if l := r.worse(); !slices.Equal(l, want) {
		t.Errorf("%q, want %q", l, want)
	}
	r.store = "changed"
	r.ways[after] = tally{wrong: map[attribute]int{flags: 3, logged: 2}}
	if l := r.worse(); len(l) > 0 {
		t.Errorf("the same: %q", l)
	}
}

// A message that one way serves with its text changed, and another one takes out of the mailbox and saves elsewhere, is lost in both.
func TestATextThatIsChangedIsNoBetterThanNone(t *testing.T) {
	truth, numbers := twoBoxes()
	served, taken := asIs(truth), asIs(truth)
	inbox := served["INBOX"]
	inbox.Messages[1].BodySHA256 = "ab"
	served["INBOX"] = inbox
	inbox = taken["INBOX"]
	inbox.Messages = slices.Delete(inbox.Messages, 1, 2)
	taken["INBOX"] = inbox
	a, b := count(truth, numbers, served).wrong, count(truth, numbers, taken).wrong
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("served: %v, taken out: %v", a, b)
	}
}

// The table can be read cell by cell: who loses a message loses its flags with it, so that a greater number is a greater loss.
func TestACellCountsWhatGoesWithAMessage(t *testing.T) {
	for _, c := range []struct {
		name string
		t    tally
		want string
	}{
		{"ok", tally{wrong: map[attribute]int{}}, "ok"},
		{"gone with all", tally{wrong: map[attribute]int{whole: 3, flags: 3, keywords: 3, uid: 3, date: 3}}, "−3 msg"},
		{"gone, and others without flags", tally{counts: counts{Unreadable: 1, Log: 2}, wrong: map[attribute]int{whole: 3, flags: 5, keywords: 3, uid: 3, date: 3, logged: 2}},
			"−3 msg (1 listed), −5 flags, log 2"},
		{"back", tally{wrong: map[attribute]int{dead: 2, mixed: 1, uid: 4}}, "+2 dead, −4 UIDs, 1 mixed up"},
	} {
		if got := c.t.text(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestASmallerNumberIsToldWithItsReason(t *testing.T) {
	r := row{layout: "mdbox", kind: "log-cut", ways: map[string]tally{own: {wrong: map[attribute]int{uid: 12, dead: 1}},
		"nothing": {wrong: map[attribute]int{uid: 6, mixed: 4, dead: 1}}, "rm -rf *": {wrong: map[attribute]int{uid: 45, whole: 45}},
		"rm dovecot.index": {wrong: map[attribute]int{uid: 45, dead: 1}}, resyncs: {wrong: map[attribute]int{uid: 11, dead: 1}}}}
	want := []string{"- mdbox, `log-cut`, death: dovemend 1, rm -rf \\* 0, with the living: 45 messages are gone",
		"- mdbox, `log-cut`, UID: dovemend 12, nothing 6, by guess: 4 other messages have the UID of another one",
		"- mdbox, `log-cut`, UID: dovemend 12, force-resync 11, **better than dovemend**"}
	if got := r.excused(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
