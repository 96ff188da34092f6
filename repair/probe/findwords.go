package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dovemend/remote"
	"dovemend/remote/imap"
)

// describe says in words what is known of a poison message.
func (p *Poison) describe() {
	var b strings.Builder
	fmt.Fprintf(&b, "The message with UID %d ", p.UID)
	how := "is not answered"
	switch {
	case p.Crash:
		how = "makes the server process end without a word"
	case p.MidText:
		how = "makes the server hang up in the middle of its text"
	case p.Hangup:
		how = "makes the server hang up"
	case p.Reply.Class == imap.ClassUnreadable && p.Reply.Whose == imap.WhoseMessage:
		how = "gets no usable answer"
	}
	fmt.Fprintf(&b, "%s when a mail program asks for it with %s (tried %d times). ", how, looksOf(p.Fails[:1]), p.Tries)
	switch p.Verdict {
	case BlameMessage:
		switch {
		case p.Damaged:
			b.WriteString("Its own bytes are damaged, as the files tell.")
		default:
			b.WriteString("It still does so although the old cache is gone: the message itself is to blame.")
		}
		p.Next = "Set it aside: dovemend repair --remedy evacuate leaves it out and saves what can be read of it; dovemend salvage writes what can be read of it from the copy."
		if p.Damaged {
			p.Next = "Run dovemend repair: rebuild mends it where its text is whole, or takes it out and saves what can be read of it; the other messages stay as they are."
		}
	case BlameMessageMaybe:
		b.WriteString("Its text cannot be read either, so most likely its own bytes are damaged; a wrong size in the cache can do the same.")
		p.Next = "Run dovemend check: it looks at the message's own bytes. If it finds nothing there, dovemend repair --remedy drop-cache and probe again."
	case BlameCacheMaybe:
		b.WriteString("Its text itself is read well. Most likely the message is innocent and what Dovecot remembers of it in dovecot.index.cache is damaged.")
		if len(p.Reads) == 0 {
			b.Reset()
			fmt.Fprintf(&b, "The message with UID %d %s when a mail program asks for it with %s (tried %d times). ", p.UID, how, looksOf(p.Fails[:1]), p.Tries)
			if p.MidText {
				b.WriteString("Its size is not what Dovecot remembers of it, in dovecot.index.cache or in a Maildir file's name.")
			} else {
				b.WriteString("The server's log blames what Dovecot remembers of it in dovecot.index.cache.")
			}
		}
		p.Next = "Run dovemend repair --remedy drop-cache, which loses nothing, and then probe again: if the message is answered then, that was all."
	case BlameCache:
		b.WriteString("Since dovecot.index.cache was removed it is read well: only the cache was damaged, and the message is whole.")
		p.Next = "Nothing is left to do for this message."
	case BlameNobody:
		b.Reset()
		fmt.Fprintf(&b, "At the message with UID %d the server failed %d times, with %s, and then answered it: Dovecot has mended something by itself.", p.UID, p.Tries, looksOf(p.Fails[:1]))
		p.Next = "Run dovemend check: it tells whether the message is whole."
	case BlameIndexMaybe:
		b.WriteString("Not even its flags can be told, which stand in the index: the index is damaged.")
		p.Next = "Run dovemend check."
	}
	p.Text = b.String()
}

// describe says in words that a look fails altogether. excused: poison messages are known.
func (e *LookFailure) describe(excused bool) string {
	switch {
	case e.Look == imap.LookThread && excused:
		return "THREAD REFERENCES fails too. Dovecot reads all messages of the mailbox for it, whichever it is asked about, so the poison messages found are reason enough; look again when they are gone."
	case e.Look == imap.LookThread:
		return "THREAD REFERENCES fails whichever messages it is about. Dovecot reads the headers of all messages for it, so which one it stumbles over cannot be asked; the cache may be to blame (dovemend repair --remedy drop-cache)."
	}
	return e.Look.Command() + " fails whichever message it is about (" + strconv.Itoa(e.Tried) + " questions failed): that is not the fault of single messages, but of the mailbox's files or of the host."
}

// many is how many poison messages point to something that they share.
const many = 10

