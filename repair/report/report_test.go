package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var voids = regexp.MustCompile(`<(meta|wbr)([^>]*)>`)

// elements reads a page as strictly as XML is read, so that every element is closed where it should be, and gives its elements.
func elements(t *testing.T, page string) []xml.StartElement {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(voids.ReplaceAllString(page, "<$1$2/>")))
	d.Entity = xml.HTMLEntity
	var all []xml.StartElement
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		if e, ok := tok.(xml.StartElement); ok {
			all = append(all, e.Copy())
		}
	}
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func TestPageIsWellFormedAndNeedsNothingElse(t *testing.T) {
	for _, lang := range Languages() {
		r := sample()
		r.Finish(Options{Language: lang})
		page := written(t, r)["html"]
		count, ids, wanted := map[string]int{}, map[string]bool{}, []string{}
		for _, e := range elements(t, page) {
			count[e.Name.Local]++
			if id := attr(e, "id"); id != "" {
				if ids[id] {
					t.Errorf("%s: two elements are called %q", lang, id)
				}
				ids[id] = true
			}
			if id := attr(e, "aria-labelledby"); id != "" {
				wanted = append(wanted, id)
			}
			if href := attr(e, "href"); href != "" {
				if !strings.HasPrefix(href, "#") {
					t.Errorf("%s: a link leads to %q", lang, href)
				}
				wanted = append(wanted, strings.TrimPrefix(href, "#"))
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "src" || a.Name.Local == "action" {
					t.Errorf("%s: %s has %s", lang, e.Name.Local, a.Name.Local)
				}
			}
			if e.Name.Local == "html" && attr(e, "lang") != lang {
				t.Errorf("the page says it is in %q, and is in %s", attr(e, "lang"), lang)
			}
			if e.Name.Local == "th" && attr(e, "scope") == "" {
				t.Errorf("%s: a head of a table says not of what", lang)
			}
		}
		for _, id := range wanted {
			if !ids[id] {
				t.Errorf("%s: nothing is called %q", lang, id)
			}
		}
		if count["h1"] != 1 || count["main"] != 1 || count["script"]+count["link"]+count["img"]+count["iframe"] != 0 {
			t.Errorf("%s: elements are %v", lang, count)
		}
		for _, outside := range []string{"http:", "https:", "url(", "@import", "//"} {
			if strings.Contains(page, outside) {
				t.Errorf("%s: the page holds %q", lang, outside)
			}
		}
	}
}

