package repair

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"dovemend/repair/report"
)

// written is a report in all its forms, redacted as asked.
func written(t *testing.T, answers string, redact bool) (all string, r *report.Report) {
	t.Helper()
	r = &report.Report{}
	if err := AddAnswers(r, strings.NewReader(answers)); err != nil {
		t.Fatal(err)
	}
	r.Finish(report.Options{Language: report.English, Redact: redact})
	var b bytes.Buffer
	for _, write := range []func() error{func() error { return r.Text(&b) }, func() error { return r.HTML(&b) }, func() error { return r.JSON(&b) }} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String(), r
}

// TestAnswersHoldNoLogin: no form of a login that a mail program may log comes into a report, nor its password where it stands elsewhere.
func TestAnswersHoldNoLogin(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	plain, user, pass, bearer := b64("\x00anna\x00geheim77"), b64("anna"), b64("geheim77"), b64("user=anna\x01auth=Bearer geheim77tok\x01\x01")
	const answer = "1002 NO [SERVERBUG] Internal error occurred."
	for _, c := range []struct{ name, lines string }{
		{"imapfilter", `C (5): 1001 LOGIN "u@d" "geheim77"`},
		{"a tag", "A1 LOGIN u geheim77"},
		{"small letters", "a login u geheim77"},
		{"a tag of parts, as Apple has it", "7.3 login u geheim77"},
		{"letters as a tag", "abcd LOGIN u geheim77"},
		{"in quotes", "sent 'A1 LOGIN u geheim77'"},
		{"what looks like a server's line", "A1 LOGIN u geheim77rip=1"},
		{"RainLoop", `[14:03:11.100][abc] IMAP[SECURE]: > TAG2 LOGIN "anna" "geheim77"\r\n`},
		{"quoted marks, said again before and after", "* BAD geheim77 no command\nA1 LOGIN u geheim77\nA1 NO no user geheim77 here"},
		{"marks within", `A1 LOGIN u "geh\"eim77"` + "\n" + `A1 NO [X] geh\"eim77 and geh"eim77`},
		{"initial response", "A1 AUTHENTICATE PLAIN " + plain},
		{"without a tag", "AUTHENTICATE PLAIN " + plain},
		{"initial response, said again", "C (5): 1 AUTHENTICATE PLAIN " + plain + "\nS (5): 1 NO [X] " + plain + " of geheim77 is wrong"},
		{"continued", "A1 AUTHENTICATE PLAIN\n+\n" + plain + "\nA1 NO [X] bad geheim77"},
		{"continued, with prefixes", "C (5): 1 AUTHENTICATE LOGIN\nS (5): + VXNlcm5hbWU6\nC (5): " + user + "\nS (5): + UGFzc3dvcmQ6\nC (5): " + pass},
		{"continued, in RainLoop", "[14:03:11.100][abc] IMAP[INFO]: > TAG2 AUTHENTICATE PLAIN\\r\\n\n[14:03:11.100][abc] IMAP[DATA]: > " + plain + "\\r\\n"},
		{"a continuation alone", plain + "\n  " + pass + "\r\n> " + plain + "\nC: " + pass + "\n+ " + pass},
		{"a token", "A1 AUTHENTICATE XOAUTH2 " + bearer + "\nA1 NO [X] geheim77tok is old"},
		{"literals", "a1 login {4}\n+ OK\nanna {8}\n+ OK\ngeheim77\na1 NO failed"},
		{"literals, both in one", "C: A1 LOGIN \"anna\" {8+}\nC: geheim77\nA1 NO failed"},
		{"UTF-16", "A\x001\x00 \x00L\x00O\x00G\x00I\x00N\x00 \x00u\x00 \x00g\x00eheim77\x00"},
		{"SMTP", "AUTH PLAIN " + plain},
		{"POP3", "USER anna\nPASS geheim77"},
		{"named", "* BYE password=geheim77 given"},
		{"an address", "connect to imaps://anna:geheim77@mail.example.org/ failed"},
	} {
		for _, redact := range []bool{false, true} {
			all, r := written(t, c.lines+"\n"+answer+"\n", redact)
			lower := strings.ToLower(all)
			for _, secret := range []string{"geheim77", `geh"eim77`, `geh\"eim77`, `geh&#34;eim77`, "eim77", plain, pass, bearer} {
				if strings.Contains(lower, strings.ToLower(secret)) {
					t.Errorf("%s, redacted %v: %q is in the report: %+v", c.name, redact, secret, r.Answers)
				}
			}
			if !strings.Contains(all, "SERVERBUG") {
				t.Errorf("%s: the answer after it is lost: %+v", c.name, r.Answers)
			}
		}
	}
}

func TestAnswersThatOnlySpeakOfLoginsStay(t *testing.T) {
	for _, line := range []string{
		"A1 NO [AUTHENTICATIONFAILED] Authentication failed.",
		"NO [UNAVAILABLE] Internal login failure. Refer to server log for more information.",
		"Error login on [host] with user: 2 NO [X] y",
		"Login failed for anna against host: 3 NO [X] y",
		"May 22 14:00:00 imap-login: Info: Aborted login (auth failed, 1 attempts in 2 secs): user=<anna>, method=PLAIN, rip=192.0.2.1",
		"Server does not respond",
		"IMAP Error: Login failed for anna from 192.0.2.1. AUTHENTICATE PLAIN: Internal error occurred.",
		"Connection closed",
	} {
		if _, r := written(t, line+"\n", false); len(r.Answers) != 1 || r.Answers[0].Text != line || len(r.Notes) != 0 {
			t.Errorf("%s: got %+v, %q", line, r.Answers, r.Notes)
		}
	}
}

// TestAnswersSayWhatWasLeftOut: one who wonders where a line is reads why.
func TestAnswersSayWhatWasLeftOut(t *testing.T) {
	_, r := written(t, "A1 LOGIN u geheim77\nA1 NO x\n", false)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "login") || !strings.HasSuffix(r.Notes[0], ": 1") {
		t.Errorf("%q", r.Notes)
	}
	if r.Finish(report.Options{Language: report.German}); !strings.Contains(r.Notes[0], "Anmeldung") {
		t.Errorf("%q", r.Notes)
	}
}
