package ui

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"

	"dovemend/repair"
	"dovemend/repair/check"
	"dovemend/repair/plan"
)

func TestBrokenCommandLinesAreTheSameCommand(t *testing.T) {
	args := []string{"printf", "<%s>", "--host", "web1@127.0.0.1:35349", "--identity", "/tmp/a b/identity", "--mailbox", "Entwürfe/it's", "--apply"}
	whole := commandLines("  ", args, 1<<30)
	if strings.Contains(whole, "\n") {
		t.Errorf("a command that fits is broken: %q", whole)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	want, err := exec.Command(bash, "-c", whole).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{20, 40, 59, 79} {
		lines := commandLines("  ", args, width)
		if !strings.Contains(lines, "\\\n") {
			t.Errorf("width %d: not broken: %q", width, lines)
		}
		for _, l := range strings.Split(lines, "\n") {
			if w := runewidth.StringWidth(l); w > max(width, 50) {
				t.Errorf("width %d: a line of %d columns: %q", width, w, l)
			}
		}
		if got, err := exec.Command(bash, "-c", lines).Output(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("width %d: bash reads %q, want %q (%v)", width, got, want, err)
		}
	}
}

func TestFindingsAlikeAreToldOnceWithTheirMeaningFirst(t *testing.T) {
	f := func(text string, at int64) repair.Finding {
		return repair.Finding{Severity: check.Broken, File: "a/dovecot.index", Offset: at, Text: text, Effect: "shows nothing", Advice: "remove it"}
	}
	d := repair.Diagnosis{Findings: []repair.Finding{f("one", 0), f("two", 4), {Severity: check.Note, File: "b", Offset: -1, Text: "old"}}}
	d.Mailbox.Name = "INBOX"
	var b bytes.Buffer
	PrintDiagnoses(&b, []repair.Diagnosis{d})
	want := `Mailbox INBOX: 0 messages, 0 seen, 0 flagged, 0 B in its own folder
  broken: a/dovecot.index
    effect: shows nothing
    what to do: remove it
    seen in the file:
      one, at byte 0
      two, at byte 4
  note: old
    in b
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestVerificationTellsNotesAsNotes(t *testing.T) {
	v := &repair.Verification{OK: true, IMAP: "preauth", FileNotes: []string{"dovecot.index.log has grown"}, Boxes: []repair.BoxVerdict{
		{Mailbox: "INBOX", Messages: 3, Expected: 3, OK: true, Replies: []string{"Error: Fixed index file"}, Notes: []string{"1\x1b[2J", "2", "3", "4", "5", "6", "7"}}}}
	var b bytes.Buffer
	PrintVerification(&b, v)
	want := `Files: as the plan promised
  note: dovecot.index.log has grown
IMAP (by the host's own imap program): INBOX works, 3 messages, as expected
  note: on the way the server said: Error: Fixed index file
  note: 1\x1b[2J
  note: 2
  note: 3
  note: 4
  note: 5
  … and 2 more, in the run's folder
Verified.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	v.OK, v.IMAP, v.Boxes = true, "", nil
	b.Reset()
	PrintVerification(&b, v)
	if !strings.HasSuffix(b.String(), "Verified, by the files alone.\n") {
		t.Errorf("without IMAP: %s", b.String())
	}
	v.OK, v.IMAP, v.Boxes = false, "tls", []repair.BoxVerdict{{Mailbox: "INBOX", Messages: 2, Expected: 3, Problems: []string{"1 message is missing"}, Replies: []string{"NO"}}}
	b.Reset()
	PrintVerification(&b, v)
	for _, want := range []string{"has problems, 2 messages, 3 expected", "  1 message is missing\n", "  the server said: NO\n", "Not as promised"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestCostsInManyMailboxesAreToldByKind(t *testing.T) {
	few := []plan.Cost{{Loss: plan.LossFlags, Mailbox: "A\x1b", Count: 2, Text: "the flags of 2 messages"}}
	if got := CostTexts(few); len(got) != 1 || got[0] != `in A\x1b the flags of 2 messages (flags)` {
		t.Errorf("few: %q", got)
	}
	var many []plan.Cost
	for range 40 {
		many = append(many, plan.Cost{Loss: plan.LossUIDs, Mailbox: "A", Count: 2}, plan.Cost{Loss: plan.LossFlags, Mailbox: "A", Count: 1})
	}
	many = append(many, plan.Cost{Loss: plan.LossKeywords, Mailbox: "A", Count: -1})
	want := []string{"in 40 mailboxes the flags of 40 messages (flags)", "in 1 mailbox the keywords of ? messages (keywords)",
		"in 40 mailboxes the UIDs of 80 messages: mail programs download them anew (uids)"}
	if got := CostTexts(many); !slices.Equal(got, want) {
		t.Errorf("many:\n%q\nwant\n%q", got, want)
	}
}
