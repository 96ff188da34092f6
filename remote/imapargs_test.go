package remote

import (
	"slices"
	"strings"
	"testing"
)

func TestIMAPArgumentsQuoteTheMailRoot(t *testing.T) {
	s := IMAPSpec{Layout: "maildir", MailRoot: "/h/a:b%u c", LayoutFS: true}
	old := foundIMAP{lockMethod: "dotlock"}.args23(s)
	for _, want := range []string{"mail_location=maildir:/h/a::b%u c:LAYOUT=fs", "lock_method=dotlock", "log_path=/dev/stderr", "first_valid_uid=1", "namespace/inbox/separator=/"} {
		if !slices.Contains(old, want) {
			t.Errorf("arguments for 2.3 lack %q: %q", want, old)
		}
	}
	modern := foundIMAP{}.args24(s)
	for _, want := range []string{"-O", "mail_driver=maildir", "mail_path=/h/a:b%u c", "mailbox_list_layout=fs", "namespace_separator=/"} {
		if !slices.Contains(modern, want) {
			t.Errorf("arguments for 2.4 lack %q: %q", want, modern)
		}
	}
	if slices.Contains(modern, "-c") {
		t.Errorf("arguments for 2.4 name a configuration file: %q", modern)
	}
}

func TestIMAPAttemptsBeginWithTheInstalledPlugin(t *testing.T) {
	s := IMAPSpec{Layout: "mdbox", MailRoot: "/m"}
	tests := []struct {
		name  string
		found foundIMAP
		first string // an argument of the first attempt
		n     int
	}{
		{"2.3", foundIMAP{zlib: true}, "mail_plugins=zlib", 3},
		{"2.4", foundIMAP{compress: true}, "mail_plugins=mail_compress", 3},
		{"none seen", foundIMAP{}, "/dev/null", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.found.attempts(s)
			if len(got) != tt.n || !slices.Contains(got[0], tt.first) {
				t.Errorf("attempts = %q", got)
			}
			for _, a := range got[1:] {
				if strings.Contains(strings.Join(a, " "), "mail_plugins") {
					t.Errorf("a later attempt still loads a plugin: %q", a)
				}
			}
		})
	}
}

func TestIMAPSpecRefusesWhatIsNoMailRoot(t *testing.T) {
	for _, s := range []IMAPSpec{
		{Layout: "mbox", MailRoot: "/m"},
		{Layout: "mdbox"},
		{Layout: "mdbox", MailRoot: "/"},
		{Layout: "mdbox", MailRoot: "m"},
		{Layout: "mdbox", MailRoot: "/m/../n"},
		{Layout: "mdbox", MailRoot: "/m\n"},
		{Layout: "mdbox", MailRoot: "/m", Binary: "imap"},
		{Layout: "mdbox", MailRoot: "/m", Binary: "/bin/sh"},
	} {
		if s.valid() == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	if err := (IMAPSpec{Layout: "sdbox", MailRoot: "/m n", Binary: "/usr/lib/dovecot/imap"}).valid(); err != nil {
		t.Error(err)
	}
}

func TestLogRingKeepsTheLastBytesAfterTheMark(t *testing.T) {
	r := &ring{limit: 64, ended: make(chan struct{})}
	r.fill(strings.NewReader("motd\n" + logMark + "\none\n"))
	if got := string(r.bytes()); got != "one\n" {
		t.Errorf("bytes = %q", got)
	}
	r = &ring{limit: 64, ended: make(chan struct{})}
	r.fill(strings.NewReader(strings.Repeat("x", 100_000) + "end"))
	if got := string(r.bytes()); len(got) != 64 || !strings.HasSuffix(got, "xend") {
		t.Errorf("bytes = %d bytes, %q", len(got), got)
	}
}
