package watch

import (
	"fmt"
	"strings"
)

// leastRead is from how many read messages on it is worth a word that none is read any more.
const leastRead = 5

// numbers compares a mailbox's numbers with the remembered ones. They are learned unless something was lost that nobody accepted.
func (j *judge) numbers(o *Seen, m *Mailbox) {
	m.Looked = j.now
	if !m.Known {
		m.Known, m.Numbers = true, o.Numbers
		if !j.first {
			j.note("%s is new: %s", o.Name, messages(o.Numbers.Messages))
		}
		return
	}
	learn := true
	for _, a := range j.losses(o, m.Numbers) {
		learn = j.held(&a) && learn
	}
	if learn {
		read := o.Numbers.Read
		if read < 0 {
			read = m.Numbers.Read
		}
		m.Numbers = o.Numbers
		m.Numbers.Read = read
	}
}

// losses are what a mailbox has lost. Numbers of messages mean nothing across a change of UIDVALIDITY but how many there are.
func (j *judge) losses(o *Seen, was Numbers) (alarms []Alarm) {
	n := o.Numbers
	if n.UIDValidity != was.UIDValidity {
		if was.Messages == 0 {
			return nil // nothing was in it, so nothing is lost
		}
		return []Alarm{NewValidity.alarm(o.Name, "UIDVALIDITY was %d and is %d; there were %s and there are %d", was.UIDValidity, n.UIDValidity, messages(was.Messages), n.Messages)}
	}
	if n.UIDNext < was.UIDNext {
		alarms = append(alarms, UIDNextBack.alarm(o.Name, "UIDNEXT was %d and is %d", was.UIDNext, n.UIDNext))
	}
	lost := gone(o, was)
	moved := min(lost, max(j.unmissed-j.arrived[o.Name], 0))
	j.unmissed -= moved
	lost -= moved
	if !clears(o.Name) && j.p.MaxDrop.exceeded(lost, was.Messages) {
		alarms = append(alarms, Lost.alarm(o.Name, "%s of %d are gone since the last look, and there are %d", messages(lost), was.Messages, n.Messages))
	}
	// Half of the messages must still be there: where they are gone with their marks, that is told as such.
	read, left := n.Read, n.Messages
	if o.OldRead >= 0 && o.Old >= 0 {
		read, left = o.OldRead, o.Old
	}
	if was.Read >= leastRead && read == 0 && left*2 >= was.Messages && left > 0 {
		alarms = append(alarms, AllUnread.alarm(o.Name, "%d of %s were read, and none is", was.Read, messages(was.Messages)))
	}
	return alarms
}

// gone counts the messages that were there and are not any more: exactly where they could be counted, else by the difference.
func gone(o *Seen, was Numbers) int {
	if o.Old >= 0 {
		return max(was.Messages-o.Old, 0)
	}
	return max(was.Messages-o.Numbers.Messages, 0)
}

// arrivals counts what came into the mailboxes that are watched: a message that was moved is gone from one and new in another.
// What had come at the last look counts too, as it may have been moved while that look went on.
func (j *judge) arrivals() {
	j.unmissed = min(j.old.Spare, 1<<30)
	for i := range j.o.Mailboxes {
		o := &j.o.Mailboxes[i]
		was, n := j.old.Mailboxes[o.Name], 0
		switch {
		case !o.Looked || j.first || j.renames[o.Name]:
		case was == nil:
			n = o.Numbers.Messages
		case !was.Known: // it was there, and could not be opened
		case o.Numbers.UIDValidity != was.Numbers.UIDValidity:
		case o.Old >= 0:
			n = max(o.Numbers.Messages-o.Old, 0)
		default:
			n = max(o.Numbers.Messages-was.Numbers.Messages, 0)
		}
		j.arrived[o.Name] = n
		j.unmissed += n
	}
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// parseKey takes the key of an alarm apart.
func parseKey(key string) (a Alarm, ok bool) {
	kind, rest, ok := strings.Cut(key, "|")
	class, mailbox, ok2 := strings.Cut(rest, "|")
	a = Alarm{Kind: Kind(kind), Class: class, Mailbox: mailbox}
	return a, ok && ok2 && (a.Kind == Failed || words[a.Kind] != "")
}
