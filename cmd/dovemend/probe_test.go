package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dovemend/repair"
)

func TestFailedLoginsHaveTheirExitCodes(t *testing.T) {
	for reply, want := range map[string]struct {
		code int
		next string
	}{
		"NO [AUTHENTICATIONFAILED] Authentication failed.":                                                      {exitLogin, "password"},
		"NO [EXPIRED] Password expired":                                                                         {exitLogin, "what to do is said"},
		"NO [ALERT] Invoice unpaid":                                                                             {exitLogin, "what to do is said"},
		"NO [PRIVACYREQUIRED] Plaintext authentication disallowed":                                              {exitLogin, "--imap-tls"},
		"NO [UNAVAILABLE] Temporary authentication failure.":                                                    {exitError, "same command again"},
		"NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=75)":       {exitError, "close the mail programs"},
		"NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=75)": {exitError, "processes --host HOST --stop"},
		"BYE Internal error occurred. Refer to server log for more information.":                                {exitFindings, "dovemend check"},
	} {
		s := newPoisonServer(t, 3, 0)
		s.login = reply
		t.Setenv("DOVEMEND_IMAP_PASSWORD", "secret")
		code, out, errs := runFake(t, newFake(), "probe", "--imap", s.addr, "--imap-tls", "none", "--imap-user", "anna")
		if code != want.code || !strings.Contains(errs, "next: ") || !strings.Contains(errs, want.next) || !strings.Contains(out, "it means:") || strings.Contains(out+errs, "secret") {
			t.Errorf("%s: exit %d, want %d; out %s, errors %s", reply, code, want.code, out, errs)
		}
	}
}

func TestNothingIsAskedWhereALookWouldHarm(t *testing.T) {
	s := newPoisonServer(t, 3, 0)
	s.allow(0)
	t.Setenv("DOVEMEND_IMAP_PASSWORD", "secret")
	f := newFake()
	f.harms = []repair.LookHarm{{Mailbox: "INBOX", Why: "Dovecot would lose the flags\x1b[2J"}}
	code, out, errs := runFake(t, f, "probe", "--host", "h", "--imap", s.addr, "--imap-tls", "none")
	if code != exitRefused || strings.Contains(f.steps(), "look") || strings.Contains(out, "\x1b") || !strings.Contains(errs, "--look-anyway") {
		t.Errorf("exit %d, did %s, out %q, errors %q", code, f.steps(), out, errs)
	}
	s.allow(1000)
	code, out, errs = runFake(t, f, "probe", "--host", "h", "--imap", s.addr, "--imap-tls", "none", "--look-anyway", "--json")
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != exitFindings || len(doc["looked"].([]any)) != 1 || !strings.Contains(doc["error"].(string), "Dovecot may have changed") {
		t.Errorf("exit %d, %v, out %q, errors %q", code, err, out, errs)
	}
}

func TestHoldersAreCountedByAddressAndAccount(t *testing.T) {
	var all []processDocument
	for range 3 {
		all = append(all, processDocument{Client: "192.0.2.7", Account: "anna@example.org"})
	}
	all = append(all, processDocument{Client: "192.0.2.1"}, processDocument{Title: "dovecot/imap"}, processDocument{Client: "192.0.2.1", Account: "\x1b]0;x"})
	got := holders(all)
	if len(got) != 3 || got[0] != "3 connections from 192.0.2.7 to anna@example.org" || !slices.Contains(got, "1 connection from 192.0.2.1") || strings.Contains(fmt.Sprint(got), "\x1b") {
		t.Errorf("%q", got)
	}
}
