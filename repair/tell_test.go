package repair

import (
	"slices"
	"testing"

	"dovemend/remote/imap"
	"dovemend/repair/probe"
)

func TestLogLinesOfARebuildAreNotesInAMailboxThatWorks(t *testing.T) {
	rebuilt := probe.Reply{Text: "Warning: fscking index file", Explanation: imap.Explanation{Meaning: "The index was broken.", Next: "Repair it.", Whose: imap.WhoseMailbox}}
	crash := probe.Reply{Text: "Panic: file x", Explanation: imap.Explanation{Meaning: "Dovecot crashed.", Whose: imap.WhoseMessage}}
	refused := probe.Reply{Text: "NO internal error", Explanation: imap.Explanation{Meaning: "The mailbox is broken.", Whose: imap.WhoseMailbox}}
	got := &probe.Reading{Replies: []probe.Reply{refused}, Stderr: []probe.Reply{rebuilt, crash}}

	good := BoxVerdict{OK: true}
	good.tell(got)
	if want := []string{"Dovecot's log, while it made its files anew: Warning: fscking index file"}; !slices.Equal(good.Notes, want) {
		t.Errorf("notes %q, want %q", good.Notes, want)
	}
	if want := []string{"NO internal error — The mailbox is broken.", "Panic: file x — Dovecot crashed."}; !slices.Equal(good.Replies, want) {
		t.Errorf("replies %q, want %q", good.Replies, want)
	}

	bad := BoxVerdict{}
	bad.tell(got)
	if len(bad.Notes) != 0 || len(bad.Replies) != 3 || bad.Replies[1] != "Warning: fscking index file — The index was broken. Repair it." {
		t.Errorf("in a mailbox that does not work: notes %q, replies %q", bad.Notes, bad.Replies)
	}
}
