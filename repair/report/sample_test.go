package report

import (
	"bytes"
	"testing"
	"time"
)

// at is a time in the sample, so many seconds after its beginning.
func at(seconds int) time.Time {
	return time.Date(2026, 11, 23, 18, 15, 2, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}

const deep = "mailboxes/Kunden/Zürich und Umgebung/Rechnungen 2019-2026 (abgelegt, nicht löschen)/dbox-Mails/dovecot.index.log.2"

// sample is a report in which everything that can be told is told.
func sample() *Report {
	yes, seven := true, 7
	return &Report{Made: at(3600), By: "1.0", LeftOut: 2, Notes: []string{"run 20261101-000000-0000: open: damaged"},
		Account: Account{Address: "anna@example.org", MailRoot: "/userdata01/web1/mail/example.org/anna", Layout: "mdbox", Mailboxes: []string{"INBOX", "Kunden/Zürich und Umgebung"}},
		Host: Host{Name: "ssh.example.net:22", Login: "web1", HostKey: "SHA256:abc", SSHServer: "SSH-2.0-OpenSSH_9.2p1 Debian-2", System: "Linux", Shell: &yes,
			Dovecot: "2.3.19.1 (9b53102964)", Greeting: "Dovecot (Debian) ready."},
		Answers: []Reply{{At: at(-600), Text: "UID SORT: NO [SERVERBUG] Internal error occurred. Refer to server log for more information. [2026-11-23 18:05:02]", Count: 2, Class: "internal-error", Whose: "message", Meaning: "The server failed.", Next: "Run dovemend check."},
			{Text: "the connection has been closed cleanly", Count: 1, Class: "other", Whose: "unknown", Meaning: "The server gave an answer which dovemend does not know.", Next: "Show it."}}, AnswersLeftOut: 1,
		Runs: []Run{{ID: "20261123-181502-3f9a", Kind: "repair", Remedy: "rebuild", Stage: "applied", Begun: at(0), Ended: at(40), Exit: &seven,
			Error: "1 message is missing: there are 44, and 45 were to be there", Program: "1.0", Folder: "/home/anna/.local/state/dovemend/runs/20261123-181502-3f9a",
			Boxes: []string{"INBOX"}, Examined: true, Broken: 3, Suspect: 1, FindingsLeftOut: 12,
			Found: []Box{{Mailbox: "INBOX", Messages: 12345, Seen: 11000, Flagged: 10, UIDValidity: 1795460781, UIDNext: 20001, Bytes: 987654321}},
			Findings: []Finding{
				{Mailbox: "INBOX", Severity: "broken", Rule: "index-major-version", File: "mailboxes/INBOX/dbox-Mails/dovecot.index", Offset: 0, Cure: "rebuild",
					Text:   "dovecot.index, the list of this mailbox's messages, is damaged (major version is 178, not 7; and 4 more faults in this file)",
					Effect: "the mailbox opens without an error and shows nothing, or only new mail (up to: 160 messages no longer shown, flags of 45 messages lost)",
					Advice: "rebuild writes the list of messages anew from everything that the files still tell: messages, numbers, flags and labels"},
				{Mailbox: "INBOX", Severity: "broken", Rule: "dbox-message", File: "storage/m.1", Offset: 7340032, Cure: "rebuild", Text: "message 133 is damaged (header-lost,body-cut)",
					Effect: "Dovecot fails when a mail program asks for this message: the connection ends without a word, and everything asked for with it fails",
					Advice: "rebuild mends its framing where all of its text is there; else it moves the message out of the way, so that the others can be read, and writes what of it can be read to this computer"},
				{Mailbox: "Kunden/Zürich und Umgebung", Severity: "suspect", Rule: "log-sequence", File: deep, Offset: 40,
					Text: "dovecot.index.log.2, which holds earlier changes, is damaged (sequence 3 after 5)", Effect: "none that anybody sees; Dovecot may write errors into its log"},
				{Severity: "note", Rule: "orphans-expunged", File: "storage/m.1", Offset: -1, Text: "21 messages that were deleted are still stored, until the host purges them", Effect: "none", Advice: "dovemend salvage writes them out"},
			},
			Costs: []string{"the flags of 45 messages"}, Planned: []string{"auto takes rebuild: it keeps everything that any file still tells, and what it writes is proven before anything on the host is touched",
				"in INBOX message 133, on which Dovecot fails, is moved out of the way: its end is missing; first, what of it can be read is written to salvaged/ in the run's folder"},
			Steps: 20012, StepsDone: 20012, Applied: true,
			Done: []Done{
				{What: "copy-to-host", Why: "the new files, not yet in their places", Steps: 1, Done: 1, Bytes: 8123, Paths: []string{"mailboxes/INBOX/dbox-Mails/.dovemend-20261123-181502-3f9a-1"}},
				{What: "set-aside", Why: "replaced by the new list of messages", Steps: 5, Done: 5, Bytes: 283200, Paths: []string{"mailboxes/INBOX/dbox-Mails/dovecot.index", "mailboxes/INBOX/dbox-Mails/dovecot.index.log", deep}, PathsLeftOut: 2},
				{What: "remove", Why: "clears Kunden", Steps: 20000, Done: 20000, Bytes: 987654321, Paths: []string{deep}, PathsLeftOut: 19999},
				{What: "into-place", Why: "the list of messages is written anew, alone: Dovecot begins the others again", Steps: 1, Done: 1, Bytes: 8123, Paths: []string{"mailboxes/INBOX/dbox-Mails/dovecot.index"}},
			},
			Copy:  &Copy{Folder: "/home/anna/.local/state/dovemend/runs/20261123-181502-3f9a/snapshot", Files: 21, Bytes: 2_400_000, Verified: "hash", Torn: 1, Unreadable: 2, Paths: []string{"storage/m.7"}},
			Saved: &Saved{Folder: "/home/anna/.local/state/dovemend/runs/20261123-181502-3f9a/salvaged", Messages: 2, Unreadable: 1},
			Replies: []Reply{
				{At: at(30), Last: at(31), Mailbox: "INBOX", Text: "FETCH: * BYE FETCH failed: Internal error occurred. Refer to server log for more information. [2026-11-23 18:15:32]", Count: 3, Class: "message-unreadable", Whose: "message",
					Meaning: "The server could not read one message, and hangs up as soon as a mail program asks for it. The message it named last is the one with UID 133: that one is the suspect.", Next: "Run dovemend check: it finds out whether the message's own bytes or only an index is damaged."},
				{At: at(30), Mailbox: "INBOX", FromLog: true, Text: "imap(anna@example.org)<4711><abc>: Panic: file message-parser.c: line 173 (message_part_finish): assertion failed: (ctx->nested_parts_count > 0)", Count: 1, Class: "crash", Whose: "message",
					Meaning: "The server's process crashed over what it read, because of a fault in Dovecot that damage sets off.", Next: "Run dovemend check; the line before names the file or message."},
				{At: at(33), Text: "LOGIN: NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=75)", Count: 1, Class: "connection-limit", Whose: "client", Limit: 75,
					Meaning: "Too many mail programs are connected. The host allows 75 at a time.", Next: "Close mail programs."},
			},
			RepliesLeftOut: 3,
			Verification: &Verified{At: at(39), OK: false, IMAP: "preauth", Files: []string{`"storage/m.1": its bytes are not the ones they were`}, FileNotes: []string{`"mailboxes/INBOX/dbox-Mails/dovecot.index.cache": it is new: Dovecot or a client made it`},
				Boxes: []VerifiedBox{{Mailbox: "INBOX", Messages: 44, Expected: 45, Problems: []string{"UID 133 is missing", "1 message is missing: there are 44, and 45 were to be there"}, Notes: []string{"2 messages more than foretold: new mail, or mail that Dovecot found again"}},
					{Mailbox: "Kunden/Zürich und Umgebung", OK: true, Messages: 10, Expected: 10}, {Mailbox: "Sent", OK: true, Messages: -1, Expected: -1}}},
			Timeline: []Event{{At: at(0), What: "begin"}, {At: at(0), What: "stage", Text: "copying anna@example.org to this computer"}, {At: at(3), What: "copied"}, {At: at(4), What: "stage", Text: "ending Dovecot's processes"}, {At: at(8), What: "ended", Count: 4},
				{At: at(9), What: "warning", Text: "mail processes keep coming back (imap of anna@example.org from 192.0.2.17); close that mail program if you can. The repair goes on: each step first makes sure that nothing has changed"}, {At: at(9), What: "planned"}, {At: at(10), What: "apply"},
				{At: at(11), Until: at(25), What: "steps", Did: "remove", Text: "clears Kunden", Count: 20000}, {At: at(26), What: "failed", Text: "sftp: failure"}, {At: at(27), What: "resume"}, {At: at(28), What: "saved", Count: 2},
				{At: at(29), What: "applied"}, {At: at(30), What: "reply", Text: "FETCH: * BYE FETCH failed: Internal error occurred."}, {At: at(39), What: "verified"}, {At: at(40), What: "end", Text: "7"}, {At: at(90), What: "undone", Text: "20261123-181632-0001"}},
			EventsLeftOut: 5,
		}},
	}
}

// written gives a report in all three forms, in one text each.
func written(t *testing.T, r *Report) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, write := range map[string]func(*bytes.Buffer) error{"text": func(b *bytes.Buffer) error { return r.Text(b) }, "html": func(b *bytes.Buffer) error { return r.HTML(b) }, "json": func(b *bytes.Buffer) error { return r.JSON(b) }} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = b.String()
	}
	return out
}
