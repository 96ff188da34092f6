package ui

import (
	"fmt"
	"io"
	"strings"

	"dovemend/remote/imap"
	"dovemend/repair/probe"
)

// WhoseWords says in words where the cause of an answer lies.
func WhoseWords(w imap.Whose) string {
	switch w {
	case imap.WhoseNone:
		return "nobody's, nothing is wrong"
	case imap.WhoseHost:
		return "the hosting company's"
	case imap.WhoseAccount:
		return "the account's as a whole"
	case imap.WhoseMailbox:
		return "this mailbox's files"
	case imap.WhoseMessage:
		return "single messages"
	case imap.WhoseClient:
		return "mail programs"
	case imap.WhoseNetwork:
		return "the network between here and the host"
	}
	return "not known"
}

// PrintLooked writes what each kind of look has told of the account and of each mailbox.
func PrintLooked(w io.Writer, l *probe.Looked) {
	if anyFailed(l.Account) || len(l.Mailboxes) == 0 {
		Say(w, "The account:")
		told := explained{}
		for i := range l.Account {
			told.printLook(w, &l.Account[i])
		}
	}
	for i := range l.Mailboxes {
		printMailboxLooks(w, &l.Mailboxes[i])
	}
}

func anyFailed(all []probe.LookResult) bool {
	for i := range all {
		if all[i].Failed() || all[i].State == probe.NotAsked {
			return true
		}
	}
	return false
}

func printMailboxLooks(w io.Writer, m *probe.MailboxLooks) {
	line := "Mailbox " + Safe(m.Mailbox) + ": "
	switch {
	case m.Exists < 0 && m.Result(probe.LookExamine) == nil:
		line += "not opened"
	case m.Exists < 0:
		line += "could not be opened"
	case m.Seen < 0:
		line += Count(m.Exists, "message")
	default:
		line += Count(m.Exists, "message") + ", " + number(m.Seen) + " seen"
	}
	Say(w, "%s", line)
	told := explained{}
	for i := range m.Looks {
		told.printLook(w, &m.Looks[i])
	}
	if m.Sample >= 0 && m.Sample < m.Exists {
		Say(w, "  The looks at messages were at a sample: %d of %d, the newest ones and some of the others. --sample all takes every message.", m.Sample, m.Exists)
	}
}

// PrintLook writes one kind of look: how it ended, and what the server and its log said, explained.
func PrintLook(w io.Writer, r *probe.LookResult) { explained{}.printLook(w, r) }

// explained are the explanations that stand above: each is written once.
type explained map[imap.Explanation]bool

func (told explained) printLook(w io.Writer, r *probe.LookResult) {
	state := map[probe.State]string{probe.Works: "works", probe.Fails: "FAILS", probe.NotAsked: "not asked", probe.NotOffered: "not there"}[r.State]
	if r.State == probe.Works && r.Failed() {
		state = "COMPLAINS"
	}
	var notes []string
	if r.Asked > 0 {
		note := fmt.Sprintf("%d of %d messages", r.Answered, r.Asked)
		if r.Answered == r.Asked {
			note = Count(r.Asked, "message")
		}
		notes = append(notes, note)
	}
	if r.Gone > 0 {
		notes = append(notes, fmt.Sprintf("%d were deleted meanwhile", r.Gone))
	}
	if r.Why != "" {
		notes = append(notes, r.Why)
	}
	if len(r.Suspects) > 0 {
		notes = append(notes, "named when it failed: UID "+uidWords(r.Suspects))
	}
	Say(w, "%s", strings.TrimRight(fmt.Sprintf("  %-11s%-20s%s", state, probe.Command(r.Look), Safe(strings.Join(notes, "; "))), " "))
	told.printReplies(w, "the server: ", r.Replies)
	told.printReplies(w, "the host's log: ", r.Log)
}

// mostReplies is how many answers and log lines of one look are written; JSON has all of them.
const mostReplies = 3

func (told explained) printReplies(w io.Writer, lead string, all []probe.Reply) {
	var last imap.Explanation
	for i, reply := range all {
		if i == mostReplies && len(all) > mostReplies+1 {
			Say(w, "      … and %d more, which --json tells", len(all)-i)
			return
		}
		times := ""
		if reply.Count > 1 {
			times = fmt.Sprintf(" (%d times)", reply.Count)
		}
		Say(w, "      %s%s%s", lead, Safe(reply.Text), times)
		if reply.Explanation == last {
			continue
		}
		last = reply.Explanation
		if told[last] {
			Say(w, "        (explained above)")
			continue
		}
		told[last] = true
		Say(w, "        it means: %s", Safe(reply.Meaning))
		if reply.Whose != imap.WhoseNone {
			Say(w, "        whose problem: %s", WhoseWords(reply.Whose))
		}
		if reply.Next != "" {
			Say(w, "        what to do: %s", Safe(reply.Next))
		}
	}
}

func uidWords(uids []uint32) string {
	var words []string
	for _, u := range uids {
		words = append(words, fmt.Sprint(u))
	}
	return strings.Join(words, ", ")
}
