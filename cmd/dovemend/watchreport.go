package main

import (
	"slices"
	"strconv"
	"time"

	"dovemend/cmd/internal/ui"
	"dovemend/repair"
	"dovemend/repair/watch"
)

// mostWatched is how many mailboxes are listed one by one; of more only those with which something is wrong.
const mostWatched = 30

func anyNew(x *repair.Watched) bool {
	return slices.ContainsFunc(x.Alarms, func(a watch.Alarm) bool { return a.New })
}

// printWatch tells a look to people. With --quiet only what is new and wrong is told.
func (k *call) printWatch(x *repair.Watched) {
	many := k.IsSet("interval")
	if k.quiet && !anyNew(x) {
		return
	}
	if many {
		k.say("%s  %s", stamp(x.At), x.Summary())
	} else if !k.quiet {
		k.printWatched(x)
	}
	if !k.quiet && x.Looked && x.IMAPNot != "" {
		k.say("It was not looked at over IMAP: %s.", ui.Safe(x.IMAPNot))
	}
	for _, a := range x.Alarms {
		if (k.quiet || many) && !a.New {
			continue // it was told when it was new
		}
		k.printAlarm(a)
	}
	for _, n := range x.Notes {
		k.say("Note: %s", ui.Safe(n))
	}
	if many {
		return
	}
	if !x.Until.IsZero() && x.Until.After(x.At) {
		k.say("The next look at it is not before %s.", stamp(x.Until))
	}
	if x.Healthy() && !k.quiet {
		if x.First {
			k.say("Learned: %s. From the next look on it is compared with this.", x.Summary())
		} else {
			k.say("All is well: %s.", x.Summary())
		}
	}
}

func (k *call) printAlarm(a watch.Alarm) {
	where := ""
	if a.Mailbox != "" {
		where = ui.Safe(a.Mailbox) + ": "
	}
	since := ""
	if !a.New {
		since = " (since " + a.Since.Local().Format("2006-01-02 15:04") + ")"
	}
	k.say("ALARM  %s%s%s", where, ui.Safe(a.Text), since)
	for _, text := range append([]string{a.Meaning}, a.Log...) {
		if text != "" {
			k.say("       %s", ui.Safe(text))
		}
	}
	if a.Next != "" {
		k.say("       next: %s", ui.Safe(a.Next))
	}
}

func (k *call) printWatched(x *repair.Watched) {
	wrong := map[string]bool{}
	for _, a := range x.Alarms {
		wrong[a.Mailbox] = true
	}
	t := ui.Table{Columns: []ui.Column{{Title: "MAILBOX", Min: 10}, {Title: "MESSAGES", Right: true}, {Title: "UNREAD", Right: true}, {Title: "STATE", Min: 12}}}
	left := 0
	for _, m := range x.Seen.Mailboxes {
		d, state := describeWatched(m), "ok"
		switch {
		case m.Waited:
			state = "left alone until " + x.State.Mailboxes[m.Name].Wait.Until.Local().Format(time.TimeOnly)
		case m.Failure != nil:
			state = "cannot be opened"
		case !m.Looked && wrong[m.Name]:
			state = "damaged, not opened"
		case !m.Looked:
			state = "files only"
		case wrong[m.Name]:
			state = "see below"
		}
		if len(x.Seen.Mailboxes) > mostWatched && state == "ok" {
			left++
			continue
		}
		t.Row(ui.Safe(m.Name), countOf(d.Messages), countOf(d.Unread), state)
	}
	if len(x.Seen.Mailboxes) > left {
		t.Print(k.out(), ui.Width(k.p.stdout))
	}
	if left > 0 {
		k.say("%s more, with which nothing is wrong", strconv.Itoa(left))
	}
}
