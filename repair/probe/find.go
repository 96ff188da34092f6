package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// Bounds of a search that is not told otherwise, for one call of [Find].
const (
	DefaultFindReconnects = 60
	DefaultRoundTrips     = 3000
	DefaultMaxPoison      = 100
)

// ErrUIDValidity: the mailbox was made anew, so that its UIDs name other messages than those looked at before.
var ErrUIDValidity = errors.New("mailbox was made anew meanwhile: its UIDs name other messages now")

// FindLooks are all kinds of look that [Find] can take, in its order: first those by which the server names messages one by
// one, last THREAD, which Dovecot answers from all messages of the mailbox whatever it is asked about.
var FindLooks = []imap.Look{imap.LookFlags, imap.LookEnvelope, imap.LookBodyStructure, imap.LookBody, imap.LookSort,
	imap.LookSearchBody, imap.LookSearchText, imap.LookThread}

// FindOptions say where to look for poison messages and at what cost. The zero value looks at all messages in every way.
type FindOptions struct {
	UIDs     []uint32    // look at these alone; nil: all messages there are when it begins
	Suspects []uint32    // ask about these first, each by itself: of which the files tell that they are damaged
	Looks    []imap.Look // nil: [FindLooks]. FLAGS is always asked: it tells which messages there are

	Reconnects int           // new connections after the first; 0: DefaultFindReconnects; below 0: none
	RoundTrips int           // commands sent; 0: DefaultRoundTrips
	MaxPoison  int           // stop after so many poison messages; 0: DefaultMaxPoison
	Batch      int           // messages in one command; 0: what fits the look, some thousands
	Pause      time.Duration // before a new connection after a hang-up; doubles with each in a row, up to 32-fold; 0: 500 ms; below 0: none

	ServerName string // the server's name of the mailbox; "": LIST is asked for it
	Conn       *Conn  // a connection to begin with, instead of a new one; closed when the search ends

	// Resume is what an earlier search of the same mailbox came to; nil begins. What it had left is done, and UIDs,
	// Suspects and Looks are as they were. It is not changed.
	Resume *Found
	// Save, which may be nil, is called after each step with what is found so far, to be written down as JSON or shown;
	// it must not keep or change it. Its error ends the search and is returned.
	Save func(*Found) error
}

// Verdict says what is to blame where a message makes the server fail.
type Verdict string

// The verdicts. What is suspected is proven by [Settle].
const (
	BlameMessageMaybe Verdict = "message-suspected" // its text cannot be read; most likely the message's own bytes
	BlameCacheMaybe   Verdict = "cache-suspected"   // its text is read well, but not what may come from dovecot.index.cache
	BlameIndexMaybe   Verdict = "index-suspected"   // not even its flags can be told
	BlameMessage      Verdict = "message"           // proven: it fails without the old cache, or its file is damaged
	BlameCache        Verdict = "cache"             // proven: without the old cache it is read well
	BlameNobody       Verdict = "healed"            // it is answered now
)

// Poison is a message that makes the server fail. Texts are safe to print.
type Poison struct {
	UID     uint32      `json:"uid"`
	Look    imap.Look   `json:"look"`            // at which it was found
	Fails   []imap.Look `json:"fails"`           // all looks at which it failed; no others but those in Reads were tried
	Reads   []imap.Look `json:"reads,omitempty"` // looks, taken for comparison, at which it did not
	Crash   bool        `json:"crash"`           // the server process ended without a word
	Hangup  bool        `json:"hangup"`          // the connection ended, with a word or without
	MidText bool        `json:"mid_text"`        // it ended in the middle of the message's text: the size foretold does not fit
	Cache   bool        `json:"cache"`           // proven: only the cache is to blame
	Verdict Verdict     `json:"verdict"`
	Tries   int         `json:"tries"`         // how often the server failed at it
	Damaged bool        `json:"damaged"`       // it was among the suspects that the files gave
	Reply   Reply       `json:"reply"`         // what the server answered
	Log     []Reply     `json:"log,omitempty"` // what the host's imap process logged, at most 10 lines
	Text    string      `json:"text"`          // all that in words
	Next    string      `json:"next"`          // what to do
}

// LookFailure is a kind of look that fails whichever messages it is about.
type LookFailure struct {
	Look  imap.Look `json:"look"`
	Tried int       `json:"tried"` // how many questions failed
	Reply Reply     `json:"reply"`
	Text  string    `json:"text"`
}

