package probe

import (
	"fmt"
	"slices"
	"time"

	"dovemend/remote/imap"
)

// The looks that are not at messages; those that are have their names in package imap.
const (
	LookLogin   imap.Look = "login"   // connect and log in
	LookList    imap.Look = "list"    // LIST
	LookStatus  imap.Look = "status"  // STATUS
	LookExamine imap.Look = "examine" // EXAMINE
)

// AllLooks are all kinds of look, in the order in which they are taken.
func AllLooks() []imap.Look {
	return append([]imap.Look{LookLogin, LookList, LookStatus, LookExamine}, imap.Looks...)
}

// ReadsTexts reports whether the server has to read whole messages for this kind of look.
func ReadsTexts(l imap.Look) bool {
	return l == imap.LookBody || l == imap.LookSearchBody || l == imap.LookSearchText
}

// State is how one kind of look ended.
type State string

// The states.
const (
	Works      State = "works"       // asked, and answered in full
	Fails      State = "fails"       // refused, broken off, or answered in part
	NotAsked   State = "not-asked"   // not chosen, or something before it failed
	NotOffered State = "not-offered" // the server cannot do it; nothing is broken
)

// Looked is what looking at some mailboxes by each kind of look has told.
type Looked struct {
	Account     []LookResult // login and list
	Mailboxes   []MailboxLooks
	Connections int // how many were made
}

// MailboxLooks is what each kind of look has told of one mailbox.
type MailboxLooks struct {
	Mailbox     string // as asked for, levels separated by "/"
	ServerName  string // as the server calls it; untrusted
	UIDValidity uint32 // 0 where it could not be opened
	UIDNext     uint32
	Exists      int // messages, as EXAMINE tells; -1 where it could not be opened
	Seen        int // messages that are read, as FETCH FLAGS tells; -1 where that was not answered in full
	Sample      int // how many messages the looks at messages were about; -1 where none was chosen
	Looks       []LookResult
}

// LookResult is how one kind of look ended.
type LookResult struct {
	Look     imap.Look
	State    State
	Why      string   // why it was not asked, or asked of fewer messages than the sample; safe to print
	Asked    int      // messages asked about; 0 for looks that are not at messages
	Answered int      // of these: answered in full
	Gone     int      // of these: deleted by a mail program in the meantime
	Suspects []uint32 // UIDs that the server or its log named when it failed, at most 20
	Replies  []Reply  // what the server answered besides, at most 200
	Log      []Reply  // what the host's imap process logged meanwhile, at most 200
}

// Failed reports whether something is wrong with what the look is at: it failed, or the log complains.
func (r *LookResult) Failed() bool {
	return r.State == Fails || slices.ContainsFunc(r.Log, func(l Reply) bool { return l.Whose != imap.WhoseNone })
}

// Healthy reports whether every look that was asked for was answered in full, without a complaint in the log. Looks that
// could not be taken because of another one's failure count as that failure.
func (l *Looked) Healthy() bool {
	for i := range l.Account {
		if l.Account[i].Failed() {
			return false
		}
	}
	for i := range l.Mailboxes {
		if !l.Mailboxes[i].Healthy() {
			return false
		}
	}
	return true
}

// Healthy is [Looked.Healthy] for one mailbox.
func (m *MailboxLooks) Healthy() bool {
	return !slices.ContainsFunc(m.Looks, func(r LookResult) bool { return r.Failed() })
}

// Result gives the result of one kind of look; nil where the mailbox has none.
func (m *MailboxLooks) Result(l imap.Look) *LookResult {
	for i := range m.Looks {
		if m.Looks[i].Look == l {
			return &m.Looks[i]
		}
	}
	return nil
}

// Expect holds what EXAMINE told against what the mailbox's files told just before: messages, -1 where that is not known, and
// UIDVALIDITY, 0 likewise. A mailbox that was made anew, or lacks messages, is told at the look that opened it, which has then
// failed, though every answer was OK.
func (m *MailboxLooks) Expect(messages int, uidValidity uint32) {
	r := m.Result(LookExamine)
	if r == nil || m.Exists < 0 {
		return
	}
	if uidValidity != 0 && m.UIDValidity != 0 && uidValidity != m.UIDValidity {
		r.State, r.Replies = Fails, addReply(r.Replies, fmt.Sprintf("the files told UIDVALIDITY %d, and the server tells %d", uidValidity, m.UIDValidity),
			imap.ExplainReply("* BYE Mailbox UIDVALIDITY changed"))
	}
	if m.Exists < messages {
		r.State, r.Replies = Fails, addReply(r.Replies, fmt.Sprintf("the files tell of %d messages, and the server shows %d", messages, m.Exists), fewer)
	}
}

// Class gives the first answer or log line of a class, of the account or of any mailbox.
func (l *Looked) Class(c imap.Class) (Reply, bool) {
	all := slices.Clone(l.Account)
	for _, m := range l.Mailboxes {
		all = append(all, m.Looks...)
	}
	for _, r := range all {
		for _, reply := range slices.Concat(r.Replies, r.Log) {
			if reply.Class == c {
				return reply, true
			}
		}
	}
	return Reply{}, false
}

// Bounds of a look that is not told otherwise.
const (
	DefaultSample      = 200      // messages of each mailbox
	DefaultSampleBytes = 16 << 20 // of the texts of those, for looks that read texts
	DefaultConnections = 25
	DefaultPause       = 500 * time.Millisecond
)

// LookOptions say how much to look.
type LookOptions struct {
	Looks       []imap.Look // nil: [AllLooks]
	All         bool        // every mailbox that LIST names, besides those that are named
	Sample      int         // messages of each mailbox that are asked about, half of them the newest ones; 0: DefaultSample; below 0: all
	SampleBytes int64       // with a sample: how much text is asked for in each mailbox; 0: DefaultSampleBytes

	// Connections is how many may be made in all, one after the other; 0: DefaultConnections. Every look at which the
	// server hangs up costs one.
	Connections int
	// Pause is waited before a new connection is made after a hang-up; it doubles with every hang-up in a row, up to
	// eight times. 0: DefaultPause; below 0: none.
	Pause time.Duration

	Stage func(text string) // is told what is being asked; may be nil. The text is safe to print.
}

func (o LookOptions) withDefaults() LookOptions {
	if asked := o.Looks; asked == nil {
		o.Looks = AllLooks()
	} else {
		o.Looks = slices.DeleteFunc(AllLooks(), func(l imap.Look) bool { return !slices.Contains(asked, l) })
	}
	if o.Sample == 0 {
		o.Sample = DefaultSample
	}
	if o.SampleBytes == 0 {
		o.SampleBytes = DefaultSampleBytes
	}
	if o.Connections == 0 {
		o.Connections = DefaultConnections
	}
	if o.Pause == 0 {
		o.Pause = DefaultPause
	}
	if o.Stage == nil {
		o.Stage = func(string) {}
	}
	return o
}

func (o LookOptions) wants(l imap.Look) bool { return slices.Contains(o.Looks, l) }
