//go:build unix

package dovecot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dovemend/remote/remotetest/doveadm"
)

// realStore is an account on a real Dovecot.
type realStore struct {
	*doveadm.Account
	t      testing.TB
	layout string
	root   string // the mail root
}

func newRealStore(t testing.TB, layout, settings string) *realStore {
	t.Helper()
	a := doveadm.New(t, layout+":%s/mail", settings)
	return &realStore{Account: a, t: t, layout: layout, root: filepath.Join(a.Dir, "mail")}
}

func appendCommand(mailbox, flags, date, message string) string {
	return fmt.Sprintf("APPEND %s (%s) %q {%d+}\r\n%s", mailbox, flags, date, len(message), message)
}

// message is a mail that differs from all others, in size too.
func message(n int) string {
	body := strings.Repeat(fmt.Sprintf("line %d of this message\r\n", n), n%17)
	if n%5 == 0 {
		body += "ends without a line feed"
	}
	if n%11 == 0 {
		body = ""
	}
	return fmt.Sprintf("From: someone@example.org\r\nTo: user@example.org\r\nSubject: message %d\r\nMessage-ID: <m%d@example.org>\r\n"+
		"Date: Mon, 02 Jan 2023 10:%02d:00 +0000\r\n\r\n%s", n, n, n%60, body)
}

// fill makes a store with all that mailboxes live through: flags, keywords, expunges, copies, moves, other folders.
func (s *realStore) fill(n int) {
	s.t.Helper()
	var c []string
	for _, m := range []string{"Archive/2020", "J&AOQ-nner", "Work"} {
		c = append(c, "CREATE "+m, "SUBSCRIBE "+m)
	}
	for i := 1; i <= n; i++ {
		flags := []string{``, `\Seen`, `\Seen \Answered`, `\Flagged Work`, `\Draft $Forwarded`, `\Seen Work NonJunk`}[i%6]
		c = append(c, appendCommand("INBOX", flags, fmt.Sprintf("%02d-Feb-2021 08:%02d:07 +0100", i%27+1, i%60), message(i)))
	}
	s.IMAP(c...)
	third := n / 3
	s.IMAP("SELECT INBOX",
		fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Seen)", third, third+5),
		fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Deleted)", 2, 5),
		"EXPUNGE",
		fmt.Sprintf("UID COPY %d:%d Work", third, third+9),
		fmt.Sprintf("UID MOVE %d:%d Archive/2020", 2*third, 2*third+4),
		fmt.Sprintf("UID STORE %d:* -FLAGS (Work)", 2*third+5),
		fmt.Sprintf("UID STORE %d:* +FLAGS (later $Label1 $Label2 $Label3 $Label4 $Label5 $Label6)", n-3),
		"UID SEARCH BODY line", "UID FETCH 1:* (RFC822.SIZE ENVELOPE)")
	s.IMAP("SELECT Archive/2020", `STORE 1:2 +FLAGS (\Flagged Done)`, `STORE 3 +FLAGS (\Deleted)`, "EXPUNGE", "FETCH 1:* (RFC822.SIZE)")
}

// mailboxDir is where a mailbox's index files are.
func (s *realStore) mailboxDir(name string) string {
	if s.layout == "maildir" {
		if name == "INBOX" {
			return s.root
		}
		return filepath.Join(s.root, "."+strings.ReplaceAll(name, "/", "."))
	}
	return filepath.Join(s.root, "mailboxes", name, "dbox-Mails")
}

// files reads the files of an index.
func (s *realStore) files(prefix string) Files {
	s.t.Helper()
	get := func(suffix string) []byte {
		b, err := os.ReadFile(prefix + suffix)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return append([]byte{}, b...)
	}
	return Files{Index: get(""), Backup: get(".backup"), Log: get(".log"), Log2: get(".log.2")}
}

// put writes the files of an index, and removes those that are nil and its cache.
func (s *realStore) put(prefix string, f Files) {
	s.t.Helper()
	os.Remove(prefix + ".cache")
	for suffix, b := range map[string][]byte{"": f.Index, ".backup": f.Backup, ".log": f.Log, ".log.2": f.Log2} {
		os.Remove(prefix + suffix)
		if b != nil {
			if err := os.WriteFile(prefix+suffix, b, 0o600); err != nil {
				s.t.Fatal(err)
			}
			if err := s.Chown(prefix + suffix); err != nil { // and no other file: the time of its last change tells when a message was saved
				s.t.Fatal(err)
			}
		}
	}
}

func fetchSummary(rows []map[string]string) []string {
	var out []string
	for _, row := range rows {
		words := strings.Fields(row["flags"])
		slices.Sort(words)
		out = append(out, fmt.Sprintf("%s %s", row["uid"], strings.Join(words, " ")))
	}
	return out
}
