package fidelity

import (
	"encoding/hex"
	"maps"
	"reflect"
	"slices"
	"strings"

	"dovemend/remote/remotetest/fill"
	"dovemend/repair/probe"
)

// counts are what went wrong, over all mailboxes.
type counts struct {
	Missing    int // messages that are not there
	Unreadable int // messages that are listed, and whose text cannot be had or is not what it was
	Returned   int // listed, and not of the mailbox: messages that had been expunged or moved away, rows without a text
	Duplicated int // messages that are there once more
	Flags      int // messages with other system flags
	Keywords   int // messages with other keywords
	UIDs       int // messages with another UID
	Mixed      int // messages with a UID that another message had, under the same UIDVALIDITY: mail programs take the one for the other
	Dates      int // messages with another received date
	Validity   int // mailboxes with another UIDVALIDITY
	Log        int // warnings and errors in Dovecot's log
	Crashes    int // imap processes that died
}

// lost is what is not with one message as it was.
type lost struct {
	mailbox string
	number  int
	what    attribute
	row     *probe.Message // as it is now; nil where it is missing
}

// attribute is what a message, or a mailbox, can lose.
type attribute string

const (
	whole    attribute = "message"     // it is there, and can be read as it was
	dead     attribute = "death"       // it is gone for good
	single   attribute = "singleness"  // it is there once
	flags    attribute = "flags"       // system flags
	keywords attribute = "keywords"    //
	uid      attribute = "UID"         //
	mixed    attribute = "own UID"     // no other message had its UID
	date     attribute = "date"        // received date
	validity attribute = "UIDVALIDITY" // of a mailbox
	logged   attribute = "log"         // a quiet log
	crashed  attribute = "process"     // processes that live
)

// ofMessages are the attributes that a message has no more when it is gone.
var ofMessages = []attribute{flags, keywords, uid, date}

// tally is what came of a way.
type tally struct {
	counts
	lost []lost
	// wrong counts by attribute the messages (mailboxes, lines, processes) with which it is not right. A message that is not there as
	// it was has nothing right, so that keeping a message without its flags is never worse than losing it with them.
	wrong map[attribute]int
}

// worst is the greater of two in everything.
func worst(a, b tally) tally {
	x, y := reflect.ValueOf(&a.counts).Elem(), reflect.ValueOf(b.counts)
	for i := range x.NumField() {
		x.Field(i).SetInt(max(x.Field(i).Int(), y.Field(i).Int()))
	}
	wrong := make(map[attribute]int)
	for _, what := range compared {
		wrong[what] = max(a.wrong[what], b.wrong[what])
	}
	return tally{counts: a.counts, wrong: wrong}
}

// count holds readings against the truth.
func count(truth *fill.Truth, numbers map[string]int, now map[string]probe.Reading) tally {
	t := tally{wrong: make(map[attribute]int)}
	for _, name := range slices.Sorted(maps.Keys(truth.Mailboxes)) {
		t.mailbox(truth.Mailboxes[name], numbers, now[name])
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if truth.Mailboxes[name] == nil { // one that was not there before
			t.mailbox(&fill.Mailbox{Name: name, UIDValidity: now[name].UIDValidity}, numbers, now[name])
		}
	}
	return t
}

func (t *tally) note(box string, number int, what attribute, row *probe.Message) {
	t.lost = append(t.lost, lost{box, number, what, row})
	t.wrong[what]++
}

func (t *tally) mailbox(truth *fill.Mailbox, numbers map[string]int, now probe.Reading) {
	if now.UIDValidity != truth.UIDValidity {
		t.Validity++
		t.note(truth.Name, -1, validity, nil)
	}
	rows := match(truth, numbers, now)
	for _, m := range truth.Messages {
		row := rows.of[m.Number]
		switch {
		case row == nil:
			t.Missing++
		case numberOf(numbers, row) != m.Number:
			t.Unreadable++
		default:
			t.message(truth.Name, m, row)
			if now.UIDValidity != truth.UIDValidity && m.UID == row.UID { // a UID means nothing under another UIDVALIDITY
				t.wrong[uid]++
			}
			continue
		}
		t.note(truth.Name, m.Number, whole, row)
		for _, a := range ofMessages {
			t.wrong[a]++
		}
	}
	if now.UIDValidity == truth.UIDValidity {
		t.mixed(truth, numbers, now)
	}
	for _, row := range rows.more {
		n := numberOf(numbers, row)
		switch {
		case n >= 0 && rows.of[n] != nil:
			t.Duplicated++
			t.note(truth.Name, n, single, row)
		default:
			t.Returned++
			t.note(truth.Name, n, dead, row)
		}
	}
}