// Stop is why a search ended before its end.
type Stop string

// The reasons.
const (
	StopReconnects  Stop = "reconnects"       // as many connections as allowed were used up
	StopRoundTrips  Stop = "round-trips"      // as many commands as allowed were sent
	StopPoison      Stop = "poison"           // as many poison messages as asked for were found
	StopLimit       Stop = "connection-limit" // the host allows no more connections at present
	StopConnection  Stop = "connection"       // no connection could be made
	StopMailbox     Stop = "mailbox"          // the mailbox cannot be opened
	StopUIDValidity Stop = "uidvalidity"      // the mailbox was made anew
	StopInterrupted Stop = "interrupted"      // stopped from here
)

// Open is a question not yet answered: one look, some messages.
type Open struct {
	Look    imap.Look       `json:"look"`
	UIDs    []imap.UIDRange `json:"uids"`
	Failed  int             `json:"failed,omitempty"`  // failures put down to this message, where it is one
	Alone   bool            `json:"alone,omitempty"`   // one of them when it was asked about by itself
	Control bool            `json:"control,omitempty"` // asked only to see whether anything is answered
	Known   bool            `json:"known,omitempty"`   // a failure is explained by nothing else than one of these, unless it was chance
	Deduced bool            `json:"deduced,omitempty"` // the first failure was such a one
	Accused *Poison         `json:"accused,omitempty"` // it failed twice, and is asked about once more
	Asked   Stage           `json:"asked,omitempty"`   // what was asked about the accused
}

// Stage is how far the case of an accused message has come.
type Stage string

// The stages.
const (
	StageThere Stage = "there" // it still is in the mailbox
	StageFails Stage = "fails" // it has failed again
)

// Found is what a search has come to. It is plain data: written as JSON and read back, it can be given to a later search,
// which goes on from there.
type Found struct {
	Mailbox     string `json:"mailbox"` // levels separated by "/"
	ServerName  string `json:"server_name"`
	UIDValidity uint32 `json:"uidvalidity"`
	UIDNext     uint32 `json:"uidnext"` // when it began: messages that came later are not looked at

	Poison     []Poison      `json:"poison"`
	Everywhere []LookFailure `json:"everywhere,omitempty"`  // looks at which no message could be told apart: not one message's fault
	NotOffered []imap.Look   `json:"not_offered,omitempty"` // looks that the server cannot do
	Skipped    []imap.Look   `json:"skipped,omitempty"`     // looks that could only have failed as earlier ones did
	Healed     []Poison      `json:"healed,omitempty"`      // messages at which the server failed twice and not again: Dovecot mends some damage when it meets it
	Unsteady   []uint32      `json:"unsteady,omitempty"`    // messages at which the server failed once and not again, at most 100
	Gone       int           `json:"gone"`                  // messages deleted in the meantime

	Complete    bool   `json:"complete"` // every look was taken of every message
	Stop        Stop   `json:"stop,omitempty"`
	Text        string `json:"text"` // the result in words, safe to print
	Next        string `json:"next"` // what to do
	Connections int    `json:"connections"`
	RoundTrips  int    `json:"round_trips"` // commands sent, without those of logging in and out
	Failures    int    `json:"failures"`    // how many of them failed

	Replies []Reply `json:"replies,omitempty"` // what the server answered that was not OK, at most 200
	Log     []Reply `json:"log,omitempty"`     // what the host's imap process logged, at most 200

	// What remains to be done, for [FindOptions].Resume.
	Exists   []imap.UIDRange `json:"exists"` // messages there are
	Now      LookState       `json:"now"`
	Open     []Open          `json:"open,omitempty"` // the last one is next
	Todo     []imap.Look     `json:"todo,omitempty"`
	Suspects []uint32        `json:"suspects,omitempty"`
	Only     []imap.UIDRange `json:"only,omitempty"` // nil: all messages
}

// LookState is how far the look that is being taken has come.
type LookState struct {
	Look       imap.Look `json:"look"`
	Answered   int       `json:"answered"`          // messages
	Pending    []Poison  `json:"pending,omitempty"` // accused, while nothing has been answered yet
	Controls   int       `json:"controls,omitempty"`
	Uncontrols int       `json:"uncontrols,omitempty"` // controls that failed
	Failures   int       `json:"failures,omitempty"`
	Reply      Reply     `json:"reply"` // the last failure's
}

