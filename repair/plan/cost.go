package plan

import (
	"cmp"
	"fmt"
	"slices"

	"dovemend/repair/store"
)

// Loss is one kind of thing a remedy can cost.
type Loss string

// What --accept-loss takes.
const (
	LossFlags    Loss = "flags"
	LossKeywords Loss = "keywords"
	LossUIDs     Loss = "uids"
	LossMessages Loss = "messages"
)

// Losses are all kinds, as --accept-loss lists them.
func Losses() []Loss { return []Loss{LossFlags, LossKeywords, LossUIDs, LossMessages} }

// Cost is one loss a plan brings, measured on the copy.
type Cost struct {
	Loss    Loss   `json:"loss"`
	Mailbox string `json:"mailbox"`
	Count   int    `json:"count"` // messages concerned; -1 where they could not be counted
	Text    string `json:"text"`  // "the flags of 45 messages"
}

// Policy is what the user has agreed to.
type Policy struct {
	Accept  []Loss   // losses accepted by name
	Confirm []string // mailboxes whose clearing was confirmed by name
}

// Facts are what was counted in the copy of one mailbox before anything is changed. Counts are of messages, -1 where
// they cannot be told.
type Facts struct {
	Mailbox        string     `json:"mailbox"` // as store.Mailbox.Name
	Messages       int        `json:"messages"`
	Flagged        int        `json:"flagged"`   // with any system flag
	Keyworded      int        `json:"keyworded"` // with any keyword
	AfterDropIndex Afterwards `json:"after_drop_index"`
	// LeftAloneLoses: as long as its index files stay as they are, Dovecot loses something the next time it opens the mailbox.
	LeftAloneLoses bool `json:"left_alone_loses,omitempty"`
	// Unreadable counts messages on which Dovecot fails, by what the copy tells.
	Unreadable int `json:"unreadable,omitempty"`
}

// Afterwards foretells the mailbox as Dovecot would show it after its index was dropped.
type Afterwards struct {
	Messages      int    `json:"messages"` // -1 not foretold
	LosesFlags    int    `json:"loses_flags"`
	LosesKeywords int    `json:"loses_keywords"`
	LosesUIDs     int    `json:"loses_uids"` // messages that get a new UID or UIDVALIDITY
	Why           string `json:"why,omitempty"`
}

// Costs says what a remedy costs in one mailbox. It needs no copy of the files, so that remedies can be compared.
func Costs(r Remedy, layout store.Layout, f Facts) []Cost {
	var all []Cost
	add := func(l Loss, n int, text string) {
		if n != 0 {
			all = append(all, Cost{Loss: l, Mailbox: f.Mailbox, Count: n, Text: text})
		}
	}
	switch r {
	case DropIndex:
		a := f.AfterDropIndex
		if a.Messages >= 0 && f.Messages > a.Messages {
			n := f.Messages - a.Messages
			add(LossMessages, n, count(n, "message")+", which Dovecot would no longer show")
		}
		add(LossFlags, a.LosesFlags, "the flags of "+count(a.LosesFlags, "message"))
		add(LossKeywords, a.LosesKeywords, "the keywords of "+count(a.LosesKeywords, "message"))
		add(LossUIDs, a.LosesUIDs, "the UIDs of "+count(a.LosesUIDs, "message")+": mail programs download them anew")
	case Evacuate:
		n := f.Unreadable
		add(LossMessages, n, count(n, "message")+" on which Dovecot fails, taken out of the mailbox; what of them can be read is written to this computer, and the copy keeps them")
		add(LossUIDs, f.Messages-n, "the UIDs of "+count(f.Messages-n, "message")+", and UIDVALIDITY: mail programs download them anew")
	case Clear:
		n := f.Messages
		if layout != store.MDBox {
			add(LossMessages, n, count(n, "message")+", taken out of the mailbox; the copy keeps them")
			break
		}
		add(LossMessages, n, count(n, "message")+", taken out of the mailbox; their bytes stay in storage/, where no mailbox refers to them")
		add(LossFlags, f.Flagged, "the flags of "+count(f.Flagged, "message"))
		add(LossKeywords, f.Keyworded, "the keywords of "+count(f.Keyworded, "message"))
		add(LossUIDs, n, "the UIDs of "+count(n, "message")+": mail programs download them anew")
	}
	return all
}

// unaccepted gives the costs that the policy does not accept.
func (p Policy) unaccepted(costs []Cost) []Cost {
	return slices.DeleteFunc(slices.Clone(costs), func(c Cost) bool { return slices.Contains(p.Accept, c.Loss) })
}

// unconfirmed gives the mailboxes that were not confirmed by name.
func (p Policy) unconfirmed(boxes []store.Mailbox) []string {
	var names []string
	for _, m := range boxes {
		if !slices.Contains(p.Confirm, m.Name) {
			names = append(names, cmp.Or(m.Name, m.Storage))
		}
	}
	return names
}

func count(n int, what string) string {
	switch n {
	case -1:
		return "an unknown number of " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