// mixed counts the messages that have what was the UID of another one.
func (t *tally) mixed(truth *fill.Mailbox, numbers map[string]int, now probe.Reading) {
	had := make(map[uint32]int, len(truth.Messages))
	for _, m := range truth.Messages {
		had[m.UID] = m.Number
	}
	for i := range now.Messages {
		row := &now.Messages[i]
		if other, ok := had[row.UID]; ok && numberOf(numbers, row) >= 0 && numberOf(numbers, row) != other {
			t.Mixed++
			t.wrong[mixed]++
		}
	}
}

// message compares a message that is there.
func (t *tally) message(box string, m fill.Message, row *probe.Message) {
	if words(m.Flags) != words(row.Flags) {
		t.Flags++
		t.note(box, m.Number, flags, row)
	}
	if words(m.Keywords) != words(row.Keywords) {
		t.Keywords++
		t.note(box, m.Number, keywords, row)
	}
	if m.UID != row.UID {
		t.UIDs++
		t.note(box, m.Number, uid, row)
	}
	if m.Date.Unix() != row.InternalDate.Unix() {
		t.Dates++
		t.note(box, m.Number, date, row)
	}
}

// words puts flags in one form. The keyword that using a mailbox sets and takes away is left out: where a session died in
// between, it is still there.
func words(list []string) string {
	var l []string
	for _, f := range list {
		if !strings.EqualFold(f, `\Recent`) && !strings.EqualFold(f, fill.Mark) {
			l = append(l, strings.ToLower(f))
		}
	}
	slices.Sort(l)
	return strings.Join(slices.Compact(l), " ")
}

// numberOf tells which message a row of a reading is, by its text; -1 for one whose text cannot be had or is no message's.
func numberOf(numbers map[string]int, row *probe.Message) int {
	if n, ok := numbers[row.BodySHA256]; ok && row.BodySHA256 != "" {
		return n
	}
	return -1
}

// matched are the rows of a reading by the messages they are.
type matched struct {
	of   map[int]*probe.Message // by the messages' numbers
	more []*probe.Message       // rows that are no message's
}

// match finds the row of each message: the one with its text (among several the one with its UID), else one without a known
// text that has its UID, else any one without.
func match(truth *fill.Mailbox, numbers map[string]int, now probe.Reading) matched {
	m := matched{of: make(map[int]*probe.Message)}
	wanted := make(map[int]uint32)
	for _, msg := range truth.Messages {
		wanted[msg.Number] = msg.UID
	}
	var unknown []*probe.Message
	for i := range now.Messages {
		row := &now.Messages[i]
		n := numberOf(numbers, row)
		want, mine := wanted[n]
		before := m.of[n]
		switch {
		case n < 0:
			unknown = append(unknown, row)
		case mine && before == nil:
			m.of[n] = row
		case mine && row.UID == want:
			m.of[n] = row
			m.more = append(m.more, before)
		default:
			m.more = append(m.more, row)
		}
	}
	take := func(fits func(msg fill.Message, row *probe.Message) bool) {
		for _, msg := range truth.Messages {
			if m.of[msg.Number] != nil {
				continue
			}
			if i := slices.IndexFunc(unknown, func(row *probe.Message) bool { return fits(msg, row) }); i >= 0 {
				m.of[msg.Number] = unknown[i]
				unknown = slices.Delete(unknown, i, i+1)
			}
		}
	}
	take(func(msg fill.Message, row *probe.Message) bool { return row.UID == msg.UID })
	take(func(fill.Message, *probe.Message) bool { return true })
	m.more = append(m.more, unknown...)
	return m
}

// sum is a text's sum as readings have it.
func sum(m fill.Message) string { return hex.EncodeToString(m.Sum[:]) }