// TestEveryStateIsTold goes through how a run can have ended, in both languages: a verdict, a letter, and no key of the catalogue.
func TestEveryStateIsTold(t *testing.T) {
	var keys []string
	for key := range words {
		if strings.Contains(key, ".") {
			keys = append(keys, regexp.QuoteMeta(key))
		}
	}
	anyKey := regexp.MustCompile(`(^|[\s>"])(` + strings.Join(keys, "|") + `)($|[\s<"])`)
	yes := &Verified{OK: true, IMAP: "tls"}
	broken := []Finding{{Mailbox: "INBOX", Severity: "broken", Rule: "index-empty", File: "f", Offset: -1, Text: "dovecot.index, the list of this mailbox's messages, is gone, and the log does not tell everything"}}
	for want, run := range map[string]Run{
		StateRepaired:      {Kind: "repair", Stage: "verified", Steps: 1, Applied: true, Verification: yes},
		StateRepairedFiles: {Kind: "repair", Stage: "verified", Steps: 1, Applied: true, Verification: &Verified{OK: true}},
		StateNothing:       {Kind: "repair", Stage: "verified", Verification: yes},
		StateNotPromised:   {Kind: "repair", Stage: "applied", Steps: 1, Applied: true, Verification: &Verified{IMAP: "preauth"}},
		StateApplied:       {Kind: "repair", Stage: "applied", Steps: 1, Applied: true},
		StateStopped:       {Kind: "repair", Stage: "applying", Steps: 3, StepsDone: 1, Applied: true, Error: "connection lost"},
		StatePlanned:       {Kind: "repair", Stage: "planned", Steps: 3, Examined: true, Broken: 1, Findings: broken},
		StateFound:         {Kind: "backup", Stage: "snapshot", Examined: true, Broken: 1, Findings: broken},
		StateHealthy:       {Kind: "backup", Stage: "snapshot", Examined: true},
		StateCopied:        {Kind: "backup", Stage: "snapshot"},
		StateUndone:        {Kind: "undo", Stage: "verified", Steps: 2, Applied: true, Verification: &Verified{OK: true}, Of: "x"},
		StateFailed:        {Kind: "repair", Stage: "failed", Error: "no way"},
	} {
		for _, lang := range Languages() {
			run := run
			run.ID, run.Boxes = "20261123-181502-3f9a", []string{"INBOX"}
			r := &Report{Account: Account{Address: "a@example.org", Layout: "sdbox"}, Runs: []Run{run}}
			r.Finish(Options{Language: lang})
			if r.Verdict.State != want || r.Verdict.Tone == "" || !strings.Contains(r.Verdict.Title, "INBOX") {
				t.Errorf("%s, %s: verdict is %+v", want, lang, r.Verdict)
			}
			if len(r.Support.Body) < 8 || !strings.Contains(strings.Join(r.Support.Body, "\n"), "1. ") {
				t.Errorf("%s, %s: the letter is %q", want, lang, r.Support.Body)
			}
			for form, text := range written(t, r) {
				if m := anyKey.FindString(text); m != "" {
					t.Errorf("%s, %s, %s: the key %q is printed", want, lang, form, m)
				}
				if strings.Contains(text, "%!") || strings.Contains(text, "{1}") {
					t.Errorf("%s, %s, %s: something was put in wrongly: %s", want, lang, form, text)
				}
			}
		}
	}
}

func TestLetterIsShortAndAsksForWhatWasFound(t *testing.T) {
	r := sample()
	run := &r.Runs[0]
	for range 100 {
		run.Findings = append(run.Findings, Finding{Mailbox: "INBOX", Severity: "broken", Rule: "storage-lost", File: "storage/m.9", Offset: -1, Text: strings.Repeat("x", 1000)},
			Finding{Mailbox: "INBOX", Severity: "broken", Rule: "folder-owner", File: "mailboxes/INBOX", Offset: -1, Text: "y"}, Finding{Severity: "suspect", Rule: "disk-full-traces", File: "z", Text: "z"})
		run.Replies = append(run.Replies, run.Replies...)[:3]
	}
	run.Broken, run.Suspect = 203, 101
	r.Runs = append([]Run{{ID: "20261122-000000-0000", Kind: "backup", Stage: "snapshot", Begun: at(-90000), Examined: true}}, r.Runs...)
	r.Finish(Options{Language: English})
	text := strings.Join(r.Support.Body, "\n")
	if len(r.Support.Body) > 50 || len(text) > 6000 {
		t.Errorf("%d lines, %d bytes: nobody reads that", len(r.Support.Body), len(text))
	}
	for _, want := range []string{"INBOX", "anna@example.org", "storage/m.9", "SSH login web1", "backup from before", "Give this back to its owner (login web1): mailboxes/INBOX", "quota", "connections",
		"First seen: 2026-11-23 18:15:02 UTC; at 2026-11-22 17:15:02 UTC", "between 2026-11-22 17:15:02 UTC and 2026-11-23 18:15:02 UTC", "2.3.19.1", "Panic: file message-parser.c", "and 299 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("the letter does not say %q:\n%s", want, text)
		}
	}
}

