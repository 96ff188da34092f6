package imap

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strconv"
)

// passing says whether the library gets a response.
type passing byte

const (
	undecided passing = iota // too little of it is known
	passed                   // it does
	kept                     // it does not: it answers an Ask
)

// decisive is how many bytes of a response tell what it is: those of "* 4294967295 FETCH (", and some.
const decisive = 32

var (
	askedHead = regexp.MustCompile(`^(?i)\* ([0-9]+ FETCH ?\(|(SORT|SEARCH|ESEARCH|THREAD)[ \r\n])`)
	flagsItem = regexp.MustCompile(`(?i)[( ]FLAGS \(`)
)

// asking is an Ask under way. It is the reading goroutine's.
type asking struct {
	item     *regexp.Regexp // what each answer must hold
	ranges   []UIDRange
	yield    func(uint32)
	answered []uint32 // and not yet told
}

// tell yields what was answered since it was called last.
func (a *asking) tell() {
	if a == nil {
		return
	}
	for _, u := range a.answered {
		a.yield(u)
	}
	a.answered = a.answered[:0]
}

// wants says whether a message was asked for.
func (a *asking) wants(uid uint32) bool {
	_, found := slices.BinarySearchFunc(a.ranges, uid, func(r UIDRange, uid uint32) int {
		if r.First <= uid && uid <= r.Last {
			return 0
		}
		return cmp.Compare(r.First, uid)
	})
	return found
}

// pass hands a piece of a response to the library, or keeps it.
func (s *scanner) pass(part []byte, end bool) {
	switch s.passing {
	case undecided:
		s.held = append(s.held, part...)
		switch {
		case s.ask == nil:
			s.passing = passed
		case !end && len(s.head) < decisive:
			return
		case askedHead.Match(s.head):
			s.passing = kept
		default:
			s.passing = passed
		}
		if s.passing == passed {
			s.out = append(s.out, s.held...)
		}
		s.held = s.held[:0]
	case passed:
		s.out = append(s.out, part...)
	}
}

// uidOf is the UID that a FETCH response names; 0 for none.
func uidOf(head []byte) uint32 {
	text := []byte(nil)
	if _, after, ok := bytes.Cut(head, []byte(" FETCH (UID ")); ok { // as servers do
		if end := bytes.IndexAny(after, " )\r\n"); end >= 0 {
			text = after[:end]
		}
	}
	if text == nil {
		m := uidItem.FindSubmatch(head)
		if m == nil {
			return 0
		}
		text = m[1]
	}
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// asked notes a response that is kept: at its end, or where a literal of it begins.
func (s *scanner) asked(end bool) {
	a := s.ask
	if a == nil || a.item == nil || !fetchHead.Match(s.head) {
		return
	}
	uid := uidOf(s.head)
	if uid == 0 || !a.wants(uid) {
		return
	}
	has := a.item.Match(s.head)
	if end && !has && flagsItem.Match(s.head) {
		return // told in between, because another program has changed this message's flags
	}
	s.uid = uid
	s.partial = !end || !has || s.quoted || s.depth != 0
	if !s.partial && a.yield != nil {
		a.answered = append(a.answered, uid)
	}
}