// conclude says in words what the search has come to.
func (f *finder) conclude(err error) {
	d := f.found
	d.Complete = d.Complete && err == nil
	var fatal *fatalError
	switch {
	case err == nil || errors.Is(err, errSpent):
	case errors.As(err, &fatal):
		d.Stop = fatal.stop
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		d.Stop = StopInterrupted
	default:
		var e *imap.Error
		if errors.As(err, &e) && e.Type == imap.TypeStopped {
			d.Stop = StopInterrupted
		}
	}
	var parts []string
	say := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	var bad, innocent []Poison
	for _, p := range slices.Concat(d.Poison, d.Now.Pending) {
		if p.Verdict == BlameCache {
			innocent = append(innocent, p)
		} else {
			bad = append(bad, p)
		}
	}
	asked := uidSet(d.Exists).size()
	switch {
	case len(bad) > 0:
		say("%s at which the server fails: %s.", number(len(bad), "message was found", "messages were found"), uidList(bad))
	case len(innocent) > 0:
	case d.Complete && asked == 0:
		say("There is no message to look at.")
	case d.Complete:
		say("No message makes the server fail: %s answered in every way asked.", number(asked, "message was", "messages were"))
	default:
		say("So far no message was found that makes the server fail.")
	}
	if n := len(d.Healed); n > 0 {
		say("At %s the server failed several times and then not again: %s. Dovecot mends some damage by itself when it meets it.", number(n, "message", "messages"), uidList(d.Healed))
	}
	if len(innocent) > 0 {
		say("Since the cache was removed, %s read well: %s.", number(len(innocent), "message is", "messages are"), uidList(innocent))
	}
	for _, e := range d.Everywhere {
		say("%s", e.Text)
	}
	switch n := len(d.Unsteady); {
	case d.Gone > 0 && d.Failures > 0:
		say("While the server failed, %s from the mailbox: a mail program may have deleted them, or Dovecot has dropped them as it made the index anew. The copy that was made before still has them.", number(d.Gone, "message has vanished", "messages have vanished"))
	case d.Gone > 0:
		say("%s deleted meanwhile.", number(d.Gone, "message was", "messages were"))
	case d.remade() && len(bad) == 0:
		say("While it was asked, Dovecot made the mailbox's index anew, which may have mended something.")
	case d.Failures > 0 && len(bad)+len(d.Healed) == 0 && len(d.Everywhere) == 0:
		say("The server failed %s, each time at something that it answered when it was asked again: that points to the host rather than to a message.", number(d.Failures, "time", "times"))
	case n > 0:
		say("At %s it failed once and not again; none of these is accused.", number(n, "more message", "more messages"))
	}
	if len(d.Skipped) > 0 {
		say("Not asked, because no message's text can be read: %s.", looksOf(d.Skipped))
	}
	why, next := d.Stop.words(err)
	if why != "" {
		say("%s", why)
	}
	d.Text = strings.Join(parts, " ")
	switch {
	case d.Stop == StopReconnects && len(bad) >= many:
		d.Next = "So many messages fail that a file they share may be damaged. Run dovemend check: it looks at the mailbox's files. " + next
	case next != "":
		d.Next = next
	case len(bad) > 0:
		d.Next = bad[0].Next
	case len(d.Everywhere) > 0:
		d.Next = "Run dovemend check: it looks at the mailbox's files."
	case !d.Complete:
		d.Next = "Start the search again: it goes on from here."
	case d.Gone > 0 && d.Failures > 0:
		d.Next = "Compare with the copy: dovemend check --from names the messages it has, dovemend salvage writes them."
	case len(d.Healed) > 0:
		d.Next = d.Healed[0].Next
	case d.Failures > 0:
		d.Next = "Look again later, and show the server's answers to the hosting company if it goes on."
	default:
		d.Next = "Nothing to do."
	}
}

// remade reports whether Dovecot made the index anew while it was asked.
func (f *Found) remade() bool {
	return slices.ContainsFunc(slices.Concat(f.Replies, f.Log), func(r Reply) bool { return r.Class == imap.ClassInconsistent })
}

// words says why a search ended early, and what to do.
func (s Stop) words(err error) (why, next string) {
	goOn := "Start the search again: it goes on from here."
	switch s {
	case StopReconnects:
		return "The search has stopped because the server hung up as often as was allowed for this time.", goOn
	case StopRoundTrips:
		return "The search has stopped because it sent as many questions as were allowed for this time.", goOn
	case StopPoison:
		return "The search has stopped because so many messages fail that single ones are not the matter.", "Run dovemend check: it looks at the mailbox's files. " + goOn
	case StopLimit:
		x := imap.Explain(err)
		return "The search has stopped because the host allows no more connections at present. " + x.Meaning, x.Next
	case StopConnection:
		x := imap.Explain(err)
		return "The search has stopped because no connection could be made. " + x.Meaning, x.Next
	case StopMailbox:
		return "The search has stopped because the mailbox cannot be opened: " + remote.Safe(err.Error()) + ".", "Run dovemend check: it looks at the mailbox's files."
	case StopUIDValidity:
		return "The search has stopped because the mailbox was made anew meanwhile. The UIDs found name other messages now.", "Begin the search anew."
	case StopInterrupted:
		return "The search was stopped from here.", goOn
	}
	return "", ""
}

// number writes how many there are.
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// uidList names messages, the first twenty of them.
func uidList(all []Poison) string {
	var b strings.Builder
	for i, p := range all {
		if i == 20 {
			fmt.Fprintf(&b, " and %d more", len(all)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "UID %d", p.UID)
	}
	return b.String()
}