func TestNothingFromTheHostIsObeyed(t *testing.T) {
	const evil = "</style><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x' {{.}} \x1b[31m\u202egnp\u009b31m\x00\n\xff &lt;"
	for _, lang := range Languages() {
		r := sample()
		eachText(r, func(kind, s string) string {
			if kind == "-" {
				return s
			}
			return s + evil
		})
		r.Finish(Options{Language: lang})
		for form, text := range written(t, r) {
			for _, bad := range []string{"\x1b", "\u202e", "\u009b", "\x00"} {
				if strings.Contains(text, bad) {
					t.Errorf("%s, %s: %q comes through", lang, form, bad)
				}
			}
		}
		page := written(t, r)["html"]
		if strings.Contains(page, "<script") || strings.Contains(page, "<img") {
			t.Errorf("%s: markup comes through", lang)
		}
		elements(t, page)
		var back Report
		if err := json.Unmarshal([]byte(written(t, r)["json"]), &back); err != nil || len(back.Runs) != 1 {
			t.Errorf("%s: %v", lang, err)
		}
	}
}

// canaries names somebody in every way a text can: none of the words with "canary" in it may be left.
var canaries = []string{
	"mail of canary.user@canary-domain.example and Canary.User@CANARY-domain.example from 198.51.100.77 and 2001:db8:ca7a:1::7",
	"imap(canary.user@canary-domain.example)<4711><sessionid>: Error: in /home/canaryhome/mail/canary-domain.example/canary.user/mailboxes/Canarybox/dbox-Mails/dovecot.index",
	"/userdata01/canarylogin/mail/canary-domain.example/canary.user/storage/m.1 cannot be read",
	`"mailboxes/Canarybox/Sub Canary/dbox-Mails/dovecot.index": it is new: Dovecot or a client made it`,
	`UID 3 had the keywords ["canarylabel" "canary label 2"] and has []`,
	"connection from canaryhost.canary-isp.example (user=<canary.user>, rip=203.0.113.9)",
	"Message-ID: <20261123.canaryid@canarymail.example>, Subject: Canary subject of a secret",
	"cur/1700000000.M1P2.canaryserver,S=123,W=130:2,S is too short",
	"login canarylogin on ssh.canaryhost.example, mailbox Canarybox, files in /home/canarylocal/.local/state/dovemend/runs/20261123-181502-3f9a",
	`the message "Canary quoted text" is damaged ("canary header: x")`,
}

func withCanaries() *Report {
	r := sample()
	n := 0
	eachText(r, func(kind, s string) string {
		n++
		switch kind {
		case "-":
			return s
		case "path":
			return []string{"mailboxes/Canarybox/dbox-Mails/u.3", ".Canarybox.Sub/cur/1700000000.M1P2.canaryserver,S=1:2,S", "/userdata01/canarylogin/mail/canary-domain.example/canary.user/x", "Canary Folder/new"}[n%4]
		case "local":
			return "/home/canarylocal/.local/state/dovemend/runs/20261123-181502-3f9a/snapshot"
		case "mailbox":
			return "Canarybox/Sub Canary"
		case "host":
			return "ssh.canaryhost.example:2222"
		case "user":
			return "canarylogin"
		case "address":
			return "canary.user@canary-domain.example"
		case "remove":
			return "SHA256:canarykey"
		}
		return canaries[n%len(canaries)]
	})
	r.Account.MailRoot = "/userdata01/canarylogin/mail/canary-domain.example/canary.user"
	return r
}