// Find looks for the messages of a mailbox that make the server fail or crash. It only reads: no message becomes seen and
// nothing on the host is changed on purpose; but see the package comment on what any look can do to a damaged mailbox, and
// copy the files before.
//
// It asks about many messages at once and halves what fails, beginning where the server broke off, until single
// messages fail, and accuses a message only when the server failed at it twice, and a third time with a look whether it still
// is there. One connection is open at a time. A
// mailbox in which all is well costs some ten round trips, and one for each thousand messages or so and look; a poison
// message some dozens.
//
// What was found so far is returned with every error: ctx ended, no connection could be made (a connection limit is not
// tried against again), the mailbox cannot be opened, or it was made anew ([ErrUIDValidity]). A search that has used up
// what it may is no error: Found.Stop tells, and it can be resumed.
func Find(ctx context.Context, dial Dialer, mailbox string, o FindOptions) (*Found, error) {
	f := newFinder(dial, mailbox, o)
	err := f.run(ctx)
	f.drop(ctx)
	f.conclude(err)
	if err != nil && !errors.Is(err, errSpent) {
		return f.found, fmt.Errorf("find poison messages in mailbox %q: %w", remote.Safe(mailbox), err)
	}
	return f.found, nil
}

// Settle proves what is to blame, after the mailbox's dovecot.index.cache was removed (the remedy drop-cache): it looks again
// at those messages, in those ways, at which an earlier search failed. Of these a message that is read well now had only a
// damaged cache against it; of one that still fails its own bytes are to blame. The Found it returns holds the same messages with
// their verdicts. Looks, UIDs and Suspects of the options count for nothing; a search that is stopped midway can be
// resumed with [Find] alone, without verdicts.
func Settle(ctx context.Context, dial Dialer, before *Found, o FindOptions) (*Found, error) {
	o.Resume, o.ServerName, o.UIDs, o.Looks, o.Suspects = nil, before.ServerName, nil, nil, nil
	f := newFinder(dial, before.Mailbox, o)
	f.settling = true
	pairs := map[imap.Look]uidSet{}
	var all uidSet
	for _, p := range before.Poison {
		all = all.or(setOf(p.UID))
		for _, l := range p.Fails {
			pairs[l] = pairs[l].or(setOf(p.UID))
		}
	}
	f.found.UIDValidity, f.found.UIDNext, f.found.Only, f.pairs = before.UIDValidity, before.UIDNext, all, pairs
	if all == nil {
		f.found.Todo = nil
	}
	err := f.run(ctx)
	f.drop(ctx)
	settle(f.found, before)
	f.conclude(err)
	if err != nil && !errors.Is(err, errSpent) {
		return f.found, fmt.Errorf("look again at the poison messages of mailbox %q: %w", remote.Safe(before.Mailbox), err)
	}
	return f.found, nil
}

// settle gives the messages found before the verdicts that the second look proves.
func settle(now, before *Found) {
	again := now.Poison
	now.Poison = nil
	there := uidSet(now.Exists)
	for _, p := range before.Poison {
		i := slices.IndexFunc(again, func(q Poison) bool { return q.UID == p.UID })
		switch {
		case i >= 0:
			q := again[i]
			q.Damaged, q.Tries, q.Verdict = p.Damaged, q.Tries+p.Tries, BlameMessage
			p = q
		case !now.Stopped() && there.has(p.UID) && len(now.Everywhere) == 0:
			p.Reads, p.Cache, p.Verdict = p.Fails, true, BlameCache
		case !now.Stopped() && !there.has(p.UID):
			now.Gone++
			continue
		}
		p.describe()
		now.Poison = append(now.Poison, p)
	}
}

// Stopped reports whether the search has something left to do.
func (f *Found) Stopped() bool { return len(f.Open) > 0 || len(f.Todo) > 0 }

// UIDs are the poison messages.
func (f *Found) UIDs() (uids []uint32) {
	for _, p := range f.Poison {
		uids = append(uids, p.UID)
	}
	return uids
}

// Healthy reports whether every look of every message was answered.
func (f *Found) Healthy() bool {
	return f.Complete && len(f.Poison) == 0 && len(f.Everywhere) == 0
}
