//go:build unix

package inspect

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"dovemend/remote/remotetest/doveadm"
)

// realStore is an account on a real Dovecot.
type realStore struct {
	*doveadm.Account
	t    *testing.T
	root string // the mail root
}

func newRealStore(t *testing.T, layout, settings string) *realStore {
	t.Helper()
	a := doveadm.New(t, layout+":%s/mail", settings)
	return &realStore{a, t, filepath.Join(a.Dir, "mail")}
}

// realMessage is a mail that differs from all others; some have parts in each other.
func realMessage(n int) string {
	head := fmt.Sprintf("From: =?utf-8?q?J=C3=B6rg?= <someone@example.org>\r\nTo: user@example.org\r\nSubject: message %d\r\n folded\r\n"+
		"Message-ID: <m%d@example.org>\r\nDate: Mon, 02 Jan 2023 10:%02d:00 +0130\r\n", n, n, n%60)
	body := strings.Repeat(fmt.Sprintf("line %d of this message\r\n", n), n%17)
	if n%4 != 0 {
		return head + "\r\n" + body
	}
	return head + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\nContent-Type: text/plain\r\n\r\n" + body +
		"\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n" +
		"--y\r\n\r\none\r\n--y\r\nContent-Type: text/html\r\n\r\n<b>two</b>\r\n--y--\r\n\r\n--x--\r\n"
}

// fill makes an account with all that mailboxes live through.
func (s *realStore) fill(n int) {
	s.t.Helper()
	c := []string{"ENABLE CONDSTORE"}
	for _, m := range []string{"Archive/2020", "J&AOQ-nner", "Work"} {
		c = append(c, "CREATE "+m, "SUBSCRIBE "+m)
	}
	for i := 1; i <= n; i++ {
		flags := []string{``, `\Seen`, `\Seen \Answered`, `\Flagged Work`, `\Draft $Forwarded`, `\Seen Work NonJunk`}[i%6]
		m := realMessage(i)
		c = append(c, fmt.Sprintf("APPEND INBOX (%s) \"%02d-Feb-2021 08:%02d:07 +0100\" {%d+}\r\n%s", flags, i%27+1, i%60, len(m), m))
	}
	third := n / 3
	c = append(c, "SELECT INBOX",
		fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Seen)", third, third+5), fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Deleted)", 2, 5), "EXPUNGE",
		fmt.Sprintf("UID COPY %d:%d Work", third, third+9), fmt.Sprintf("UID MOVE %d:%d Archive/2020", 2*third, 2*third+4),
		fmt.Sprintf("UID STORE %d:* -FLAGS (Work)", 2*third+5), fmt.Sprintf("UID STORE %d FLAGS (\\Seen x)", third),
		fmt.Sprintf("UID STORE %d:* +FLAGS (later $Label1 $Label2 $Label3 $Label4 $Label5 $Label6)", n-3),
		"UID SEARCH BODY line", "UID FETCH 1:* (RFC822.SIZE ENVELOPE BODYSTRUCTURE INTERNALDATE)", "UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (LIST-ID)] PREVIEW)",
		"UNSELECT", "SELECT Archive/2020", `STORE 1:2 +FLAGS (\Flagged Done)`, `STORE 3 +FLAGS (\Deleted)`, "EXPUNGE", "FETCH 1:* (RFC822.SIZE)",
		"UNSELECT", "CREATE Old", "RENAME Old Older", "DELETE Older", "UNSUBSCRIBE Work", "SUBSCRIBE Work", "STATUS Work (MESSAGES)", "STATUS INBOX (MESSAGES)")
	s.IMAP(c...)
	s.Doveadm("mailbox", "metadata", "set", "INBOX", "/private/comment", "a test")
	s.Doveadm("mailbox", "metadata", "unset", "INBOX", "/private/comment")
	s.Doveadm("mailbox", "status", "all", "*")
}