func TestRedactTakesOutWhatNamesPeople(t *testing.T) {
	for _, lang := range Languages() {
		plain := withCanaries()
		plain.Finish(Options{Language: lang})
		for form, text := range written(t, plain) {
			if !strings.Contains(text, "anary.user") || !strings.Contains(text, "203.0.113.9") {
				t.Errorf("%s, %s: the canaries were not planted", lang, form)
			}
		}
		for turn := range len(canaries) { // each sentence into each field
			r := withCanaries()
			n := turn
			eachText(r, func(kind, s string) string {
				if n++; kind == "" {
					return canaries[n%len(canaries)]
				}
				return s
			})
			r.Finish(Options{Language: lang, Redact: true, Local: []string{"/home/canarylocal"}})
			for form, text := range written(t, r) {
				for _, bad := range []string{"canary", "198.51.100", "203.0.113", "2001:db8"} {
					if i := strings.Index(strings.ToLower(text), bad); i >= 0 {
						t.Fatalf("%s, %s: %q is left: …%s…", lang, form, bad, text[max(0, i-80):min(len(text), i+80)])
					}
				}
				if !strings.Contains(text, "user1@domain1") || !strings.Contains(text, "host1") || !strings.Contains(text, "folder1") {
					t.Errorf("%s, %s: the placeholders are not there", lang, form)
				}
			}
		}
	}
}

// TestRedactedReportStillReads makes sure that what says nothing of anybody stays.
func TestRedactedReportStillReads(t *testing.T) {
	r := sample()
	r.Finish(Options{Language: English, Redact: true})
	text := written(t, r)["text"]
	for _, want := range []string{"mailboxes/INBOX/dbox-Mails/dovecot.index", "storage/m.1", "user1@domain1", "/userdata01/user2/mail/domain1/user1", "7,340,032 (0x700000)", "2.3.19.1 (9b53102964)",
		"UID 133 is missing", "SSH-2.0-OpenSSH_9.2p1", "Internal error occurred. Refer to server log for more information. [2026-11-23 18:15:32]", "20261123-181502-3f9a", "message-parser.c: line 173", "ip1"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("%q is gone:\n%s", want, text)
		}
	}
}

func TestSecretsAreNeverInAReport(t *testing.T) {
	const password, ping, token = "hunter2-geheim", "https://user:pw1234@hc-ping.example/5f2c1e9a-secret", "tok_9f8e7d"
	evil := "login with " + password + " failed; pinged " + ping + "?x=" + token + "; password=other-secret; -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY----- end"
	for _, redacted := range []bool{false, true} {
		for _, lang := range Languages() {
			r := sample()
			eachText(r, func(kind, s string) string {
				if kind == "-" {
					return s
				}
				return s + " " + evil
			})
			r.Finish(Options{Language: lang, Redact: redacted, Secrets: []string{password, ping, token}})
			for form, text := range written(t, r) {
				for _, bad := range []string{password, "5f2c1e9a", "pw1234", token, "other-secret", "b3BlbnNzaC1rZXk"} {
					if i := strings.Index(text, bad); i >= 0 {
						t.Errorf("%s, %s, redacted %v: %q is in it: …%s…", lang, form, redacted, bad, text[max(0, i-60):min(len(text), i+60)])
					}
				}
			}
		}
	}
}

// TestEveryFieldSaysHowItIsRedacted lets no new kind of field be overlooked.
func TestEveryFieldSaysHowItIsRedacted(t *testing.T) {
	kinds := []string{"", "-", "path", "local", "mailbox", "host", "user", "address", "remove"}
	var look func(x reflect.Type)
	seen := map[reflect.Type]bool{}
	look = func(x reflect.Type) {
		for x.Kind() == reflect.Pointer || x.Kind() == reflect.Slice {
			x = x.Elem()
		}
		if x.Kind() != reflect.Struct || x.PkgPath() == "time" || seen[x] {
			return
		}
		seen[x] = true
		for i := range x.NumField() {
			f := x.Field(i)
			if tag := f.Tag.Get("redact"); !slices.Contains(kinds, tag) {
				t.Errorf("%s.%s: redact:%q is no kind", x.Name(), f.Name, tag)
			}
			if f.Type.Kind() == reflect.Map || f.Type.Kind() == reflect.Interface || !f.IsExported() || f.Tag.Get("json") == "" {
				t.Errorf("%s.%s cannot be redacted or written", x.Name(), f.Name)
			}
			look(f.Type)
		}
	}
	look(reflect.TypeOf(Report{}))
}
