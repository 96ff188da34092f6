package fidelity

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"dovemend/remote/remotetest/damage"
	"dovemend/repair/plan"
)

const intro = `# Fidelity

What is left of a broken mailbox, by what somebody does about it. A test makes mailboxes on the real Dovecot %[1]s, breaks copies of them in
every way known, and treats each broken copy in five ways. What IMAP shows afterwards, in all mailboxes of the account, is counted against what
it showed before the damage, message by message. This page is written by that test:

    DOVEMEND_FIDELITY=full DOVEMEND_FIDELITY_WRITE=1 go test ./repair/fidelity -timeout 4h

**The mailboxes.** An INBOX of about 45 messages and five other mailboxes with about 50, after messages were expunged, moved and copied. Each damage is
done to three stores: one whose logs were never rotated; one whose logs were, as those of any mailbox are after some days, and of which Dovecot has
since removed the older ones; and one with both logs that has lived on (and, mdbox, was purged). Each is broken %[2]d times, with other random bytes in
other places, every second time in Archive/2020 instead of INBOX, to where messages have been moved. A cell shows the worst of all these.

**The ways.** *nothing*: only looking. *rm dovecot.index* and *rm -rf \* in the folder*, both with no process running. *force-resync*, as the administrator
of the server can run it, and the owner of a mailbox on a shared host cannot. *dovemend*: the remedy that it recommends, with every loss accepted that
it names. *dovemend, copied before*: the same, after an earlier backup with dovemend: of the store before the damage, but for the one that has lived on, of
which the copy is from before that. Afterwards all mailboxes are read; a keyword is set and taken away in each, as some damage lies still until Dovecot
writes; an mdbox is purged, as hosts do at night; and they are read again, until two readings are the same.

**The cells.** *ok*: nothing was lost. *−n msg*: messages that are gone, or cannot be read as they were; of these *n listed*: still in the mailbox, with
another text or none. *−n flags*, *−n keywords*, *−n UIDs*, *−n dates*: messages of which these are not what they were. A message that is gone has none
of them any more and is counted in each; where they are no more than the messages that are gone, they are not written out. A UID is counted as lost,
too, when the UIDVALIDITY is another one. *+n dead*: expunged or moved away, and back. *+n double*: there once more. *n mixed up*: messages that have what was
the UID of another message, under the same UIDVALIDITY: a mail program shows the one for the other, and deletes the one for the other.
*n UIDVALIDITY*: mailboxes that mail programs download anew. *n crashes*: imap processes that died. *doveadm crashes*: the way itself died. *log n*: warnings
and errors in Dovecot's log, from the first look on. What dovemend did, without an earlier copy, is in the last column; more than one where it depended on the store.

**The verdict.** The test fails where, in any store and with any seed, another way has a smaller number than dovemend in anything of the above. Two things are
no better: UIDs that were hit by a way that gives other messages the UID of another one, and the dead that are gone because living messages went with
them. Where that is so, it is told below the tables. It fails, too, where an earlier copy makes anything worse.
`

// markdown is docs/fidelity.md.
func (r *report) markdown() string {
	var b strings.Builder
	seeds := uint64(1)
	for _, one := range r.results {
		seeds = max(seeds, one.seed)
	}
	fmt.Fprintf(&b, intro, r.dovecot, seeds)
	rows := r.rows()
	for _, layout := range layouts {
		r.table(&b, layout, rows)
	}
	fmt.Fprint(&b, "\n## Where another way has a smaller number\n\n")
	lines := 0
	for _, row := range rows {
		for _, line := range row.excused() {
			lines++
			fmt.Fprintln(&b, line)
		}
	}
	if lines == 0 {
		fmt.Fprintln(&b, "Nowhere.")
	}
	r.losses(&b, rows)
	return b.String()
}

var titles = map[string]string{"maildir fs": "Maildir with LAYOUT=fs", "maildir": "Maildir"}

func title(layout string) string { return cmp.Or(titles[layout], layout) }

