// Package watch decides what a look at an account means, compared with what earlier looks saw: it takes what was remembered
// (a [State]) and what is seen now (an [Observation]), and gives the alarms and what to remember ([Judge]). It reaches
// nothing: whoever calls it looks, and keeps the state. Beside it is the [Pinger], which tells a monitor how a look ended.
//
// The first look only learns. What was lost stays an alarm until it is back, until a person accepts it, or until it has been told
// for [Policy].Hold: an alarm that goes away by itself five minutes later would not be seen.
package watch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Version is that of the state's form. A newer one is refused.
const Version = 1

// Limits of what is remembered.
const (
	MaxMailboxes = 2000     // of one account
	MaxState     = 64 << 20 // bytes of a state as JSON
	maxName      = 1024     // bytes of a mailbox's name
	maxText      = 1000     // bytes of a remembered text
)

// Numbers is what the server says of a mailbox.
type Numbers struct {
	UIDValidity uint32 `json:"uidvalidity"`
	UIDNext     uint32 `json:"uidnext"`
	Messages    int    `json:"messages"`
	Read        int    `json:"read"` // messages that are \Seen; -1 where they were not counted
}

// Mailbox is what is remembered of a mailbox.
type Mailbox struct {
	Known   bool      `json:"known"` // the numbers were learned
	Numbers Numbers   `json:"numbers"`
	UIDList bool      `json:"uidlist,omitempty"` // dovecot-uidlist was there at the last look at the files
	Wait    Wait      `json:"wait,omitzero"`
	Looked  time.Time `json:"looked,omitzero"` // when its numbers were last seen
}

// Wait is how long something that failed is left alone.
type Wait struct {
	Failures int       `json:"failures"`         // in a row
	Until    time.Time `json:"until"`            // no look before
	Why      Failure   `json:"why"`              // the last one
	Since    time.Time `json:"since"`            // the first one in this row
	Host     bool      `json:"host,omitempty"`   // it was the connection to the host that failed
	Banned   bool      `json:"banned,omitempty"` // the host refused the login, and shuts out those who try again and again
}

// Raised is an alarm as it is remembered.
type Raised struct {
	Since time.Time `json:"since"`
}

// State is what is remembered of an account. It holds no secret, and nothing of any message.
type State struct {
	Version   int                 `json:"version"`
	Account   string              `json:"account"` // what was watched, in words
	Began     time.Time           `json:"began"`
	Looked    time.Time           `json:"looked,omitzero"` // the last look that came to its end
	Looks     int                 `json:"looks"`
	Limit     int                 `json:"connection_limit,omitempty"` // of connections, as the server told it; 0 unknown
	Spare     int                 `json:"spare,omitempty"`            // messages that had arrived somewhere at the last look and were missed nowhere
	Wait      Wait                `json:"wait,omitzero"`
	Mailboxes map[string]*Mailbox `json:"mailboxes"`
	Raised    map[string]Raised   `json:"raised,omitempty"` // by the key of the alarm
}

// New is the state before the first look.
func New(account string, now time.Time) *State {
	return &State{Version: Version, Account: cut(account, maxText), Began: now.UTC().Truncate(time.Second), Mailboxes: map[string]*Mailbox{}}
}

// First reports whether nothing was learned yet.
func (s *State) First() bool { return s.Looked.IsZero() }

// Errors of [Decode].
var (
	ErrNewer   = errors.New("it was written by a newer dovemend")
	ErrDamaged = errors.New("it is damaged")
)

// Decode reads a state that [State.Encode] wrote. Its error is ErrNewer or ErrDamaged.
func Decode(b []byte) (*State, error) {
	if len(b) > MaxState {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(b))
	}
	var version struct{ Version int }
	if err := json.Unmarshal(b, &version); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if version.Version > Version {
		return nil, fmt.Errorf("%w: version %d, not %d", ErrNewer, version.Version, Version)
	}
	s := &State{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if s.Version < 1 || s.Began.IsZero() || len(s.Mailboxes) > MaxMailboxes {
		return nil, fmt.Errorf("%w: it is not a state", ErrDamaged)
	}
	if s.Mailboxes == nil {
		s.Mailboxes = map[string]*Mailbox{}
	}
	for name, m := range s.Mailboxes {
		if m == nil || len(name) > maxName || m.Numbers.Messages < 0 {
			return nil, fmt.Errorf("%w: it is not a state", ErrDamaged)
		}
	}
	return s, nil
}

// Encode writes the state.
func (s *State) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("write state: %w", err)
	}
	if b.Len() > MaxState {
		return nil, fmt.Errorf("write state: it has %d bytes, more than %d", b.Len(), MaxState)
	}
	return b.Bytes(), nil
}

// clone copies what Judge changes.
func (s *State) clone() *State {
	c := *s
	c.Mailboxes = make(map[string]*Mailbox, len(s.Mailboxes))
	for name, m := range s.Mailboxes {
		copied := *m
		c.Mailboxes[name] = &copied
	}
	c.Raised = make(map[string]Raised, len(s.Raised))
	for k, v := range s.Raised {
		c.Raised[k] = v
	}
	return &c
}

// names are the remembered mailboxes in order.
func (s *State) names() []string {
	var l []string
	for name := range s.Mailboxes {
		l = append(l, name)
	}
	slices.SortFunc(l, inOrder)
	return l
}

// inOrder has INBOX first.
func inOrder(a, b string) int {
	if (a == "INBOX") != (b == "INBOX") {
		if a == "INBOX" {
			return -1
		}
		return 1
	}
	return cmp.Compare(a, b)
}

// cut shortens a text to at most n bytes, between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