func (r *report) table(b *strings.Builder, layout string, rows []*row) {
	header := false
	for _, row := range rows {
		if row.layout != layout {
			continue
		}
		if !header {
			header = true
			fmt.Fprintf(b, "\n## %s\n\n| damage |", title(layout))
			for _, w := range ways {
				fmt.Fprintf(b, " %s |", strings.ReplaceAll(w.name, "*", "\\*"))
			}
			fmt.Fprintf(b, " its remedy |\n|%s\n", strings.Repeat(" --- |", len(ways)+2))
		}
		fmt.Fprintf(b, "| `%s` %s |", row.kind, strings.ReplaceAll(damage.Text(row.kind), "*", "\\*"))
		for _, w := range ways {
			text := row.text(w.name)
			if text == "ok" {
				text = "**ok**"
			}
			fmt.Fprintf(b, " %s |", text)
		}
		fmt.Fprintf(b, " %s |\n", row.remedies())
	}
}

// remedies are what dovemend did, and how it ended, most often first.
func (r *row) remedies() string {
	times := make(map[string]int)
	for _, one := range r.results {
		what := string(cmp.Or(one.mended.remedy, plan.Remedy("none")))
		if s := one.mended.state; s != "done and verified" && s != "nothing to do" {
			what += " (" + s + ")"
		}
		if one.mended.salvaged > 0 {
			what += " and salvage"
		}
		times[what]++
	}
	names := slices.SortedFunc(maps.Keys(times), func(a, b string) int {
		return cmp.Or(cmp.Compare(times[b], times[a]), cmp.Compare(a, b))
	})
	return strings.Join(names, ", ")
}

// losses tells what dovemend lost.
func (r *report) losses(b *strings.Builder, rows []*row) {
	fmt.Fprint(b, "\n## What dovemend lost because the bytes no longer exist\n\nOf each damage and each thing lost, the cell that lost most of it, and the bytes that alone told it.\n\n")
	r.list(b, rows, func(v verdict) bool { return !v.recoverable && !v.unknown })
	fmt.Fprint(b, "\n## What dovemend lost although the broken files told it\n\nThe test fails by each of these.\n\n")
	r.list(b, rows, func(v verdict) bool { return v.recoverable })
	fmt.Fprint(b, "\n## What dovemend lost of which not even the sound files tell in a way that the test knows\n\n")
	r.list(b, rows, func(v verdict) bool { return v.unknown })
}

var messageFile = regexp.MustCompile(`(cur|new)/[0-9]+\.M[^ ]*`)

func (r *report) list(b *strings.Builder, rows []*row, is func(verdict) bool) {
	lines := 0
	for _, row := range rows {
		for _, a := range []attribute{whole, dead, single, flags, keywords, uid, date, validity} {
			most, gone, where := 0, "", cell{}
			for _, one := range row.results {
				n, text := 0, ""
				for _, v := range one.told {
					if v.what == a && is(v) {
						n++
						if len(v.gone) > len(text) {
							text = v.gone
						}
					}
				}
				if n > most {
					most, gone, where = n, messageFile.ReplaceAllString(text, "$1/…"), one.cell
				}
			}
			if most == 0 {
				continue
			}
			lines++
			fmt.Fprintf(b, "- %s, `%s` (%s, %s): %s", title(row.layout), row.kind, where.store, where.mailbox(), lossText(a, most))
			if gone != "" {
				fmt.Fprintf(b, ": %s", gone)
			}
			fmt.Fprintln(b)
		}
	}
	if lines == 0 {
		fmt.Fprintln(b, "Nothing.")
	}
}

// lossText says in words what was lost how often.
func lossText(a attribute, n int) string {
	things := map[attribute][2]string{whole: {"a message", "%d messages"}, dead: {"a message came back from the dead", "%d messages came back from the dead"},
		single: {"a message is there twice", "%d messages are there twice"}, flags: {"the flags of a message", "the flags of %d messages"},
		keywords: {"the keywords of a message", "the keywords of %d messages"}, uid: {"the UID of a message", "the UIDs of %d messages"},
		date: {"the received date of a message", "the received dates of %d messages"}, validity: {"the UIDVALIDITY of a mailbox", "the UIDVALIDITY of %d mailboxes"}}
	if n == 1 {
		return things[a][0]
	}
	return fmt.Sprintf(things[a][1], n)
}
